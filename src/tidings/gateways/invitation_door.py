"""InvitationDoor: shows the page of an invitation below `/invite` (XEP-0401 §5.2).

Looking at it uses nothing up. What is wrong with a link is told to nobody: all that let nobody in have the
same answer, and the log has the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote

import structlog
from aiohttp import web

from tidings.base.errors import BackendError
from tidings.base.jid import Jid, JidError
from tidings.base.network import network_of
from tidings.base.seldom_told import SeldomTold
from tidings.features.registration import HOUR, Attempts
from tidings.gateways.http import HttpError, HttpGateway
from tidings.gateways.invitation_page import HEADERS, invitation_page, refusal_page
from tidings.kernel.host import Host
from tidings.kernel.invitations import InvitationRefused, Invitations

PATH: Final = "/invite"
VIEWS_PER_HOUR: Final = 300
"""So many pages one network may look at within an hour."""
_ABOUT: Final = "GET shows an invitation, by the link that somebody was given."
_MINUTE: Final = 60.0

log = structlog.get_logger("tidings.accounts")


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
        self._gateway = gateway
        self._hosts = hosts
        self._invitations = invitations
        self._now = now
        self._views = Attempts(VIEWS_PER_HOUR, HOUR)
        self._told = SeldomTold(_MINUTE, now, at_once=10, most=300)
        gateway.add(PATH, {"GET": self._show}, about=_ABOUT, is_prefix=True)

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        address = self._gateway.peer(request).address
        if not self._views.allow(network_of(address), self._now()):
            raise HttpError(429, "Too many invitations were looked at from your network; try later.", HEADERS)
        try:
            page, status = await self._page(request.raw_path), 200
        except InvitationRefused as refusal:
            page, status = refusal_page(), 404
            self._tell(refusal.reason, address)
        except BackendError:
            raise HttpError(503, "The server cannot look now; try later.", HEADERS) from None
        return web.Response(status=status, text=page, content_type="text/html", headers=HEADERS)

    async def _page(self, path: str) -> str:
        """Write the page of the invitation that a path names; raises `InvitationRefused`."""
        named, _, token = path.partition("?")[0].removeprefix(PATH).strip("/").partition("/")
        try:
            domain = Jid(unquote(named))
        except JidError:
            domain = None
        if domain is None or domain.domain not in self._hosts or domain != Jid(domain.domain):
            raise InvitationRefused("no such domain is served")
        return invitation_page(domain, await self._invitations.find(domain, token), token)

    def _tell(self, reason: str, address: str) -> None:
        """Log why a link lets nobody in; ten times a minute at most for each network."""
        more = self._told.kept_quiet(network_of(address))
        if more is not None:
            passed_over = {"more": more} if more else {}
            log.info("invitation_refused", reason=reason, address=address, by="page", **passed_over)
