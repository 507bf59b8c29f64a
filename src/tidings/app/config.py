"""Reads the configuration: one TOML file, the environment and a few flags, all mistakes reported at once.

Later layers win: defaults, profile, file, environment, flags. Each layer is checked by itself, so that a
mistake is told even where a later layer would cover it, with the place where it was made.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tidings.app import credentials, rules, schema
from tidings.app.known_features import DISABLED, KnownFeatures
from tidings.app.layers import (
    Layer,
    Place,
    environment_layer,
    file_layer,
    find_file,
    flag_layer,
    profile_layer,
    write_place,
)
from tidings.app.mistakes import ConfigError, Mistake
from tidings.app.options import Config, HostOptions
from tidings.base.jid import Jid, JidError


def load(
    path: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    known: KnownFeatures | None = None,
    *,
    profile: str = "",
) -> Config:
    """Read and check the configuration; raises `ConfigError` with every mistake in it.

    `path` is the file, else TIDINGS_CONFIG names it, else `tidings.toml` is read if there is one (not under a
    profile, which is meant to be the same everywhere). `flags` maps options (`server.data_dir`) to values.
    `known` are the features there are; without it, the options of features are not read.
    """
    root = schema.build(known)
    file, layers = _layers(path, environment, flags, root, profile)
    reader = _Reader(root, os.environ if environment is None else environment)
    for layer in layers:
        reader.read(layer)
    known = known or KnownFeatures(())
    config = _read_secrets(reader, _assemble(reader, known, str(file or ""), profile))
    touched = {mistake.place[:-1] for mistake in reader.mistakes}
    for place, text in rules.find_mistakes(config):
        if place[:-1] not in touched:
            reader.blame(place, text)
    for reason in known.problems.values():
        reader.blame(("server", "extensions"), f"`extensions` in [server]: {reason}")
    if reader.mistakes:
        raise ConfigError(mistake.told for mistake in reader.mistakes)
    return _complete(config)


def extensions_named(
    path: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    *,
    profile: str = "",
) -> tuple[str, ...]:
    """Tell which extensions the configuration names; of what else stands in it, nothing is checked.

    Raises `ConfigError` where the file cannot be read.
    """
    root = schema.build(None)
    reader = _Reader(root, os.environ if environment is None else environment)
    for layer in _layers(path, environment, flags, root, profile)[1]:
        reader.read(layer)
    named: tuple[str, ...] = reader.values.get("server", {}).get("extensions", ())
    return named


def _layers(
    path: str | Path | None,
    environment: Mapping[str, str] | None,
    flags: Mapping[str, object] | None,
    root: schema.Table,
    profile: str,
) -> tuple[Path | None, list[Layer]]:
    """Read every source of the configuration, the weakest first; give the file, too."""
    environment = os.environ if environment is None else environment
    layers: list[Layer] = []
    if profile:
        layers.append(profile_layer(profile))
    file = find_file(path, environment, profile)
    if file is not None:
        layers.append(file_layer(file))
    strongest = flag_layer(flags or {})
    layers += [environment_layer(environment, root, below=layers, above=[strongest]), strongest]
    if profile:
        _let_directory_replace_memory(layers)
    return file, layers


@dataclass(frozen=True, slots=True)
class _Misplaced:
    """A mistake with the place of the option."""

    place: Place
    told: Mistake


class _Reader:
    """Checks layer after layer against the tree of options and merges what is right."""

    def __init__(self, root: schema.Table, environment: Mapping[str, str]) -> None:
        self._root = root
        self._environment = environment
        self._places: dict[Place, str] = {}
        self.values: dict[str, Any] = {}
        self.mistakes: list[_Misplaced] = []

    def read(self, layer: Layer) -> None:
        """Take over what is right in the layer; note what is wrong."""
        before = len(self.mistakes)
        for place, text in layer.mistakes:
            self._refuse(layer, place, text)
        self._section(layer, self._root, layer.values, (), self.values)
        new = self.mistakes[before:]
        new.sort(key=lambda mistake: layer.lines.get(mistake.place, 0))
        self.mistakes[before:] = new

    def blame(self, place: Place, text: str) -> None:
        """Note a mistake of an option that was read, at the place where it was written."""
        for length in range(len(place), 0, -1):
            if place[:length] in self._places:
                self.mistakes.append(_Misplaced(place, Mistake(self._places[place[:length]], text)))
                return
        self.mistakes.append(_Misplaced(place, Mistake("", text)))

    def _section(
        self, layer: Layer, table: schema.Table, given: Mapping[str, Any], place: Place, into: dict[str, Any]
    ) -> None:
        for name, value in given.items():
            here = (*place, name)
            entry = table.step(name)
            if isinstance(entry, schema.Table) and entry.is_open:
                continue
            if entry is None:
                self._refuse(layer, here, self._unknown(layer, table, here, value))
            elif isinstance(entry, schema.Table):
                if not isinstance(value, dict):
                    self._refuse(layer, here, f"`{write_place(here)}` must be a section, not {_shown(value)}")
                    continue
                key = self._canonical(layer, here) if place == ("host",) else name
                if key:
                    self._places.setdefault((*place, key), layer.where(here))
                    self._section(layer, entry, value, here, into.setdefault(key, {}))
            else:
                self._option(layer, entry, value, here, into)

    def _option(
        self, layer: Layer, leaf: schema.Leaf, value: object, place: Place, into: dict[str, Any]
    ) -> None:
        if leaf.item is not None and isinstance(value, list):
            value = self._items(layer, leaf.item, value, place)
        try:
            converted = leaf.convert(value)
            if leaf.is_path and isinstance(converted, str):
                converted = credentials.expand(converted, self._environment)
        except ValueError as error:
            self._refuse(
                layer, place, f"`{leaf.name}` in [{write_place(place[:-1])}] {error}" + _near(value, leaf)
            )
            return
        if leaf.is_path and layer.directory and isinstance(converted, str) and converted:
            converted = str(layer.directory / converted)
        into[leaf.name] = converted
        self._places[_canonical_place(place)] = layer.where(place)

    def _items(self, layer: Layer, table: schema.Table, items: list[Any], place: Place) -> list[Any]:
        """Check each section of a list of sections for names that do not exist."""
        for position, item in enumerate(items):
            for name in item if isinstance(item, dict) else ():
                if table.step(name) is None:
                    here = (*place, position, name)
                    self._refuse(layer, here, self._unknown(layer, table, here, item[name]))
        return items

    def _canonical(self, layer: Layer, place: Place) -> str:
        try:
            return rules.domain(str(place[-1]))
        except JidError as error:
            self._refuse(layer, place, f'[host."{place[-1]}"] must name a domain: {error}')
            return ""

    def _refuse(self, layer: Layer, place: Place, text: str) -> None:
        self.mistakes.append(_Misplaced(place, Mistake(layer.where(place), text)))

    def _unknown(self, layer: Layer, table: schema.Table, place: Place, value: object) -> str:
        name, parent = str(place[-1]), place[:-1]
        is_section = isinstance(value, dict)
        told = f"unknown section [{write_place(place)}]" if is_section else f"unknown option `{name}`"
        if parent and not is_section:
            told += f" in [{write_place(parent)}]"
        if homes := [home for home in _homes(self._root, name) if home]:
            return f"{told}; it belongs in [{write_place(homes[0])}]"
        near = difflib.get_close_matches(name.lower().replace("-", "_"), table.entries, n=1)
        if near:
            section = isinstance(table.entries[near[0]], schema.Table)
            return f"{told}; did you mean {layer.spell((*parent, near[0]), section=section)}?"
        what = "sections" if is_section or not parent else "options"
        return f"{told}; the {what} here are " + ", ".join(f"`{known}`" for known in table.entries)


def _let_directory_replace_memory(layers: list[Layer]) -> None:
    """A profile that keeps its data in memory keeps it in the data directory once one is named."""
    first, *later = layers
    if any("data_dir" in layer.values.get("server", {}) for layer in later):
        first.values.get("database", {}).pop("url", None)


def _assemble(reader: _Reader, known_features: KnownFeatures, file: str, profile: str) -> Config:
    values = reader.values
    sections: dict[str, Any] = {}
    for known in msgspec.structs.fields(Config):
        if isinstance(known.type, type) and issubclass(known.type, msgspec.Struct):
            sections[known.name] = _construct(known.type, values.get(known.name, {}))
    domains = list(values.get("host", {}))
    named: list[str] = []
    for name in sections["server"].domains:
        try:
            named.append(rules.domain(name))
        except JidError as error:
            reader.blame(("server", "domains"), f"`domains` in [server] must name domains: {error}")
    shared = values.get("features", {})
    hosts: dict[str, HostOptions] = {}
    # The first domain answers clients that name none: that of a profile stays first, whatever is added to it.
    for domain in dict.fromkeys([*domains, *named] if profile else [*named, *domains]):
        hosts[domain] = _host(reader, known_features, domain, shared, values.get("host", {}).get(domain, {}))
    shared_disabled = shared.get(DISABLED, ())
    _blame_disabled(reader, known_features, ("features",), shared_disabled)
    added: dict[str, msgspec.Struct] = {}
    for name, struct in known_features.options.items():
        with contextlib.suppress(ValueError, TypeError):  # told above: there is at least one domain
            added[name] = _construct(struct, shared.get(name, {}))
    of_added = HostOptions(features=added, disabled=shared_disabled)
    return Config(**sections, hosts=hosts, added=of_added, file=file, profile=profile)


def _read_secrets(reader: _Reader, config: Config) -> Config:
    """Fill in the secrets that stand in files of their own."""
    url = _secret_of(reader, ("database", "url"), config.database.url, config.database.url_file)
    files = config.files
    key = _secret_of(reader, ("files", "s3_secret_key"), files.s3_secret_key, files.s3_secret_key_file)
    return msgspec.structs.replace(
        config,
        database=msgspec.structs.replace(config.database, url=url),
        files=msgspec.structs.replace(files, s3_secret_key=key),
    )


def _secret_of(reader: _Reader, place: tuple[str, str], value: str, file: str) -> str:
    """Give what an option has, or the line of the file that its neighbour names."""
    section, option = place
    here = (section, f"{option}_file")
    if not file:
        return value
    if value:
        text = f"`{option}` and `{option}_file` in [{section}] are both given; leave one of them away"
        reader.blame(here, text)
        return value
    try:
        return credentials.read_line(file)
    except ValueError as error:
        reader.blame(here, f"`{option}_file` in [{section}] {error}")
        return value


def _host(
    reader: _Reader, known: KnownFeatures, domain: str, shared: Mapping[str, Any], given: Mapping[str, Any]
) -> HostOptions:
    """Put together what holds for one domain: what it says itself, else what is said for all."""
    own = dict(given)
    of_features = own.pop("features", {})
    if DISABLED in of_features:
        _blame_disabled(reader, known, ("host", domain, "features"), of_features[DISABLED])
    disabled = of_features.get(DISABLED, shared.get(DISABLED, ()))
    features: dict[str, msgspec.Struct] = {}
    for name, struct in known.options.items():
        if name in disabled:
            continue
        merged = {**shared.get(name, {}), **of_features.get(name, {})}
        try:
            features[name] = _construct(struct, merged)
        except (ValueError, TypeError) as error:
            place = ("host", domain, "features", name) if name in of_features else ("features", name)
            reader.blame(place, f"[{write_place(place)}] {error}")
    return HostOptions(**own, features=features, disabled=disabled)


def _blame_disabled(reader: _Reader, known: KnownFeatures, section: Place, names: tuple[str, ...]) -> None:
    """Note features that cannot be left out; where features are unread, all can."""
    if known.features and not known.problems:
        for reason in known.why_not_without(names):
            reader.blame((*section, DISABLED), f"`{DISABLED}` in [{write_place(section)}] {reason}")


def _construct(struct: type[msgspec.Struct], values: Mapping[str, Any]) -> Any:  # noqa: ANN401  # any section
    arguments: dict[str, Any] = {}
    for known in msgspec.structs.fields(struct):
        if known.name in values:
            value = values[known.name]
            arguments[known.name] = _construct(known.type, value) if isinstance(value, dict) else value
    return struct(**arguments)


def _complete(config: Config) -> Config:
    """Fill in what a host takes over from the server."""
    hosts: dict[str, HostOptions] = {}
    created = [rules.split_admin(entry) for entry in config.server.create_admins]
    for domain, host in config.hosts.items():
        authentication = host.authentication or config.server.authentication
        admins = [Jid(admin) for admin in config.server.admins]
        admins += [Jid(admin if "@" in admin else f"{admin}@{domain}") for admin in host.admins]
        admins += [
            Jid(name if "@" in name else f"{name}@{domain}")
            for name, _ in created
            if (Jid(name).domain == domain if "@" in name else authentication != "anonymous")
        ]
        hosts[domain] = msgspec.structs.replace(
            host,
            authentication=authentication,
            sasl=config.server.sasl if host.sasl is None else host.sasl,
            sasl2=config.server.sasl2 if host.sasl2 is None else host.sasl2,
            admins=tuple(dict.fromkeys(admins)),
        )
    added = msgspec.structs.replace(
        config.added or HostOptions(),
        authentication=config.server.authentication,
        sasl=config.server.sasl,
        sasl2=config.server.sasl2,
        admins=tuple(Jid(admin) for admin in config.server.admins),
    )
    return msgspec.structs.replace(config, hosts=hosts, added=added)


def _canonical_place(place: Place) -> Place:
    if place[0] != "host":
        return place
    return ("host", rules.domain(str(place[1])), *place[2:])


def _near(value: object, leaf: schema.Leaf) -> str:
    near = difflib.get_close_matches(value.lower(), leaf.choices, n=1) if isinstance(value, str) else []
    return f"; did you mean `{near[0]}`?" if near else ""


def _homes(table: schema.Table, name: str, place: Place = ()) -> Iterator[Place]:
    """Find the sections that do have an option of this name."""
    for known, entry in table.entries.items():
        if isinstance(entry, schema.Table):
            yield from _homes(entry, name, (*place, known))
        elif known == name:
            yield place


def _shown(value: object) -> str:
    """Show a value that stands where a section belongs; a text may be a URL with a password."""
    return "a text" if isinstance(value, str) else schema.show(value)
