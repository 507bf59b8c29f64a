"""What a writer knows of the database without asking: numbers of JIDs, and in SQLite what it wrote itself.

On a server other processes write beside this one, so only numbers, which never change, are remembered. SQLite
tells whether another connection has committed (`PRAGMA data_version`): as long as none has, heads, inbox rows
and streams are what this writer left there, and a transaction reads none of them.
"""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.locks import Head

REMEMBERED: Final = 200_000
"""How many of a kind are remembered; with more, all are forgotten and learnt anew."""


class Summary:
    """A row of the inbox."""

    __slots__ = (
        "box",
        "boxed_count",
        "boxed_time",
        "count",
        "flags",
        "is_changed",
        "is_rearranged",
        "muted_until",
        "pinned",
        "position",
        "read_count",
        "read_position",
        "source",
        "time",
    )

    def __init__(  # the columns of the row
        self,
        source: int,
        position: int = 0,
        time: int = 0,
        count: int = 0,
        read_position: int = 0,
        read_count: int = 0,
        feed: int = 0,  # noqa: ARG002  # is written anew with every change
        flags: int = 0,
        box: bytes | None = None,
        boxed_count: int | None = None,
        boxed_time: int | None = None,
        muted_until: int | None = None,
        pinned: int | None = None,
    ) -> None:
        self.source = source
        self.position = position
        self.time = time
        self.count = count
        self.read_position = read_position
        self.read_count = read_count
        self.flags = flags
        self.box = box
        self.boxed_count = boxed_count
        self.boxed_time = boxed_time
        self.muted_until = muted_until
        self.pinned = pinned
        self.is_changed = False
        """Messages or reading changed it."""
        self.is_rearranged = False
        """Its owner changed it."""

    def hot_row(self, owner: int, peer: int, feed: int) -> tuple[Any, ...]:
        """Give what messages and reading change."""
        return (
            owner,
            peer,
            self.source,
            self.position,
            self.time,
            self.count,
            self.read_position,
            self.read_count,
            feed,
            self.flags,
        )

    def row(self, owner: int, peer: int, feed: int) -> tuple[Any, ...]:
        """Give the whole row."""
        hot = self.hot_row(owner, peer, feed)
        return (*hot, self.box, self.boxed_count, self.boxed_time, self.muted_until, self.pinned)


class Caches:
    """What is known; used by the writer thread alone."""

    def __init__(self) -> None:
        self.jids: dict[str, int] = {}
        self.archives: set[int] = set()
        """Those that have a head, which never goes."""
        self.heads: dict[int, Head] = {}
        self.inbox: dict[tuple[int, int], Summary | None] = {}
        self.streams: dict[bytes, int] = {}
        self.ledger: tuple[int, int] | None = None
        """The last feed number and the incarnation."""
        self.version = -1

    def check(self, version: int) -> None:
        """Forget what another connection may have changed; `version` is the data version of the database."""
        if version != self.version:
            self.forget()
            self.version = version

    def forget(self) -> None:
        """Forget all that can change: after a failed transaction, or one that this writer did not make."""
        self.heads = {}
        self.inbox = {}
        self.streams = {}
        self.ledger = None

    def bound(self) -> None:
        """Keep the memory bounded."""
        if len(self.jids) > REMEMBERED:
            self.jids = {}
            self.archives = set()
        if max(len(self.heads), len(self.inbox), len(self.streams)) > REMEMBERED:
            self.forget()
