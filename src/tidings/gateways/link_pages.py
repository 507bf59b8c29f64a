"""LinkPages: answers who opens a secret link, which has its domain and its token in the path.

What is wrong with a link is told to nobody: all that open nothing have the same answer, and the log has the
reason. So many links may be opened from one network within an hour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import unquote

import structlog
from aiohttp import web

from tidings.base.attempts import HOUR, Attempts
from tidings.base.errors import BackendError
from tidings.base.jid import Jid, JidError
from tidings.base.network import network_of
from tidings.base.seldom_told import SeldomTold
from tidings.gateways.http import HttpError, HttpGateway
from tidings.kernel.host import Host
from tidings.kernel.link_tokens import LinkRefused

OPENED_PER_HOUR: Final = 300
"""So many links of a kind may be opened from one network within an hour."""
_MINUTE: Final = 60.0

log = structlog.get_logger("tidings.accounts")

Write = Callable[[Jid, str], Awaitable[tuple[int, str]]]
"""Gives status and HTML for the domain and the token of a link; raises `LinkRefused`."""


class LinkPages:
    """Serves what is below one path, at `DOMAIN/TOKEN`."""

    def __init__(
        self,
        gateway: HttpGateway,
        hosts: Mapping[str, Host],
        now: Callable[[], float],
        *,
        path: str,
        headers: Mapping[str, str],
        refusal: str,
        event: str,
        of_rooms: bool = False,
    ) -> None:
        """`now` gives seconds of a clock that is never set.

        `refusal` is the page that everybody gets whose link opens nothing, `event` what the log calls that.
        `of_rooms`: the address of a room may stand in place of a domain.
        """
        self._gateway = gateway
        self._hosts = hosts
        self._now = now
        self._path = path
        self._headers = headers
        self._refusal = refusal
        self._event = event
        self._of_rooms = of_rooms
        self._opened = Attempts(OPENED_PER_HOUR, HOUR)
        self._told = SeldomTold(_MINUTE, now, at_once=10, most=300)

    async def answer(self, request: web.BaseRequest, write: Write) -> web.StreamResponse:
        """Answer with what `write` gives for the link; raises `HttpError`."""
        address = self._gateway.peer(request).address
        if not self._opened.allow(network_of(address), self._now()):
            raise HttpError(429, "Too many links were opened from your network; try later.", self._headers)
        try:
            status, page = await write(*self._read(request.raw_path))
        except LinkRefused as refusal:
            status, page = 404, self._refusal
            self._tell(refusal.reason, address)
        except BackendError:
            raise HttpError(503, "The server cannot look now; try later.", self._headers) from None
        return web.Response(status=status, text=page, content_type="text/html", headers=self._headers)

    def _read(self, path: str) -> tuple[Jid, str]:
        """Give the domain and the token of a link; raises `LinkRefused`."""
        named, _, token = path.partition("?")[0].removeprefix(self._path).strip("/").partition("/")
        try:
            domain = Jid(unquote(named))
        except JidError:
            domain = None
        is_whole = domain is not None and (domain.is_bare if self._of_rooms else domain == domain.host)
        if domain is None or domain.domain not in self._hosts or not is_whole:
            raise LinkRefused("no such domain is served")
        return domain, token

    def _tell(self, reason: str, address: str) -> None:
        """Log why a link opens nothing; ten times a minute at most for each network."""
        more = self._told.kept_quiet(network_of(address))
        if more is not None:
            passed_over = {"more": more} if more else {}
            log.info(self._event, reason=reason, address=address, by="page", **passed_over)
