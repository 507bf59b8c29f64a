"""Departure: an account that is removed leaves its rooms, whose people are told, whichever door they came by.

- Where the last owner goes, `succession` says who owns the room now.
- A room of which no member is left ends. While people without an affiliation are in it, it goes on, and ends
  with the last of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec
import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.administration import RoomAdministrators
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.light_view import is_in
from tidings.features.rooms.ownership import RoomOwners
from tidings.features.rooms.room import Membership, Room, RoomState, room_of
from tidings.features.rooms.rooms_of_account import rooms_of
from tidings.features.rooms.storing import Change, RoomStore
from tidings.features.rooms.succession import heir_of
from tidings.kernel.events import AccountMissed, AccountRemoved
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import in_turn, until_done
from tidings.kernel.owner_works import UNKNOWN
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp.payloads.muc_user import Destruction, OccupantItem, about_occupant

log = structlog.get_logger("tidings.rooms")

REASON = "the account has been removed"
_WORK = "departure"
_TRIES = 3
"""So often a room is left whose node goes while it does that."""


class RoomDepartures(Feature):
    """Lets those go who are no more, from the rooms of one host."""

    requires = (RoomAdministrators, RoomOwners)

    def __init__(self, host: Host, router: Router, ledger: Ledger) -> None:
        self._host = host
        self._store = RoomStore(router, ledger)
        router.works.offer(_WORK, partial(_depart_here, router))

    async def depart(self, address: Jid, account: Jid) -> None:
        """Let an account leave a room for good; raises `StanzaError` and `BackendError`."""
        room = room_of(await self._host.directory.load(address))
        before: dict[Jid, Affiliation] = {}
        configuration: RoomConfiguration | None = None

        def decide(state: RoomState) -> Change | None:
            nonlocal configuration
            before.clear()
            configuration = state.configuration
            return _departed(room, state, account, before)

        change = await self._store.change(room, decide) if room.exists else None
        if change is None or configuration is None:
            return
        _log(room, account, change.members)
        administrators, owners = self._host.feature(RoomAdministrators), self._host.feature(RoomOwners)
        assert administrators is not None  # required
        assert owners is not None
        reasons = {account: REASON}
        await until_done(in_turn(administrators.tell_changes(room, before, change, reasons, leaving=account)))
        if change.configuration is not None:
            await until_done(in_turn(owners.tell_configured(room, configuration, change.configuration)))
        if not len(room.occupants) and not any(map(is_in, room.state.members.values())):
            await owners.destroy(room, Destruction(reason="nobody is left"), by=account)


class AccountDepartures(Feature):
    """Lets accounts of one host leave their rooms when they are removed."""

    serves_archives = True

    def __init__(self, router: Router, ledger: Ledger) -> None:
        self._router = router
        self._ledger = ledger

    @listens(AccountRemoved, stage=Stage.STORE)
    async def on_removed(self, event: AccountRemoved) -> None:
        """Leave before what forgets the archive of the account, and with that where it has been."""
        await leave_rooms(self._router, self._ledger, event.account)

    @listens(AccountMissed, stage=Stage.STORE)
    async def on_missed(self, event: AccountMissed) -> None:
        """Leave what an account was in that was removed while no server ran."""
        await leave_rooms(self._router, self._ledger, event.account)


async def leave_rooms(router: Router, ledger: Ledger, account: Jid) -> None:
    """Let an account that is no more leave its rooms, at all domains; raises `BackendError`."""
    async for member in rooms_of(ledger, account):
        await _leave(router, member.room, account)


async def _leave(router: Router, room: Jid, account: Jid) -> None:
    """Let an account leave a room where that lives; to leave it twice is to leave it once."""
    if _departures_at(router, room) is None:
        return
    for tries in range(1, _TRIES + 1):
        try:
            await router.works.do(room, _WORK, account.text.encode())
            return
        except (StanzaError, BackendError) as error:
            is_unknown = isinstance(error, StanzaError) and error.condition == UNKNOWN
            if not is_unknown or tries == _TRIES:
                log.warning("room_not_left", room=room.text, account=account.text, reason=str(error))
                return


async def _depart_here(router: Router, room: Jid, asked: bytes) -> bytes:
    departures = _departures_at(router, room)
    if departures is not None:
        await departures.depart(room, Jid(asked.decode()))
    return b""


def _departures_at(router: Router, room: Jid) -> RoomDepartures | None:
    host = router.hosts.get(room.domain)
    return None if host is None else host.feature(RoomDepartures)


def _departed(room: Room, state: RoomState, account: Jid, before: dict[Jid, Affiliation]) -> Change | None:
    """Give what becomes of a room without a member; None where he is none."""
    gone = state.members.get(account)
    if gone is None:
        return None
    before[account] = gone.affiliation
    members = {account: Membership(Affiliation.NONE)}
    others = {jid: member for jid, member in state.members.items() if jid != account}
    configuration = None
    if gone.affiliation is Affiliation.OWNER and all(
        member.affiliation is not Affiliation.OWNER for member in others.values()
    ):
        heir = heir_of(others)
        if heir is not None:
            before[heir] = others[heir].affiliation
            members[heir] = others[heir]._replace(affiliation=Affiliation.OWNER, is_read_only=False)
    is_deserted = is_in(gone) and not any(map(is_in, others.values()))
    if is_deserted and state.configuration.is_persistent and any(o.jid != account for o in room.occupants):
        version = state.configuration.version + 1
        configuration = msgspec.structs.replace(state.configuration, is_persistent=False, version=version)
    items = (OccupantItem(affiliation=member.affiliation.value, jid=jid) for jid, member in members.items())
    return Change(told=about_occupant(*items), members=members, configuration=configuration, by=account)


def _log(room: Room, account: Jid, members: Mapping[Jid, Membership]) -> None:
    for jid, member in members.items():
        event = "room_left" if jid == account else "room_affiliation_changed"
        affiliation = member.affiliation.value
        log.info(
            event,
            room=room.jid.text,
            account=jid.text,
            affiliation=affiliation,
            by=account.text,
            reason=REASON,
        )
