"""ResetDoor: lets people choose another password below `/reset`, by a link that somebody has given them.

Opening the link uses nothing up, since what scans mail opens links, too; sending the form does. The token in
the path is what a form of a stranger's page would lack; there are no cookies. What browsers say of where a
form comes from is looked at all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import structlog
from aiohttp import web

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.network import is_loopback
from tidings.gateways.http import HttpError, HttpGateway
from tidings.gateways.link_html import headers_of
from tidings.gateways.link_pages import LinkPages
from tidings.gateways.reset_page import AGAIN, PASSWORD, done_page, form_page, refusal_page
from tidings.kernel.accounts import Accounts, make_keys
from tidings.kernel.host import Host
from tidings.kernel.link_tokens import LinkRefused
from tidings.kernel.reset_links import PATH, ResetLinks
from tidings.ports.accounts import NoSuchAccount

_ABOUT: Final = "GET shows the form of a link that somebody was given, POST sends it."
_FORM: Final = "application/x-www-form-urlencoded"
_LONGEST_FORM: Final = 16_384  # two passwords of 1023 octets, each octet as %XX, and the account
_MOST_FIELDS: Final = 8
_HEADERS: Final = headers_of(forms="'self'")

log = structlog.get_logger("tidings.accounts")


class _Passwords(NamedTuple):
    """What somebody has typed."""

    password: str
    again: str


class ResetDoor:
    """Serves the pages of reset links to all domains of this server."""

    def __init__(
        self,
        gateway: HttpGateway,
        hosts: Mapping[str, Host],
        links: ResetLinks,
        accounts: Accounts,
        now: Callable[[], float],
    ) -> None:
        """`now` gives seconds of a clock that is never set."""
        self._gateway = gateway
        self._links = links
        self._accounts = accounts
        self._pages = LinkPages(
            gateway,
            hosts,
            now,
            path=PATH,
            headers=_HEADERS,
            refusal=refusal_page(),
            event="reset_link_refused",
        )
        gateway.add(PATH, {"GET": self._show, "POST": self._take}, about=_ABOUT, is_prefix=True)

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        self._must_be_secure(request)

        async def write(domain: Jid, token: str) -> tuple[int, str]:
            return 200, form_page(await self._links.find(domain, token))

        return await self._pages.answer(request, write)

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        self._must_be_secure(request)
        if not self._is_own_form(request):
            raise HttpError(403, "This was sent by the page of another server.", _HEADERS)

        async def write(domain: Jid, token: str) -> tuple[int, str]:
            typed = await self._read(request)
            return await self._change(domain, token, typed, self._gateway.peer(request).address)

        return await self._pages.answer(request, write)

    async def _change(self, domain: Jid, token: str, typed: _Passwords, address: str) -> tuple[int, str]:
        """Give an account the password that was typed; what is wrong with it does not use the link up."""
        account = await self._links.find(domain, token)
        if typed.password != typed.again:
            return 422, form_page(account, "The two passwords are not the same.")
        try:
            keys = await make_keys(typed.password)
        except StanzaError as error:
            return 422, form_page(account, f"That cannot be: {error}.")
        try:
            await self._links.use(domain, token, lambda jid: self._accounts.set_keys(jid, keys))
        except NoSuchAccount:
            raise LinkRefused("the account has been removed at the same time") from None
        log.info("password_changed", account=account.text, address=address, by="reset link")
        return 200, done_page(account)

    async def _read(self, request: web.BaseRequest) -> _Passwords:
        """Read the form; raises `HttpError`."""
        if request.content_type != _FORM:
            raise HttpError(415, f"A form of {_FORM} is read here.", _HEADERS)
        try:
            body = await self._gateway.read_body(request, _LONGEST_FORM)
        except HttpError as error:
            error.headers = {**_HEADERS, **error.headers}
            raise
        try:
            fields = dict(
                parse_qsl(
                    body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
                )
            )
            return _Passwords(fields[PASSWORD], fields[AGAIN])
        except (KeyError, ValueError):
            raise HttpError(400, "The form is broken.", _HEADERS) from None

    def _must_be_secure(self, request: web.BaseRequest) -> None:
        """Refuse where somebody on the way can read along, except on this machine; raises `HttpError`."""
        peer = self._gateway.peer(request)
        if not peer.secure and not is_loopback(peer.address):
            raise HttpError(
                403, "A password needs an encrypted connection: open the link by https.", _HEADERS
            )

    def _is_own_form(self, request: web.BaseRequest) -> bool:
        """Tell whether a form comes from a page of ours, as far as the browser says where it comes from.

        Our pages ask for no referrer, for which browsers write `null` as the origin of a form.
        """
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site in {"same-origin", "none"}
        origin = request.headers.get("Origin", "null")
        own = {request.headers.get("Host", ""), urlsplit(self._gateway.options.public_url).netloc}
        return origin == "null" or urlsplit(origin).netloc in own - {""}
