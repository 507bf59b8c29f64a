"""Sync: a device that comes back asks once for everything that has happened since it was there last.

Implements docs/specs/sync.md; the marks § point at its sections.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.features.sync.pages import DEFAULT_PAGE, LARGEST_PAGE, PAGE_OCTETS, PageLimits, read_page
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Feature, Spec, handles, listens
from tidings.kernel.iq import Iq
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.pulling import pulled
from tidings.messages.known_as import KnownAs
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.sync import SyncItem, SyncRequest


class SyncOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much one answer tells."""

    page: Annotated[
        int,
        Meta(
            description="Entries or conversations in a page whose size the client leaves to the server.",
            ge=1,
            le=LARGEST_PAGE,
        ),
    ] = DEFAULT_PAGE
    page_bytes: Annotated[
        int,
        Meta(
            description="Bytes of messages in a page: it ends before it has more, but never within what one "
            "transaction wrote.",
            ge=10_000,
        ),
    ] = PAGE_OCTETS


class Sync(Feature):
    """Answers what has happened since a cursor."""

    spec = Spec(ns.TIDINGS_SYNC, advertises=(ns.TIDINGS_SYNC,), note="docs/specs/sync.md")  # §2
    serves_archives = True
    Options = SyncOptions
    option_name = "sync"

    def __init__(self, ledger: Ledger, router: Router, pacing: Pacing, options: Current[SyncOptions]) -> None:
        self._ledger = ledger
        self._known = KnownAs(router.hosts)
        self._pacing = pacing
        self._options = options

    @listens(DiscoInfo)  # §2
    def advertise(self, event: DiscoInfo) -> None:
        """Tell the owner of an account that it can be asked."""
        if event.entity is not None and not event.node and event.asker.bare == event.target:
            event.features.append(ns.TIDINGS_SYNC)

    @handles(SyncRequest, kind="get")  # §3
    async def sync(self, request: Iq[SyncRequest]) -> Element:
        """Send the parts of the page, then its end."""
        session, account = request.own_session, request.own_account.jid
        await pulled(session)
        payload = request.payload
        parts = min(payload.maximum or self._options.now.page, LARGEST_PAGE)
        limits = PageLimits(parts, self._options.now.page_bytes)
        page = await read_page(self._ledger, account, payload.since, limits, self._known)

        def written(item: SyncItem) -> Outgoing:
            named = msgspec.structs.replace(item, query_id=payload.query_id) if payload.query_id else item
            return Outgoing(named.message(to=session.jid, account=account))

        await self._pacing.send(session, map(written, page.items))
        return page.fin.encode()
