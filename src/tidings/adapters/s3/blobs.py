"""Blobs in a bucket: an object each, by its id.

Invariants:
- the name of an object is made of an id that the server has made, and of nothing else;
- an object is there with all its octets or not at all, and is never written over: the bucket refuses that;
- what waits in memory for the bucket is bounded, for one blob and for all of them together.

A blob that comes in one stream goes to its object in parts. One that is resumed goes into objects of its own,
of which `offset` knows how far it is, since nobody can read what the parts of an object are before it is
whole; they are put together at its end.

One stream at a time writes a blob on one node. Where two nodes do, one of them finishes it, and its digest is
that of what is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tidings.adapters.s3.bucket import Bucket
from tidings.base.errors import BackendError
from tidings.ports.blobs import BlobBusy, NoSpace, check_id

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART: Final = 5 << 20
"""Octets of a part: the fewest that S3 allows, since they wait in memory and are hashed at once."""
MOST_PARTS: Final = 10_000
"""That an object may have; so the largest has 52 GB."""


class Room:
    """How much may wait for the bucket, of all blobs together."""

    def __init__(self, octets: int) -> None:
        self._left = octets

    def take(self, octets: int) -> None:
        """Let so much more wait; raises `BackendError` where that is too much."""
        if octets > self._left:
            raise BackendError("too many uploads wait for the bucket of files at once")
        self._left -= octets

    def give_back(self, octets: int) -> None:
        """So much waits no longer."""
        self._left += octets


class Buffer:
    """Octets of one blob that wait to be sent."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._octets = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    def add(self, octets: bytes) -> None:
        """Let octets wait."""
        self._room.take(len(octets))
        self._octets += octets

    def take(self) -> bytes:
        """Give all that waits, and forget it."""
        octets = bytes(self._octets)
        self._octets.clear()
        self._room.give_back(len(octets))
        return octets


class ObjectWriter:
    """Writes one object: at once where it is small, else in parts."""

    def __init__(self, bucket: Bucket, name: str, room: Room) -> None:
        self._bucket = bucket
        self._name = name
        self._buffer = Buffer(room)
        self._digest = hashlib.sha256()
        self._upload = ""
        self._parts: list[CompletedPartTypeDef] = []
        self.offset = 0
        self.is_finished = False

    async def write(self, octets: bytes) -> None:
        """Add octets, and send a part where there are enough."""
        if self.offset + len(octets) > PART * MOST_PARTS:
            raise NoSpace(f"an object of the bucket {self._bucket.name} may have {PART * MOST_PARTS} octets")
        self._buffer.add(octets)
        self._digest.update(octets)
        self.offset += len(octets)
        if len(self._buffer) >= PART:
            if not self._upload:
                self._upload = await self._bucket.begin(self._name)
            await self._send()

    async def finish(self) -> bytes:
        """Send the rest, and let the object be there."""
        if await self._bucket.size(self._name) is not None:  # not every storage compares with `*`
            raise BlobBusy(self._name)
        if not self._upload:
            await self._bucket.put(self._name, self._buffer.take(), is_new=True)
        else:
            if len(self._buffer):
                await self._send()
            await self._bucket.complete(self._name, self._upload, self._parts)
        self.is_finished = True
        return self._digest.digest()

    async def end(self) -> None:
        """Delete the parts of what is not finished."""
        self._buffer.take()
        if self._upload and not self.is_finished:
            await self._bucket.abort(self._name, self._upload)

    async def _send(self) -> None:
        number, octets = len(self._parts) + 1, self._buffer.take()
        self._parts.append(await self._bucket.put_part(self._name, self._upload, number, octets))


