"""Layers: the sources of the configuration, read and not yet checked; each can name its places.

They are a profile, a TOML file, the environment and the command line's flags.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tidings.app import profiles, schema, toml_lines
from tidings.app.mistakes import ConfigError, Mistake

Place = tuple[str | int, ...]
"""Where an option is: the names that lead to it."""

PREFIX: Final = "TIDINGS_"
FILE_VARIABLE: Final = "TIDINGS_CONFIG"
DEFAULT_FILE: Final = "tidings.toml"

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")  # a key that TOML lets stand without quotes

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
            return PREFIX + "__".join(str(part) for part in place).upper()
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
        text = file.read_bytes().decode()
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
        raise ConfigError([Mistake(where, f"is not valid TOML: {reason or error}")]) from None
    return Layer(values, str(file), toml_lines.lines_of(text), directory=file.parent)


def environment_layer(environment: Mapping[str, str], root: schema.Table, below: list[Layer]) -> Layer:
    """Read `TIDINGS_SECTION__OPTION`.

    Variables without a double underscore are left alone: in a cluster, a service that is called "tidings"
    brings many of them.
    """
    values: dict[str, Any] = {}
    names: dict[Place, str] = {}
    hosts = [name for layer in below for name in layer.values.get("host", {})]
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or "__" not in variable:
            continue
        place, leaf = _resolve(variable.removeprefix(PREFIX).split("__"), root, hosts)
        text = environment[variable]
        names[place] = variable
        table = values
        for part in place[:-1]:
            table = table.setdefault(part, {})
        table[place[-1]] = leaf.parse(text) if leaf else text
    return Layer(values, "environment", names=names)


def _resolve(
    parts: Iterable[str], root: schema.Table, hosts: list[str]
) -> tuple[tuple[str, ...], schema.Leaf | None]:
    """Find the option that a variable means; dots and dashes of names may be written as underscores."""
    place: tuple[str, ...] = ()
    entry: schema.Leaf | schema.Table | None = root
    for part in parts:
        known = list(entry.entries) if isinstance(entry, schema.Table) else []
        if place == ("host",):
            known = hosts
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
    return name.lower().replace(".", "_").replace("-", "_")
