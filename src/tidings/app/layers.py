"""Layers: the sources of the configuration, read and not yet checked; each can name its places.

They are a profile, a TOML file, the environment and the command line's flags.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tidings.app import profiles, rules, schema, toml_lines
from tidings.app.mistakes import ConfigError, Mistake
from tidings.app.options import ServerOptions
from tidings.app.whereabouts import DEFAULT_FILE, FILE_VARIABLE, PREFIX
from tidings.base.jid import JidError

Place = tuple[str | int, ...]
"""Where an option is: the names that lead to it."""

_HOST: Final = "HOST__"
_LISTED: Final = 5  # domains that a message names

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")  # a key that TOML lets stand without quotes

_NO_WORD: Final = re.compile(r"\W")

_TWICE: Final = re.compile(r"Cannot declare \((.*)\) twice")
_IN_QUOTES: Final = r"'([^']*)'"
_HINTS: Final[Mapping[str, str]] = {
    "Invalid value": "texts stand in quotes, true and false are written in small letters",
    "Cannot overwrite a value": "an option or a section stands there twice",
    "Unescaped": "write each \\ of a text twice, or put the text between '",
    "Unterminated string": "a quote is missing",
    "Expected newline": "each option has a line of its own",
}
"""What to do about what Python's reader of TOML says."""

FLAGS: Final[Mapping[str, str]] = {
    "server.data_dir": "--data-dir",
    "server.domains": "--domain",
    "server.authentication": "--auth",
    "server.create_admins": "--admin",
    "server.reset_when_empty": "--reset-when-empty",
    "log.level": "--log-level",
}
"""The options that have a flag of their own on the command line."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Values from one source, not yet checked, and how that source names its places."""

    values: dict[str, Any]
    source: str = ""
    lines: Mapping[Place, int] = field(default_factory=dict)
    names: Mapping[Place, str] = field(default_factory=dict)
    directory: Path | None = None
    mistakes: tuple[tuple[Place, str], ...] = ()
    """What is wrong already with how the values are named: where, and the sentence that says so."""

    def where(self, place: Place) -> str:
        """Name a place as the administrator wrote it: a line of the file, a variable, a flag."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.lines:
                return f"{self.source}:{self.lines[place[:length]]}"
            if place[:length] in self.names:
                return self.names[place[:length]]
        return self.source

    def spell(self, place: Place, *, section: bool) -> str:
        """Write the name of an option or section as this source would."""
        if self.names:
            return PREFIX + "__".join(_flat(str(part)) for part in place).upper()
        return f"[{write_place(place)}]" if section else f"`{place[-1]}`"


def find_file(path: str | Path | None, environment: Mapping[str, str], profile: str) -> Path | None:
    """Tell which file is to be read, if any."""
    named = path or environment.get(FILE_VARIABLE)
    if named:
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if not profile and default.exists() else None


def profile_layer(name: str) -> Layer:
    """Read a profile that comes with Tidings. Raises `ConfigError`."""
    try:
        text = profiles.read(name)
    except LookupError:
        near = difflib.get_close_matches(name, profiles.NAMES, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        known = ", ".join(f"`{one}`" for one in profiles.NAMES)
        raise ConfigError(
            [Mistake("--profile", f"unknown profile `{name}`{hint} (there are: {known})")]
        ) from None
    return Layer(tomllib.loads(text), f"profile {name}", toml_lines.lines_of(text))


def file_layer(file: Path) -> Layer:
    """Read a TOML file. Raises `ConfigError`."""

    def refused(reason: str) -> ConfigError:
        return ConfigError([Mistake(str(file), reason)])

    try:
        text = file.read_bytes().decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        raise refused(
            "there is no such file; leave --config and TIDINGS_CONFIG away to start without one"
        ) from None
    except IsADirectoryError:
        raise refused(f"is a directory; name the file in it, such as {file / DEFAULT_FILE}") from None
    except PermissionError:
        raise refused(f"may not be read by this user; allow it with: chmod u+r {file}") from None
    except UnicodeDecodeError as error:
        raise refused(f"is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise refused(f"cannot be read: {error.strerror}") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, position = str(error).rpartition(" (at ")
        line = position.removeprefix("line ").partition(",")[0]
        where = f"{file}:{line}" if line.isdigit() else f"{file}:{text.count(chr(10)) + 1}"
        told = _in_plain_words(reason or str(error))
        raise ConfigError([Mistake(where, f"is not valid TOML: {told}")]) from None
    return Layer(values, str(file), toml_lines.lines_of(text), directory=file.parent)


def _in_plain_words(reason: str) -> str:
    """Say what Python's reader of TOML means, where that is not plain."""
    if twice := _TWICE.match(reason):
        return f"[{write_place(tuple(re.findall(_IN_QUOTES, twice[1])))}] stands there twice"
    hint = next((hint for begin, hint in _HINTS.items() if reason.startswith(begin)), "")
    return f"{reason}; {hint}" if hint else reason


