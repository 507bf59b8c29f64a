"""What people are told of options that differ: their names, and their values where these are no secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from tidings.app import schema
from tidings.app.known_features import DISABLED, KnownFeatures
from tidings.app.layers import Place, write_place
from tidings.app.options import Config

HIDDEN: Final = "(secret)"
"""Stands for a value that may hold a password."""
_ABSENT: Final = ""
_SERVED: Final = "served"


class OptionChange(NamedTuple):
    """An option that two configurations have with different values, in words."""

    name: str
    before: str
    after: str
    """As it would stand in a file; of a domain, whether it is served."""


def name(place: Place) -> str:
    """Name an option as people write it, `[limits] login_seconds`; a domain by its section."""
    if len(place) == 2 and place[0] == "host":
        return f"[{write_place(place)}]"
    return f"[{write_place(place[:-1])}] {place[-1]}"


def compare(known: KnownFeatures, old: Config, new: Config, places: Iterable[Place]) -> list[OptionChange]:
    """Give each of these options with its value in both configurations."""
    root = schema.build(known)
    found: list[OptionChange] = []
    for place in places:
        leaf = _leaf(root, place)
        if leaf is None:
            before, after = (_SERVED if place[-1] in config.hosts else _ABSENT for config in (old, new))
            found.append(OptionChange(name(place), before, after))
        else:
            values = [_shown(leaf, _value(config, place)) for config in (old, new)]
            found.append(OptionChange(name(place), *values))
    return found


def changes(known: KnownFeatures, old: Config, new: Config, places: Iterable[Place]) -> list[str]:
    """Say of each of these options what it was and what it is to be."""
    return [
        f"{each.name}: {each.before} → {each.after}" if each.before != each.after else each.name
        for each in compare(known, old, new, places)
    ]


def patterns(root: schema.Table) -> Iterator[str]:
    """Give every option that there is, as the parts of a reload write them: a domain as `*`."""
    for each, entry in root.entries.items():
        if each == "host" and isinstance(entry, schema.Table) and entry.every is not None:
            yield from _patterns("host.*", entry.every)
        elif isinstance(entry, schema.Table):
            yield from _patterns(each, entry)


def _patterns(section: str, table: schema.Table) -> Iterator[str]:
    for each, entry in table.entries.items():
        if isinstance(entry, schema.Table):
            yield from _patterns(f"{section}.{each}", entry)
        else:
            yield f"{section}.{each}"


def _leaf(root: schema.Table, place: Place) -> schema.Leaf | None:
    entry: schema.Leaf | schema.Table | None = root
    for part in place:
        entry = entry.step(str(part)) if isinstance(entry, schema.Table) else None
    return entry if isinstance(entry, schema.Leaf) else None


def _value(config: Config, place: Place) -> Any:  # noqa: ANN401  # any option
    """Find the value of an option; one of all domains, of features, stands with what is for added ones."""
    if place[0] == "host":
        value: Any = config.hosts[str(place[1])]
        place = place[2:]
    elif place[0] == "features":
        value = config.added
    else:
        value = config
    if place == ("features", DISABLED):
        return value.disabled
    for part in place:
        value = value.get(part) if isinstance(value, dict) else getattr(value, str(part), None)
    return value


def _shown(leaf: schema.Leaf, value: object) -> str:
    if value is None:
        return _ABSENT
    if leaf.is_secret:
        return HIDDEN
    if leaf.item is not None and isinstance(value, tuple):
        return f"{len(value)} section{'s' if len(value) != 1 else ''}"
    if isinstance(value, tuple):
        value = [each if isinstance(each, (str, int, float)) else str(each) for each in value]
    return schema.show(value)
