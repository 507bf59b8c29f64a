"""What is written into archives: messages, read pointers, boxes, cursors and streams, committed together.

An archive is the ordered list of entries of one account or one room, with positions 1, 2, 3, … A message is
kept once and has an entry in every archive that it belongs to: two for a message between two local accounts,
one for a message in a room.

Times are whole microseconds since 1970 in UTC. JIDs of archives are bare; those of entries are plain text,
which every message carries over to the writer's process as it is.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from tidings.base.jid import Jid

BODY_OCTETS: Final = 1 << 20
"""The longest message; a longer one is refused."""

AFFILIATION_OCTETS: Final = 32
"""The longest name of an affiliation."""

NICK_OCTETS: Final = 255
"""The longest nickname of a member."""

PROPERTY_NAME_OCTETS: Final = 64
"""The longest name of a property."""

PROPERTY_OCTETS: Final = 65_536
"""The longest value of a property."""

KEY_OCTETS: Final = 16
"""The length of a message key."""


class Direction(enum.IntEnum):
    """Which way a message passed the owner of an archive; those of a room's archive are all received."""

    RECEIVED = 0
    SENT = 1


class EntryKind(enum.IntEnum):
    """What an entry is; all but messages point at an earlier entry and are folded when read."""

    MESSAGE = 0
    CORRECTION = 1
    RETRACTION = 2
    REACTIONS = 3
    RECEIPT = 4
    RECEIVED = 5
    DISPLAYED = 6
    ACKNOWLEDGED = 7
    FASTENING = 8
    MEMBERSHIP = 9
    """Somebody joined or left a room, or is something else there now; it comes with `Append.members`."""
    FAILED = 10
    """What it refers to could not arrive. It is for all devices of the sender, and is not counted."""
    CONFIGURATION = 11
    """A room is configured in another way, or is no more; it comes with `Append.properties`."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """A place for a message in one archive."""

    archive: str
    peer: str
    """The conversation: the other party's bare JID; the room in the room's own archive; the occupant's full
    JID for what passes between accounts through a room."""
    direction: Direction = Direction.RECEIVED
    resource: str = ""
    """The resource that a received message is meant for, empty for all devices; up to 1023 octets."""
    countable: bool = False
    """A message that a person reads: received, it is unread; sent, it moves the owner's pointer."""
    reads: bool = False
    """A marker by which the owner of the archive says that it has read up to what the message refers to; one
    that refers to another conversation moves nothing."""
    offline_only: bool = False
    """Kept for devices that are away, never shown by queries and never unread: `no-permanent-store`, or a
    peer whose messages the owner does not archive."""
    groupchat: bool = False
    """It is of type groupchat: queries may leave it out."""
    reader: str | None = None
    """In a room's archive: the bare JID of the member who sent it, whose read pointer moves here."""
    version: int | None = None
    """The version of the archive's head that guard saw; another one now makes the append `Stale`."""
    most_octets: int = 0
    """How many octets the archive may have with this one; one that had more makes the append `Full`. 0: any
    number."""


