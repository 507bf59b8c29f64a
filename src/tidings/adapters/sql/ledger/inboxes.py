"""What messages and owners do to an inbox: they move read pointers, and box, mute and pin conversations."""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.conversations import find, stretches
from tidings.adapters.sql.ledger.encoding import GONE, UNREAD
from tidings.adapters.sql.ledger.references import References
from tidings.adapters.sql.ledger.rows import ConversationRow
from tidings.adapters.sql.ledger.statements import COLUMNS, Asked, Sql
from tidings.ports.ledger.batch import InboxChange, ReadMove

_SELECT: Final = f"SELECT {', '.join(COLUMNS['inbox'])} FROM inbox WHERE (owner, peer) IN PAIRS"  # noqa: S608  # ours

_DEFAULT_BOX: Final = "inbox"


class Inboxes:
    """The conversations that a transaction has loaded."""

    def __init__(self, sql: Sql, archives: Archives, references: References) -> None:
        self._sql = sql
        self._archives = archives
        self._references = references
        self.rows: dict[tuple[int, int], ConversationRow | None] = {}
        """Every conversation that was asked for, by owner and peer; None where there is none."""

    def ask(self, pairs: set[tuple[int, int]], caches: Caches) -> Asked:
        """Begin to load conversations; `take` ends it."""
        rows = self.rows
        remembered = caches.inbox
        missing = []
        for pair in pairs:
            if pair in remembered:
                rows[pair] = remembered[pair]
            else:
                missing.append(pair)
                rows[pair] = None
        missing.sort()
        return self._sql.ask(_SELECT, missing)

    def take(self, asked: Asked) -> None:
        """Wait for the rows."""
        for values in self._sql.answer(asked):
            self.rows[values[0], values[1]] = ConversationRow(*values[2:])

    def row(self, owner: int, peer: int) -> ConversationRow | None:
        """Give a conversation that may not have been loaded."""
        if (owner, peer) not in self.rows:
            self.take(self.ask({(owner, peer)}, Caches()))
        return self.rows[owner, peer]

    def write(self) -> None:
        """Write what was changed."""
        hot: list[Any] = []
        cold: list[Any] = []
        feed = self._archives.feed
        for (owner, peer), row in self.rows.items():
            if row is None:
                continue
            if row.is_rearranged:
                cold += row.values(owner, peer, feed)
            elif row.is_changed:
                hot += row.hot_values(owner, peer, feed)
            else:
                continue
            row.is_changed = row.is_rearranged = False
        self._sql.put_flat("hot_inbox", hot)
        self._sql.put_flat("inbox", cold)

    # -- reading

    def read(self, read: ReadMove) -> bool:
        """Move a read pointer; tell whether it moved."""
        ids = self._archives.ids
        owner, peer = ids[read.owner], ids[read.peer]
        source = owner if read.source is None else ids[read.source]
        if read.upto == 0:
            last = self.row(source, peer)
            place = (0, 0) if last is None else (last.position, last.count)
        else:
            place = self._place_in(source, peer, read)
        return self.move(owner, peer, source, *place)

    def _place_in(self, source: int, peer: int, read: ReadMove) -> tuple[int, int]:
        """Give position and count of the last entry of the conversation up to where the owner has read."""
        upto = read.upto
        position = self._references.position_of(upto, source, 1) if isinstance(upto, tuple) else upto
        row = self._references.row(source, position) if position > 0 else None
        if row is None:
            return 0, 0
        if row[0] == peer:
            return position, row[1]
        parts = stretches(self._sql, source, peer, 1, position - 1)
        before = find(self._sql, parts, "e.position, e.count", newest=True, limit=1)
        return (before[0][0], before[0][1]) if before else (0, 0)

    def move(self, owner: int, peer: int, source: int, position: int, count: int) -> bool:
        """Move a read pointer; a member's row of a room is made by its first move."""
        row = self.rows.get((owner, peer))
        if row is None:
            if source == owner:
                return False
            row = self.rows[owner, peer] = ConversationRow(source)
            row.is_changed = True
        elif position <= row.read_position and not (position and row.flags & UNREAD):
            return False
        if position > row.read_position:
            row.read_position, row.read_count = position, count
        row.flags &= ~UNREAD
        row.is_changed = True
        return True

    # -- boxes

    def change(self, change: InboxChange, time: int) -> bool:
        """Change how a conversation stands; tell whether it was there."""
        owner, peer = self._archives.ids[change.owner], self._archives.ids[change.peer]
        row = self.rows[owner, peer]
        if row is None:
            return False
        last = row if row.source == owner else self.row(row.source, peer)
        position, count = (0, 0) if last is None else (last.position, last.count)
        if row.flags & GONE:
            if count <= (row.boxed_count or 0):
                return False
            row.flags &= ~GONE  # a room has had a message since
            row.box = None
        row.is_rearranged = True
        if change.box is not None:
            row.box = None if change.box == _DEFAULT_BOX else change.box.encode()
            row.boxed_count = None if row.box is None else count
            row.boxed_time = None if row.box is None else time
        if change.muted_until is not None:
            row.muted_until = change.muted_until or None
        if change.pinned is not None:
            row.pinned = change.pinned or None
        if change.unread is True:
            row.flags |= UNREAD
        elif change.unread is False:
            row.flags &= ~UNREAD
            if position > row.read_position:
                row.read_position, row.read_count = position, count
        return True
