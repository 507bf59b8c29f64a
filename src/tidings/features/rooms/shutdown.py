"""Shutdown: occupants are told that the service goes down, before their streams end (XEP-0045 §11.2).

Sessions do not outlive the process: whoever resumes after a restart is told that he cannot, and everybody is
out of every room. So all are told, those too who will try to resume, and enter again when they are back.

- Each device is told of itself alone. The others learn the same, so nobody is told who else has gone.
- From then on nobody enters here: a client that is back at once could not stay.
- A temporary room ends with the last occupant, as it does whenever everybody has left.
- On several nodes the rooms are free for another node at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tidings.base.jid import Jid
from tidings.features.rooms.attendance import attendance_of
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.room import Room, room_of
from tidings.features.rooms.showing import Showing
from tidings.kernel.feature import Feature
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.supervisor import Supervisor
from tidings.messages.router import Router
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, Status, about_occupant
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.rooms")

_STRETCH: Final = 50
"""After so many occupants others have their turn."""


class RoomShutdown(Feature):
    """Tells the occupants of a host that it goes down."""

    requires = (Entrance,)

    def __init__(self, host: Host, router: Router, supervisor: Supervisor) -> None:
        self._host = host
        self._router = router
        self._supervisor = supervisor
        self._showing = Showing(router)
        self._attendance = attendance_of(host)

    async def say_goodbye(self) -> None:
        """Tell everybody in every room."""
        self._attendance.is_closed = True
        told = 0
        for entity in list(self._host.directory.pinned()):
            room = room_of(entity)
            while len(room.occupants):
                self._tell_one(room)
                told += 1
                if told % _STRETCH == 0:
                    await asyncio.sleep(0)
            self._attendance.settle(room)
            if self._router.seats is not None:
                self._router.seats.give_up(room.jid)
        if told:
            log.info("rooms_closed", domain=self._host.domain, occupants=told)

    def _tell_one(self, room: Room) -> None:
        """Tell one occupant; nobody waits for a way to another server that is not there."""
        occupant = next(iter(room.occupants))
        wait = self._showing.to_one(room, occupant, service_gone(room.address_of(occupant.nick)))
        if wait is not None:
            self._supervisor.start("goodbye", until_done(wait))
        self._attendance.remove(room, occupant)


def service_gone(known_as: Jid) -> Stanza:
    """Give what an occupant is told who is out of a room since its service goes down, at least here."""
    item = OccupantItem(affiliation="none", role="none")
    about = about_occupant(item, statuses=(Status.SELF, Status.SHUTDOWN))
    return Stanza.build("presence", kind="unavailable", sender=known_as, content=(about,))
