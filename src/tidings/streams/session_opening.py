"""SessionOpening: gives a client that has logged in its session, a new one or the one that it had.

It also has those register who have no account yet.

Invariants:
- a client stands in the line of log-ins once, before its session is looked for or made;
- one that is gone gets no session, and what was made for it meanwhile is let go of.
"""

from __future__ import annotations

from typing import Final

from tidings.base.errors import StanzaError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.base.network import is_loopback, network_of
from tidings.kernel.host import Host
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Session
from tidings.kernel.slots import Slotted
from tidings.streams.buffered_link import BufferedLink
from tidings.streams.listener import ListenerContext, Registrar, Resumer
from tidings.streams.login_line import Place
from tidings.streams.stream_output import StreamOutput
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation import values

_AUTHENTICATION: Final = frozenset({ns.SASL, ns.SASL2})


class SessionOpening:
    """Looks for the session of one connection, or makes it, and hands it over when its client knows of it."""

    __slots__ = (
        "_began",
        "_buffer",
        "_context",
        "_is_admitted",
        "_is_gone",
        "_output",
        "_place",
        "_registration",
        "_resumed",
        "_session",
    )

    def __init__(self, context: ListenerContext, output: StreamOutput) -> None:
        self._context = context
        self._output = output
        self._began: float | None = None
        self._place: Place | None = None
        self._is_admitted = False
        self._is_gone = False
        self._session: Session | None = None
        self._buffer: BufferedLink | None = None
        self._resumed: Session | None = None
        self._registration: Slotted | None = None

    def heard(self, element: Element) -> None:
        """Time the log-in from the first word of authentication on."""
        if self._began is None and element.namespace in _AUTHENTICATION:
            self._began = self._context.server.telemetry.now()

    def tls_established(self) -> None:
        """Forget what was said before on a channel that anybody could write to (RFC 6120 §5.4.3.3)."""
        self._registration = None

    async def register(self, domain: str, element: Element) -> Element:
        """Answer somebody who registers; what features know of him holds for the stream.

        Raises `StanzaError`.
        """
        registrar = self.host(domain).feature(Registrar)  # type: ignore[type-abstract]
        if registrar is None:
            raise StanzaError("service-unavailable")
        client = self._output.client
        stream = self._registration = self._registration or Slotted()
        return await registrar.register_before_login(
            element, client.address, secure=client.secure, stream=stream
        )

    async def resume(
        self, account: Jid, elements: tuple[Element, ...]
    ) -> tuple[list[Element], Session | None]:
        """Let the client go on with a session that it had, or say why it cannot.

        Raises `StanzaError` where it is to come later.
        """
        resumer = self.host(account.domain).feature(Resumer)  # type: ignore[type-abstract]
        if resumer is None:
            raise TypeError("the policy offers resumption, and no feature knows it")
        answers: list[Element] = []
        for element in elements if await self._may_come_in(account) else ():
            answer, self._resumed = await resumer.negotiate_resumption(account, element)
            answers.append(answer)
            if self._resumed is not None:
                break  # it is established in this same step, before anything can come in between
        return answers, self._resumed

    async def bind(self, question: values.BindResource) -> tuple[Jid, list[Element]] | None:
        """Make a session; None for a client that has left. Raises `StanzaError` where there can be none."""
        server, client, account = self._context.server, self._output.client, question.account
        host = self.host(account.domain)
        if not await self._may_come_in(account):
            return None
        jid = account.with_resource(question.resource or token(9))
        client.chose_resource = question.chosen
        buffer = BufferedLink(self._output, self._context.options.outbound_bytes)
        session, answers = await server.open_session(
            host, jid, client, buffer, question.inline, is_bind2=question.is_bind2
        )
        if self._is_gone:  # while it was being made
            server.abandon(session, None)
            return None
        if session.ended:  # somebody took its resource already, or it was ended before it began
            raise StreamError("conflict", "the session has ended")
        self._session, self._buffer = session, buffer
        return session.jid, answers

    def hand_over(self) -> tuple[Session, list[Outgoing]]:
        """Connect the session with its client, which knows of it; give what came for it before."""
        telemetry = self._context.server.telemetry
        if self._began is not None:
            telemetry.login_seconds.add(telemetry.now() - self._began)
        if self._resumed is not None:
            self._context.server.resume(self._resumed, self._output.client, self._output)
            return self._resumed, []
        session, buffer = self._session, self._buffer
        assert session is not None
        assert buffer is not None
        if session.link is buffer:
            session.link = self._output
        return session, buffer.kept

    def end(self, reason: StreamError | None) -> None:
        """The client has gone: let go of its place in the line, and of a session that it does not know of."""
        self._is_gone = True
        if self._place is not None:
            self._place.leave()
        session, self._session = self._session, None
        if session is not None and session.link is self._buffer:
            self._context.server.abandon(session, reason)

    def host(self, domain: str) -> Host:
        """Give the host that people log in to; raises `StreamError` where it has been withdrawn meanwhile."""
        host = self._context.server.hosts.get(domain)
        if host is None or not host.takes_logins:
            raise StreamError("host-gone", f"{domain} is not served here any more")
        return host

    async def _may_come_in(self, account: Jid) -> bool:
        """Stand in the line, once; False for a client that has left. Raises `StanzaError` if it is full."""
        if not self._is_admitted:
            address = self._output.client.address
            # A guest is told from others by where it comes from, unless that is a proxy of this machine.
            is_stranger = self._output.client.anonymous and not is_loopback(address)
            self._place = self._context.line.enter(network_of(address) if is_stranger else str(account))
            self._is_admitted = True
            if self._place is not None:
                await self._place.turn()
        return not self._is_gone
