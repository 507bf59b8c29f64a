"""Among nodes: what a host of rooms does as one of several nodes of its server.

A room lives on one node, which has its seat (`kernel/seats.py`). The occupants who are connected elsewhere
are guests (`kernel/guests.py`), members by MUC Light are reached through their nodes. What others keep in
memory of a room is read anew when its owner has changed it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms import recent
from tidings.features.rooms.attendance import attendance_of, delivery_of
from tidings.features.rooms.entrance import Entrance, EntranceOptions
from tidings.features.rooms.leaving import leave
from tidings.features.rooms.room import Room, room_of
from tidings.features.rooms.room_change import RoomChanged, RoomDestroyed
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.shutdown import service_gone
from tidings.kernel.cluster import Cluster
from tidings.kernel.events import ArchiveShortened
from tidings.kernel.feature import Feature, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.rooms")

ANSWERED_ANYWHERE: Final = frozenset(
    {(namespace, name) for namespace in (ns.MAM1, ns.MAM2) for name in ("query", "metadata")}
)
"""What is asked of a room's archive, which every node reads."""


_SHORTENED: Final = "shortened"


class RoomNodes(Feature):
    """Joins the rooms of a host to other nodes; where there are none, it does nothing."""

    requires = (Entrance,)
    Options = EntranceOptions
    option_name = "muc"

    def __init__(self, host: Host, router: Router, cluster: Cluster) -> None:
        self._host = host
        self._router = router
        self._cluster = cluster
        self._attendance = attendance_of(host)
        self._light = delivery_of(host)
        self._showing = Showing(router)
        router.works.offer(_SHORTENED, partial(_read_anew, router))
        if router.seats is not None and router.guests is not None:
            router.seats.living[host.domain] = self
            router.seats.doors.add(host.domain)
            router.seats.answered_anywhere |= ANSWERED_ANYWHERE
            router.guests.keepers[host.domain] = self

    @listens(RoomChanged)
    def tell_changed(self, event: RoomChanged) -> None:
        """Let other nodes read anew what they know of the room."""
        self._cluster.publish(event.room.jid)

    @listens(RoomDestroyed)
    def tell_destroyed(self, event: RoomDestroyed) -> None:
        """Let other nodes forget the room."""
        self._cluster.publish(event.room.jid)

    @listens(ArchiveShortened)
    async def tell_shortened(self, event: ArchiveShortened) -> None:
        """Let nobody be sent what was erased who enters the room on another node, where it lives."""
        if not self._router.works.may_be_elsewhere(event.archive):
            return
        try:
            await self._router.works.do(event.archive, _SHORTENED, takes=False)
        except (StanzaError, BackendError) as error:
            # An owner that has gone remembers nothing, and the next one reads the archive.
            log.warning("room_not_told", room=event.archive.text, reason=str(error))

    # --- what the seats ask

    def is_live(self, entity: Jid) -> bool:
        """Tell whether somebody is in a room, or is changing it."""
        room = self._room(entity)
        return room is not None and (len(room.occupants) > 0 or room.changing.locked())

    def end(self, entity: Jid) -> None:
        """Put out who is in a room that is another node's now."""
        room = self._room(entity)
        if room is None:
            return
        for occupant in list(room.occupants):
            for device, known in list(occupant.devices.items()):
                if known.session is not None and not known.session.ended:
                    known.session.send(self.farewell(room.address_of(occupant.nick)), device)
            self._attendance.remove(room, occupant)
        self._host.directory.unpin(room)
        self._host.directory.forget(room.jid)

    # --- what guests ask

    async def gone(self, entity: Jid, session: Jid) -> None:
        """Let a device leave a room whose session has gone."""
        await until_done(self._attendance.time_slice.turn())  # with its node, many may have gone
        room = self._room(entity)
        occupant = None if room is None else room.occupants.at(session)
        if room is None or occupant is None:
            return
        log.info("room_guest_gone", room=entity.text, session=session.text)
        await until_done(leave(room, occupant, session, self._attendance, self._showing))

    def farewell(self, known_as: Jid) -> Stanza:
        """Tell an occupant that the room goes on elsewhere, and that he is not in it (§11.2)."""
        return service_gone(known_as)

    def to_members(self, entity: Jid, stanza: Stanza, only: Jid | None, skip: Collection[Jid]) -> None:
        """Send a stanza to the members by MUC Light who are on this node."""
        self._light.to_those_here(entity, stanza, only, skip)

    def note_member(self, entity: Jid, account: Jid, *, is_member: bool) -> None:
        """Note whether somebody of this node is a member by MUC Light."""
        self._light.note_here(entity, account, is_member=is_member)

    def _room(self, jid: Jid) -> Room | None:
        entity = self._host.directory.get(jid)
        return None if entity is None else room_of(entity)


async def _read_anew(router: Router, jid: Jid, _asked: bytes) -> bytes:
    """Forget what a room of this node has in memory of its archive."""
    host = router.hosts.get(jid.domain)
    room = None if host is None else host.directory.get(jid)
    if room is not None:
        recent.forget(room_of(room))
    return b""
