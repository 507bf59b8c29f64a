"""KeptConfigurations: the configuration files with which a start or a reload has succeeded, the last ones.

They lie in the data directory, for the server's user alone, since a file may hold passwords. Variables of the
environment and flags are not kept: they are not the server's to change.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from tidings.base.errors import TidingsError

DIRECTORY: Final = "configurations"
MOST: Final = 10
_SUFFIX: Final = ".toml"


class NothingKeptError(TidingsError):
    """There is no earlier configuration to go back to."""


class NotWritableError(TidingsError):
    """The configuration file cannot be written; the text says what to do by hand."""


class Kept(NamedTuple):
    """A configuration file as it was."""

    path: Path
    content: bytes


class PutBack(NamedTuple):
    """What going back to an earlier configuration has changed."""

    file: Path
    refused: Path
    """Where the content is that the file had."""
    kept: Kept


class KeptConfigurations:
    """The last configurations that were good, the newest last."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / DIRECTORY

    def keep(self, content: bytes) -> None:
        """Keep what the configuration file has now, unless it is the last one already. Raises `OSError`."""
        paths = self._paths()
        if paths and paths[-1].read_bytes() == content:
            return
        self._directory.mkdir(mode=0o700, exist_ok=True)
        number = int(paths[-1].stem) + 1 if paths else 1
        write_whole(self._directory / f"{number:06}{_SUFFIX}", content, 0o600)
        for path in paths[: max(0, len(paths) + 1 - MOST)]:
            path.unlink(missing_ok=True)

    def before(self, content: bytes) -> Kept | None:
        """Give the newest one that is another than this."""
        for path in reversed(self._paths()):
            with contextlib.suppress(FileNotFoundError):
                kept = path.read_bytes()
                if kept != content:
                    return Kept(path, kept)
        return None

    def forget_after(self, kept: Kept) -> None:
        """Forget those that are newer than this one, so that the next step back goes further."""
        for path in self._paths():
            if path.stem > kept.path.stem:
                path.unlink(missing_ok=True)

    def put_back(self, file: Path) -> PutBack:
        """Let a configuration file have the content that it had before; what it has now is kept beside it.

        Raises `NothingKeptError`, and `NotWritableError`, when nothing was changed.
        """
        file = file.resolve()  # a link stays one
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise NotWritableError(f"{file} cannot be read: {error.strerror}") from None
        kept = self.before(content)
        if kept is None:
            raise NothingKeptError(f"there is no configuration in {self._directory} but the one in {file}")
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o600
        refused = _free_name(file)
        try:
            write_whole(refused, content, mode)
            write_whole(file, kept.content, mode)
        except OSError as error:
            raise NotWritableError(
                f"{error.filename or file} cannot be written by this user: {error.strerror}; copy "
                f"{kept.path} over {file} as its owner, then: tidings server reload"
            ) from None
        return PutBack(file, refused, kept)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self._directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def undo(done: PutBack) -> None:
    """Let the file have again what it had before `put_back`."""
    done.refused.replace(done.file)


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write a file that nobody sees half written; it keeps its owner where this user may give it away."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            owner = path.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.fchmod(file.fileno(), mode)
    part.replace(path)


def _free_name(file: Path) -> Path:
    """Give a name beside the file that is free."""
    path, number = file.with_name(f"{file.name}.refused"), 1
    while path.exists():
        number += 1
        path = file.with_name(f"{file.name}.refused-{number}")
    return path
