"""The inbox as it is read: which conversations are where, in which order, and how much of them is unread."""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import msgspec

from tidings.adapters.sql.ledger.encoding import GONE, UNREAD
from tidings.adapters.sql.ledger.reader import ENTRY, Reader, Room
from tidings.adapters.sql.ledger.statements import Rows
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import Archived, InboxOrder, InboxPage, InboxQuery, InboxRow

INBOX: Final = "inbox"
ARCHIVE: Final = "archive"
BIN: Final = "bin"

# `s` is the conversation in the archive that holds it, which is `i` itself for a conversation of two. Its own
# pointer is moved over what is trimmed.
_BEYOND: Final = "CASE WHEN s.{0} > i.{0} THEN s.{0} ELSE i.{0} END"
_ROWS: Final = (
    f"SELECT i.peer, i.source, s.position, s.time, s.count, s.count - {_BEYOND.format('read_count')} - "  # noqa: S608  # ours
    "(SELECT COUNT(*) FROM uncounted w WHERE w.archive = i.source AND w.peer = i.peer "
    f"AND w.position > {_BEYOND.format('read_position')}), i.read_position, i.flags, i.box, i.boxed_count, "
    "i.muted_until, i.pinned, CASE WHEN s.feed > i.feed THEN s.feed ELSE i.feed END, "
    # Of rooms alone; 0 stands for all members.
    "CASE WHEN i.source = i.owner THEN 0 ELSE ("
    "SELECT COUNT(DISTINCT t.position) FROM mentions t WHERE t.archive = i.source "
    f"AND t.member IN (i.owner, 0) AND t.position > {_BEYOND.format('read_position')} "
    "AND NOT EXISTS (SELECT 1 FROM uncounted u WHERE u.archive = t.archive AND u.peer = i.peer "
    "AND u.position = t.position)) END, "
    "CASE WHEN i.source = i.owner THEN NULL ELSE "
    "(SELECT m.domain FROM members m WHERE m.room = i.source AND m.member = i.owner) END "
    "FROM inbox i LEFT JOIN inbox s ON s.owner = i.source AND s.peer = i.peer WHERE i.owner = ? "
)


