"""Going back to an earlier configuration while no server runs, such as when one does not start with the file.

The file may be no TOML at all, so that the data directory is found without reading the rest of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tidings.app.kept_configurations import KeptConfigurations, NothingKeptError, NotWritableError, undo
from tidings.app.mistakes import ConfigError
from tidings.app.whereabouts import DEFAULT_FILE, FILE_VARIABLE, PREFIX
from tidings.operations.errors import OperationError

_DATA_DIR: Final = re.compile(r"""^\s*(?:server\.)?data_dir\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)


def data_directory_of(
    config: str | None, data_dir: str | None, environment: Mapping[str, str] | None = None
) -> Path:
    """Tell where the data are, of a file that cannot be read as a whole."""
    environment = os.environ if environment is None else environment
    named = data_dir or environment.get(f"{PREFIX}SERVER__DATA_DIR")
    if named:
        return Path(named)
    file = file_of(config, environment)
    try:
        found = _DATA_DIR.search(file.read_bytes().decode(errors="replace"))
    except OSError:
        found = None
    return file.parent / found[1] if found else Path("data")


def file_of(config: str | None, environment: Mapping[str, str] | None = None) -> Path:
    """Tell which the configuration file is."""
    environment = os.environ if environment is None else environment
    return Path(config or environment.get(FILE_VARIABLE) or DEFAULT_FILE)


def roll_back(config: str | None, data_dir: Path, check: Callable[[], object]) -> dict[str, Any]:
    """Put the file back as it was when it was good; `check` raises `ConfigError` where that does not help.

    Raises `OperationError` when nothing was changed.
    """
    kept = KeptConfigurations(data_dir)
    try:
        done = kept.put_back(file_of(config))
    except NothingKeptError as error:
        raise OperationError("not-found", str(error)) from None
    except NotWritableError as error:
        raise OperationError("conflict", str(error)) from None
    try:
        check()
    except ConfigError as error:
        undo(done)
        told = "; ".join(map(str, error.mistakes))
        raise OperationError(
            "conflict", f"{done.kept.path} cannot be used now, and everything stays as it is: {told}"
        ) from None
    kept.forget_after(done.kept)
    return {
        "file": str(done.file),
        "refused": str(done.refused),
        "complete": True,
        "done": ["the next start uses it; no server runs"],
        "problems": [],
        "needs_restart": [],
    }
