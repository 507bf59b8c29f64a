"""A disk that can be filled to its last octet: a file system in memory of a few megabytes."""

from __future__ import annotations

import contextlib
import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

_BLOCK = bytes(4096)


class CannotMountError(RuntimeError):
    """This machine gives nobody a small disk; the text tells why."""


class SmallDisk:
    """The disk, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Take all that is free."""
        with (self.path / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(_BLOCK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def relieve(self) -> None:
        """Give it back."""
        (self.path / "ballast").unlink()


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of that size at a new directory for the length of a block."""
    path.mkdir()
    options = f"size={megabytes}m,mode=700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotMountError("there is no command mount") from None
    if done.returncode != 0:
        raise CannotMountError(f"mounting a small disk needs root: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)
