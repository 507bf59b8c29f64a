"""Session: a bound resource. It outlives its connection.

Invariants:
- at most one link at a time; without one the session is detached and keeps what it is sent, up to a bound;
- stanzas go to the link in the order of `send`;
- a session ends once, through `Server.end_session`, whoever asks for it;
- `priority` and `presence` are written by the contacts feature alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.slots import Slotted
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.account import Account
    from tidings.kernel.host import Host

Gate = Callable[[Stanza], Iterable[Stanza]]
"""Gets each stanza for the client and gives what is to go out now, in order."""


class Link(Protocol):
    """The connection that a session presently has."""

    def send(self, raw: bytes) -> None:
        """Send one stanza, written for the content namespace `jabber:client`; never waits."""
        ...

    def close(self, error: StreamError | None) -> None:
        """End the stream, with an error if there is one; the session ends with it."""
        ...

    def pause(self) -> None:
        """Read no more from the client for now."""
        ...

    def resume(self) -> None:
        """Read from the client again."""
        ...


class Client:
    """What is known of a client's way in; told by its gateway."""

    __slots__ = ("address", "anonymous", "device", "secure", "since", "transport")

    def __init__(
        self,
        *,
        transport: str,
        address: str,
        secure: bool,
        since: float,
        device: str | None = None,
        anonymous: bool = False,
    ) -> None:
        self.transport = transport
        """tcp, tls, websocket or bosh."""
        self.address = address
        """The network address, or empty where there is none."""
        self.secure = secure
        """Whether nobody on the way can read along."""
        self.since = since
        """When it connected, in seconds since the epoch."""
        self.device = device
        """The user agent's id (XEP-0388), or None."""
        self.anonymous = anonymous
        """Whether its account is made up and ends with its sessions (XEP-0175)."""


class Session(Slotted):
    """A resource of an account that a client has bound."""

    __slots__ = (
        "_kept",
        "account",
        "client",
        "end",
        "ended",
        "gate",
        "handled",
        "host",
        "jid",
        "kept_limit",
        "link",
        "presence",
        "priority",
        "sent",
        "unsent",
    )

    def __init__(
        self,
        jid: Jid,
        account: Account,
        host: Host,
        client: Client,
        link: Link | None,
        *,
        kept_limit: int = 4_194_304,
    ) -> None:
        super().__init__()
        self.jid = jid
        self.account = account
        self.host = host
        self.client = client
        self.link = link
        self.priority: int | None = None
        """The priority of its presence, or None while it is not available."""
        self.presence: Stanza | None = None
        """Its last available presence to all, with its full JID as `from`."""
        self.gate: Gate | None = None
        self.handled = 0
        """How many stanzas of the client are dealt with: XEP-0198's inbound `h`."""
        self.sent = 0
        """How many stanzas the client has been sent."""
        self.unsent: list[bytes] = []
        """What was to be sent while detached, in order."""
        self._kept = 0
        self.kept_limit = kept_limit
        self.ended = False
        self.end: Callable[[Session, StreamError | None], object] | None = None
        """Ends a session that has no connection to do it; set by the server."""

    @property
    def secure(self) -> bool:
        """Whether nobody on the way can read along."""
        return self.client.secure

    @property
    def transport(self) -> str:
        """The kind of connection: tcp, tls, websocket or bosh."""
        return self.client.transport

    @property
    def address(self) -> str:
        """The client's network address."""
        return self.client.address

    @property
    def since(self) -> float:
        """When it connected, in seconds since the epoch."""
        return self.client.since

    @property
    def detached(self) -> bool:
        """Whether it waits for another connection."""
        return self.link is None

    def send(self, stanza: Stanza, to: Jid | None = None) -> None:
        """Hand the client a stanza, optionally under another address; never waits."""
        if self.gate is None:
            self.write(stanza.to_bytes(to))
            return
        for released in self.gate(stanza if to is None else stanza.replace(to=to)):
            self.write(released.to_bytes())

    def write(self, raw: bytes) -> None:
        """Send a stanza that is already written, past the gate."""
        self.sent += 1
        if self.link is not None:
            self.link.send(raw)
        elif not self.ended and self._kept <= self.kept_limit:
            self.unsent.append(raw)
            self._kept += len(raw)
            if self._kept > self.kept_limit:
                # Whoever does not come back in time finds what it misses elsewhere, not in this memory.
                self.unsent.clear()
                self.close(StreamError("resource-constraint", "too much is waiting to be read"))

    def detach(self) -> None:
        """Lose the connection and go on without one."""
        self.link = None

    def attach(self, link: Link) -> None:
        """Take another connection, which first gets what has gathered; one that it has still is closed."""
        before, self.link = self.link, link
        if before is not None:
            before.close(StreamError("conflict", "the session goes on elsewhere"))
        unsent, self.unsent = self.unsent, []
        self._kept = 0
        for raw in unsent:
            link.send(raw)

    def close(self, error: StreamError | None = None) -> None:
        """End the session, and its stream with this error."""
        if self.link is not None:
            self.link.close(error)
        elif self.end is not None:
            self.end(self, error)

    def __repr__(self) -> str:
        return f"Session({str(self.jid)!r}, {self.transport})"
