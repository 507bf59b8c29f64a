"""slixmpp as a person in a story: verifies the server's certificate and keeps what it receives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import slixmpp

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account

PATIENCE = 15.0  # seconds; only a failing test waits that long


class SlixmppPerson(slixmpp.ClientXMPP):
    """A slixmpp client whose stanzas the story takes one by one."""

    def __init__(self, account: Account, server: ServerProcess, *, direct_tls: bool = False) -> None:
        super().__init__(f"{account.bare}/slixmpp", account.password)
        self.ca_certs = server.authority
        self.enable_direct_tls = direct_tls
        self.enable_starttls = not direct_tls
        self.enable_plaintext = False
        self._server = server
        self._address = (server.host, server.tls_port if direct_tls else server.tcp_port)
        self._stanzas: list[Any] = []
        self._arrived = asyncio.Event()
        self.reasons: list[str] = []
        self.add_event_handler("failed_auth", lambda _: self.reasons.append("failed_auth"))
        self.add_event_handler(
            "connection_failed", lambda why: self.reasons.append(f"connection_failed {why}")
        )
        self.add_event_handler("stream_error", lambda error: self.reasons.append(str(error)))
        for event in ("message", "presence", "roster_update"):
            self.add_event_handler(event, self._keep)

    def _keep(self, stanza: Any) -> None:
        self._stanzas.append(stanza)
        self._arrived.set()

    async def log_in(self) -> None:
        """Connect, log in and bind; AssertionError says what was in the way."""
        self.connect(*self._address)
        try:
            await self.wait_until("session_start", timeout=PATIENCE)
        except TimeoutError:
            raise AssertionError(
                f"{self.boundjid}: no session; {self.reasons}\n{self._server.log_tail()}"
            ) from None

    async def takes(self, what: str, wanted: Callable[[Any], bool]) -> Any:
        """The next stanza that is wanted; others stay."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    for stanza in self._stanzas:
                        if wanted(stanza):
                            self._stanzas.remove(stanza)
                            return stanza
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            received = "\n".join(map(str, self._stanzas)) or "nothing"
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
    account: Account, server: ServerProcess, *, direct_tls: bool = False
) -> AsyncIterator[SlixmppPerson]:
    """A person who is logged in and is logged out afterwards."""
    person = SlixmppPerson(account, server, direct_tls=direct_tls)
    try:
        await person.log_in()
        yield person
        await person.disconnect(wait=PATIENCE)
    finally:
        if person.is_connected():
            person.abort()
