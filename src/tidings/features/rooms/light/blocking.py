"""Blocking by MUC Light: people say who does not add them to rooms, and to which rooms nobody does."""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.light.light_kind import door_of
from tidings.features.rooms.light.making import LightRooms
from tidings.features.rooms.light.options import LightOptions
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.messages.router import Router
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.muc_light import BlockingItem, LightBlocking


class LightBlocklists(Feature):
    """Shows and changes what people block."""

    requires = (LightRooms,)
    Options = LightOptions
    option_name = "muc_light"

    def __init__(self, host: Host, router: Router, options: Current[LightOptions]) -> None:
        self._router = router
        self._block_lists = door_of(host).block_lists
        self._options = options

    @handles(LightBlocking, kind="get", at=Addressee.SERVER)
    async def show(self, request: Iq[LightBlocking]) -> Element:
        """Answer with what is denied."""
        found = await self._block_lists.of(self._owner(request))
        rooms = (BlockingItem("room", Jid(text)) for text in sorted(found.rooms))
        users = (BlockingItem("user", Jid(text)) for text in sorted(found.users))
        return LightBlocking((*rooms, *users)).encode()

    @handles(LightBlocking, kind="set", at=Addressee.SERVER)
    async def change(self, request: Iq[LightBlocking]) -> None:
        """Deny and allow."""
        owner, items, options = self._owner(request), request.payload.items, self._options.now
        if not items:
            raise StanzaError("bad-request", "nothing is denied or allowed")
        if len(items) > options.max_blocked:
            raise StanzaError("bad-request", f"one request names {options.max_blocked} at most")
        await self._block_lists.change(owner, items, options.max_blocked)

    def _owner(self, request: Iq[LightBlocking]) -> Jid:
        if not self._options.now.blocking:
            raise StanzaError("bad-request", "nothing can be blocked here")
        owner = request.sender.bare
        if owner.domain not in self._router.hosts:
            raise StanzaError("not-allowed", "this is for people who have an account here")
        return owner
