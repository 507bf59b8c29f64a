"""Room receipts: who has seen a message of a room, and what they feel about it, counted by the server.

Implements docs/specs/room-receipts.md, whose sections the marks § name, at both addresses of a room. What is
answered is read from the members' pointers and from the entries that refer to the message: nothing is counted
before somebody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.held_back import HeldBack, RoomReceiptsOptions
from tidings.features.rooms.people import People
from tidings.features.rooms.reaction_sums import ReactionSums
from tidings.features.rooms.room import Room, room_of
from tidings.features.rooms.room_markers import markers_of
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.current import Current
from tidings.kernel.entity import Entity
from tidings.kernel.events import DiscoInfo, MarkersWanted
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import EntryId, Reading
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.room_receipts import (
    MESSAGES,
    Person,
    ReactedMessage,
    Reactors,
    Readers,
    RoomReactions,
    Seen,
    SeenMessage,
)

_DEFAULT_PAGE: Final = 50
_LARGEST_PAGE: Final = 500


class RoomReceipts(Feature):
    """Answers who has seen what, and who has reacted to it."""

    spec = Spec(
        ns.TIDINGS_ROOM_RECEIPTS,
        advertises=(ns.TIDINGS_ROOM_RECEIPTS,),
        note="docs/specs/room-receipts.md",
    )
    Options = RoomReceiptsOptions
    option_name = "muc_receipts"

    def __init__(
        self, host: Host, router: Router, ledger: Ledger, options: Current[RoomReceiptsOptions]
    ) -> None:
        self._host = host
        self._router = router
        self._ledger = ledger
        self._sums = ReactionSums(ledger)
        held_back = getattr(host.kind, "held_back", None)
        if isinstance(held_back, HeldBack):  # that of the rooms: the other door has none of its own
            held_back.options = options

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        """Say of a room that it answers."""
        if event.entity is not None and event.entity.exists and not event.node:
            event.features.append(ns.TIDINGS_ROOM_RECEIPTS)

    @handles(Seen, kind="get", at=Addressee.ENTITY)  # §1
    async def count(self, request: Iq[Seen]) -> Element:
        """Answer how many have seen messages."""
        view, _ = await self._entered(request)
        ids = [_shown_id(view, message.id) for message in request.payload.messages]
        found = await self._ledger.seen(view.archive, ids)
        return Seen(tuple(SeenMessage(str(each.id), each.seen, each.of) for each in found)).encode()

    @handles(Readers, kind="get", at=Addressee.ENTITY)  # §2
    async def show_readers(self, request: Iq[Readers]) -> Element:
        """Answer who has seen a message, or who has not."""
        asked = request.payload
        view, room = await self._entered(request)
        people = People(room, request.sender)
        id_, size = _shown_id(view, asked.id), _size_of(asked.wanted)
        [seen] = await self._ledger.seen(room.jid, (id_,))
        after = people.called(asked.wanted.after) if asked.wanted.after else None
        readings: Sequence[Reading] = ()
        if size:
            readings = await self._ledger.readings(
                room.jid, seen, has_read=not asked.is_unread, after=after, limit=size
            )
        head = await self._ledger.head(room.jid)
        shown = tuple(people.reader(each, head) for each in readings)
        total = seen.of - seen.seen if asked.is_unread else seen.seen
        return Readers(
            id=asked.id,
            is_unread=asked.is_unread,
            seen=seen.seen,
            of=seen.of,
            people=shown,
            page=_page_of(shown, total),
        ).encode()

    @handles(RoomReactions, kind="get", at=Addressee.ENTITY)  # §3
    async def count_reactions(self, request: Iq[RoomReactions]) -> Element:
        """Answer which reactions messages have."""
        asked = request.payload
        view, room = await self._entered(request)
        is_complete = True
        if asked.messages:
            ids = [_shown_id(view, message.id) for message in asked.messages]
        else:
            first = view.above + 1 if asked.from_id is None else _shown_id(view, asked.from_id).position
            last = room.position if asked.to_id is None else _shown_id(view, asked.to_id).position
            found = await self._ledger.reacted_to(room.jid, first, last, MESSAGES + 1)
            ids, is_complete = list(found[:MESSAGES]), len(found) <= MESSAGES
        sums = await self._sums.of(room.jid, ids, request.sender.bare)
        messages = tuple(ReactedMessage(str(each), sums.get(each.position, ())) for each in ids)
        return RoomReactions(messages=messages, is_complete=is_complete).encode()

    @handles(Reactors, kind="get", at=Addressee.ENTITY)  # §3
    async def show_reactors(self, request: Iq[Reactors]) -> Element:
        """Answer who has reacted to a message."""
        asked = request.payload
        view, room = await self._entered(request)
        people = People(room, request.sender)
        sets = await self._sums.sets(room.jid, (_shown_id(view, asked.id),))
        if asked.reaction is not None:
            sets = [each for each in sets if asked.reaction in each.reactions]
        start = 0
        if asked.wanted.after:
            names = [room.occupant_id(each.sender) for each in sets]
            if asked.wanted.after not in names:
                raise StanzaError("item-not-found", "nobody of that id has reacted so any more")
            start = names.index(asked.wanted.after) + 1
        page = sets[start : start + _size_of(asked.wanted)]
        shown = tuple(people.reactor(each) for each in page)
        return Reactors(id=asked.id, people=shown, page=_page_of(shown, len(sets))).encode()

    @listens(MarkersWanted)
    async def tell_markers(self, event: MarkersWanted) -> None:
        """Tell how far each member is; raises `StanzaError` for who is not in the room."""
        entity = await self._host.directory.load(event.room)
        view, room = await self._enter(entity, event.asker)
        people = People(room, event.asker)
        event.markers += await markers_of(self._ledger, view, room, people, event.thread)

    async def _entered(self, request: Iq[Any]) -> tuple[ArchiveView, Room]:
        assert request.entity is not None  # of handlers at ENTITY
        return await self._enter(request.entity, request.sender)

    async def _enter(self, entity: Entity, asker: Jid) -> tuple[ArchiveView, Room]:  # §4
        """Find out what somebody may read, and of which room; raises `StanzaError` for nothing."""
        view = await self._host.kind.archive_view(entity, asker)
        directory = self._router.hosts[view.archive.domain].directory
        return view, room_of(await directory.load(view.archive))


def _shown_id(view: ArchiveView, text: str) -> EntryId:
    """Read the id of a message that the asker may read; raises `item-not-found`."""
    found = EntryId.parse(text)
    if found is None or found.position <= view.above:
        raise StanzaError("item-not-found", "the room has no such message")
    return found


def _size_of(wanted: PageRequest) -> int:
    if wanted.before is not None or wanted.index is not None:
        raise StanzaError("feature-not-implemented", "pages go forwards, by `after`")
    return wanted.size(default=_DEFAULT_PAGE, limit=_LARGEST_PAGE)


def _page_of(people: Sequence[Person], total: int) -> Page:
    if not people:
        return Page(count=total)
    return Page(first=people[0].occupant_id, last=people[-1].occupant_id, count=total)
