"""Blobs in memory, for servers that forget everything when they stop."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tidings.base.errors import BackendError
from tidings.ports.blobs import BlobBusy, check_id

_PIECE: Final = 1 << 18


class MemoryWriter:
    """One stream of an upload."""

    def __init__(self, octets: bytearray, *, is_there: bool) -> None:
        self.octets = octets
        self._is_there = is_there
        self.is_finished = False

    @property
    def offset(self) -> int:
        """How many octets there are."""
        return len(self.octets)

    async def write(self, octets: bytes) -> None:
        """Add octets."""
        self.octets += octets

    async def finish(self) -> bytes:
        """Let it be found; gives the SHA-256."""
        if self._is_there:
            raise BlobBusy
        self.is_finished = True
        return hashlib.sha256(self.octets).digest()


class MemoryBlobs:
    """The blobs port over dicts."""

    def __init__(self) -> None:
        self._finished: dict[str, bytes] = {}
        self._unfinished: dict[str, bytearray] = {}
        self._busy: set[str] = set()

    @asynccontextmanager
    async def write(self, id_: str, *, resume: bool = False) -> AsyncIterator[MemoryWriter]:
        """Begin or go on to write a blob."""
        check_id(id_)
        if id_ in self._busy:
            raise BlobBusy(id_)
        self._busy.add(id_)
        before = self._unfinished.pop(id_, bytearray())
        writer = MemoryWriter(before if resume else bytearray(), is_there=id_ in self._finished)
        try:
            yield writer
        finally:
            self._busy.discard(id_)
            if writer.is_finished:
                self._finished[id_] = bytes(writer.octets)
            elif resume:
                self._unfinished[id_] = writer.octets

    async def offset(self, id_: str) -> int:
        """Tell how many octets of an unfinished blob there are."""
        return len(self._unfinished.get(id_, b""))

    async def size(self, id_: str) -> int | None:
        """Tell how many octets a finished blob has."""
        found = self._finished.get(id_)
        return None if found is None else len(found)

    async def read(self, id_: str, start: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        """Give octets in pieces."""
        found = self._finished.get(id_)
        if found is None:
            raise BackendError(f"there are no octets of {id_}")
        end = len(found) if count is None else min(len(found), start + count)
        for at in range(start, end, _PIECE):
            yield found[at : min(at + _PIECE, end)]

    async def delete(self, id_: str) -> None:
        """Delete a blob."""
        self._finished.pop(id_, None)
        self._unfinished.pop(id_, None)
