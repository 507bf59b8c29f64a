"""Operations that tell who has seen a message of a room, and who has reacted to it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.rooms.reaction_sums import ReactionSums
from tidings.messages.known_as import KnownAs
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.stored_archive import archive_of
from tidings.operations.values import Address, Moment, Page, exact_moment_of, read_address
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import EntryId, NoSuchEntry, Seen

MOST: Final = 1_000
"""The most people that one page lists."""

Room = Annotated[Address, Meta(description="Address of the room, such as tea@conference.example.org.")]
MessageId = Annotated[
    str, Meta(max_length=64, description="Id that the room has given the message (XEP-0359).")
]
After = Annotated[str | None, Meta(description="Begin behind this person: the `next` of the page before.")]
Limit = Annotated[int, Meta(ge=1, le=MOST, description="The most people to list.")]


class OneRoomMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a room."""

    room: Room
    id: MessageId


class ListReaders(msgspec.Struct, frozen=True, kw_only=True):
    """Who has seen which message, or who has not."""

    room: Room
    id: MessageId
    unread: Annotated[bool, Meta(description="Those who have not seen it.")] = False
    after: After = None
    limit: Limit = 100


class ListReactors(msgspec.Struct, frozen=True, kw_only=True):
    """Who has reacted to which message."""

    room: Room
    id: MessageId
    reaction: Annotated[str | None, Meta(description="Only those who have this reaction.")] = None
    after: After = None
    limit: Limit = 100


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """How many have seen a message, and which reactions it has, the commonest first.

    `of` are the members who were in the room before it and are in it still, without who has sent it.
    """

    room: Address
    id: str
    seen: int
    of: int
    reactions: tuple[CountedReaction, ...]


class CountedReaction(msgspec.Struct, frozen=True, kw_only=True):
    """A reaction, and how many have it."""

    reaction: str
    count: int


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has read a room up to the message `upto`, and when he came so far, where that is known."""

    user: Address
    upto: str | None
    time: Moment | None


class Reactor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has reacted to a message, and what he feels about it since when."""

    user: Address
    reactions: tuple[str, ...]
    time: Moment


@operation("muc", "receipts", roles=ADMINISTRATORS, subjects=("room",), changes=False, needs_server=True)
async def receipts(context: Context, request: OneRoomMessage) -> Receipts:
    """Tell how many members of a room have seen a message, and which reactions it has."""
    ledger, room = await _room_of(context, request.room)
    seen = await _seen(ledger, room, request.id)
    sums = await ReactionSums(ledger).of(room, (seen.id,), room)
    counted = sums.get(seen.id.position, ())
    return Receipts(
        room=request.room,
        id=request.id,
        seen=seen.seen,
        of=seen.of,
        reactions=tuple(CountedReaction(reaction=each.text, count=each.count) for each in counted),
    )


@operation("muc", "readers", roles=ADMINISTRATORS, subjects=("room",), changes=False, needs_server=True)
async def readers(context: Context, request: ListReaders) -> Page[Reader]:
    """List the members of a room who have seen a message, or who have not, a page at a time."""
    ledger, room = await _room_of(context, request.room)
    seen = await _seen(ledger, room, request.id)
    after = None if request.after is None else read_address(request.after)
    found = await ledger.readings(
        room, seen, has_read=not request.unread, after=after, limit=request.limit + 1
    )
    head = await ledger.head(room)
    shown = found[: request.limit]
    return Page(
        items=tuple(
            Reader(
                user=each.member,
                upto=str(EntryId(head.epoch_at(each.position), each.position))
                if head.first <= each.position <= head.position
                else None,
                time=exact_moment_of(each.time) if each.time else None,
            )
            for each in shown
        ),
        next=shown[-1].member.text if len(found) > len(shown) else None,
    )


@operation("muc", "reactors", roles=ADMINISTRATORS, subjects=("room",), changes=False, needs_server=True)
async def reactors(context: Context, request: ListReactors) -> Page[Reactor]:
    """List who has reacted to a message of a room, who has done so last at the end, a page at a time."""
    ledger, room = await _room_of(context, request.room)
    seen = await _seen(ledger, room, request.id)
    sets = [
        each
        for each in await ReactionSums(ledger).sets(room, (seen.id,))
        if request.reaction is None or request.reaction in each.reactions
    ]
    start = 0
    if request.after is not None:
        names = [each.sender for each in sets]
        after = read_address(request.after)
        if after not in names:
            raise OperationError("invalid", "who is named by `after` has no such reaction any more")
        start = names.index(after) + 1
    shown = sets[start : start + request.limit]
    return Page(
        items=tuple(
            Reactor(user=each.sender, reactions=each.reactions, time=exact_moment_of(each.time))
            for each in shown
        ),
        next=shown[-1].sender.text if start + len(shown) < len(sets) else None,
    )


async def _room_of(context: Context, address: Jid) -> tuple[Ledger, Jid]:
    """Give the ledger and the address of a room in it; raises `OperationError` where there is none."""
    room = KnownAs({} if context.live is None else context.live.hosts).canonical(address)
    host = context.host(room.domain)
    if host is None or host.kind.name != "room" or not await host.kind.exists(room):
        raise OperationError("not-found", f"there is no room {address}")
    return await archive_of(context, room), room


async def _seen(ledger: Ledger, room: Jid, text: str) -> Seen:
    """Tell how many have seen a message; raises `OperationError` where there is none."""
    id_ = EntryId.parse(text)
    try:
        if id_ is not None:
            [found] = await ledger.seen(room, (id_,))
            return found
    except NoSuchEntry:
        pass
    raise OperationError("not-found", f"the room {room} has no message {text}")


OPERATIONS = (receipts, readers, reactors)
