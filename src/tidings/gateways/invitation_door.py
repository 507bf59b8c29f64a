"""InvitationDoor: shows the page of an invitation below `/invite` (XEP-0401 §5.2).

Looking at it uses nothing up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from tidings.base.jid import Jid
from tidings.gateways.http import HttpGateway
from tidings.gateways.invitation_page import invitation_page, refusal_page, room_page
from tidings.gateways.link_html import headers_of
from tidings.gateways.link_pages import LinkPages
from tidings.kernel.host import Host
from tidings.kernel.invitations import Invitations

PATH: Final = "/invite"
_ABOUT: Final = "GET shows an invitation, by the link that somebody was given."


class InvitationDoor:
    """Serves the pages of invitations to all domains of this server."""

    def __init__(
        self,
        gateway: HttpGateway,
        hosts: Mapping[str, Host],
        invitations: Invitations,
        now: Callable[[], float],
    ) -> None:
        """`now` gives seconds of a clock that is never set."""
        self._invitations = invitations
        self._pages = LinkPages(
            gateway,
            hosts,
            now,
            path=PATH,
            headers=headers_of(),
            refusal=refusal_page(),
            event="invitation_refused",
            of_rooms=True,
        )
        gateway.add(PATH, {"GET": self._show}, about=_ABOUT, is_prefix=True)

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._pages.answer(request, self._write)

    async def _write(self, domain: Jid, token: str) -> tuple[int, str]:
        invitation = await self._invitations.find(domain, token)
        page = room_page if domain.local else invitation_page
        return 200, page(domain, invitation, token)
