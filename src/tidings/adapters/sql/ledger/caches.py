"""What a writer knows of the database without asking: numbers of JIDs, and in SQLite what it wrote itself.

On a server other processes write beside this one, so only numbers are remembered, which change by renaming
alone: the row that every transaction locks last says how often that was. SQLite
tells whether another connection has committed (`PRAGMA data_version`): as long as none has, archives, inbox
rows and streams are what this writer left there, and a transaction reads none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidings.adapters.sql.ledger.rows import ArchiveRow, ConversationRow

REMEMBERED: Final = 200_000
"""How many of a kind are remembered; with more, all are forgotten and learnt anew."""


JID_OCTETS: Final = 48 << 20
"""What the remembered JIDs may take together, since strangers choose how long theirs are."""

_JID_ROW: Final = 150
"""Octets that a JID takes beside its characters."""


class Caches:
    """What is known; used by the writer thread alone."""

    def __init__(self) -> None:
        self.jids: dict[str, int] = {}
        self._jid_octets = 0
        self.made: set[int] = set()
        """Archives that have a row, which never goes."""
        self.archives: dict[int, ArchiveRow] = {}
        self.inbox: dict[tuple[int, int], ConversationRow | None] = {}
        self.streams: dict[bytes, int] = {}
        self.ledger: tuple[int, int] | None = None
        """The last feed number and the incarnation."""
        self.renames: int | None = None
        """How often addresses had got other numbers when these were learnt; None before it was asked."""
        self.version = -1

    def check(self, version: int) -> None:
        """Forget what another connection may have changed; `version` is the data version of the database."""
        if version != self.version:
            self.forget()
            self.version = version

    def learn(self, jids: Mapping[str, int]) -> None:
        """Remember the numbers of JIDs."""
        known = self.jids
        self._jid_octets += sum(_JID_ROW + len(jid.encode()) for jid in jids if jid not in known)
        known.update(jids)

    def forget_numbers(self) -> None:
        """Forget the numbers of JIDs, some of which are others' now."""
        self.jids = {}
        self._jid_octets = 0
        self.renames = None

    def forget(self) -> None:
        """Forget all that can change: after a failed transaction, or one that this writer did not make."""
        self.archives = {}
        self.inbox = {}
        self.streams = {}
        self.ledger = None

    def bound(self) -> None:
        """Keep the memory bounded."""
        if len(self.jids) > REMEMBERED or self._jid_octets > JID_OCTETS:
            self.jids = {}
            self._jid_octets = 0
            self.made = set()
        if max(len(self.archives), len(self.inbox), len(self.streams)) > REMEMBERED:
            self.forget()
