"""Blobs in a directory: a file each, in folders by the first letters of its id.

Invariants:
- a path is made of an id that the server has made, and of nothing else;
- an unfinished blob has another name (`.part`), and gets its own only when it is on the disk; one stream at a
  time has it, in this process or in another one, by a lock that ends with the process;
- files are for this user alone.

Nothing waits for the disk on the event loop: that is done on threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from tidings.base.errors import BackendError
from tidings.ports.blobs import BlobBusy, NoSpace, check_id

T = TypeVar("T")

_PIECE: Final = 1 << 18
"""Octets that are read, and hashed, at once."""
_THREADS: Final = 4
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DirectoryWriter:
    """One stream of an upload, into an open file that is locked."""

    def __init__(self, blobs: DirectoryBlobs, id_: str, number: int) -> None:
        self._blobs = blobs
        self._id = id_
        self._number = number
        self._digest = hashlib.sha256()
        self.offset = 0
        self.is_finished = False

    async def write(self, octets: bytes) -> None:
        """Add octets at the end."""
        await self._blobs.run(lambda: self._write(octets))

    async def finish(self) -> bytes:
        """Put it on the disk, and give it its name there."""
        await self._blobs.run(self._finish)
        self.is_finished = True
        return self._digest.digest()

    def begin(self, *, resume: bool) -> None:
        """Stand at the end of what there is, having read it; or throw it away."""
        if not resume:
            os.ftruncate(self._number, 0)
        while piece := os.pread(self._number, _PIECE, self.offset):
            self._digest.update(piece)
            self.offset += len(piece)

    def _write(self, octets: bytes) -> None:
        left = memoryview(octets)
        while left:
            written = os.pwrite(self._number, left, self.offset)
            self._digest.update(left[:written])
            self.offset += written
            left = left[written:]

    def _finish(self) -> None:
        os.fsync(self._number)
        path = self._blobs.path_of(self._id)
        if path.exists():  # whoever could make it now would have to hold our lock
            raise BlobBusy(self._id)
        part_of(path).rename(path)
        sync_directory(path.parent)


class DirectoryBlobs:
    """The blobs port over a directory, which is made when the first blob comes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")

    @asynccontextmanager
    async def write(self, id_: str, *, resume: bool = False) -> AsyncIterator[DirectoryWriter]:
        """Begin or go on to write a blob."""
        path = self.path_of(id_)
        number = await self._opened(lambda: self._open(path))
        writer = DirectoryWriter(self, id_, number)
        try:
            await self.run(lambda: writer.begin(resume=resume))
            yield writer
        finally:
            # Who is cancelled once more gives the file back all the same; who is not may come again at once.
            unwanted = None if writer.is_finished or resume else part_of(path)
            await asyncio.shield(self.run(partial(_let_go, number, unwanted)))

    async def offset(self, id_: str) -> int:
        """Tell how many octets of an unfinished blob there are."""
        return await self.run(lambda: _size(part_of(self.path_of(id_)))) or 0

    async def size(self, id_: str) -> int | None:
        """Tell how many octets a finished blob has."""
        return await self.run(lambda: _size(self.path_of(id_)))

    async def read(self, id_: str, start: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        """Give octets in pieces."""
        path = self.path_of(id_)
        number = await self._opened(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        try:
            at, left = start, count
            while left is None or left > 0:
                wanted = _PIECE if left is None else min(_PIECE, left)
                piece = await self.run(partial(os.pread, number, wanted, at))
                if not piece:
                    break
                yield piece
                at += len(piece)
                left = None if left is None else left - len(piece)
        finally:
            self._threads.submit(os.close, number)

    async def delete(self, id_: str) -> None:
        """Delete a blob, and what there is of one that is not finished."""
        path = self.path_of(id_)
        for each in (path, part_of(path)):
            await self.run(partial(_unlink, each))

    async def close(self) -> None:
        """End the threads, when they have done what was begun."""
        await asyncio.to_thread(self._threads.shutdown)

    def path_of(self, id_: str) -> Path:
        """Say where a blob is."""
        return blob_path(self._directory, id_)

    async def run(self, job: Callable[[], T]) -> T:
        """Do something that waits for the disk; raises `BackendError`."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        except OSError as error:
            kind = NoSpace if error.errno in _FULL else BackendError
            raise kind(f"the files in {self._directory}: {error.strerror}") from error

    async def _opened(self, job: Callable[[], int]) -> int:
        """Open a file; who is cancelled meanwhile leaves none open."""
        opening = asyncio.ensure_future(self.run(job))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise

    def _open(self, path: Path) -> int:
        """Open the unfinished file for one stream alone."""
        make_folders(path)
        part = part_of(path)
        while True:
            number = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(number)
                raise BlobBusy(path.name) from None
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(number).st_ino == part.stat().st_ino:
                    return number
            os.close(number)  # whoever had it has deleted it meanwhile


def blob_path(directory: Path, id_: str) -> Path:
    """Say where a blob is in a directory of them."""
    check_id(id_)
    return directory / id_[:2] / id_[2:4] / id_


def make_folders(path: Path) -> None:
    """Make the folders of a blob, for this user alone."""
    for folder in (path.parents[2], path.parents[1], path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def part_of(path: Path) -> Path:
    """Say where an unfinished blob is."""
    return path.with_name(path.name + ".part")


def sync_directory(directory: Path) -> None:
    """Let the names in a directory, and its own, outlive a crash of the machine."""
    for each in (directory, directory.parent, directory.parent.parent):
        number = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _close_opened(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


def _let_go(number: int, unwanted: Path | None) -> None:
    """Give an unfinished file back, or delete it while nobody else can have it."""
    try:
        if unwanted is not None:
            _unlink(unwanted)
    finally:
        os.close(number)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
