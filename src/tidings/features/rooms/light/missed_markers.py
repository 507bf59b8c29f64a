"""Missed markers: a member by MUC Light who comes again is told how far the others have read meanwhile.

Does what MongooseIM's `mod_offline_chatmarkers` does, for rooms: after what the archive of the account had
for the device, it is sent of each room the last marker (XEP-0333) of each sender and kind that came while it
was away. They are looked for among the last entries of the rooms; nothing is written for who is away, and
nothing is unread by them. Markers of one-to-one chats are entries of the account's own archive, which are
replayed.

Left out: rooms that somebody knows by MUC alone, in which he is when he enters them; devices that fetch by
themselves what they have missed; what large rooms take for themselves (`held_back.py`), and messages of more
than `LARGEST` octets. On a server of several nodes, what another node sends live in that moment may come
twice, with the same archive id.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Final, NamedTuple

import structlog

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.attendance import delivery_of
from tidings.features.rooms.light.accounts import LightAccounts
from tidings.features.rooms.light.light_kind import service_for
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light_delivery import LightDelivery
from tidings.features.rooms.light_view import as_light
from tidings.features.rooms.room_markers import KINDS, OTHERS, SEARCHED, SEARCHED_OCTETS
from tidings.kernel.current import Current
from tidings.kernel.domains import Domains
from tidings.kernel.events import DeviceCaughtUp, PresenceSent
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Member, PageQuery
from tidings.wire.xmpp.payloads.arrival import kept, stamped
from tidings.wire.xmpp.payloads.markers import MarkerKind
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.rooms")

MOST_ROOMS: Final = 500
"""So many rooms of one account are looked at."""
LARGEST: Final = 4_096
"""So many octets a marker has at most that is sent; it need not have more than 200."""

_LIVE_AFTER: Final[Slot[Mapping[str, int]]] = Slot("rooms.light.live_after", default={})
"""By host of rooms: how many markers were sent live there before the device could be sent any."""


class _Missed(NamedTuple):
    """A marker that came while a device was away."""

    when: tuple[int, int]
    """Its time, and its position in the room."""
    room: Jid
    light: LightDelivery
    sender: Jid
    """As the members know him in the room."""
    kind: MarkerKind
    shown: Stanza


class MissedMarkers(Feature):
    """Sends devices that come again the markers of rooms."""

    serves_archives = True
    requires = (LightAccounts,)  # who is sent markers live is noted before they are counted
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

    @listens(PresenceSent, stage=Stage.STORE)  # before it is sent anything live
    def begin(self, event: PresenceSent) -> None:
        """Note which markers are sent live to a device that comes, and so need not be sent again."""
        session, stanza = event.session, event.stanza
        service = None
        if stanza.to is None and not stanza.kind and (session.priority is None or session.priority < 0):
            service = service_for(self._host.domain, self._domains, self._router)
        light = None if service is None else self._delivery(service.door.rooms_domain)
        if service is not None and light is not None:
            session[_LIVE_AFTER] = {service.door.rooms_domain: light.markers.count}

    @listens(DeviceCaughtUp)
    def tell(self, event: DeviceCaughtUp) -> MaybeAwaitable:
        """Send the markers that came while the device was away."""
        return self._tell(event.session, event.since) if self._options.now.offline_markers else None

    async def _tell(self, session: Session, since: int) -> None:
        noted = session[_LIVE_AFTER]
        after = dict(noted)
        found: list[_Missed] = []
        try:
            rooms = await self._ledger.rooms_of(session.account.jid, limit=MOST_ROOMS)
            for member in rooms:
                light = self._delivery(member.room.domain)
                if light is not None:  # of another domain's rooms it is noted from now on
                    after.setdefault(member.room.domain, light.markers.count)
                    found += await self._missed_in(member, light, since)
                    found = sorted(found, key=attrgetter("when"))[-self._options.now.offline_markers :]
        except BackendError as error:
            log.error("markers_not_sent", session=session.jid.text, reason=str(error))
            return
        # Nothing is awaited between the last look and this, so that nothing newer can come before it.
        if session.ended or session.priority is None or session.priority < 0:
            return
        for each in found:
            if not each.light.markers.were_sent(each.sender, each.kind, after=after[each.room.domain]):
                session.send(each.shown.addressed(session.account.jid))
        log.debug("missed_markers_sent", session=session.jid.text, markers=len(found))

    async def _missed_in(self, member: Member, light: LightDelivery, since: int) -> list[_Missed]:
        """Find the last marker of each sender and kind that came to one room."""
        joined, is_out = member.joined, member.affiliation in {"", Affiliation.OUTCAST}
        if not light.domain or not member.domain or joined is None or is_out:
            return []
        head = await self._ledger.head(member.room)
        if head.time <= since:
            return []
        wanted = PageQuery(
            start=since + 1,
            above=max(joined, head.position - SEARCHED),
            without=OTHERS,
            limit=SEARCHED,
            newest=True,
            flipped=True,
            counted=False,
            octets=SEARCHED_OCTETS,
        )
        address = Jid.of(member.room.local, light.domain)
        newest: dict[tuple[Jid, MarkerKind], _Missed] = {}
        for entry in (await self._ledger.page(member.room, wanted)).entries:
            body, sender, kind = entry.body, entry.sender, KINDS[entry.kind]
            if body is None or len(body) > LARGEST or sender is None or (sender, kind) in newest:
                continue
            if not self._is_told(member.room, entry.id.position):
                continue  # it is durable, and about to be sent live
            shown = stamped(
                as_light(kept(body), address, sender), address, str(entry.id), entry.time, is_live=False
            )
            when, named = (entry.time, entry.id.position), Jid(f"{address}/{sender}")
            newest[sender, kind] = _Missed(when, member.room, light, named, kind, shown)
        return list(newest.values())

    def _is_told(self, jid: Jid, position: int) -> bool:
        """Tell whether all who are there have been sent what a room has at a position."""
        seats = self._router.seats
        if seats is not None and not seats.is_here(jid):
            return True  # as far as this node knows
        room = self._router.hosts[jid.domain].directory.get(jid)
        return room is None or position <= room.position

    def _delivery(self, domain: str) -> LightDelivery | None:
        host = self._router.hosts.get(domain)
        return None if host is None or host.kind.name != "room" else delivery_of(host)
