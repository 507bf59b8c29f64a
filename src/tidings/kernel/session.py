"""Session: a bound resource. It may outlive its connection.

Invariants:
- at most one link at a time; a session without one is detached and waits for its client, or has ended;
- stanzas go to the link in the order of `send`; those that the client has not acknowledged are in the window,
  where it has one, and go to the next link first;
- only a session whose flow has a window can be detached; what finds no room in the window ends the session;
- a session ends once, through `Server.end_session`, whoever asks for it;
- `priority` and `presence` are written by the contacts feature alone, the flow's window by whatever counts
  stanzas for the client's protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from tidings.base.errors import StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.flow import Flow
from tidings.kernel.host import Host
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.slots import Slotted
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.account import Account

log = structlog.get_logger("tidings.session")

MOST_HELD: Final = 64
"""So many messages that no archive has wait for a device that reads what it has missed."""

OutboundFilter = Callable[[Stanza], Iterable[Stanza]]
"""Gets each stanza for the client and gives what is to go out now, in order."""


class Link(Protocol):
    """The connection that a session presently has."""

    @property
    def rests_since(self) -> float | None:
        """Since when nothing has come, by the monotonic clock, to some seconds; None while something does."""
        ...

    def send(self, out: Outgoing) -> None:
        """Send one stanza in the encoding of the link; never waits."""
        ...

    def send_nonza(self, raw: bytes) -> None:
        """Send an element of an XML stream that is no stanza and declares its own namespace; never waits."""
        ...

    def request_ack(self) -> None:
        """Ask the client what it has, if that is due."""
        ...

    def backlog(self) -> int:
        """Count what was written and has not left."""
        ...

    def has_room(self) -> bool:
        """Tell whether so little has not left that more may be written that was asked for."""
        ...

    def close(self, error: StreamError | None) -> None:
        """End the stream, with an error if there is one; the session ends with it."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
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

    @property
    def is_paused(self) -> bool:
        """Whether so much has come that nothing more is read for now."""
        ...

    def submit(self, stanzas: list[Stanza | None]) -> None:
        """Take what came in one read, with the session's full JID as `from`; None for what was refused."""
        ...

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza that cannot be taken; who refuses it submits None in its place."""
        ...

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call this once when everything that came has been dealt with, which it has not yet."""
        ...

    async def until_idle(self) -> None:
        """Wait until everything that came has been dealt with."""
        ...


class Client:
    """What is known of a client's way in; told by its gateway."""

    __slots__ = (
        "address",
        "anonymous",
        "chose_resource",
        "device",
        "mechanism",
        "secure",
        "since",
        "transport",
    )

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
        self.mechanism = ""
        """The SASL mechanism of its log-in; empty before that, and where there is none."""


