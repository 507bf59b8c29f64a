"""Stream Management: both sides know what the other has, and a lost connection loses nothing.

Implements XEP-0198 1.6.3; the marks § point at its sections. What a client has sent counts as handled when it
is stored or answered. A session whose connection is lost waits for its client, which may come back over any
transport. What is unacknowledged when a session ends is sent to nobody else: it is in the archive, after what
its device has. Left out: streams between servers.
"""

import functools
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.current import Current
from tidings.kernel.events import (
    SessionBound,
    SessionDetached,
    SessionEnded,
    SessionResumed,
    StanzasAcknowledged,
)
from tidings.kernel.feature import Feature, Spec, StreamStage, handles_nonza, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.server import Server
from tidings.kernel.session import InboundQueue, Session
from tidings.kernel.slots import Slot
from tidings.kernel.traces import Traces
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import message_key
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.acks import MODULUS, HandledTooHigh, SentWindow, WindowLimits
from tidings.wire.xmpp.payloads.stream_management import (
    Ack,
    Enable,
    Enabled,
    Failed,
    Resume,
    Resumed,
    ack_bytes,
    stream_management_feature,
)

log = structlog.get_logger("tidings.stream_management")

_REMEMBERED: Final = 10_000
"""So many sessions that have ended are remembered with what they had handled."""


class StreamManagementOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much a session may owe, and how long it waits for its client."""

    resume_seconds: Annotated[
        int,
        Meta(
            description="Seconds that a session waits for its client when the connection is lost; 0: none.",
            ge=0,
            le=86_400,
        ),
    ] = 300
    window_stanzas: Annotated[
        int, Meta(description="Stanzas that a client may leave unacknowledged before its session ends.", ge=1)
    ] = 10_000
    window_bytes: Annotated[
        int, Meta(description="Bytes that a client may leave unacknowledged before its session ends.", ge=1)
    ] = 4_194_304
    detached_window_bytes: Annotated[
        int,
        Meta(
            description="Bytes that a session which waits for its client may hold unacknowledged before "
            "it ends; a quarter of that beside what was sent before the connection was lost.",
            ge=1,
        ),
    ] = 1_048_576
    location: Annotated[
        str,
        Meta(
            description="Where clients should come back to first, as `host:port`; empty: where they choose.",
            max_length=1_024,
        ),
    ] = ""


class Remembered(msgspec.Struct):
    """A session that has ended, as far as its client may ask for it."""

    account: Jid
    handled: int
    inbound: InboundQueue | None
    """What still deals with stanzas of it; None once all are dealt with."""


STREAM_ID: Slot[str] = Slot("stream_management.id", default="")
"""The name by which the session can be resumed; empty where it cannot."""


class StreamManagement(Feature):
    """Counts, acknowledges and resumes."""

    spec = Spec.xep(198, version="1.6.3", note="for clients")
    inline = (ns.SM,)  # §9.1
    Options = StreamManagementOptions

    def __init__(
        self,
        host: Host,
        server: Server,
        ledger: Ledger,
        traces: Traces,
        options: Current[StreamManagementOptions],
    ) -> None:
        self._traces = traces
        self._host = host
        self._server = server
        self._ledger = ledger
        self._options = options
        self._sessions: dict[str, Session] = {}
        self._ended: OrderedDict[str, Remembered] = OrderedDict()

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Offer it after log-in (§2), and resumption together with log-in (§9.2)."""
        return () if stage is StreamStage.BEFORE_LOGIN else (stream_management_feature(),)

    # --- enabling (§3)

    @handles_nonza(ns.SM, "enable")
    def enable(self, session: Session, element: Element) -> None:
        """Begin to count; a second time ends the stream."""
        if session.flow.window is not None:
            raise StreamError("policy-violation", "stream management is enabled already")
        answer = self._enable(session, element)
        session.send_nonza(answer.to_bytes())

    @listens(SessionBound)  # §9.1
    def begin(self, event: SessionBound) -> None:
        """Begin to count where the client asks for it together with its session."""
        for element in event.inline:
            if (element.namespace, element.name) == Enable.TAG and event.session.flow.window is None:
                event.answers.append(self._enable(event.session, element))

    def _enable(self, session: Session, element: Element) -> Element:
        try:
            request = Enable.decode(element)
        except StanzaError as error:
            return Failed(error.condition, text=error.text).encode()
        session.flow.count(SentWindow(window_limits(self._options.now), tally=self._server.outbound))
        seconds = self._options.now.resume_seconds
        if request.maximum is not None:
            seconds = min(seconds, request.maximum)
        # Nobody can log in again to an account that is made up.
        if not (request.can_resume and seconds) or session.client.anonymous:
            return Enabled().encode()
        name = session[STREAM_ID] = token(18)
        self._sessions[name] = session
        session.flow.stream_key = stream_key(session.account.jid, name)
        session.flow.resume_seconds = seconds
        return Enabled(name, can_resume=True, maximum=seconds, location=self._options.now.location).encode()

    # --- acks (§4)

    @handles_nonza(ns.SM, "r")
    def answer(self, session: Session, element: Element) -> None:  # noqa: ARG002 - it says nothing more
        """Say at once what is handled, and again when more of what has come is."""
        if session.flow.window is None:
            session.send_nonza(_UNEXPECTED)
            return
        session.send_nonza(ack_bytes(session.flow.h))
        if session.flow.received > max(session.flow.handled, session.flow.counted_from):
            inbound = session.inbound
            inbound.progress = functools.partial(_answer_again, inbound, session.flow.received)

    @handles_nonza(ns.SM, "a")
    def acknowledged(self, session: Session, element: Element) -> MaybeAwaitable:
        """Let go of what the client has; ask again for what was sent since the last question."""
        if session.flow.window is None:
            session.send_nonza(_UNEXPECTED)
            return None
        try:
            handled = Ack.decode(element).handled
        except StanzaError as error:
            raise StreamError("bad-format", error.text) from None
        wait = self._acknowledge(session, session.flow.window, session.flow.window.acknowledge(handled))
        if session.link is not None:
            session.link.request_ack()
        return wait

    def _acknowledge(
        self, session: Session, window: SentWindow[Outgoing], items: tuple[Outgoing, ...] | HandledTooHigh
    ) -> MaybeAwaitable:
        if isinstance(items, HandledTooHigh):
            raise items.error()  # §6
        if not items:
            return None
        if self._traces.is_logged:
            log.debug("acknowledged", session=session.jid.text, stanzas=len(items), waiting=len(window))
        return self._host.hooks.tell(StanzasAcknowledged(session, session.flow.sent - len(window)))

    # --- resumption (§5)

    @handles_nonza(ns.SM, "resume")
    def resume_late(self, session: Session, element: Element) -> None:  # noqa: ARG002 - it is not looked at
        """Refuse: the stream has its session."""
        session.send_nonza(_UNEXPECTED)

    async def negotiate_resumption(self, account: Jid, element: Element) -> tuple[Element, Session | None]:
        """Find the session to go on with, take it from its connection and deal with what that has brought."""
        if element.name != "resume":
            return Failed("unexpected-request").encode(), None  # §3: nothing else comes before binding
        try:
            request = Resume.decode(element)
        except StanzaError as error:
            return Failed(error.condition, text=error.text).encode(), None
        session = self._sessions.get(request.id)
        if session is None or session.account.jid != account:
            return await self._gone(account, request.id), None
        # §5: `h` may leave nothing open, since the client sends again what it does not cover.
        while session.can_resume:
            self._server.release(session)
            if session.inbound.idle:
                return self._resume(session, request), session
            await session.inbound.until_idle()
        return await self._gone(account, request.id), None

    def _resume(self, session: Session, request: Resume) -> Element:
        window = session.flow.window
        assert window is not None  # it can be resumed
        try:
            wait = self._acknowledge(session, window, window.resume(request.handled))
        except StreamError as error:
            session.close(error)  # the client has lost count; it would come back with the same for ever
            raise
        if wait is not None:
            self._server.supervisor.start("acknowledged", until_done(wait))
        session.inbound.progress = None
        return Resumed(request.id, session.flow.h).encode()

    async def _gone(self, account: Jid, name: str) -> Element:
        """Refuse, and tell what was handled of a session that is over, as far as that is known (§5)."""
        remembered = self._ended.get(name)
        if remembered is not None and remembered.account == account:
            if remembered.inbound is not None:
                await remembered.inbound.until_idle()
            return self._no_such(remembered.handled)
        handled = None
        if self._host.has_archives:
            try:
                handled = await self._ledger.end_stream(stream_key(account, name))
            except BackendError as error:
                log.error("stream_unknown", account=str(account), reason=str(error))
        return self._no_such(handled)

    def _no_such(self, handled: int | None) -> Element:
        """Say that there is no such session, or that there never is one here (§5)."""
        condition = "item-not-found" if self._options.now.resume_seconds else "feature-not-implemented"
        return Failed(condition, None if handled is None else handled % MODULUS).encode()

    @listens(SessionDetached)
    def shrink(self, event: SessionDetached) -> None:
        """Let less wait for a client that is not there, but what it was sent already."""
        window = event.session.flow.window
        if window is None:
            return
        connected, limits = window_limits(self._options.now), detached_limits(self._options.now)
        spare = limits.octets // 4  # beside what it holds already: presence, above all
        octets = min(max(limits.octets, window.octets + spare), connected.octets)
        window.limits = msgspec.structs.replace(limits, octets=octets)

    @listens(SessionResumed)
    def grow(self, event: SessionResumed) -> None:
        """Let more wait for a client that is back."""
        window = event.session.flow.window
        if window is not None and event.session[STREAM_ID]:
            window.limits = window_limits(self._options.now)

    @listens(SessionEnded, first=True)  # at once, since the client may ask at any time
    def forget(self, event: SessionEnded) -> None:
        """Remember of a session that has ended what it had handled."""
        session = event.session
        name = session[STREAM_ID]
        if self._sessions.pop(name, None) is None:
            return
        remembered = self._ended[name] = Remembered(session.account.jid, session.flow.h, session.inbound)
        if session.inbound.idle:
            remembered.inbound = None
        else:
            session.inbound.when_idle(functools.partial(_settle, remembered, session))
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)


_UNEXPECTED: Final = Failed("unexpected-request").encode().to_bytes()


def _answer_again(inbound: InboundQueue, asked: int) -> None:
    session = inbound.session
    session.send_nonza(ack_bytes(session.flow.h))
    if session.flow.handled >= asked:
        inbound.progress = None


def _settle(remembered: Remembered, session: Session) -> None:
    remembered.handled = session.flow.h
    remembered.inbound = None


@lru_cache(maxsize=16)  # all sessions share one
def window_limits(options: StreamManagementOptions) -> WindowLimits:
    """Say how much may wait for a client that is connected."""
    return WindowLimits(stanzas=options.window_stanzas, octets=options.window_bytes)


def detached_limits(options: StreamManagementOptions) -> WindowLimits:
    """Say how much may wait for a client that is not there."""
    octets = min(options.window_bytes, options.detached_window_bytes)
    return WindowLimits(stanzas=options.window_stanzas, octets=octets)


def stream_key(account: Jid, name: str) -> bytes:
    """Give what the ledger calls a stream; another account's stream of this name is another."""
    return message_key("stream", account, name)
