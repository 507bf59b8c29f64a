"""Accounts and MUC Light: who of the members is there, and what accounts are told of the service.

Implements the index that messages are delivered by: an account that comes is noted in its rooms before its
client is answered anything else, so that nothing is missed that it would not find in the archive.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from tidings.base.errors import BackendError, StreamError
from tidings.base.jid import Jid
from tidings.features.rooms.light.discovery import SERVICE_NAME, LightDiscovery
from tidings.features.rooms.light.light_kind import LightKind, service_for
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light.settings import name_of
from tidings.features.rooms.light_delivery import LightDelivery
from tidings.features.rooms.light_view import version_of
from tidings.features.rooms.online_members import leave, rooms_left
from tidings.features.rooms.room import room_of
from tidings.features.rooms.rooms_of_account import rooms_of
from tidings.kernel.current import Current
from tidings.kernel.domains import Domains
from tidings.kernel.events import DiscoItems, PresenceSent, RosterWanted, SessionEnded
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

log = structlog.get_logger("tidings.rooms")

_IS_NOTED: Final[Slot[bool]] = Slot("rooms.light.noted", default=False)
"""Whether an account is in the index of its rooms."""
_NOTING: Final[Slot[asyncio.Lock]] = Slot("rooms.light.noting", factory=asyncio.Lock)
"""Held while an account is brought into the index."""


class LightAccounts(Feature):
    """Knows which members of rooms are there."""

    serves_archives = True
    Options = LightOptions
    option_name = "muc_light"

    def __init__(
        self, host: Host, router: Router, ledger: Ledger, domains: Domains, options: Current[LightOptions]
    ) -> None:
        self._host = host
        self._router = router
        self._ledger = ledger
        self._domains = domains
        self._options = options

    @listens(PresenceSent, stage=Stage.STORE)
    def note(self, event: PresenceSent) -> MaybeAwaitable:
        """Note an account that comes in the rooms that it is in."""
        stanza = event.stanza
        if stanza.to is not None or stanza.kind:
            return None
        if event.session.account[_IS_NOTED] or self._service() is None:
            return None
        return self._note(event.session)

    async def _note(self, session: Session) -> None:
        """Note an account, for all of its devices that come meanwhile.

        A device whose account cannot be noted is sent away: it would believe that it is told everything.
        """
        account = session.account
        async with account[_NOTING]:
            if account[_IS_NOTED]:
                return
            try:
                with rooms_left(account) as left:
                    found = await self._rooms_of(account.jid)
            except BackendError as error:
                log.error("rooms_unknown", account=account.jid.text, reason=str(error))
                session.cut(StreamError("internal-server-error", "your rooms cannot be read now; come back"))
                return
            if session.ended:
                return  # if it was the last one, what has changed since may have been noted nowhere
            account[_IS_NOTED] = True
            for domain, rooms in found.items():
                light = self._delivery(domain)
                if light is not None:
                    light.online.add(account, [room for room in rooms if room not in left])

    async def _rooms_of(self, jid: Jid) -> dict[str, list[Jid]]:
        """Give the rooms that an account knows by MUC Light, by their host."""
        found: dict[str, list[Jid]] = {}
        async for member in rooms_of(self._ledger, jid):
            if member.domain:
                found.setdefault(member.room.domain, []).append(member.room)
        return found

    @listens(SessionEnded)
    def forget(self, event: SessionEnded) -> None:
        """Note that an account has gone, with its last session."""
        account = event.session.account
        if not account.sessions:
            account[_IS_NOTED] = False
            leave(account)

    @listens(DiscoItems)
    def name_service(self, event: DiscoItems) -> None:
        """List the service under the node by which clients find it, and under its name."""
        service = self._service()
        if event.entity is None and not event.node and service is not None:
            address = Jid(service.domain)
            named = (address, ns.MUC_LIGHT, SERVICE_NAME)
            event.items[:] = [named if item[0] == address else item for item in event.items]

    @listens(RosterWanted)
    def list_rooms(self, event: RosterWanted) -> MaybeAwaitable:
        """Add the rooms of an account to its roster, where the options say so."""
        if not self._options.now.rooms_in_rosters:
            return None
        event.is_whole = True
        return self._list_rooms(event)

    async def _list_rooms(self, event: RosterWanted) -> None:
        service = self._service()
        host = None if service is None else self._router.hosts.get(service.domain)
        discovery = None if host is None else host.feature(LightDiscovery)
        if discovery is None or service is None:
            return
        for address in await discovery.addresses_of(event.account.jid):
            room = room_of(await service.door.host.directory.load(service.address(address)))
            if not room.exists:
                continue  # it has ended meanwhile
            version = version_of(room.configuration, room.state.version)
            name = name_of(room.state, self._options.now)
            attributes = {"jid": address.text, "name": name, "subscription": "to"}
            group = Element("group", ns.ROSTER, None, ns.MUC_LIGHT)
            known = Element("version", ns.ROSTER, None, version)
            event.items.append(Element("item", ns.ROSTER, attributes, group, known))

    def _service(self) -> LightKind | None:
        """Give the service of this domain."""
        return service_for(self._host.domain, self._domains, self._router)

    def _delivery(self, domain: str) -> LightDelivery | None:
        host = self._router.hosts.get(domain)
        light = None if host is None else getattr(host.kind, "light", None)
        return light if isinstance(light, LightDelivery) else None
