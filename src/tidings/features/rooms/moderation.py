"""Moderation: a moderator takes back what another has said (XEP-0425 0.3.0).

It is a retraction by the room itself: the archive folds it as any other, and whoever enters is not sent the
message any more.
"""

from __future__ import annotations

import structlog

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms import recent
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.room import room_of
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
from tidings.wire.xmpp.payloads.moderation import Moderation, moderated
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.rooms")


class RoomModeration(Feature):
    """Lets moderators take messages back."""

    spec = Spec.xep(425, version="0.3.0", advertises=(ns.MODERATION,))
    requires = (Entrance,)

    def __init__(self, host: Host, router: Router, ledger: Ledger) -> None:
        self._host = host
        self._ledger = ledger
        self._showing = Showing(router)

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        """Say of a room that its messages can be moderated."""
        if event.entity is not None and event.entity.exists and not event.node:
            event.features.append(ns.MODERATION)

    @handles(Moderation, kind="set", at=Addressee.ENTITY)
    async def moderate(self, request: Iq[Moderation]) -> None:
        """Take a message back and tell everybody."""
        room, asked = room_of(request.entity), request.payload
        moderator = room.occupants.at(request.sender) if room.exists else None
        if moderator is None or moderator.role is not Role.MODERATOR:
            raise StanzaError("forbidden", "only moderators take back what others have said")
        by, text = room.address_of(moderator.nick), asked.id
        id_ = EntryId.parse(text)
        if id_ is None or not await self._is_message(room.jid, id_):
            raise StanzaError("item-not-found", "the room has no such message")
        told = Stanza.build(
            "message",
            kind="groupchat",
            sender=room.jid,
            id=token(12),
            content=(moderated(text, by=by, occupant_id=moderator.id, reason=asked.reason),),
        )
        append = Append(
            body=told.to_bytes(),
            entries=(Entry(archive=room.jid.text, peer=room.jid.text, groupchat=True),),
            kind=EntryKind.RETRACTION,
            refers_to=(EntryRef(room.jid.text, id_.epoch, id_.position),),
            sender=room.jid.text,
        )
        [accepted] = (await self._ledger.commit(LedgerBatch(appends=(append,)))).outcomes
        if not isinstance(accepted, Accepted):
            raise StanzaError("resource-constraint", f"the message cannot be taken back now: {accepted}")
        recent.add(room, told, accepted, EntryKind.RETRACTION)
        log.info("room_message_moderated", room=room.jid.text, message=text, by=moderator.jid.text)
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
