"""Where a running server can be asked, read from flags, environment and file without checking the rest.

The whole configuration is loaded by `config`, which takes longer than most commands do. What is found here is
what stands there; where anything is unusual nothing is found, and the whole is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

PREFIX: Final = "TIDINGS_"
FILE_VARIABLE: Final = "TIDINGS_CONFIG"
DEFAULT_FILE: Final = "tidings.toml"
SOCKET: Final = "admin.sock"

_DATA: Final = "data"
_OPTIONS: Final = ("data_dir", "extensions")


class Whereabouts(NamedTuple):
    """Where the server is, and whether it may have more operations than those that come with it."""

    admin_socket: Path
    has_extensions: bool


def find(
    config: str | None, data_dir: str | None, environment: Mapping[str, str] | None = None
) -> Whereabouts | None:
    """Find the server that these flags mean; None where only the whole configuration can tell."""
    environment = os.environ if environment is None else environment
    variables = _variables(environment)
    options = _file(config or environment.get(FILE_VARIABLE))
    if options is None or variables is None:
        return None
    options |= variables
    directory = data_dir or options.get("data_dir", _DATA)
    if not isinstance(directory, str) or not directory:
        return None
    return Whereabouts(Path(directory) / SOCKET, bool(options.get("extensions")))


def _file(named: str | None) -> dict[str, Any] | None:
    """Give the options of [server] in the file, with the paths as they are meant."""
    path = Path(named or DEFAULT_FILE)
    if not named and not path.exists():
        return {}
    import tomllib  # noqa: PLC0415  # many have no file

    try:
        server = tomllib.loads(path.read_bytes().decode("utf-8-sig")).get("server", {})
    except (OSError, ValueError):
        return None
    if not isinstance(server, dict):
        return None
    directory = server.get("data_dir")
    if isinstance(directory, str) and directory:
        server["data_dir"] = str(path.parent / directory)
    return server


def _variables(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Give the options of [server] in the environment; None where one is given twice."""
    found: dict[str, Any] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX):
            continue
        section, _, option = name.removeprefix(PREFIX).lower().replace("-", "_").partition("__")
        if section == "server" and option in _OPTIONS:
            if option in found:
                return None
            found[option] = value
    return found