class InboxPages:
    """Answers `InboxQuery`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def inbox(self, owner: Jid, query: InboxQuery) -> InboxPage:
        """Give a page of an inbox and the sums over all of it."""
        rows = self._rows(self._reader.number_of(owner))
        outside = [row for row in rows if row.box != BIN]
        page, is_complete = _page(query, _matching(query, rows))
        if query.octets is None:
            last = self.with_last(page)
        else:
            last = self.last_messages(page, query.octets) if query.octets else []
        return InboxPage(
            (*last, *page[len(last) :]),
            is_complete,
            unread=sum(row.unread for row in outside),
            unread_conversations=sum(row.unread > 0 for row in outside),
            conversations=len(outside),
            with_last=len(last),
        )

    def conversation(self, owner: Jid, peer: Jid) -> InboxRow | None:
        """Give one conversation."""
        rows = self._rows(self._reader.number_of(owner), "AND i.peer = ?", self._reader.number_of(peer))
        return next(iter(self.with_last(rows)), None)

    def changed(self, owner: int, since: int) -> list[InboxRow]:
        """Give the conversations of the owner's archive that changed after a feed number.

        They come without their last messages, and without rooms.
        """
        return self._rows(owner, "AND i.source = i.owner AND (i.feed > ? OR s.feed > ?)", since, since)

    def among(self, owner: int, peers: Sequence[int]) -> dict[int, InboxRow]:
        """Give these conversations without their last messages, by the numbers of their addresses."""
        names = self._reader.names_of(peers)
        numbers = {names[peer]: peer for peer in peers}
        found = self._reader.among(f"{_ROWS}AND i.peer IN LIST", peers, owner)
        return {numbers[row.peer]: row for row in self._shown(found)}

    def gone(self, owner: int, since: int) -> list[tuple[int, Jid]]:
        """Give the conversations that were taken out after a feed number, with the number that did."""
        condition = f"AND i.feed > ? AND i.flags & {GONE} <> 0"
        found = self._reader.run(_ROWS + condition, owner, since)
        names = self._reader.names_of(row[0] for row in found)
        return [
            (feed, names[peer])
            for peer, _, _, _, received, _, _, _, _, boxed, *_, feed, _, _ in found
            if not _is_newer(received, boxed)
        ]

    def _rows(self, owner: int, condition: str = "", *values: object) -> list[InboxRow]:
        return self._shown(self._reader.run(_ROWS + condition, owner, *values))

    def _shown(self, found: Rows) -> list[InboxRow]:
        """Make conversations of rows, but for those that were taken out."""
        names = self._reader.names_of({row[0] for row in found} | {row[1] for row in found})
        return [
            InboxRow(
                peer=names[peer],
                source=names[source],
                last=None,
                position=position or 0,
                time=time or 0,
                unread=max(unread or 0, flags & UNREAD),
                read_position=read_position,
                box=_box(box, flags, is_newer=_is_newer(received, boxed)) if box else INBOX,
                muted_until=muted_until or 0,
                pinned=pinned or 0,
                feed=feed,
                mentions=mentions,
                domain=bytes(domain).decode() if domain else "",
            )
            for (
                peer,
                source,
                position,
                time,
                received,
                unread,
                read_position,
                flags,
                box,
                boxed,
                muted_until,
                pinned,
                feed,
                mentions,
                domain,
            ) in found
            if not flags & GONE or _is_newer(received, boxed)
        ]

    # -- last messages

    def last_messages(self, rows: Sequence[InboxRow], octets: int) -> list[InboxRow]:
        """Complete as many of the first rows as there is room for, so much that nothing larger is read."""
        with contextlib.suppress(_NoRoomError):  # nearly always there is
            return self.with_last(rows, Room(octets))
        sizes = {source: self._sizes(source, rows) for source in {row.source for row in rows}}
        sums = list(accumulate(sizes[row.source].get(row.position, 0) for row in rows))
        return self.with_last(rows[: max(bisect_right(sums, octets), 1)])

    def _sizes(self, source: Jid, rows: Sequence[InboxRow]) -> dict[int, int]:
        """Tell how large the last messages are that one archive has, with what corrects them."""
        statement = (
            "SELECT e.position, LENGTH(m.body) FROM entries e JOIN messages m ON m.id = e.message "
            "WHERE e.archive = ? AND e.position IN LIST"
        )
        archive = self._reader.number_of(source)
        positions = [row.position for row in rows if row.source == source]
        corrections = self._reader.corrections(archive, positions)
        read = [*positions, *corrections.values()]
        sizes = {position: octets or 0 for position, octets in self._reader.among(statement, read, archive)}
        return {each: sizes.get(each, 0) + sizes.get(corrections.get(each, 0), 0) for each in positions}

    def with_last(self, rows: Sequence[InboxRow], room: Room | None = None) -> list[InboxRow]:
        """Complete the rows with their last messages, archive by archive; raises where there is no room."""
        room = room or Room(None)
        by_source: dict[Jid, list[int]] = defaultdict(list)
        for row in rows:
            by_source[row.source].append(row.position)
        last = {
            source: {entry.id.position: entry for entry in self.lasts(source, positions, room)}
            for source, positions in by_source.items()
        }
        return [
            msgspec.structs.replace(row, last=last[row.source].get(row.position)) if row.position else row
            for row in rows
        ]

    def lasts(self, source: Jid, positions: Sequence[int], room: Room) -> list[Archived]:
        """Give the entries at these positions, with what says how they read now."""
        archive, head = self._reader.head(source)
        statement = f"SELECT {ENTRY}WHERE e.archive = ? AND e.position IN LIST"
        wanted = [position for position in positions if position]
        rows = self._reader.among_within(room, statement, wanted, archive)
        if rows is None:
            raise _NoRoomError
        newest = self._reader.corrections(archive, [row[0] for row in rows]).values()
        later = self._reader.among_within(room, statement, sorted(newest), archive)
        if later is None:
            raise _NoRoomError
        corrections = {entry.target: entry for entry in self._reader.archived(archive, head, later)}
        return [
            msgspec.structs.replace(entry, pointers=(corrections[entry.id.position],))
            if entry.id.position in corrections
            else entry
            for entry in self._reader.archived(archive, head, rows)
        ]


class _NoRoomError(Exception):
    """The last messages are too large to be read together."""


def _is_newer(received: int | None, boxed: int | None) -> bool:
    """Tell whether messages came since a conversation was put where it is."""
    return (received or 0) > (boxed or 0)


def _box(box: bytes, flags: int, *, is_newer: bool) -> str:
    """Give the box in which a conversation stands now."""
    name = bytes(box).decode()
    return INBOX if flags & GONE or (name == ARCHIVE and is_newer) else name


def _matching(query: InboxQuery, rows: list[InboxRow]) -> list[InboxRow]:
    """Give the rows that a query means; condition by condition, since most queries have few."""
    if not query.all_boxes:
        boxes = query.boxes
        rows = [row for row in rows if (row.box != BIN if boxes is None else row.box in boxes)]
    if query.peer is not None:
        rows = [row for row in rows if row.peer == query.peer]
    if query.start is not None:
        rows = [row for row in rows if row.time >= query.start]
    if query.end is not None:
        rows = [row for row in rows if row.time <= query.end]
    if query.unread_only:
        rows = [row for row in rows if row.unread > 0]
    return rows


def _page(query: InboxQuery, rows: list[InboxRow]) -> tuple[list[InboxRow], bool]:
    """Cut the page out of all rows that match, and tell whether nothing is beyond it in its direction."""
    sign = -1 if query.order is InboxOrder.NEWEST else 1

    def place(row: InboxRow) -> tuple[int, Jid]:
        return sign * row.time, row.peer

    def beside(time: int, peer: Jid) -> tuple[int, Jid]:
        return sign * time, peer

    rows = sorted(rows, key=place)
    start = 0 if query.after is None else bisect_right(rows, beside(*query.after), key=place)
    end = len(rows) if query.before is None else bisect_left(rows, beside(*query.before), key=place)
    limit = len(rows) if query.limit is None else query.limit
    is_complete = end - start <= limit
    if query.last_page or (query.before is not None and query.after is None):
        return rows[max(start, end - limit) : end], is_complete
    return rows[start : min(end, start + limit)], is_complete
