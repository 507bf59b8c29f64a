"""Session: a bound resource. It may outlive its connection.

Invariants:
- at most one link at a time; a session without one is detached and waits for its client, or has ended;
- stanzas go to the link in the order of `send`; those that the client has not acknowledged are in the window,
  where it has one, and go to the next link first;
- only a session with a window can be detached; what finds no room in the window ends the session;
- a session ends once, through `Server.end_session`, whoever asks for it;
- `priority` and `presence` are written by the contacts feature alone, `window` and what belongs to it by the
  feature that counts stanzas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.clock import Timer
from tidings.kernel.host import Host
from tidings.kernel.slots import Slotted
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xmpp.acks import MODULUS, RequestRule, SentWindow
from tidings.wire.xmpp.payloads.stream_management import ACK_REQUEST
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.account import Account

_ASKING = RequestRule()

OutboundFilter = Callable[[Stanza], Iterable[Stanza]]
"""Gets each stanza for the client and gives what is to go out now, in order."""


class Link(Protocol):
    """The connection that a session presently has."""

    def send(self, raw: bytes) -> None:
        """Send one stanza, written for the content namespace `jabber:client`; never waits."""
        ...

    def send_nonza(self, raw: bytes) -> None:
        """Send an element that is no stanza and declares its own namespace; never waits."""
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


class InboundQueue(Protocol):
    """What a client sends, one stanza after another; the router's side of a session."""

    progress: Callable[[], object] | None
    """Called each time when something that had to be waited for is dealt with."""

    @property
    def session(self) -> Session:
        """The session of the client."""
        ...

    @property
    def idle(self) -> bool:
        """Whether everything that came has been dealt with."""
        ...

    def receive(self, fragments: list[Fragment], lang: str | None = None) -> None:
        """Take what came in one read; raises `StreamError` for what ends the stream."""
        ...

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call this once when everything that came has been dealt with, which it has not yet."""
        ...

    async def until_idle(self) -> None:
        """Wait until everything that came has been dealt with."""
        ...


class Client:
    """What is known of a client's way in; told by its gateway."""

    __slots__ = ("address", "anonymous", "chose_resource", "device", "secure", "since", "transport")

    def __init__(
        self,
        *,
        transport: str,
        address: str,
        secure: bool,
        since: float,
        device: str | None = None,
        anonymous: bool = False,
        chose_resource: bool = True,
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
        self.chose_resource = chose_resource
        """Whether it named its resource itself, and so will again."""


class Session(Slotted):
    """A resource of an account that a client has bound."""

    __slots__ = (
        "account",
        "client",
        "counted_from",
        "end",
        "ended",
        "expiry",
        "handled",
        "host",
        "inbound",
        "is_catching_up",
        "jid",
        "link",
        "outbound_filter",
        "presence",
        "priority",
        "received",
        "replayed_upto",
        "resume_seconds",
        "sent",
        "stop_counting",
        "stream_key",
        "window",
    )

    inbound: InboundQueue
    """The queue of what the client sends; set by the server, and gone when the session has ended."""

    def __init__(self, jid: Jid, account: Account, host: Host, client: Client, link: Link | None) -> None:
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
        self.is_catching_up = False
        """Whether its device reads what is archived from the archive, and is not sent it live."""
        self.replayed_upto = 0
        """Up to this position its device has read the archive; that is not sent live either."""
        self.outbound_filter: OutboundFilter | None = None
        self.received = 0
        """How many stanzas of the client have come, since it was bound."""
        self.handled = 0
        """How many stanzas of the client are dealt with, since it was bound."""
        self.sent = 0
        """How many stanzas the client has been sent, since it was bound."""
        self.window: SentWindow[bytes] | None = None
        """What was sent and is not acknowledged (XEP-0198); None while nothing is counted."""
        self.counted_from = 0
        """How many stanzas of the client had come when counting began."""
        self.stream_key: bytes | None = None
        """What the ledger calls its stream, if that can be resumed."""
        self.resume_seconds = 0
        """How long it waits for its client once the connection is lost; 0: it does not."""
        self.expiry: Timer | None = None
        """Ends it when it has waited so long; set while it is detached."""
        self.stop_counting = False
        """Whether it ended before its client was told of an error: from there on nothing is handled."""
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

    @property
    def can_resume(self) -> bool:
        """Whether it goes on when its connection is lost."""
        return self.window is not None and self.resume_seconds > 0 and not self.ended

    @property
    def h(self) -> int:
        """How many stanzas of the client are dealt with since counting began: XEP-0198's `h`."""
        return max(self.handled - self.counted_from, 0) % MODULUS

    def send(self, stanza: Stanza, to: Jid | None = None) -> None:
        """Hand the client a stanza, optionally under another address; never waits."""
        if self.outbound_filter is None:
            self.write(stanza.to_bytes(to))
            return
        for released in self.outbound_filter(stanza if to is None else stanza.replace(to=to)):
            self.write(released.to_bytes())

    def send_written(self, raw: bytes, stanza: Callable[[], Stanza]) -> None:
        """Hand the client a stanza that is already written; it is made only where the gate looks at it."""
        if self.outbound_filter is None:
            self.write(raw)
        else:
            self.send(stanza())

    def write(self, raw: bytes) -> None:
        """Send a stanza that is already written, past the gate."""
        self.sent += 1
        if self.window is not None and not self.window.push(raw, len(raw)):
            self._overflow()
        elif self.link is not None:
            self.link.send(raw)

    def send_nonza(self, raw: bytes) -> None:
        """Send an element that is no stanza, if there is a connection; it is not counted."""
        if self.link is not None:
            self.link.send_nonza(raw)

    def ask(self) -> None:
        """Ask the client what it has, if that is due; a link does so when it has nothing more to send."""
        window = self.window
        if window is not None and _ASKING.wants_request(window, is_idle=True):
            window.requested()
            self.send_nonza(ACK_REQUEST)

    def count(self, window: SentWindow[bytes]) -> None:
        """Count stanzas from here on, in both directions."""
        self.window = window
        self.counted_from = self.received

    def attach(self, client: Client, link: Link) -> None:
        """Take another connection, which first gets what its client has not acknowledged."""
        # Who has come back is the same device, whatever this log-in tells of it.
        client.device, client.chose_resource = self.client.device, self.client.chose_resource
        self.client = client
        self.link = link
        if self.window is not None:
            for raw in self.window.unacknowledged:
                link.send(raw)

    def close(self, error: StreamError | None = None) -> None:
        """End the session, and its stream with this error."""
        if self.link is not None:
            self.link.close(error)
        elif self.end is not None:
            self.end(self, error)

    def _overflow(self) -> None:
        """End a session that has not acknowledged too much; what its device lacks is found elsewhere.

        It ends a moment later: whoever sends may be going through the sessions.
        """
        error = StreamError("resource-constraint", "too much is waiting to be acknowledged")
        self.window = None
        link, self.link = self.link, None
        if link is not None:
            link.close(error)
        if self.end is not None:
            self.end(self, error)

    def __repr__(self) -> str:
        return f"Session({str(self.jid)!r}, {self.transport})"
