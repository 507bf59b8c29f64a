"""Moderation: a moderator takes back what another has said (XEP-0425 0.3.0).

It is a retraction by the room itself: the archive folds it as any other, and whoever enters is not sent the
message any more.
"""

from __future__ import annotations

from typing import Final

import structlog

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms import recent
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.room import Occupant, Room, room_of
from tidings.features.rooms.showing import Showing
from tidings.kernel.events import DiscoInfo, EntryRetracted
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Accepted, Append, Entry, EntryKind, EntryRef, LedgerBatch
from tidings.ports.ledger.reading import EntryId, NoSuchEntry, PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import stamped
from tidings.wire.xmpp.payloads.moderation import FastenedModeration, Moderation, fastened, moderated
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.rooms")

_TRIES: Final = 5


class RoomModeration(Feature):
    """Lets moderators take messages back."""

    spec = Spec.xep(425, version="0.3.0", advertises=(ns.MODERATION, ns.MODERATION0))
    requires = (Entrance,)

    def __init__(self, host: Host, router: Router, ledger: Ledger) -> None:
        self._host = host
        self._ledger = ledger
        self._showing = Showing(router)

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        """Say of a room that its messages can be moderated."""
        if event.entity is not None and event.entity.exists and not event.node:
            event.features += (ns.MODERATION, ns.MODERATION0)

    @handles(Moderation, kind="set", at=Addressee.ENTITY)
    async def moderate(self, request: Iq[Moderation]) -> None:
        """Take a message back and tell everybody."""
        await self._take_back(room_of(request.entity), request.sender, request.payload)

    @handles(FastenedModeration, kind="set", at=Addressee.ENTITY)
    async def moderate_fastened(self, request: Iq[FastenedModeration]) -> None:
        """Do the same for who asks by version 0.2.1."""
        await self._take_back(room_of(request.entity), request.sender, request.payload.moderation)

    async def _take_back(self, room: Room, sender: Jid, asked: Moderation) -> None:
        text = asked.id
        _moderator(room, sender)
        limits_of(self._host).check_reasons((asked.reason,))
        id_ = EntryId.parse(text)
        if id_ is None or not await self._is_message(room.jid, id_):
            raise StanzaError("item-not-found", "the room has no such message")
        for _ in range(_TRIES):
            moderator = _moderator(room, sender)  # who was one when he asked may be none now
            told = _told(room, moderator, asked)
            [outcome] = (await self._ledger.commit(_retraction(room, told, id_))).outcomes
            if isinstance(outcome, Accepted):
                log.info("room_message_moderated", room=room.jid.text, message=text, by=moderator.jid.text)
                await self._tell(room, told, outcome)
                return
            await self._host.directory.refresh(room)
        raise StanzaError("resource-constraint", "the room changes all the time; try again")

    async def _tell(self, room: Room, told: Stanza, accepted: Accepted) -> None:
        recent.add(room, told, accepted, EntryKind.RETRACTION)
        [place] = accepted.places
        if accepted.targets:
            await until_done(self._host.hooks.tell(EntryRetracted(room, accepted.targets[0])))
        shown = stamped(told, room.jid, place.id, accepted.time, is_live=True)
        await until_done(self._showing.to_all(room, shown))

    async def _is_message(self, room: Jid, id_: EntryId) -> bool:
        try:
            page = await self._ledger.page(room, PageQuery(ids=(id_,)))
        except NoSuchEntry:
            return False
        return any(entry.body is not None and entry.retracted is None for entry in page.entries)


def _moderator(room: Room, device: Jid) -> Occupant:
    """Give the occupant who asks; raises `forbidden` for who is no moderator."""
    occupant = room.occupants.at(device) if room.exists else None
    if occupant is None or occupant.role is not Role.MODERATOR:
        raise StanzaError("forbidden", "only moderators take back what others have said")
    return occupant


def _told(room: Room, moderator: Occupant, asked: Moderation) -> Stanza:
    by = room.address_of(moderator.nick)
    content = (
        moderated(asked.id, by=by, occupant_id=moderator.id, reason=asked.reason),
        fastened(asked.id, by=by, reason=asked.reason),
    )
    return Stanza.build("message", kind="groupchat", sender=room.jid, id=token(12), content=content)


def _retraction(room: Room, told: Stanza, id_: EntryId) -> LedgerBatch:
    archive = room.jid.text
    append = Append(
        body=told.to_bytes(),
        entries=(Entry(archive=archive, peer=archive, groupchat=True, version=room.state.version),),
        kind=EntryKind.RETRACTION,
        refers_to=(EntryRef(archive, id_.epoch, id_.position),),
        sender=archive,
    )
    return LedgerBatch(appends=(append,))