def environment_layer(
    environment: Mapping[str, str], root: schema.Table, below: Sequence[Layer], above: Sequence[Layer]
) -> Layer:
    """Read `TIDINGS_SECTION__OPTION`; `below` are the weaker layers, `above` the stronger ones.

    A host may be named that is configured in any layer, this one included.
    Variables without a double underscore are left alone: in a cluster, a service that is called "tidings"
    brings many of them.
    """
    values: dict[str, Any] = {}
    names: dict[Place, str] = {}
    mistakes: list[tuple[Place, str]] = []
    variables = sorted(name for name in environment if name.startswith(PREFIX) and "__" in name)
    hosts = [name for name in variables if _after_host(name) is not None]

    def take(variable: str, place: Place, parts: Iterable[str], entry: schema.Leaf | schema.Table) -> None:
        place, leaf = _resolve(place, parts, entry)
        names[place] = variable
        table = values
        for part in place[:-1]:
            table = table.setdefault(str(part), {})
        text = environment[variable]
        table[str(place[-1])] = leaf.parse(text) if leaf else text

    for variable in variables:
        if variable not in hosts:
            take(variable, (), variable.removeprefix(PREFIX).split("__"), root)
    section = root.entries["host"]
    assert isinstance(section, schema.Table)
    assert section.every is not None
    known = _by_spelling(_configured_domains([*below, Layer(values), *above])) if hosts else {}
    for variable in hosts:
        rest = _after_host(variable) or ""
        found, parts = _split_host(rest, known)
        if len(found) == 1:
            take(variable, ("host", found[0]), parts, section.every)
        else:
            names["host", rest] = variable
            mistakes.append((("host", rest), _why_no_domain(rest, found, known)))
    return Layer(values, "environment", names=names, mistakes=tuple(mistakes))


def _after_host(variable: str) -> str | None:
    """Give what follows `TIDINGS_HOST__` in a variable, None in a variable of another section."""
    rest = variable.removeprefix(PREFIX)
    return rest[len(_HOST) :] if rest.upper().startswith(_HOST) else None


def _configured_domains(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Give the domains that these layers configure together, as they are written there."""
    named: object = ServerOptions().domains
    sections: list[str] = []
    for layer in layers:
        server, host = layer.values.get("server"), layer.values.get("host")
        named = server.get("domains", named) if isinstance(server, dict) else named
        sections += host if isinstance(host, dict) else ()
    listed = [name for name in named if isinstance(name, str)] if isinstance(named, list | tuple) else []
    domains: dict[str, str] = {}
    for name in (*listed, *sections):
        try:
            domains.setdefault(rules.domain(name), name)
        except JidError:
            continue  # told where it is written
    return tuple(domains.values())


def _by_spelling(domains: Iterable[str]) -> dict[str, list[str]]:
    """Find domains by how a variable can write them: more than one where they are written alike."""
    found: dict[str, list[str]] = {}
    for domain in domains:
        for spelling in dict.fromkeys(_spellings(domain)):
            found.setdefault(spelling, []).append(domain)
    return found


def _split_host(rest: str, known: Mapping[str, Sequence[str]]) -> tuple[Sequence[str], list[str]]:
    """Find the domains that the rest of a variable may begin with, and the parts that follow.

    A domain may have two dashes in a row, as `xn--…` has, which look like the end of its name: the longest
    name counts.
    """
    words = _flat(rest).split("__")
    for length in range(len(words), 0, -1):
        found = known.get("__".join(words[:length]))
        if found:
            return found, words[length:]
    return (), words


def _spellings(domain: str) -> Iterator[str]:
    """Give a domain as it is written, in its canonical form and in that of DNS, each made flat."""
    canonical = rules.domain(domain)
    yield _flat(domain)
    yield _flat(canonical)
    if not canonical.isascii():
        import idna  # noqa: PLC0415  # large tables, needed by few

        yield _flat(idna.encode(canonical, uts46=True).decode())


def _why_no_domain(rest: str, found: Sequence[str], known: Mapping[str, Sequence[str]]) -> str:
    if found:
        return (
            f"may mean {' or '.join(found)}, which are the same in a variable; "
            f'write [host."{found[0]}"] in a configuration file instead'
        )
    domains = list(dict.fromkeys(domain for same in known.values() for domain in same))
    there_are = ", ".join(domains[:_LISTED]) + (", …" if len(domains) > _LISTED else "")
    return (
        f"`{rest.partition('__')[0]}` is no domain of this configuration ({there_are}); "
        f"name the domain in {PREFIX}SERVER__DOMAINS, or in `domains` in [server]"
    )


def _resolve(
    place: Place, parts: Iterable[str], entry: schema.Leaf | schema.Table | None
) -> tuple[Place, schema.Leaf | None]:
    """Find the option that a variable means; dots and dashes of names may be written as underscores."""
    for part in parts:
        known = entry.entries if isinstance(entry, schema.Table) else ()
        name = next((one for one in known if _flat(one) == _flat(part)), part.lower())
        entry = entry.step(name) if isinstance(entry, schema.Table) else None
        place = (*place, name)
    return place, entry if isinstance(entry, schema.Leaf) else None


def flag_layer(flags: Mapping[str, object]) -> Layer:
    """Take flags, given as options (`server.data_dir`) with their values."""
    values: dict[str, Any] = {}
    names: dict[Place, str] = {}
    for dotted, value in flags.items():
        section, _, option = dotted.rpartition(".")
        values.setdefault(section, {})[option] = value
        names[section, option] = FLAGS.get(dotted, dotted)
    return Layer(values, "command line", names=names)


def write_place(place: Place) -> str:
    """Write a place as the header of its section: `listen.tcp`, `host."example.org"`."""
    parts = (str(part) for part in place if not isinstance(part, int))
    return ".".join(part if _BARE.fullmatch(part) else f'"{part}"' for part in parts)


def _flat(name: str) -> str:
    """Write a name as a variable can: letters, digits and underscores."""
    return _NO_WORD.sub("_", name.lower())