class Session(Slotted):
    """A resource of an account that a client has bound."""

    __slots__ = (
        "_held",
        "account",
        "claim",
        "client",
        "end",
        "ended",
        "flow",
        "host",
        "inbound",
        "is_catching_up",
        "jid",
        "link",
        "outbound_filter",
        "presence",
        "priority",
        "replayed_upto",
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
        self.claim = ""
        """What it holds its resource by, among the nodes of the server; empty where there is one node."""
        self.flow = Flow()
        """What is counted between it and its client."""
        self.priority: int | None = None
        """The priority of its presence, or None while it is not available; see `SessionManager`."""
        self.presence: Stanza | None = None
        """Its last available presence to all, with its full JID as `from`."""
        self.is_catching_up = False
        """Whether its device reads what is archived from the archive, and is not sent it live."""
        self._held: deque[tuple[int, Stanza]] = deque()
        self.replayed_upto = 0
        """Up to this position its device has read the archive; that is not sent live either."""
        self.outbound_filter: OutboundFilter | None = None
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
        return self.flow.can_resume and not self.ended

    @property
    def backlog(self) -> int:
        """How many octets wait for its client: what has not left, and what is not acknowledged."""
        window = self.flow.window
        waiting = 0 if window is None else window.octets
        return waiting if self.link is None else waiting + self.link.backlog()

    def has_room(self, octets: int = 0) -> bool:
        """Tell whether a part of an answer may be sent that is so large.

        Answers fill half of what may wait for the client, so that what it is sent unasked finds room.
        """
        window = self.flow.window
        if window is not None and not window.is_half_empty(octets):
            return False
        return self.link is None or self.link.has_room()

    def send(self, stanza: Stanza, to: Jid | None = None) -> None:
        """Hand the client a stanza, optionally under another address; never waits."""
        if self.outbound_filter is None:
            self.write(Outgoing(stanza, to))
            return
        for released in self.outbound_filter(stanza if to is None else stanza.replace(to=to)):
            self.write(Outgoing(released))

    def send_written(self, xml: bytes, stanza: Callable[[], Stanza]) -> None:
        """Hand the client a stanza that is written as XML; it is made only for who needs another form."""
        self.send_out(Outgoing(stanza, None, xml))

    def send_out(self, out: Outgoing) -> None:
        """Hand the client a stanza that others may get, too."""
        if self.outbound_filter is None:
            self.write(out)
        else:
            self.send(out.stanza, out.to)

    def send_unkept(self, message: Stanza) -> None:
        """Hand the client a message that no archive has, between those that its device reads from there.

        Of those more than a few go at once, so that what waits is bounded.
        """
        if self.is_catching_up and len(self._held) < MOST_HELD:
            self._held.append((self.account.position, message))
        else:
            self.send(message)

    def release(self, before: int) -> None:
        """Send what has waited and came before the message of this position."""
        while self._held and self._held[0][0] < before:
            self.send(self._held.popleft()[1])

    def go_live(self) -> None:
        """Send what is archived live again, and what is left of what has waited for that."""
        self.is_catching_up = False
        while self._held:
            self.send(self._held.popleft()[1])

    def forget_held(self) -> None:
        """Let go of what has waited, since it is not for a session that is gone from view."""
        self._held.clear()

    def write(self, out: Outgoing) -> None:
        """Send a stanza past the filter."""
        flow = self.flow
        flow.sent += 1
        if flow.window is not None and not flow.window.push(out, out.octets):
            self._overflow()
        elif self.link is not None:
            self.link.send(out)

    def send_nonza(self, raw: bytes) -> None:
        """Send an element that is no stanza, if there is a connection; it is not counted."""
        if self.link is not None:
            self.link.send_nonza(raw)

    def attach(self, client: Client, link: Link) -> None:
        """Take another connection, which first gets what its client has not acknowledged."""
        # Who has come back is the same device, whatever this log-in tells of it.
        client.device, client.chose_resource = self.client.device, self.client.chose_resource
        self.client = client
        self.link = link
        if self.flow.window is not None:
            for out in self.flow.window.unacknowledged:
                link.send(out)

    def close(self, error: StreamError | None = None) -> None:
        """End the session, and its stream with this error."""
        if self.link is not None:
            self.link.close(error)
        elif self.end is not None:
            self.end(self, error)

    def _overflow(self) -> None:
        """End a session that has not acknowledged too much; what its device lacks is found elsewhere."""
        reason = "too much is waiting to be acknowledged"
        log.warning("window_overflow", session=str(self.jid), octets=self.backlog, reason=reason)
        self.cut(StreamError("resource-constraint", reason))

    def cut(self, error: StreamError) -> None:
        """End a session whose device finds elsewhere what it lacks, and let go of what waits for it.

        It ends a moment later: whoever sends may be going through the sessions.
        """
        self.flow.drop_window()
        link, self.link = self.link, None
        if link is not None:
            link.close(error)
        if self.end is not None:
            self.end(self, error)

    def __repr__(self) -> str:
        return f"Session({str(self.jid)!r}, {self.transport})"
