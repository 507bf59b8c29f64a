"""The reading side of the ledger: archives, inboxes, cursors and what happened to one account.

Positions of an archive are dense: every position from `Head.first` to `Head.position` has an entry, which may
be a tombstone. A position becomes visible together with all that its transaction wrote, and never before a
smaller one; a feed number likewise.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Direction, EntryKind

COUNTED: Final = 10_000
"""A page's total is given up to this many entries; counting more is not cheap."""


FOLDED: Final = 2_000
"""How many `Archived.pointers` a page has at most; the newest."""

FOLDED_OCTETS: Final = 1_048_576
"""How many octets their bodies have where `PageQuery.octets` does not say; one may be larger alone."""

MARKED: Final = 500
"""How far back in a conversation `Ledger.markers` looks."""


NEWEST_OF_ROOM: Final = 50
"""So many entries of one room a page of `Ledger.room_changes` has at most."""

ROOMS_OF_PAGE: Final = 100
"""So many rooms it has at most."""


LONGEST_EPOCH: Final = 32
"""Characters; a longer one was not made by a ledger, and is not worth remembering."""


class EntryId(msgspec.Struct, frozen=True, order=True):
    """An entry of an archive and the history that it belongs to."""

    epoch: str
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.position}"

    @classmethod
    def parse(cls, text: str) -> EntryId | None:
        """Read the id that a client sent; None when it is none of ours."""
        epoch, dash, number = text.partition("-")
        is_number = number.isascii() and number.isdigit() and len(number) <= 18
        if not dash or not is_number or not 0 < len(epoch) <= LONGEST_EPOCH:
            return None
        return cls(epoch, int(number))


class Head(msgspec.Struct, frozen=True):
    """The state of an archive; an archive without entries has `first` 1, `position` 0 and no epochs."""

    first: int
    position: int
    time: int
    version: int
    epochs: tuple[tuple[str, int], ...]
    """Every epoch with the first position that was written in it, oldest first."""
    octets: int = 0
    """Of the bodies of its entries, but for tombstones. A body that two archives share counts in both."""

    def epoch_at(self, position: int) -> str:
        """Give the epoch in which this position was written."""
        return next(epoch for epoch, start in reversed(self.epochs) if start <= position)

    def has(self, entry: EntryId) -> bool:
        """Tell whether the id means an entry of this history that has not been trimmed."""
        if not self.first <= entry.position <= self.position:
            return False
        return self.epoch_at(entry.position) == entry.epoch


class NoSuchEntry(StanzaError):  # noqa: N818  # what it says, as its siblings
    """An id that is unknown, trimmed, or of another history; `head` is the hint for the client."""

    def __init__(self, entry: EntryId | str, head: Head) -> None:
        super().__init__("item-not-found", "Message with specified ID is not found")
        self.entry = entry
        self.head = head


class ArchiveInUse(StanzaError):  # noqa: N818
    """An archive is to get an address whose own archive has entries: `conflict`."""

    def __init__(self, archive: Jid) -> None:
        super().__init__("conflict", "that name is taken")
        self.archive = archive


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries of an archive; all conditions hold together."""

    peer: Jid | None = None
    start: int | None = None
    """Not before this time."""
    end: int | None = None
    """Not after this time."""
    from_id: EntryId | None = None
    to_id: EntryId | None = None
    """Inclusive bounds."""
    after_id: EntryId | None = None
    before_id: EntryId | None = None
    """Exclusive bounds of the selection; they change what is counted."""
    after: EntryId | None = None
    before: EntryId | None = None
    """RSM's exclusive bounds of the page within the selection. Any id here and above that the archive does
    not have raises `NoSuchEntry`."""
    above: int = 0
    """Only positions above this one, which need not exist."""
    ids: tuple[EntryId, ...] | None = None
    """Only these; each must be there."""
    words: tuple[str, ...] = ()
    """Only messages whose text has, for each of these, a word that begins with it, in any case; the first 32
    words count."""
    groupchat: bool = True
    """False leaves out messages of type groupchat."""
    without: tuple[EntryKind, ...] = ()
    """Leaves out entries of these kinds."""
    limit: int = 50
    newest: bool = False
    """Take the page from the new end of what matches; the entries are in ascending order all the same."""
    flipped: bool = False
    """Give the entries newest first."""
    tombstones: bool = False
    """Give erased and offline-only entries too, without a body."""
    offline_only: bool = False
    """Give offline-only entries with their body: for devices that catch up."""
    counted: bool = True
    """Whether `ArchivePage.total` and `ArchivePage.index` are wanted."""
    folded: bool = False
    """Whether `Archived.pointers` are wanted."""
    octets: int | None = None
    """The page ends early, before the bodies of its entries are larger together than this, those of their
    pointers included; its first entry may be larger alone. None: no matter how large it gets."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is read."""

    id: EntryId
    feed: int
    time: int
    peer: Jid
    direction: Direction
    kind: EntryKind
    resource: str
    countable: bool
    count: int
    """How many messages of the conversation had been received, up to this one."""
    target: int
    """The position that it refers to, 0 for none."""
    body: bytes | None
    """None for a tombstone. Of an account that was renamed, and of a peer that was, the root has the new
    addresses."""
    sender: Jid | None = None
    """The bare JID of who really sent it, where direction and peer do not tell; not for everybody's eyes."""
    retracted: int | None = None
    """When a later entry retracted it, or the message that it corrects; always told."""
    pointers: tuple[Archived, ...] = ()
    """The entries that refer to it and are not retracted themselves, oldest first, where `PageQuery.folded`
    asks for them."""


