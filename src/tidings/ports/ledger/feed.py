"""The feed: what all archives got, in one order, as followers read it.

Each transaction that changes an archive has the next number of the feed. What it wrote stands in it in order,
numbered from 0: messages, and events that are no messages. A `Cursor` names the first thing that its follower
has not done yet, so it may stand between two transactions, inside one, or inside an entry with many effects.
"""

from __future__ import annotations

import msgspec

from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Direction, EntryKind


class Cursor(msgspec.Struct, frozen=True, order=True):
    """A place in the feed: everything before it is done."""

    incarnation: str
    """The incarnation of the ledger in which it was read; the numbers of another one mean other things."""
    feed: int = 0
    """The transaction that comes next."""
    number: int = 0
    """What comes next within it."""
    part: int = 0
    """How many effects of that are done already."""

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.feed}.{self.number}.{self.part}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read a cursor that was written out; None when it is none."""
        incarnation, _, rest = text.partition("-")
        numbers = rest.split(".")
        if not incarnation or not 0 < len(numbers) <= 3:
            return None
        if not all(each.isascii() and each.isdigit() and len(each) <= 18 for each in numbers):
            return None
        return cls(incarnation, *map(int, numbers))

    def at(self, item: FeedItem) -> Cursor:
        """Give the cursor that stands before a thing of the feed."""
        return Cursor(self.incarnation, item.feed, item.number)

    def behind(self, item: FeedItem) -> Cursor:
        """Give the cursor that stands right behind a thing of the feed."""
        return Cursor(self.incarnation, item.feed, item.number + 1)


class FeedPlace(msgspec.Struct, frozen=True):
    """An entry of a message."""

    archive: Jid
    epoch: str
    position: int
    peer: Jid
    direction: Direction
    resource: str
    countable: bool
    offline_only: bool
    groupchat: bool
    is_erased: bool
    """It is a tombstone now."""
    target: int
    """The position that it refers to, 0 for none."""


class FeedEntry(msgspec.Struct, frozen=True):
    """A message, once, with every place that it has."""

    feed: int
    number: int
    kind: EntryKind
    time: int
    sender: Jid
    """The bare JID of who really sent it, also in a room."""
    places: tuple[FeedPlace, ...]
    """Those that have not been trimmed since."""
    body: bytes
    """Empty when it was erased since."""


class FeedEvent(msgspec.Struct, frozen=True):
    """What happened and is no entry; see `batch.Event`."""

    feed: int
    number: int
    time: int
    kind: str
    subject: str
    body: bytes


class FeedErasure(msgspec.Struct, frozen=True):
    """An entry became a tombstone."""

    feed: int
    number: int
    archive: Jid
    position: int


class FeedGap(msgspec.Struct, frozen=True):
    """Messages of a transaction that were forgotten before the follower came."""

    feed: int
    number: int
    """That of the first of them."""
    count: int


class FeedRestart(msgspec.Struct, frozen=True):
    """The ledger has another incarnation than the cursor: it was restored, or is another one.

    The feed goes on at the cursor's number, or at its end where it is shorter. What the follower did since
    the backup was made may have been undone here.
    """

    feed: int
    number: int
    before: str
    """The incarnation of the cursor."""
    incarnation: str


FeedItem = FeedEntry | FeedEvent | FeedErasure | FeedGap | FeedRestart


class FeedPage(msgspec.Struct, frozen=True):
    """A stretch of the feed."""

    start: Cursor
    """Where it begins; `start.part` effects of the first item are done."""
    items: tuple[FeedItem, ...]
    """In the order of the feed."""
    cursor: Cursor
    """Where the next page begins."""
    is_complete: bool
    """There was nothing more."""
