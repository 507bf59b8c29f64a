"""Held back: markers and chat states that a large room does not pass on to everybody.

In a room of 1,000 members who all display a message, a marker that goes to everybody costs a million copies,
and a place in the archive. Beyond a size a marker moves its sender's read pointer and does nothing else: who
wants to know asks the room (docs/specs/room-receipts.md). So do markers of who has no voice in a room.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.recent import is_subject
from tidings.features.rooms.room import Occupant, Room, RoomState
from tidings.kernel.account import Account
from tidings.kernel.current import Current
from tidings.kernel.events import ConversationRead
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.slots import Slot
from tidings.messages.submission import Submission
from tidings.ports.ledger.batch import Append, EntryRef, ReadMove
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.payloads.references import ReferenceKind
from tidings.wire.xmpp.stanza import Stanza

HELD_BACK: Final = "the room passes it on to nobody: it is too large, or the sender has no voice"
"""Why it is planned so."""

_MARKERS: Final = frozenset(
    {ReferenceKind.DISPLAYED, ReferenceKind.ACKNOWLEDGED, ReferenceKind.RECEIVED, ReferenceKind.RECEIPT}
)
_STATES: Final = f"{ns.CHAT_STATES} "


class RoomReceiptsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which size rooms pass on what says how far somebody is."""

    markers_up_to: Annotated[
        int,
        Meta(
            description="Members, or occupants, of a room that passes markers (XEP-0333) on to everybody; in "
            "a larger one they move the sender's read position alone. 0: rooms of any size.",
            ge=0,
        ),
    ] = 50
    chat_states_up_to: Annotated[
        int,
        Meta(
            description="Members, or occupants, of a room that passes chat states (XEP-0085) on. 0: rooms "
            "of any size.",
            ge=0,
        ),
    ] = 0


class _Size(NamedTuple):
    """How many members a room has, of which state that is true."""

    state: RoomState | None = None
    version: int = 0
    members: int = 0


_SIZE: Final[Slot[_Size]] = Slot("rooms.size", default=_Size())


class HeldBack:
    """Tells what the rooms of a host hold back."""

    def __init__(self) -> None:
        self.options: Current[RoomReceiptsOptions] | None = None
        """What is set; None where nobody has said anything, and everything is passed on."""

    def takes_marker(
        self, room: Room, speaker: Occupant, message: Stanza, classification: Classification
    ) -> bool:
        """Tell whether this is a marker that goes to nobody."""
        if not is_marker(message, classification):
            return False
        if speaker.role is Role.VISITOR:
            return True
        return self.options is not None and _is_larger(room, self.options.now.markers_up_to)

    def takes_state(self, room: Room, message: Stanza) -> bool:
        """Tell whether this is a chat state, without a text, that goes to nobody."""
        if self.options is None or not (limit := self.options.now.chat_states_up_to):
            return False
        is_state = any(tag.startswith(_STATES) for tag, _ in message.index)
        return is_state and not message.has(ns.CLIENT, "body") and _is_larger(room, limit)


def is_marker(message: Stanza, classification: Classification) -> bool:
    """Tell whether a message says how far its sender is, and nothing else."""
    reference = classification.reference
    if reference is None or reference.kind not in _MARKERS or classification.is_counted:
        return False
    return not is_subject(message)


def pointer_alone(append: Append, room: Room) -> Append | None:
    """Give what a marker that goes to nobody still does, which is to move a pointer; None for nothing."""
    [entry] = append.entries
    if not entry.reads or entry.reader is None:
        return None
    move = ReadMove(owner=Jid(entry.reader), peer=room.jid, upto=append.refers_to)
    return msgspec.structs.replace(
        append, entries=(), keys=(), repeat=None, content=b"", refers_to=(), reads=(move,)
    )


def tell_pointer(room: Room, submission: Submission) -> MaybeAwaitable:
    """Tell what a marker has done that goes to nobody, where it has moved a pointer."""
    append = submission.plan.append
    if append is None:
        return None
    [move] = append.reads
    names = move.upto if isinstance(move.upto, tuple) else ()
    position = next((each.position for each in names if isinstance(each, EntryRef)), 0)
    return tell_read(room, submission, position)


def tell_read(room: Room, submission: Submission, position: int) -> MaybeAwaitable:
    """Tell those who listen that the sender has read up to a position, where he has an account here."""
    origin = submission.origin
    if not isinstance(origin.entity, Account) or origin.host is None:
        return None
    return origin.host.hooks.tell(ConversationRead(origin.entity, room.jid, position, origin.session))


def _is_larger(room: Room, limit: int) -> bool:
    if not limit:
        return False
    return len(room.occupants) > limit or _members_of(room) > limit


def _members_of(room: Room) -> int:
    """Count who has joined, once for each state of the room; most rooms have fewer than they may have."""
    state, known = room.state, room[_SIZE]
    if known.state is not state or known.version != state.version:
        members = sum(member.has_joined for member in state.members.values())
        known = room[_SIZE] = _Size(state, state.version, members)
    return known.members
