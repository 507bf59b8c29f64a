"""Telling: what members by MUC Light are told of changes of a room, through whichever door they came.

What a request has caused is told under the id of the request, to the bare address of each, before the request
is answered. It ends with an empty body, by which servers and clients know what is worth a notification.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms.attendance import delivery_of
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light_view import (
    EMPTY_BODY,
    changed_fields,
    changed_users,
    is_in,
    is_open,
    removal_of,
    user_of,
    version_of,
)
from tidings.features.rooms.room import Membership, Room
from tidings.features.rooms.room_change import RoomChanged, RoomDestroyed
from tidings.kernel.feature import Feature, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_light import LightUser, change
from tidings.wire.xmpp.stanza import Stanza


class LightTelling(Feature):
    """Tells members by MUC Light what becomes of the rooms of a host."""

    requires = (Entrance,)
    Options = LightOptions
    option_name = "muc_light"

    def __init__(self, host: Host) -> None:
        self._light = delivery_of(host)

    @listens(RoomChanged)
    def tell(self, event: RoomChanged) -> MaybeAwaitable:
        """Tell of another list, or another configuration."""
        room, members = event.room, event.change.members
        noted = [self._light.note(room, jid, room.state.members.get(jid)) for jid in members]
        if not self._light.domain or not is_open(room.configuration):
            return in_turn(noted)
        return in_turn(chain(noted, self._notices(event)))

    @listens(RoomDestroyed)
    def tell_end(self, event: RoomDestroyed) -> MaybeAwaitable:
        """Tell everybody that the room is no more."""
        room = event.room
        if not self._light.domain:
            return None
        return in_turn(self._ends(room, event.id))

    def _ends(self, room: Room, id_: str | None) -> Iterator[MaybeAwaitable]:
        for jid in self._light.known(room):
            gone = change(ns.MUC_LIGHT_AFFILIATIONS, "", "", (LightUser(jid, "none").encode(),))
            notice = self._notice(room, id_, gone, Element("x", ns.MUC_LIGHT_DESTROY))
            yield self._light.to_one(room, notice, jid)
            yield self._light.note(room, jid, None)
        self._light.online.forget(room.jid)

    def _notices(self, event: RoomChanged) -> Iterator[MaybeAwaitable]:
        room, told = event.room, event.change
        after = version_of(room.configuration, event.version + 1)
        before = version_of(room.configuration, event.version)
        users = changed_users(event.members, told.members)
        if users:
            yield from self._about_list(event, users, before, after)
        fields = [] if event.configuration is None else changed_fields(event.configuration, told)
        if fields:
            elements = (field.encode() for field in fields)
            set_ = change(ns.MUC_LIGHT_CONFIGURATION, before, after, elements)
            yield self._light.to_all(room, self._notice(room, told.id, set_))

    def _about_list(
        self, event: RoomChanged, users: list[LightUser], before: str, after: str
    ) -> Iterator[MaybeAwaitable]:
        """Tell who stays everything, and who comes or goes no more than what he is."""
        room, told = event.room, event.change
        for user in users:
            if not self._light.reaches(user.jid):
                continue
            was, now = event.members.get(user.jid), told.members[user.jid]
            if _knows(now) and not _knows(was):
                own = change(ns.MUC_LIGHT_AFFILIATIONS, "", after, (user.encode(),))
                yield self._light.to_one(room, self._notice(room, told.id, own), user.jid)
            elif _knows(was) and not _knows(now):
                yield self._to_removed(room, user_of(user.jid, now), told.id, told.by)
        all_ = change(ns.MUC_LIGHT_AFFILIATIONS, before, after, (user.encode() for user in users))
        removal = removal_of(users, told.by)
        new = {jid for jid in told.members if not _knows(event.members.get(jid))}
        content = (all_,) if removal is None else (all_, removal)
        yield self._light.to_all(room, self._notice(room, told.id, *content), skip=new)

    def _to_removed(self, room: Room, user: LightUser, id_: str | None, by: Jid | None) -> MaybeAwaitable:
        own = change(ns.MUC_LIGHT_AFFILIATIONS, "", "", (user.encode(),))
        removal = removal_of((user,), by)
        content = (own,) if removal is None else (own, removal)
        return self._light.to_one(room, self._notice(room, id_, *content), user.jid)

    def _notice(self, room: Room, id_: str | None, *content: Element) -> Stanza:
        return Stanza.build(
            "message",
            kind="groupchat",
            sender=self._light.address_of(room),
            id=id_ or token(12),
            content=(*content, EMPTY_BODY),
        )


def _knows(member: Membership | None) -> bool:
    """Tell whether somebody knows the room by MUC Light."""
    return member is not None and bool(member.domain) and is_in(member)