class ArchivePage(msgspec.Struct, frozen=True):
    """A page of an archive."""

    entries: tuple[Archived, ...]
    is_complete: bool
    """Nothing that matches lies beyond the page in its direction."""
    total: int | None
    """How many entries match the query without its `after`, `before` and `limit`; None above `COUNTED`."""
    index: int | None
    """How many of those come before the first entry of the page; None where `total` is."""
    head: Head
    """The archive, seen at the same time."""


class InboxOrder(enum.Enum):
    """How conversations are sorted."""

    NEWEST = "desc"
    OLDEST = "asc"


class InboxQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversations of an inbox; all conditions hold together."""

    peer: Jid | None = None
    start: int | None = None
    """Times of the last message, inclusive."""
    end: int | None = None
    unread_only: bool = False
    boxes: tuple[str, ...] | None = None
    """Only in these boxes; None for all but `bin`."""
    all_boxes: bool = False
    """In all boxes, the bin included."""
    order: InboxOrder = InboxOrder.NEWEST
    after: tuple[int, Jid] | None = None
    before: tuple[int, Jid] | None = None
    """(time, peer) beside the page, in the direction of `order`: what comes after it, or the nearest before
    it; the conversation named need not be there."""
    last_page: bool = False
    """The last page of what matches."""
    limit: int | None = None
    octets: int | None = None
    """So many of bodies `InboxRow.last` is given for together, from the first row on and for one at least; 0
    gives none, None all. What is left out here `Ledger.last_messages` gives later."""


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation in an inbox."""

    peer: Jid
    source: Jid
    """The archive that holds its messages."""
    last: Archived | None
    """The last countable message, as `source` has it, with its newest correction in `pointers`; None where
    there is none, or it was not asked for."""
    position: int
    """Of the last message in `source`."""
    time: int
    """Of the last message."""
    unread: int
    read_position: int
    box: str
    muted_until: int
    pinned: int
    feed: int
    """The transaction that changed it last."""
    mentions: int = 0
    """How many unread entries of a room mention the owner, or everybody."""
    domain: str = ""
    """The domain under which the owner knows a room, where that is not its own."""

    @property
    def shown_peer(self) -> Jid:
        """The conversation under the address that its owner knows."""
        return Jid.of(self.peer.local, self.domain) if self.domain else self.peer

    @property
    def shown_source(self) -> Jid:
        """The archive that holds its messages, under the address that its owner knows."""
        return Jid.of(self.source.local, self.domain) if self.domain else self.source


class InboxPage(msgspec.Struct, frozen=True):
    """A page of an inbox; conversations of one time are sorted by peer."""

    rows: tuple[InboxRow, ...]
    is_complete: bool
    unread: int
    """Of all conversations outside the bin, not only those of the page."""
    unread_conversations: int
    conversations: int
    """How many there are outside the bin."""
    with_last: int = 0
    """How many rows from the first one on have their last messages, where `InboxQuery.octets` bounds that."""


class Device(msgspec.Struct, frozen=True):
    """What is known of a device of an account."""

    position: int
    seen: int
    pulls: bool


class Member(msgspec.Struct, frozen=True):
    """Who belongs to a room, and how."""

    room: Jid
    member: Jid
    affiliation: str
    joined: int | None
    """The position of the room's archive at which the member joined; None for who is not in the room."""
    nick: str = ""
    """What the member is called in it; empty where no name is the member's own."""
    domain: str = ""
    """The domain under which the member knows it, where that is not its own."""


class Reading(msgspec.Struct, frozen=True):
    """How far a member has read in a room."""

    member: Jid
    position: int
    """Where the pointer is: nothing up to it is unread."""
    time: int
    """When it moved there; 0 where that is not known."""


class Seen(msgspec.Struct, frozen=True):
    """How many have seen an entry of a room, of those who were members before it."""

    id: EntryId
    seen: int
    of: int
    """Neither of the two counts who has sent it."""
    sender: Jid | None
    """The bare JID of who has; None where nobody knows that any more."""


class ReactionsPage(msgspec.Struct, frozen=True):
    """The newest reactions of each sender."""

    entries: tuple[Archived, ...]
    is_complete: bool
    """There are none behind the last of them."""


class Property(msgspec.Struct, frozen=True):
    """Something that is known of an archive as a whole."""

    archive: Jid
    name: str
    value: bytes


class Changes(msgspec.Struct, frozen=True):
    """What happened to an account since a cursor, but for its rooms: one bounded page of sync."""

    entries: tuple[Archived, ...]
    """New entries of its archive in order; tombstones and offline-only ones without body."""
    erased: tuple[int, ...]
    """Positions of older entries that became tombstones."""
    rows: tuple[InboxRow, ...]
    """Conversations of the account's archive that changed, without `last`."""
    incarnation: str
    feed: int
    """Go on after this number."""
    is_complete: bool
    head: Head
    gone: tuple[Jid, ...] = ()
    """Conversations that were taken out of the inbox, and are not back in it."""


class RoomChange(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a room that an account has in its inbox."""

    row: InboxRow
    """How the conversation stands now; with `last` where that is not among `entries`."""
    entries: tuple[Archived, ...]
    """The newest entries of its archive, in order."""
    gap: tuple[int, int] | None
    """Where there are more than are given: the position before all of them, which may be 0, and that of the
    first one that is given. What lies between is not told."""
    erased: tuple[int, ...]
    """Positions of older entries that became tombstones."""
    head: Head


class RoomChanges(msgspec.Struct, frozen=True):
    """What happened in the rooms of an account: one bounded page of sync."""

    rooms: tuple[RoomChange, ...]
    place: int
    """Where the next page goes on: a number of the ledger's own."""
    is_complete: bool
