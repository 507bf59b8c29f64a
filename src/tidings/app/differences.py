"""What has changed between two configurations, named as their administrator writes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from tidings.app.layers import Place
from tidings.app.options import Config, HostOptions

Takes = Callable[[Place], bool]
"""Tells whether an option is taken over, by its place."""

_SHARED = {
    "authentication": ("authentication",),
    "sasl": ("sasl",),
    "sasl2": ("sasl2",),
    "admins": ("admins", "create_admins"),
}
"""Options of hosts that they take over from these of `[server]`."""


def differences(old: Config, new: Config) -> list[Place]:
    """Give every option that differs, and every domain that there is in one of them alone.

    What is set for all domains is given once, not for each of them.
    """
    found = list(_sections(old, new))
    common = list(_features(old.added, new.added))
    found += common
    shared = {
        *common,
        *((own,) for own, names in _SHARED.items() if any(("server", name) in found for name in names)),
    }
    for domain in dict.fromkeys([*old.hosts, *new.hosts]):
        before, after = old.hosts.get(domain), new.hosts.get(domain)
        if before is None or after is None:
            found.append(("host", domain))
            continue
        found += [("host", domain, *option) for option in _host(before, after) if option not in shared]
    return found


def pattern(place: Place) -> str:
    """Write a place with dots, a domain as `*`: what a part that reloads says of its options."""
    parts = [str(part) for part in place]
    if parts[0] == "host" and len(parts) > 1:
        parts[1] = "*"
    return ".".join(parts)


def is_taken(place: Place, options: Collection[str]) -> bool:
    """Tell whether an option, or one that it is a part of, is among these patterns."""
    return any(pattern(place[:length]) in options for length in range(len(place), 1, -1))


def merged(old: Config, new: Config, takes: Takes) -> Config:
    """Give the old configuration with those options of the new one that are taken over.

    The domains stay those of the old one.
    """
    sections = {
        field.name: _merged_options(getattr(old, field.name), getattr(new, field.name), (field.name,), takes)
        for field in msgspec.structs.fields(Config)
        if field.name != "added" and isinstance(getattr(old, field.name), msgspec.Struct)
    }
    hosts = {
        domain: _merged_host(host, new.hosts[domain], ("host", domain), takes)
        if domain in new.hosts
        else host
        for domain, host in old.hosts.items()
    }
    added = old.added
    if added is not None and new.added is not None:
        added = _merged_host(added, new.added, (), takes)
    return msgspec.structs.replace(old, **sections, hosts=hosts, added=added)


def _merged_host(old: HostOptions, new: HostOptions, section: Place, takes: Takes) -> HostOptions:
    """Merge what holds for a domain or, without a section, for those that are added at run time."""
    if old == new:
        return old
    features = {
        name: _merged_options(options, new.features[name], (*section, "features", name), takes)
        if name in new.features
        else options
        for name, options in old.features.items()
    }
    own = {
        field.name: getattr(new, field.name)
        for field in msgspec.structs.fields(HostOptions)
        if field.name not in {"features", "disabled"} and takes((*(section or ("server",)), field.name))
    }
    return msgspec.structs.replace(old, **own, features=features)


def _merged_options(old: Any, new: Any, place: Place, takes: Takes) -> Any:  # noqa: ANN401  # any struct of options
    if old == new:  # as nearly all are, of a thousand domains
        return old
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        here = (*place, field.name)
        if takes(here):
            values[field.name] = after
        elif isinstance(before, msgspec.Struct) and isinstance(after, msgspec.Struct):
            values[field.name] = _merged_options(before, after, here, takes)
    return msgspec.structs.replace(old, **values)


def _sections(old: Config, new: Config) -> Iterator[Place]:
    for field in msgspec.structs.fields(Config):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if isinstance(before, msgspec.Struct) and field.name != "added":
            yield from ((field.name, *place) for place in _options(before, after))


def _options(before: msgspec.Struct, after: msgspec.Struct) -> Iterator[Place]:
    if before == after:  # as nearly all are, of a thousand domains
        return
    for field in msgspec.structs.fields(before):
        one, other = getattr(before, field.name), getattr(after, field.name, None)
        if isinstance(one, msgspec.Struct) and isinstance(other, msgspec.Struct):
            yield from ((field.name, *place) for place in _options(one, other))
        elif one != other:
            yield (field.name,)


def _features(before: HostOptions | None, after: HostOptions | None) -> Iterator[Place]:
    before, after = before or HostOptions(), after or HostOptions()
    yield from (("features", *place) for place in _sets(before.features, after.features))
    if before.disabled != after.disabled:
        yield ("features", "disabled")


def _host(before: HostOptions, after: HostOptions) -> Iterator[Place]:
    yield from _features(before, after)
    for field in msgspec.structs.fields(HostOptions):
        if field.name not in {"features", "disabled"} and getattr(before, field.name) != getattr(
            after, field.name
        ):
            yield (field.name,)


def _sets(before: Mapping[str, msgspec.Struct], after: Mapping[str, msgspec.Struct]) -> Iterator[Place]:
    """Compare the features that are in both; `disabled` and `extensions` tell which are not."""
    for name in before:
        if name in after:
            yield from ((name, *place) for place in _options(before[name], after[name]))
