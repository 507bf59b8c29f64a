"""The files port: what is known of the files that people have uploaded; their octets are in `ports/blobs.py`.

A file belongs to an account, or to a domain for which an operator has uploaded it. It is announced before it
comes, so that what may still come counts, too. It is there until it expires, or until it is discarded: by
somebody, with its account, or with the last message that it was sent in. Then nobody finds it any more, and
it waits, as `due` tells, until its octets are deleted and it is forgotten: octets go first, so that no crash
leaves octets of which nothing is known.

Every method may raise `BackendError`. Times are seconds since the epoch. Owners are bare JIDs or domains.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Final, Protocol

import msgspec

from tidings.base.errors import TidingsError
from tidings.base.jid import Jid

LONGEST_NAME: Final = 255
"""Octets of UTF-8 that the name of a file may have."""
LONGEST_TYPE: Final = 255
"""Octets that a content type may have."""
FOR_EVER: Final = 253_402_300_799.0
"""The expiry of what does not expire: the end of the year 9999."""


class FileState(enum.IntEnum):
    """How far a file is."""

    ANNOUNCED = 0
    """Its octets may come."""
    COMPLETE = 1
    """All of them are there."""
    GONE = 2
    """It is discarded; nobody finds it any more."""


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A file, without its octets."""

    id: str
    """Made by the server: it is the whole secret of the address, and the name of the octets."""
    owner: Jid
    name: str
    """As its owner called it, at most `LONGEST_NAME` octets; it names nothing in any store."""
    size: int
    """Octets."""
    content_type: str
    created: float
    expires: float
    """When it goes; while it is announced, when it is too late for its octets; 0 of what is gone."""
    state: FileState = FileState.ANNOUNCED
    sha256: bytes | None = None
    """Of its octets; None while it is announced."""
    references: int = 0
    """How many entries of archives name it."""


class Usage(msgspec.Struct, frozen=True):
    """What an owner or a domain has, what is announced included."""

    files: int = 0
    octets: int = 0


class Quota(msgspec.Struct, frozen=True):
    """The most that an owner or a domain may have; 0 is any number."""

    files: int = 0
    octets: int = 0

    def has_room(self, usage: Usage, size: int) -> bool:
        """Tell whether another file of this size may be there."""
        return (not self.files or usage.files < self.files) and (
            not self.octets or usage.octets + size <= self.octets
        )


class QuotaExceeded(TidingsError):  # noqa: N818  # a fact about the store, said in its word
    """Somebody has as much as he may have."""

    def __init__(self, holder: Jid, until: float | None) -> None:
        super().__init__(f"{holder} has as many files as there may be, or as large ones")
        self.holder = holder
        """The owner, or the domain."""
        self.until = until
        """When the first of what is there expires; None where nothing does."""


class Mention(msgspec.Struct, frozen=True):
    """An entry of an archive that names a file."""

    file: str
    """The id; there need not be such a file."""
    sender: Jid
    """The bare JID of who has sent it."""
    archive: Jid
    position: int


class FileStore(Protocol):
    """Keeps what is known of files, and what they are counted by."""

    async def announce(self, record: FileRecord, *, own: Quota, domain: Quota) -> None:
        """Keep a file whose octets may come; durable on return.

        Raises `QuotaExceeded`, and `NoSuchAccount` where the owner is an account that is not there.

        What there is already is counted in the same transaction, so that no number of requests at once gets
        past a quota.
        """
        ...

    async def get(self, id_: str) -> FileRecord | None:
        """Give a file that is not gone; it may have expired."""
        ...

    async def postpone(self, id_: str, expires: float) -> bool:
        """Wait longer for the octets of an announced file; False where there is none."""
        ...

    async def complete(self, id_: str, *, sha256: bytes, expires: float) -> bool:
        """Note that all octets of an announced file are there; False where there is none."""
        ...

    async def discard(self, ids: Collection[str]) -> int:
        """Let nobody find some hundred files any more; tell how many there were."""
        ...

    async def discard_all(self, owner: Jid) -> int:
        """Do so with all files of an owner; what mentions of its archive there are is forgotten, too.

        With an account it is done in the transaction that removes it.
        """
        ...

    async def due(self, now: float, *, limit: int = 100) -> tuple[FileRecord, ...]:
        """Give files that are gone or have expired, those that wait longest first."""
        ...

    async def forget(self, ids: Collection[str]) -> None:
        """Forget some hundred files whose octets are deleted."""
        ...

    async def list(self, owner: Jid, *, after: str = "", limit: int = 100) -> tuple[FileRecord, ...]:
        """Give a page of an owner's files in the order of their ids; `after` is the last one before."""
        ...

    async def usage(self, holder: Jid) -> Usage:
        """Tell what an owner has, or all owners of a domain together."""
        ...

    async def mention(self, mentions: Collection[Mention]) -> None:
        """Note that entries name files; what is noted already stays, and who names no file is passed over."""
        ...

    async def withdraw(self, places: Collection[tuple[Jid, int]]) -> int:
        """Note that entries, by archive and position, name nothing any more.

        Files that no entry names any longer are discarded, if their owner has ever sent one that did: nobody
        has another's file deleted by sending its address and taking that back. Tells how many were.
        """
        ...
