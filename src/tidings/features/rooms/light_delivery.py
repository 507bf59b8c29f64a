"""Delivery by MUC Light: to every available session of every member, who need not have entered.

Who is in the room as an occupant with a session gets everything there by MUC, and not here a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final, NamedTuple

from tidings.base.jid import Jid
from tidings.features.rooms.light_view import as_light, is_in
from tidings.features.rooms.live_markers import LiveMarkers
from tidings.features.rooms.online_members import OnlineMembers
from tidings.features.rooms.room import Membership, Room, RoomState
from tidings.kernel.account import Account
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.slots import Slot
from tidings.messages.router import Router
from tidings.ports.ledger.batch import Accepted
from tidings.wire.xmpp.payloads.arrival import stamped
from tidings.wire.xmpp.stanza import Stanza


class _Outside(NamedTuple):
    """Members of other servers, at one state of a room."""

    state: RoomState | None
    version: int
    members: tuple[Jid, ...]


_OUTSIDE: Final[Slot[_Outside]] = Slot("rooms.light.outside", default=_Outside(None, 0, ()))


class LightDelivery:
    """Sends what happens in the rooms of one host to those who know them by MUC Light."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._guests = router.guests
        self.online = OnlineMembers()
        if self._guests is not None:
            self.online.when_known = self._guests.note_interest
        self.markers = LiveMarkers()
        """Those that were sent to members of late."""
        self.domain = ""
        """The host of MUC Light that has the same rooms; empty where there is none."""

    def address_of(self, room: Room) -> Jid:
        """Give the address of a room by MUC Light."""
        return Jid(f"{room.jid.local}@{self.domain}")

    def said(self, room: Room, sender: Jid, message: Stanza, accepted: Accepted | None) -> MaybeAwaitable:
        """Send what somebody has said in a room, to the speaker, too."""
        if not self.domain:
            return None
        online, outside = self.online.of(room.jid), self._outside(room)
        if not online and not outside and self._guests is None:
            return None
        address = self.address_of(room)
        shown = as_light(message, address, sender)
        if accepted is not None:
            shown = stamped(shown, address, accepted.places[0].id, accepted.time, is_live=True)
        return self._send(room, shown, online, outside)

    def to_all(self, room: Room, stanza: Stanza, skip: Collection[Jid] = ()) -> MaybeAwaitable:
        """Send a stanza to all members but some."""
        online = [account for account in self.online.of(room.jid) if account.jid not in skip]
        outside = [jid for jid in self._outside(room) if jid not in skip]
        return self._send(room, stanza, online, outside, skip)

    def to_one(self, room: Room, stanza: Stanza, jid: Jid) -> MaybeAwaitable:
        """Send a stanza to one person, who may be no member any more."""
        host = self._router.hosts.get(jid.domain)
        if host is None:
            return self._router.pass_on(stanza.addressed(jid), jid)
        account = host.directory.get(jid)
        if isinstance(account, Account):
            _send_here(room, stanza, account)
        return None if self._guests is None else self._guests.to_member(room.jid, stanza, jid)

    def known(self, room: Room) -> list[Jid]:
        """Give those who would get something that is for everybody, or may on another node."""
        if self._guests is not None:
            return [jid for jid, member in room.state.members.items() if member.domain and is_in(member)]
        return [*(account.jid for account in self.online.of(room.jid)), *self._outside(room)]

    def reaches(self, jid: Jid) -> bool:
        """Tell whether somebody would get anything now."""
        host = self._router.hosts.get(jid.domain)
        account = None if host is None else host.directory.get(jid)
        if account is None and self._guests is not None:
            return True  # he may be on another node, which finds out
        return host is None or (isinstance(account, Account) and account.is_connected)

    def note(self, room: Room, jid: Jid, member: Membership | None) -> MaybeAwaitable:
        """Note what somebody is to a room now, on whatever node he is."""
        is_member = member is not None and bool(member.domain) and is_in(member)
        self.note_here(room.jid, jid, is_member=is_member)
        if self._guests is None or jid.domain not in self._router.hosts:
            return None
        return self._guests.tell_member(room.jid, jid, is_member=is_member)

    def note_here(self, room: Jid, jid: Jid, *, is_member: bool) -> None:
        """Note whether somebody is a member who may have sessions on this node."""
        host = self._router.hosts.get(jid.domain)
        account = None if host is None else host.directory.get(jid)
        if not isinstance(account, Account):
            return
        if is_member and account.sessions:
            self.online.add(account, (room,))
        else:
            self.online.drop(account, room)

    def to_those_here(self, room: Jid, stanza: Stanza, only: Jid | None, skip: Collection[Jid]) -> None:
        """Send what the node of a room has for its members to those of this one."""
        self.markers.note(stanza)
        accounts: Collection[Account] = self.online.of(room)
        if only is not None:
            host = self._router.hosts.get(only.domain)
            account = None if host is None else host.directory.get(only)
            accounts = (account,) if isinstance(account, Account) else ()
        for account in accounts:
            if account.jid not in skip:
                self._send_to(room, stanza, account)

    def _send_to(self, room: Jid, stanza: Stanza, account: Account) -> None:
        """Send a stanza to the sessions of this node that are not in a room of another by MUC."""
        assert self._guests is not None
        out = Outgoing(stanza, account.jid)
        for session in account.sessions.values():
            priority = session.priority
            if priority is not None and priority >= 0 and not self._guests.is_in(room, session.jid):
                session.send_out(out)

    def _send(
        self,
        room: Room,
        stanza: Stanza,
        online: Collection[Account],
        outside: Collection[Jid],
        skip: Collection[Jid] = (),
    ) -> MaybeAwaitable:
        self.markers.note(stanza)
        members = room.state.members
        for account in online:
            if account.jid in members:  # the index hears of it a moment later
                _send_here(room, stanza, account)
        wait = None if self._guests is None else self._guests.to_members(room.jid, stanza, skip)
        if not outside:
            return wait
        return in_turn(chain((wait,), self._to_others(stanza, outside)))

    def _to_others(self, stanza: Stanza, outside: Collection[Jid]) -> Iterator[MaybeAwaitable]:
        for jid in outside:
            yield self._router.pass_on(stanza.addressed(jid), jid)

    def _outside(self, room: Room) -> tuple[Jid, ...]:
        """Give the members of other servers, found out once for each state of the room."""
        state, known = room.state, room[_OUTSIDE]
        if known.state is not state or known.version != state.version:
            hosts = self._router.hosts
            found = tuple(
                jid
                for jid, member in state.members.items()
                if member.domain and jid.domain not in hosts and is_in(member)
            )
            known = room[_OUTSIDE] = _Outside(state, state.version, found)
        return known.members


def _send_here(room: Room, stanza: Stanza, account: Account) -> None:
    occupants = room.occupants
    out = Outgoing(stanza, account.jid)
    for session in account.sessions.values():
        priority = session.priority
        if priority is not None and priority >= 0 and occupants.at(session.jid) is None:
            session.send_out(out)