class ResumedWriter:
    """Writes a blob that comes in several streams: each leaves objects that begin where others end."""

    def __init__(self, bucket: Bucket, id_: str, room: Room, pieces: list[str]) -> None:
        self._bucket = bucket
        self._id = id_
        self._room = room
        self._buffer = Buffer(room)
        self._pieces = pieces
        self._kept = _end_of(pieces)
        self.is_finished = False

    @property
    def offset(self) -> int:
        """How many octets there are, with those that wait."""
        return self._kept + len(self._buffer)

    async def write(self, octets: bytes) -> None:
        """Add octets, and keep what waits where it is enough."""
        self._buffer.add(octets)
        if len(self._buffer) >= PART:
            await self._keep()

    async def finish(self) -> bytes:
        """Make one object of all, reading what is kept once more."""
        await self._keep()
        whole = ObjectWriter(self._bucket, self._id, self._room)
        try:
            for piece in self._pieces:
                async for octets in self._bucket.read(piece):
                    await whole.write(octets)
            digest = await whole.finish()
        finally:
            await asyncio.shield(whole.end())
        self.is_finished = True
        return digest

    async def end(self) -> None:
        """Keep what waits for the next stream, or delete what is not needed any more."""
        if not self.is_finished:
            await self._keep()
            return
        with contextlib.suppress(BackendError):  # `delete` of the blob does it again
            await _delete_all(self._bucket, self._pieces)

    async def _keep(self) -> None:
        if octets := self._buffer.take():
            piece = f"{_unfinished(self._id)}{self._kept:020}-{len(octets)}"
            await self._bucket.put(piece, octets, is_new=False)
            self._pieces.append(piece)
            self._kept += len(octets)


class S3Blobs:
    """The blobs port over a bucket."""

    def __init__(self, bucket: Bucket, *, waiting_octets: int) -> None:
        self._bucket = bucket
        self._room = Room(waiting_octets)
        self._busy: set[str] = set()

    @asynccontextmanager
    async def write(self, id_: str, *, resume: bool = False) -> AsyncIterator[ObjectWriter | ResumedWriter]:
        """Begin or go on to write a blob."""
        check_id(id_)
        if id_ in self._busy:
            raise BlobBusy(id_)
        self._busy.add(id_)
        try:
            before = await self._bucket.names(_unfinished(id_))
            writer: ObjectWriter | ResumedWriter
            if resume:
                writer = ResumedWriter(self._bucket, id_, self._room, _joined(before))
            else:
                await _delete_all(self._bucket, before)
                writer = ObjectWriter(self._bucket, id_, self._room)
            try:
                yield writer
            finally:
                await asyncio.shield(writer.end())
        finally:
            self._busy.discard(id_)

    async def offset(self, id_: str) -> int:
        """Tell how many octets of an unfinished blob there are."""
        return _end_of(_joined(await self._bucket.names(_unfinished(check_id(id_)))))

    async def size(self, id_: str) -> int | None:
        """Tell how many octets a finished blob has."""
        return await self._bucket.size(check_id(id_))

    async def read(self, id_: str, start: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        """Give octets in pieces."""
        if count != 0:
            async for piece in self._bucket.read(check_id(id_), start, count):
                yield piece

    async def delete(self, id_: str) -> None:
        """Delete a blob, and what there is of one that is not finished."""
        await self._bucket.delete(check_id(id_))
        await _delete_all(self._bucket, await self._bucket.names(_unfinished(id_)))
        for upload in await self._bucket.uploads(id_):  # of a process that was killed
            await self._bucket.abort(id_, upload)


async def _delete_all(bucket: Bucket, names: list[str]) -> None:
    for name in names:
        await bucket.delete(name)


def _unfinished(id_: str) -> str:
    """Give what the names of the pieces of an unfinished blob begin with; no id has a slash."""
    return f"unfinished/{id_}/"


def _joined(pieces: list[str]) -> list[str]:
    """Give the pieces of an unfinished blob, each of which begins where the one before ends.

    Of several that begin at the same octet one is taken: a killed process may have left them, or
    another node.
    """
    joined: list[str] = []
    end = 0
    for piece in pieces:
        if _start_of(piece) == end:
            joined.append(piece)
            end = _end_of(joined)
    return joined


def _start_of(piece: str) -> int:
    return int(piece.rpartition("/")[2].partition("-")[0])


def _end_of(pieces: list[str]) -> int:
    return _start_of(pieces[-1]) + int(pieces[-1].rpartition("-")[2]) if pieces else 0
