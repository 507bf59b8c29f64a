"""Mirror: what occupants see, who are in a room by MUC, of changes that were made through MUC Light."""

from __future__ import annotations

from collections.abc import Iterator

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.affiliation_version import VersionStep
from tidings.features.rooms.attendance import attendance_of
from tidings.features.rooms.configuration import status_codes
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_change import RoomChanged
from tidings.features.rooms.showing import Showing, one_after_another
from tidings.kernel.feature import Feature, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.messages.router import Router
from tidings.wire.xmpp.payloads.muc_user import Status, about_occupant
from tidings.wire.xmpp.stanza import Stanza


class LightMirror(Feature):
    """Shows occupants what has been done by MUC Light."""

    requires = (Entrance,)
    Options = LightOptions
    option_name = "muc_light"

    def __init__(self, host: Host, router: Router) -> None:
        self._showing = Showing(router)
        self._attendance = attendance_of(host)

    @listens(RoomChanged)
    def show(self, event: RoomChanged) -> MaybeAwaitable:
        """Show it, where it came through that door and somebody is there to see it."""
        if not event.change.door or not len(event.room.occupants):
            return None
        return one_after_another(event.room, self._steps(event))

    def _steps(self, event: RoomChanged) -> Iterator[MaybeAwaitable]:
        room, change = event.room, event.change
        away: list[Jid] = []
        for jid, member in change.members.items():
            yield self._attendance.time_slice.turn()
            before = event.members.get(jid)
            if before is not None and before[:1] == member[:1] and before.is_read_only == member.is_read_only:
                continue
            if not room.occupants.of(jid):
                away.append(jid)
                continue
            yield self._showing.changed_while_away(room, away, change.steps)  # versions come in their order
            away = []
            yield from self._affiliated(room, jid, member.affiliation, change.steps.get(jid))
        yield self._showing.changed_while_away(room, away, change.steps)
        if event.configuration is not None and change.configuration is not None:
            about = about_occupant(statuses=status_codes(event.configuration, change.configuration))
            yield self._showing.to_all(
                room, Stanza.build("message", kind="groupchat", sender=room.jid, content=(about,))
            )
        if change.subject is not None:
            sender = room.address_of(change.subject.nick)
            content = (change.subject.content,)
            told = Stanza.build("message", kind="groupchat", sender=sender, id=change.id, content=content)
            yield self._showing.to_all(room, told)
        self._attendance.settle(room)

    def _affiliated(
        self, room: Room, jid: Jid, after: Affiliation, step: VersionStep | None
    ) -> Iterator[MaybeAwaitable]:
        """Put out who does not belong to the room any more, and show what others are now."""
        for occupant in room.occupants.of(jid):
            if after is Affiliation.NONE:
                yield self._showing.removed(room, occupant, statuses=(Status.LOST_AFFILIATION,), step=step)
                self._attendance.remove(room, occupant)
            else:
                occupant.role = room.state.role_of(jid)
                yield self._showing.updated(room, occupant, step=step)
