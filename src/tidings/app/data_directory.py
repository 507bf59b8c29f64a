"""The data directory: made for this user alone, or for as long as the server runs when none is named."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tidings.adapters.file_lock import FileLock, Holder
from tidings.app.options import Config
from tidings.base.errors import TidingsError

_PATIENCE: Final = 2.0
"""Seconds that a command waits for a server to end."""


class DataDirectoryError(TidingsError):
    """The data directory cannot be used; the text says why and what to do."""


@contextmanager
def opened(config: Config) -> Iterator[Config]:
    """Give the configuration with a data directory that exists and can be written.

    Where none is named it is a temporary one, removed at the end.
    """
    if config.server.data_dir:
        prepare(config.data_dir)
        yield config
        return
    directory = tempfile.mkdtemp(prefix="tidings-")
    try:
        yield with_directory(config, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def prepare(directory: Path) -> None:
    """Make the directory when it is missing (mode 0700), or raise `DataDirectoryError` with what hinders."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise DataDirectoryError(
            f"the data directory {directory} is a file; choose another `data_dir` in [server]"
        ) from None
    except OSError as error:
        raise DataDirectoryError(
            f"the data directory {directory} cannot be made: {error.strerror}; "
            "make it for this user, or choose another `data_dir` in [server]"
        ) from None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise DataDirectoryError(
            f"the data directory {directory} may not be written by this user; "
            f"chown -R {os.geteuid()} {directory}"
        )


def why_not_made(directory: Path) -> str:
    """Tell what would keep a missing directory from being made; "" where nothing would.

    It is tried, with a directory of another name that is removed at once: rights alone do not tell of systems
    of files where nothing can be made.
    """
    try:
        parent = next(parent for parent in directory.absolute().parents if parent.exists())
        if not parent.is_dir():
            return f"{parent} is a file"
        os.rmdir(tempfile.mkdtemp(prefix=".tidings-check-", dir=parent))  # noqa: PTH106
    except OSError as error:
        return f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)
    return ""


async def lock(directory: Path, patience: float, on_wait: Callable[[str], None]) -> FileLock:
    """Have the directory for one server alone, until the lock is closed.

    Another server may be stopping: `on_wait` is told, and `InUseError` is raised after `patience` seconds.
    """
    held = FileLock(directory / "server.lock")

    def describe(process: int | None) -> Holder:
        who = f"the server that runs on {directory} (process {process or 'unknown'})"
        refusal = f"{who} does not end; stop it, or choose another `data_dir` in [server]"
        return Holder(f"the end of {who}", refusal)

    await held.acquire(patience, on_wait, describe)
    return held


@asynccontextmanager
async def without_server(directory: Path) -> AsyncIterator[None]:
    """Have the directory, which is made where it is missing, while no server runs on it.

    Raises `InUseError` where one does, and `DataDirectoryError`.
    """
    prepare(directory)
    held = await lock(directory, _PATIENCE, lambda _: None)
    try:
        yield
    finally:
        held.close()


def with_directory(config: Config, directory: str) -> Config:
    """Give the same configuration with another data directory."""
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, data_dir=directory))