class EntryRef(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A message by its position in one archive."""

    archive: str
    epoch: str
    position: int


Target = bytes | EntryRef
"""A message key, or a place."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What followers are to be told that is no entry: a pointer was moved, an account was made."""

    kind: str
    """A short name, up to 64 octets."""
    subject: str
    """Whom or what it is about: an address, up to 3071 octets."""
    body: bytes = b""
    """The rest, as whoever tells it and who follows agree; small."""


class OutboxTarget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Another server that a message is for."""

    domain: str
    recipient: str = ""
    """For whom there; empty where the body says it."""


class MemberChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Somebody belongs to a room in another way from now on."""

    room: str
    member: str
    """The bare JID."""
    affiliation: str
    """A word of up to `AFFILIATION_OCTETS`; empty removes the member, who leaves the room with that."""
    joins: bool | None = None
    """True: joins now. The room comes into the inbox, and nothing up to the append is unread. False: is in
    the room no more, which leaves the inbox. None: is in it or not, as before."""
    nick: str | None = None
    """What the member is called in the room, up to `NICK_OCTETS`; empty for no name that is the member's
    own. None: as before."""
    domain: str | None = None
    """The domain under which the member knows the room; empty for the room's own. None: as before."""


class PropertyChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Something that is known of an archive as a whole has another value: how a room is configured."""

    archive: str
    name: str
    """Which one; up to `PROPERTY_NAME_OCTETS`."""
    value: bytes
    """What it is from now on, opaque here; up to `PROPERTY_OCTETS`. Empty removes it."""


class Append(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One message that is to be accepted, with its entries and with all that belongs to it."""

    body: bytes
    """The stanza as it shall be kept, without stanza-ids of ours; at most `BODY_OCTETS`; opaque here."""
    entries: tuple[Entry, ...]
    """Two of the same archive are numbered in this order. None only where `outbox` has some, or for a marker
    that nobody keeps: then `reads` has some, and nothing is written but the pointers that move."""
    kind: EntryKind = EntryKind.MESSAGE
    keys: tuple[bytes, ...] = ()
    """What later messages may call it, each made by `message_key`; at most 2."""
    repeat: bytes | None = None
    """One of `keys`: a message that has it and is younger than the window makes this one a repeat, which is
    answered with the first result and stored no second time."""
    refers_to: tuple[Target, ...] = ()
    """What it corrects, retracts, reacts to or acknowledges, by every name that this may have; the first that
    an archive of `entries` knows counts, the newest message where several have the key. What corrects a
    correction corrects the original."""
    stream: bytes | None = None
    """The key of the XEP-0198 stream that it came on, made by `message_key`."""
    number: int = 0
    """Its number among the stanzas of that stream. A number that the stream has passed is a repeat."""
    outbox: tuple[OutboxTarget, ...] = ()
    """Where it is sent to; a row for each waits from the commit on until it is sent, erased or given up."""
    events: tuple[Event, ...] = ()
    """What followers are told right behind it; nothing where it is a repeat."""
    follows: int | None = None
    """The number at which the stream stands before it: that of the last message on it which was accepted or
    is under way. Where the stream stands elsewhere, the append is `Stale`. None is not compared."""
    sender: str = ""
    """Who really sent it: a full or bare JID, whose bare part decides who may correct or retract it. Empty:
    what `entries` say, which is the reader in a room, the owner where one is sent, else the peer."""
    content: bytes = b""
    """A digest of what was submitted. With the same `repeat` and another content it is another message; empty
    is not compared. The first 8 octets count."""
    is_strict: bool = False
    """Another content under a used `repeat` is a `Conflict`: it is the idempotency key of a door."""
    mentions: tuple[str, ...] = ()
    """Bare JIDs of members whom its entry in a room's archive mentions."""
    mentions_all: bool = False
    """It mentions every member."""
    members: tuple[MemberChange, ...] = ()
    """What becomes of members with it, once it has its position."""
    reads: tuple[ReadMove, ...] = ()
    """Pointers that move with it, after its members."""
    raises: tuple[str, ...] = ()
    """Archives whose version it raises: what guard reads of them has changed with it."""
    properties: tuple[PropertyChange, ...] = ()
    """What becomes of properties with it."""
    also: tuple[Append, ...] = ()
    """Other messages of the same plan, accepted, refused or stale together with it and numbered after it;
    they have no `stream` and no `also`. A repeat of the first is a repeat of all."""
    repeat_within: int = 0
    """How old what makes it a repeat may be, in microseconds, where its key is not meant to be unique for
    long; 0: as old as the window."""
    time: int = 0
    """When another server has accepted it, from which it comes; 0: now. It is no later than now, and no
    earlier than the entry before it in any archive."""
    versions: tuple[tuple[str, int], ...] = ()
    """Other archives than those of its entries whose versions guard saw; another one now makes it `Stale`."""


class ReadMove(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The owner has read a conversation up to an entry. A pointer never moves back."""

    owner: Jid
    peer: Jid
    upto: int | tuple[Target, ...]
    """A position, or the names of a message; one that is not there moves nothing. 0 stands for all there is.

    A position of another conversation moves the pointer to the last entry of this one before it."""
    source: Jid | None = None
    """The archive that holds the conversation when it is not the owner's: the room's, which holds it from
    now on until the owner leaves. None: that which holds it now."""


class InboxChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The owner changes how a conversation stands in the inbox; None leaves a property as it is.

    A conversation that is not there is not made: see `Changed`.
    """

    owner: Jid
    peer: Jid
    box: str | None = None
    """`inbox`, `archive`, `bin` or any other name of up to 255 octets. A new countable message brings a
    conversation back from `archive`, not from others."""
    muted_until: int | None = None
    """A time; 0 unmutes."""
    pinned: int | None = None
    """The order among pinned conversations from 1; 0 unpins."""
    unread: bool | None = None
    """True shows it as unread, with 1 message, where it has none; False reads all."""


class CursorMove(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A device has every entry that is meant for it up to a position. A cursor never moves back."""

    archive: Jid
    device: str
    """The device's id, any text; empty for all clients that are no known device."""
    position: int
    pulls: bool = False
    """The device has asked for archive, inbox or sync, and will never be sent what it missed; sticks."""


class LedgerBatch(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What one caller writes; appends in their order, then the moves, changes and events."""

    appends: tuple[Append, ...] = ()
    reads: tuple[ReadMove, ...] = ()
    changes: tuple[InboxChange, ...] = ()
    cursors: tuple[CursorMove, ...] = ()
    events: tuple[Event, ...] = ()


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an entry stands."""

    archive: str
    """The bare JID of the archive."""
    epoch: str
    position: int

    @property
    def id(self) -> str:
        """The archive id: `EPOCH-POSITION`."""
        return f"{self.epoch}-{self.position}"


class Accepted(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=True, gc=False):
    """The message is durable."""

    places: tuple[Place, ...]
    """One for each entry, in their order."""
    time: int
    feed: int
    """The number of the transaction in the order over all archives."""
    repeated: bool = False
    """It was there already: this is the first result. `places` and `time` are empty and 0 where only the
    number of its stream told so."""
    returned: tuple[str, ...] = ()
    """The archives in which the message brought its conversation back from the box `archive`."""
    targets: tuple[int, ...] = ()
    """For each entry the position that it refers to, 0 for none; empty when none refers to anything."""
    also: tuple[Accepted, ...] = ()
    """What became of `Append.also`."""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """The database cannot hold this one message; the others of the batch are not affected."""

    reason: str


class Stale(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """What guard saw of this archive has changed, or the stream stands elsewhere: ask guard again.

    Later messages of the same stream in the same transaction are stale with it: none overtakes another.
    """

    archive: str
    """Empty where the stream stands elsewhere."""
    number: int = 0
    """Where the stream stands, for a message that named what it follows."""


class Conflict(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=True, gc=False):
    """Another content was accepted under the same strict key; nothing is stored."""

    places: tuple[Place, ...]
    """Where that is."""
    time: int


class Full(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """An archive has no room for the message; nothing is stored, in the other archives neither."""

    archive: str
    octets: int
    """How many it would have."""
    allowed: int


Outcome = Accepted | Refused | Stale | Conflict | Full
"""What is refused, stale, in conflict or without room moves neither its stream nor anything else."""


class Committed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to a batch, given when all of it is durable or refused."""

    outcomes: tuple[Outcome, ...]
    """One for each append, in their order."""
    changed: tuple[bool, ...] = ()
    """For each inbox change whether the conversation was there."""
    moved: tuple[bool, ...] = ()
    """For each read move whether the pointer moved."""


def message_key(kind: str, sender: str = "", recipient: str = "", id: str = "") -> bytes:  # noqa: A002  # what it is
    """Give the key of a message: what kind of id (one word), sender's account, recipient's account, id.

    Equal only for equal parts, whatever they contain.
    """
    # Where the parts end is told before them, so that no two lists of parts are written alike.
    joined = f"{kind} {len(sender)} {len(recipient)} {sender}{recipient}{id}"
    hashed = _NOTHING_HASHED.copy()
    hashed.update(joined.encode())
    return hashed.digest()


KeysOf = Callable[[bytes, Jid, Jid], tuple[bytes, ...]]
"""Gives what later messages may call a message: from its body, its sender's account and its recipient's."""

_NOTHING_HASHED: Final = hashlib.blake2b(digest_size=KEY_OCTETS)
