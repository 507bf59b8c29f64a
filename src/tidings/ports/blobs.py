"""The blobs port: octets of files, under ids that the server makes.

An upload comes in one stream or in several that follow each other, each from where the one before has ended.
Nothing is ever written at another place than the end, so that a store of objects can do it by its parts. What
is written is found by nobody until it is finished, and is durable then.

Every method may raise `BackendError`, and what writes `NoSpace`. Ids have letters, digits, `-` and `_` alone,
and at least 8 of them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from tidings.base.errors import BackendError, TidingsError

IS_ID: Final = re.compile("[A-Za-z0-9_-]{8,64}")


class NoSpace(BackendError):  # noqa: N818  # a fact about the store, said in its word
    """There is no room for more octets; the text says where."""


class BlobBusy(TidingsError):  # noqa: N818  # a fact about the store, said in its word
    """Somebody else writes the same blob now, or has just done so."""


class BlobWriter(Protocol):
    """One stream of an upload."""

    @property
    def offset(self) -> int:
        """How many octets there are; it moves on with each write."""
        ...

    async def write(self, octets: bytes) -> None:
        """Add octets at the end; returns when the next may come."""
        ...

    async def finish(self) -> bytes:
        """Make it durable, and found under its id; gives the SHA-256 of all its octets.

        Raises `BlobBusy` where another stream has finished the blob meanwhile: none is ever written over.
        """
        ...


class BlobStore(Protocol):
    """Keeps octets."""

    def write(self, id_: str, *, resume: bool = False) -> AbstractAsyncContextManager[BlobWriter]:
        """Begin to write a blob, or go on with what an earlier stream has left.

        What is not finished at the end stays where `resume` says that the next stream goes on with it, and is
        deleted otherwise. Raises `BlobBusy` while another stream of the blob is open.
        """
        ...

    async def offset(self, id_: str) -> int:
        """Tell how many octets of an unfinished blob there are."""
        ...

    async def size(self, id_: str) -> int | None:
        """Tell how many octets a finished blob has; None where there is none."""
        ...

    def read(self, id_: str, start: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        """Give octets of a finished blob in pieces; raises `BackendError` where there is none."""
        ...

    async def delete(self, id_: str) -> None:
        """Delete a blob, finished or not, if there is one."""
        ...


def check_id(id_: str) -> str:
    """Give an id that is one; nothing else gets as far as a store, so `ValueError` is a bug."""
    if IS_ID.fullmatch(id_) is None:
        raise ValueError("this is no id of a blob")
    return id_
