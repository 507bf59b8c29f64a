"""Requests: which handler of a host answers an iq, and the way of its answer (RFC 6120 §8.2.3)."""

from __future__ import annotations

from collections.abc import Awaitable

from tidings.base.errors import StanzaError
from tidings.kernel.entity import Entity
from tidings.kernel.events import RequestAnswered
from tidings.kernel.feature import Addressee
from tidings.kernel.host import Host
from tidings.kernel.iq import Answer, AnswerFirst, Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.pacing import STRETCH_OCTETS, Pacing
from tidings.kernel.routing import Routing
from tidings.kernel.session import Session
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.stanza import KINDS, Child, Stanza


def check(stanza: Stanza) -> None:
    """Refuse what is no proper presence or iq (RFC 6120 §8.2.3, §8.3.3.1); raises `bad-request`."""
    kind = stanza.kind
    if kind not in KINDS[stanza.name]:
        raise StanzaError("bad-request", f"a {stanza.name} cannot be of type {kind!r}")
    if stanza.name == "iq":
        if stanza.id is None:
            raise StanzaError("bad-request", "an iq needs an id")
        if kind in {"get", "set"} and len(stanza.index) != 1:
            raise StanzaError("bad-request", "a request has exactly one child")


class Requests:
    """Takes iqs to their handlers; the router takes the answers on."""

    def __init__(self, router: Routing, pacing: Pacing) -> None:
        self._router = router
        self._pacing = pacing

    def ask(
        self, host: Host, at: Addressee, entity: Entity | None, stanza: Stanza, session: Session | None
    ) -> MaybeAwaitable:
        """Find who handles an iq and send the answer."""
        if stanza.kind in {"result", "error"}:
            # RFC 6120 §8.2.3: an answer; that there is one says that its sender has what it was sent before.
            if session is None or not host.hooks.has(RequestAnswered):
                return None
            return host.hooks.tell(RequestAnswered(session, stanza))
        tag = stanza.payload_tag
        assert tag is not None  # checked
        found = host.iq_handlers.get((stanza.kind, tag, at))
        if found is None:
            self._router.refuse(stanza, StanzaError(host.unhandled))  # RFC 6121 §8.5
            return None
        payload_class, handler = found
        try:
            element = stanza.payload()
            request = Iq(stanza, payload_class.decode(element), session, entity)
            answer = handler(request)
        except Exception as error:  # noqa: BLE001  # where a handler's bug ends
            self._fail(stanza, error)
            return None
        if answer is None or isinstance(answer, Element | Child):
            return self._answer(stanza, answer, session)
        return self._answer_later(stanza, answer, session)

    async def _answer_later(
        self, stanza: Stanza, pending: Awaitable[Answer | AnswerFirst], session: Session | None
    ) -> None:
        try:
            answer = await pending
        except Exception as error:  # noqa: BLE001  # where a handler's bug ends
            self._fail(stanza, error)
            return
        if not isinstance(answer, AnswerFirst):
            await until_done(self._answer(stanza, answer, session))
            return
        await until_done(self._answer(stanza, answer.answer, session))
        try:
            await until_done(answer.then())
        except Exception as error:  # noqa: BLE001  # where a handler's bug ends
            self._router.refusal(error, "iq", payload=stanza.payload_tag)  # which logs it; it was answered

    def _answer(self, request: Stanza, answer: Answer, session: Session | None) -> MaybeAwaitable:
        result = request.result(*(() if answer is None else (answer,)))
        if session is not None:
            # To the session that asked, even if its resource was taken over by another in the meantime.
            if len(result.content) > STRETCH_OCTETS:
                return self._send_when_read(request, result, session)
            session.send(result)
            return None
        return self._router.route(result)

    async def _send_when_read(self, request: Stanza, result: Stanza, session: Session) -> None:
        try:
            await self._pacing.until_room(session, len(result.content))
        except StanzaError as error:
            self._router.refuse(request, error)
        else:
            session.send(result)

    def _fail(self, request: Stanza, error: Exception) -> None:
        refusal = self._router.refusal(error, "iq", payload=request.payload_tag)
        self._router.refuse(request, refusal)
