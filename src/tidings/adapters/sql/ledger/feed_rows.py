"""What a transaction writes beside entries: events for followers, and rows of the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidings.adapters.sql.ledger.encoding import PER_FEED
from tidings.adapters.sql.ledger.statements import Sql
from tidings.ports.ledger.batch import Append, Event


class FeedRows:
    """The rows of one transaction, gathered while it works and written at its end."""

    __slots__ = ("_events", "_outbound_only", "_outbox", "sent")

    def __init__(self) -> None:
        self.sent = 0
        """How many rows of the outbox there are."""
        self._events: list[Any] = []
        self._outbox: list[Any] = []
        self._outbound_only: list[Any] = []

    def add_event(self, number: int, time: int, event: Event) -> None:
        """Note an event; `number` is that of a message, of which it has the place in the feed."""
        kind, subject = bytearray(event.kind, "utf-8"), bytearray(event.subject, "utf-8")
        self._events += (number, time, kind, subject, bytearray(event.body))

    def add_outbox(self, append: Append, message: int, time: int, ids: Mapping[str, int]) -> None:
        """Note for which domains a message is; `ids` are the numbers of addresses."""
        for place, target in enumerate(append.outbox):
            recipient = bytearray(target.recipient, "utf-8")
            self._outbox += (ids[target.domain], message, place, time, recipient)
        self.sent += len(append.outbox)
        if not append.entries:
            self._outbound_only.append(message)

    def write(self, sql: Sql) -> None:
        """Write them all."""
        sql.insert_flat("feed_events", self._events)
        sql.insert_flat("outbox", self._outbox)
        sql.insert_flat("outbound_only", self._outbound_only)


def forget_feed_rows(sql: Sql, feed: int, limit: int) -> int:
    """Forget events and gaps of transactions before this one that every follower has passed."""
    slowest = sql.run("SELECT MIN(feed) FROM followers").scalar()
    before = feed if slowest is None else min(feed, slowest)
    gone = 0
    for table, key, end in (("feed_events", "id", before * PER_FEED), ("feed_gaps", "feed", before)):
        select = f"SELECT {key} FROM {table} WHERE {key} < ? ORDER BY {key} LIMIT {int(limit)}"  # noqa: S608  # ours
        for (each,) in sql.run(select, end).all():
            gone += sql.run(f"DELETE FROM {table} WHERE {key} = ?", each).rowcount  # noqa: S608  # ours
    return gone
