"""Cursors of sync: how far a device is, as text that only the server reads (docs/specs/sync.md §3)."""

from __future__ import annotations

from typing import Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import EntryId
from tidings.wire.xmpp.payloads.inbox import format_page_id, read_page_id


class SyncRun(msgspec.Struct, frozen=True):
    """A run that is not at its end: what happened after the cursor's number up to `top` (§3).

    `own` is how far the account's own archive has been told, `room` the last room of those that have been.
    """

    top: int
    own: int
    room: int = 0

    def __str__(self) -> str:
        return f"{self.top}.{self.own}-{self.room}"

    @classmethod
    def parse(cls, top: str, place: str) -> Self | None:
        """Read it; None when it is none of ours."""
        own, dash, room = place.partition("-")
        if not dash or not all(_is_number(each) for each in (top, own, room)) or int(own) > int(top):
            return None
        return cls(int(top), int(own), int(room))


class SyncCursor(msgspec.Struct, frozen=True):
    """How far a device is: the last transaction it knows of, the last entry, and where a list goes on (§3).

    `incarnation` is empty while the ledger is, `at` is None while the archive is. `listed` is the last
    conversation of a first list that is not at its end, by the time of its last message and its peer. A `run`
    that is not at its end began at `feed`.
    """

    incarnation: str
    feed: int
    at: EntryId | None = None
    listed: tuple[int, Jid] | None = None
    run: SyncRun | None = None

    def __str__(self) -> str:
        text = f"{self.incarnation}.{self.feed}.{self.at or ''}"
        if self.run is not None:
            return f"{text}.{self.run}"
        return text if self.listed is None else f"{text}.{format_page_id(*self.listed)}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what a device gives back; None when it is none of ours."""
        parts = text.split(".", 4)
        if len(parts) < 3:
            return None
        incarnation, feed, at, *rest = parts
        entry = EntryId.parse(at)
        if not _is_number(feed) or bool(at) is not bool(entry) or not (incarnation or int(feed) == 0):
            return None
        if len(rest) == 2:
            run = SyncRun.parse(*rest)
            return None if run is None or run.own < int(feed) else cls(incarnation, int(feed), entry, run=run)
        try:
            return cls(incarnation, int(feed), entry, read_page_id(rest[0]) if rest else None)
        except StanzaError:
            return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
