"""The roster port: the contacts of an account, and what changed since a version (RFC 6121 §2).

A version is an opaque text, ready for the `ver` attribute. Inside it is `EPOCH-NUMBER`: the numbers of one
roster are dense, 1, 2, 3, …; the epoch is random and made with the roster's first entry, so that the version
of a removed account is never taken for one of its successor. A roster that never had an entry has the version
`UNTOUCHED`.

Every method may raise `BackendError`. Asked by the contacts feature alone; accounts are named by bare JIDs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from tidings.base.jid import Jid

UNTOUCHED: Final = "0"
"""The version of a roster that never had an entry."""

HISTORY: Final = 500
"""How many changes back `changes_since` can tell; older tombstones are pruned."""


class Subscription(StrEnum):
    """Who sees whose presence, from the account's side (RFC 6121 §2.1.2.5)."""

    NONE = "none"
    TO = "to"
    FROM = "from"
    BOTH = "both"

    @property
    def has_to(self) -> bool:
        """Tell whether the account receives the contact's presence."""
        return self in (Subscription.TO, Subscription.BOTH)

    @property
    def has_from(self) -> bool:
        """Tell whether the contact receives the account's presence."""
        return self in (Subscription.FROM, Subscription.BOTH)

    @classmethod
    def of(cls, *, to: bool, from_: bool) -> Subscription:
        """Give the state with these two halves."""
        match to, from_:
            case True, True:
                return cls.BOTH
            case True, False:
                return cls.TO
            case False, True:
                return cls.FROM
            case _:
                return cls.NONE


class RosterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One contact with every state that RFC 6121 §3 and appendix A know of it."""

    jid: Jid
    name: str = ""
    """The handle that the user gave, empty for none."""
    groups: frozenset[str] = frozenset()
    subscription: Subscription = Subscription.NONE
    ask: bool = False
    """Pending out: the account asked and awaits the answer (`ask='subscribe'`)."""
    approved: bool = False
    """Pre-approved (RFC 6121 §3.4): a request of the contact is granted when it comes."""
    pending_in: bytes | None = None
    """Pending in: the raw presence stanza of a request that the user has not answered (RFC 6121 §3.1.3)."""
    listed: bool = True
    """False for an entry that only holds `pending_in`: in no roster result and no push (appendix A.2)."""


class RosterRemoval(msgspec.Struct, frozen=True):
    """A contact that left the roster."""

    jid: Jid


class RosterChange(msgspec.Struct, frozen=True):
    """What a contact became last."""

    version: str
    """That of the roster after it: the last one is that of the roster now (RFC 6121 §2.6.3)."""
    contact: RosterEntry | RosterRemoval


class Roster(msgspec.Struct, frozen=True):
    """All entries of an account, the unlisted ones included, at a version."""

    version: str
    entries: tuple[RosterEntry, ...] = ()


class RosterStore(Protocol):
    """Keeps rosters; the contacts feature decides what is in them."""

    async def load(self, account: Jid) -> Roster:
        """Give the whole roster in no particular order; an account without one has an empty roster."""
        ...

    async def put(self, account: Jid, entry: RosterEntry) -> str:
        """Add the entry or replace the one of the same contact; give the roster's version after it.

        A put that changes nothing that clients see (it touches `pending_in` alone, or an unlisted entry stays
        unlisted) leaves the version as it is. Raises `NoSuchAccount`.
        """
        ...

    async def put_all(self, rosters: Mapping[Jid, Sequence[RosterEntry]]) -> None:
        """Put the entries of several accounts, as `put` does, in one transaction."""
        ...

    async def remove(self, account: Jid, contact: Jid) -> str:
        """Remove the entry if there is one; give the roster's version after it. Raises `NoSuchAccount`."""
        ...

    async def changes_since(self, account: Jid, version: str) -> tuple[RosterChange, ...] | None:
        """Give the last change of every contact that changed since, oldest first.

        None when the version is not of this roster, is no version at all, or is more than `HISTORY` changes
        old: send the whole roster then. An entry that became unlisted is told as a removal. The result never
        holds unlisted entries.
        """
        ...


def write_version(epoch: str, number: int) -> str:
    """Write the version of a roster in this state; for adapters, nobody else looks inside."""
    return f"{epoch}-{number}" if number else UNTOUCHED


def parse_version(version: str) -> tuple[str, int] | None:
    """Take a version apart into epoch and number, or give None for a text that is no version."""
    if version == UNTOUCHED:
        return "", 0
    epoch, dash, digits = version.rpartition("-")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= 18
    return (epoch, int(digits)) if dash and is_number else None


def is_answerable(known: tuple[str, int], *, epoch: str, number: int) -> bool:
    """Tell whether the changes since a known version can be told, given the roster's own epoch and number.

    Number 0 is an empty roster whatever the epoch.
    """
    return (known[0] == epoch or known[1] == 0) and number - HISTORY <= known[1] <= number


def is_visible_change(before: RosterEntry | None, after: RosterEntry | None) -> bool:
    """Tell whether clients see a difference, which makes it a new version."""
    return _as_seen(before) != _as_seen(after)


def _as_seen(entry: RosterEntry | None) -> RosterEntry | None:
    return None if entry is None or not entry.listed else replace(entry, pending_in=None)
