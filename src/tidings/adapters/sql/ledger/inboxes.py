"""What messages and owners do to an inbox: they move read pointers, and box, mute and pin conversations."""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.encoding import GONE, UNREAD
from tidings.adapters.sql.ledger.references import References
from tidings.adapters.sql.ledger.rows import ConversationRow
from tidings.adapters.sql.ledger.statements import COLUMNS, Asked, Sql
from tidings.ports.ledger.batch import InboxChange, ReadMove

_SELECT: Final = f"SELECT {', '.join(COLUMNS['inbox'])} FROM inbox WHERE (owner, peer) IN PAIRS"  # noqa: S608  # ours

_DEFAULT_BOX: Final = "inbox"

ARCHIVE_BOX: Final = b"archive"
"""The box that a new message brings a conversation back from."""


class Inboxes:
    """The conversations that a transaction has loaded."""

    def __init__(self, sql: Sql, archives: Archives, references: References) -> None:
        self._sql = sql
        self._archives = archives
        self._references = references
        self.rows: dict[tuple[int, int], ConversationRow | None] = {}
        """Every conversation that was asked for, by owner and peer; None where there is none."""
        self.time = 0
        """That of the transaction."""
        self.followed: set[tuple[int, int]] = set()
        """(source, owner) of the rows that a room's archive holds from now on."""

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
        row = self.rows[owner, peer]
        source = (owner if row is None else row.source) if read.source is None else ids[read.source]
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
        if row.peer == peer:
            return position, row.count
        return self._references.last_before(source, peer, position)

    def move(self, owner: int, peer: int, source: int, position: int, count: int) -> bool:
        """Move a read pointer; the first move in a room lets its archive hold the conversation."""
        row = self.rows.get((owner, peer))
        if row is None:
            if source == owner:
                return False
            row = self._hold_by(owner, peer, source)
        elif row.source != source:
            if source == owner:  # what is in the owner's archive says nothing of the room's
                return self._unmark(row, position)
            row = self._hold_by(owner, peer, source)
        elif position <= row.read_position and not (position and row.flags & UNREAD):
            return False
        if position > row.read_position:
            row.read_position, row.read_count = position, count
            if source != owner:
                row.read_time = self.time
        row.flags &= ~UNREAD
        row.is_changed = True
        return True

    @staticmethod
    def _unmark(row: ConversationRow, position: int) -> bool:
        """Take the mark off a room's conversation that a message to the owner alone has left."""
        if not position or not row.flags & UNREAD:
            return False
        row.flags &= ~UNREAD
        row.is_changed = True
        return True

    # -- rooms

    def join(self, owner: int, room: int, position: int) -> None:
        """Let a room's archive hold the conversation, of which nothing up to the position is unread."""
        row = self.rows.get((owner, room))
        if row is None or row.source != room:
            row = self._hold_by(owner, room, room)
        _bring_back(row)
        last = self.row(room, room)
        if position > row.read_position:
            row.read_position, row.read_count = position, 0 if last is None else last.count
            row.read_time = self.time
        row.flags &= ~UNREAD
        row.is_changed = True

    def leave(self, owner: int, room: int) -> None:
        """Take a room's conversation out of the inbox: the owner's archive holds it again."""
        row = self.row(owner, room)
        if row is None or row.source == owner:
            return
        row.source = owner
        row.read_position, row.read_count = row.position, row.count
        row.flags = (row.flags | GONE) & ~UNREAD
        row.boxed_count = row.count
        row.is_rearranged = True

    def _hold_by(self, owner: int, peer: int, source: int) -> ConversationRow:
        """Let another archive hold a conversation, which need not be there."""
        row = self.rows.get((owner, peer))
        if row is None:
            row = self.rows[owner, peer] = ConversationRow(source)
        row.source = source
        row.read_position = row.read_count = row.read_time = 0
        _bring_back(row)
        self.followed.add((source, owner))
        return row

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
                if row.source != owner:
                    row.read_time = time
        return True


def _bring_back(row: ConversationRow) -> None:
    """Let a conversation stand in the inbox that was taken out of it or archived."""
    if row.box == ARCHIVE_BOX or row.flags & GONE:
        row.box = row.boxed_count = row.boxed_time = None
        row.flags &= ~GONE
        row.is_rearranged = True
