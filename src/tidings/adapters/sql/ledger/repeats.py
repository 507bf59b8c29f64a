"""Sending twice is sending once: a message is known again by its key, or by its number on its stream."""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.adapters.sql.ledger.encoding import CONTENT_OCTETS
from tidings.adapters.sql.ledger.references import References
from tidings.adapters.sql.ledger.streams import Streams
from tidings.ports.ledger.batch import Accepted, Append, Conflict, Outcome, Stale

_PASSED: Final = Accepted(places=(), time=0, feed=0, repeated=True)


class Repeats:
    """Finds what became of messages that came before."""

    def __init__(self, references: References, streams: Streams) -> None:
        self._references = references
        self._streams = streams
        self._now = 0
        self._since = 0

    def begin(self, now: int, window: int) -> None:
        """Set the time; a message that is older than the window is not the first send of anything."""
        self._now, self._since = now, now - window

    def outcome_of(self, append: Append) -> Outcome | None:
        """Tell what became of the message when it came before; notes that its stream has come so far."""
        stream = append.stream
        has_passed = False
        if stream is not None:
            if stream in self._streams.stale:
                return self._streams.stale[stream]
            number, follows = self._streams.numbers[stream], append.follows
            has_passed = append.number <= number
            if not has_passed and follows is not None and follows != number:
                return self._streams.refuse(append, Stale("", number))
        first = None if append.repeat is None else self._first_of(append)
        if has_passed:
            return first if type(first) is Accepted else _PASSED
        if type(first) is Accepted:
            self._streams.move(append)
        return first

    def _first_of(self, append: Append) -> Accepted | Conflict | None:
        """Give the first result of a message that was sent before; or what stands against a strict key."""
        assert append.repeat is not None
        since = max(self._since, self._now - append.repeat_within) if append.repeat_within else self._since
        content = append.content[:CONTENT_OCTETS]
        other = None
        for found in self._references.by_key.get(append.repeat, ()):
            if found.time < since:
                continue
            if not content or not found.content or content == found.content:
                first = self._references.first_result(found)
                if append.also:
                    also = tuple([self._first_part(part) for part in append.also])
                    first = msgspec.structs.replace(first, also=also)
                return first
            other = found
        if other is None or not append.is_strict:
            return None
        first = self._references.first_result(other)
        return Conflict(places=first.places, time=first.time)

    def _first_part(self, part: Append) -> Accepted:
        """Give the first result of a further message of a plan that is a repeat."""
        first = None if part.repeat is None else self._first_of(part)
        return first if type(first) is Accepted else _PASSED
