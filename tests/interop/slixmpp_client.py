"""slixmpp as a person in a story: verifies the server's certificate and keeps what it receives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account

INBOX = "erlang-solutions.com:xmpp:inbox:0"
PATIENCE = 15.0  # seconds; only a failing test waits that long


class SlixmppPerson(slixmpp.ClientXMPP):
    """A slixmpp client whose stanzas the story takes one by one."""

    def __init__(
        self,
        account: Account,
        server: ServerProcess,
        *,
        direct_tls: bool = False,
        resource: str = "slixmpp",
        plugins: tuple[str, ...] = (),
        options: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(f"{account.bare}/{resource}", account.password, plugin_config=dict(options or {}))
        for plugin in plugins:
            self.register_plugin(plugin)
        self.ca_certs = server.authority
        self.enable_direct_tls = direct_tls
        self.enable_starttls = not direct_tls
        self.enable_plaintext = False
        self._server = server
        self._address = (server.host, server.tls_port if direct_tls else server.tcp_port)
        self.kept: list[Any] = []
        """What arrived and was not taken yet."""
        self._arrived = asyncio.Event()
        self.reasons: list[str] = []
        self.add_event_handler("failed_auth", lambda _: self.reasons.append("failed_auth"))
        self.add_event_handler(
            "connection_failed", lambda why: self.reasons.append(f"connection_failed {why}")
        )
        self.add_event_handler("stream_error", lambda error: self.reasons.append(str(error)))
        for event in ("message", "presence", "roster_update", "carbon_sent", "carbon_received", "marker"):
            self.add_event_handler(event, self.keep)
        self.register_handler(
            Callback("Inbox", MatchXPath(f"{{jabber:client}}message/{{{INBOX}}}result"), self.keep)
        )

    def keep(self, stanza: Any) -> None:
        """Let the story take a stanza."""
        self.kept.append(stanza)
        self._arrived.set()

    async def log_in(self) -> None:
        """Connect, log in and bind; AssertionError says what was in the way."""
        await self._connect_until("session_start")

    async def lose_connection(self) -> None:
        """Let the connection break without a word."""
        broken = asyncio.ensure_future(self.wait_until("disconnected", timeout=PATIENCE))
        self.transport.abort()
        await broken

    async def resume(self) -> None:
        """Connect again and go on with the session (XEP-0198); AssertionError when the server does not."""
        await self._connect_until("session_resumed")

    async def _connect_until(self, event: str) -> None:
        arrival = asyncio.ensure_future(self.wait_until(event, timeout=PATIENCE))
        self.connect(*self._address)
        try:
            await arrival
        except TimeoutError:
            raise AssertionError(
                f"{self.boundjid}: no {event}; {self.reasons}\n{self._server.log_tail()}"
            ) from None

    async def takes(self, what: str, wanted: Callable[[Any], bool]) -> Any:
        """The next stanza that is wanted; others stay."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    for stanza in self.kept:
                        if wanted(stanza):
                            self.kept.remove(stanza)
                            return stanza
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            received = "\n".join(map(str, self.kept)) or "nothing"
            raise AssertionError(f"{self.boundjid} waited in vain for {what}; received {received}") from None

    async def takes_message(self, sender: str) -> Any:
        """The next message from that bare JID."""
        return await self.takes(
            f"a message from {sender}",
            lambda stanza: stanza.name == "message" and stanza["from"].bare == sender,
        )

    async def takes_presence(self, kind: str, sender: str) -> Any:
        """The next presence of a kind (available, subscribe, …) from that bare or full JID."""
        return await self.takes(
            f"presence {kind} from {sender}",
            lambda stanza: (
                stanza.name == "presence"
                and stanza["type"] == kind
                and sender in (stanza["from"].bare, stanza["from"].full)
            ),
        )


@contextlib.asynccontextmanager
async def logged_in(
    account: Account,
    server: ServerProcess,
    *,
    direct_tls: bool = False,
    resource: str = "slixmpp",
    plugins: tuple[str, ...] = (),
    options: Mapping[str, dict[str, Any]] | None = None,
) -> AsyncIterator[SlixmppPerson]:
    """A person who is logged in and is logged out afterwards; options are those of plugins."""
    person = SlixmppPerson(
        account, server, direct_tls=direct_tls, resource=resource, plugins=plugins, options=options
    )
    try:
        await person.log_in()
        yield person
        await person.disconnect(wait=PATIENCE)
    finally:
        if person.is_connected():
            person.abort()
