"""Reads the feed: what all archives got, in one order.

A page is bounded in messages, events and octets, and may end inside a transaction. Erasures of one
transaction are numbered behind its messages and events, in the order of archives and positions, and come
together. What a cursor has not seen becomes visible in order, so nothing comes later before its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

from tidings.adapters.sql.ledger.encoding import (
    COUNTABLE,
    ERASED,
    GROUPCHAT,
    OFFLINE_ONLY,
    PER_FEED,
    SENT,
    decode_places,
    epoch_text,
)
from tidings.adapters.sql.ledger.reader import Reader
from tidings.adapters.sql.ledger.statements import Rows
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Direction, EntryKind
from tidings.ports.ledger.feed import (
    Cursor,
    FeedEntry,
    FeedErasure,
    FeedEvent,
    FeedGap,
    FeedItem,
    FeedPage,
    FeedPlace,
    FeedRestart,
)

PAGE_OCTETS: Final = 2 << 20
"""A page has bodies of so many octets together, or a single longer one."""

_ERASURES: Final = 1000
_FIRST_ERASURE: Final = PER_FEED // 2
"""The number of the first erasure of a transaction."""

_LENGTHS: Final = "SELECT id, LENGTH(body) FROM messages WHERE id >= ? AND id < ? ORDER BY id LIMIT "
_MESSAGES: Final = "SELECT id, time, places, body, sender FROM messages WHERE id >= ? AND id < ? ORDER BY id"
_ENTRIES: Final = (
    "SELECT archive, position, peer, kind, flags, target, resource FROM entries "
    "WHERE (archive, position) IN PAIRS"
)
_EVENTS: Final = (
    "SELECT id, time, kind, subject, body FROM feed_events WHERE id >= ? AND id < ? ORDER BY id LIMIT "
)
_ERASED: Final = (
    "SELECT feed, archive, position FROM erasures WHERE feed >= ? AND feed < ? "
    "ORDER BY feed, archive, position"
)
_GAPS: Final = "SELECT feed, lost FROM feed_gaps WHERE feed >= ? AND feed <= ? ORDER BY feed"


class FeedReader:
    """Answers followers, over one connection."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._run = reader.run

    def page(self, cursor: Cursor, limit: int, marks: Sequence[bytes] = ()) -> FeedPage:
        """Give what stands behind a cursor: about so many messages, and as many events.

        With `marks`, messages that contain none of them are not read any further: most work is in the rest.
        """
        incarnation, last = self._last()
        end = (last + 1) * PER_FEED
        start = min(cursor.feed * PER_FEED + min(cursor.number, _FIRST_ERASURE), end)
        items: list[FeedItem] = []
        if cursor.incarnation not in {"", incarnation}:
            restart = FeedRestart(start // PER_FEED, start % PER_FEED, cursor.incarnation, incarnation)
            items.append(restart)
        stop = self._stop_of_messages(start, end, limit)
        events = self._run(f"{_EVENTS}{int(limit) + 1}", start, stop)
        if len(events) > limit:
            stop = events.pop()[0]
        erased, stop = self._erasures(start, stop)
        found: list[FeedItem] = [*self._messages(start, stop, marks)]
        found += [_event(row) for row in events if row[0] < stop]
        found += self._told(erased, cursor)
        # The last of all: what was forgotten during this is missing above, and noted here.
        found += self._gaps(start, stop)
        items += sorted(found, key=lambda item: (item.feed, item.number))
        after = Cursor(incarnation, stop // PER_FEED, stop % PER_FEED)
        return FeedPage(cursor, tuple(items), after, stop >= end)

    def _last(self) -> tuple[str, int]:
        rows = self._run("SELECT incarnation, feed FROM ledger WHERE id = 1")
        return (epoch_text(rows[0][0]), rows[0][1]) if rows else ("", 0)

    def _stop_of_messages(self, start: int, end: int, limit: int) -> int:
        """Find where the messages of a page end."""
        lengths = self._run(f"{_LENGTHS}{int(limit) + 1}", start, end)
        sums = accumulate(length for _, length in lengths)
        taken = max(1, sum(1 for octets in sums if octets <= PAGE_OCTETS))
        taken = min(taken, limit)
        return int(lengths[taken][0]) if taken < len(lengths) else end

    def _messages(self, start: int, stop: int, marks: Sequence[bytes]) -> Iterable[FeedEntry]:
        rows = self._run(_MESSAGES, start, stop)
        if marks:
            rows = [row for row in rows if any(mark in row[3] for mark in marks)]
        if not rows:
            return
        places = {row[0]: decode_places(bytes(row[2])).places for row in rows}
        pairs = sorted({place[::2] for each in places.values() for place in each})
        entries = {row[:2]: row for row in self._reader.sql.find(_ENTRIES, pairs)}
        numbers = {number for row in entries.values() for number in (row[0], row[2])}
        names = self._reader.names_of(numbers | {row[4] for row in rows if row[4]})
        for message, time, _, body, sender in rows:
            there = [
                (entries[archive, position], epoch)
                for archive, epoch, position in places[message]
                if (archive, position) in entries
            ]
            if there:  # else no archive has it: it only waits for another server
                found = tuple(_place(row, epoch, names) for row, epoch in there)
                yield FeedEntry(
                    feed=message // PER_FEED,
                    number=message % PER_FEED,
                    kind=EntryKind(there[0][0][3]),
                    time=time,
                    sender=names[sender] if sender else _sender_of(found[0]),
                    places=found,
                    body=bytes(body),
                )

    def _erasures(self, start: int, stop: int) -> tuple[Rows, int]:
        """Give the erasures of whole transactions, and where the page ends if those are very many."""
        first = start // PER_FEED
        rows = self._run(f"{_ERASED} LIMIT {_ERASURES + 1}", first, stop // PER_FEED)
        if len(rows) <= _ERASURES:
            return rows, stop
        last = rows[-1][0]
        if last > first:
            return [row for row in rows if row[0] < last], last * PER_FEED
        return self._run(_ERASED, last, last + 1), (last + 1) * PER_FEED

    def _told(self, rows: Rows, cursor: Cursor) -> Iterable[FeedErasure]:
        names = self._reader.names_of({row[1] for row in rows})
        counts: dict[int, int] = defaultdict(lambda: _FIRST_ERASURE)
        for feed, archive, position in rows:
            number = counts[feed]
            counts[feed] += 1
            if (feed, number) >= (cursor.feed, cursor.number):
                yield FeedErasure(feed, number, names[archive], position)

    def _gaps(self, start: int, stop: int) -> Iterable[FeedGap]:
        """Tell of messages that are missing between two places."""
        select = "SELECT id FROM {} WHERE id >= ? AND id < ?"
        for feed, lost in self._run(_GAPS, start // PER_FEED, stop // PER_FEED):
            bounds = feed * PER_FEED, (feed + 1) * PER_FEED
            tables = ("messages", "feed_events")
            there = {row[0] for table in tables for row in self._run(select.format(table), *bounds)}
            numbers = range(max(bounds[0], start), min(bounds[0] + len(there) + lost, stop))
            missing = [number for number in numbers if number not in there]
            if missing:
                yield FeedGap(feed, missing[0] % PER_FEED, len(missing))


def _place(row: Sequence[Any], epoch: int, names: dict[int, Jid]) -> FeedPlace:
    archive, position, peer, _, flags, target, resource = row
    return FeedPlace(
        archive=names[archive],
        epoch=epoch_text(epoch),
        position=position,
        peer=names[peer],
        direction=Direction.SENT if flags & SENT else Direction.RECEIVED,
        resource=bytes(resource or b"").decode(),
        countable=bool(flags & COUNTABLE),
        offline_only=bool(flags & OFFLINE_ONLY),
        groupchat=bool(flags & GROUPCHAT),
        is_erased=bool(flags & ERASED),
        target=target,
    )


def _sender_of(place: FeedPlace) -> Jid:
    """Tell who sent a message to or from an account."""
    return place.archive if place.direction is Direction.SENT else place.peer.bare


def _event(row: Sequence[Any]) -> FeedEvent:
    id_, time, kind, subject, body = row
    return FeedEvent(
        feed=id_ // PER_FEED,
        number=id_ % PER_FEED,
        time=time,
        kind=bytes(kind).decode(),
        subject=bytes(subject).decode(),
        body=bytes(body),
    )
