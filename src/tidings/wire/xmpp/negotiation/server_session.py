"""The third phase of the server's side: from log-in to a session.

Implements RFC 6120 §7, XEP-0386, and the answers of XEP-0388 §2.6.1 and XEP-0484.
"""

from collections.abc import Callable, Container

import msgspec

from tidings.base.errors import LocalProtocolError, StanzaError, StreamError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import iq_error, iq_result, write_data
from tidings.wire.xmpp.negotiation.features import features_after
from tidings.wire.xmpp.negotiation.requests import BindRequest
from tidings.wire.xmpp.negotiation.server_opening import ServerOpeningPhase
from tidings.wire.xmpp.negotiation.server_table import ServerMachine, ServerStreamState
from tidings.wire.xmpp.negotiation.values import (
    BindResource,
    Established,
    IssueToken,
    NegotiateInline,
    Send,
    UserAgent,
)

GENERATED = "~"
"""What the part of a resource begins with that was made here."""


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What log-in leaves behind for the session; no secret is among it."""

    account: Jid
    user_agent: UserAgent
    success_data: bytes | None = None
    """What the mechanism adds to <success/>."""
    token_wanted: str = ""
    """The mechanism of the token to issue; "" for none."""
    inline: tuple[Element, ...] = ()
    """What is asked of features along with log-in."""
    bind: BindRequest | None = None
    """The wish for a session, if it came with log-in."""


class ServerSessionPhase:
    """Gives who has logged in a session: owns the log-in's result, the answer to it and the address."""

    __slots__ = ("_answers", "_binding", "_logged_in", "_machine", "_make_token", "_opening", "jid")

    def __init__(
        self, machine: ServerMachine, opening: ServerOpeningPhase, make_token: Callable[[], str]
    ) -> None:
        self._machine = machine
        self._opening = opening
        self._make_token = make_token
        self._logged_in: LoggedIn | None = None
        self._answers: tuple[Element, ...] = ()  # what <success/> will hold
        self._binding: Element | None = None  # the iq that asks for a resource
        self.jid: Jid | None = None
        """The session's address, once there is one."""

    @property
    def account(self) -> Jid | None:
        """Who has logged in."""
        return None if self._logged_in is None else self._logged_in.account

    @property
    def _login(self) -> LoggedIn:
        if self._logged_in is None:
            raise LocalProtocolError("nobody has logged in")
        return self._logged_in

    @property
    def _owner(self) -> Jid:
        return self._login.account

    @property
    def _user_agent(self) -> UserAgent:
        return self._login.user_agent

    @property
    def _asked(self) -> Element:
        if self._binding is None:
            raise LocalProtocolError("nothing was asked")
        return self._binding

    # --- from log-in to here

    def await_stream(self, logged_in: LoggedIn) -> ServerStreamState:
        """Go on in a new stream, after SASL."""
        self._logged_in = logged_in
        return ServerStreamState.RESTARTING

    # SASL2's inline requests are answered one after the other; the session comes last, so that nothing that
    # is sent to it can overtake <success/>.

    def begin(self, logged_in: LoggedIn) -> ServerStreamState:
        """Answer the inline requests, after SASL2."""
        self._logged_in = logged_in
        wanted = logged_in.token_wanted
        if wanted:
            self._machine.act(IssueToken(logged_in.account, logged_in.user_agent.id, wanted))
            return ServerStreamState.ISSUING
        return self._negotiate_inline()

    def issued(self, text: str, expires: str) -> ServerStreamState:
        """Go on with the token, which <success/> will hold."""
        self._answers += (Element("token", ns.FAST, {"token": text, "expiry": expires}),)
        return self._negotiate_inline()

    def not_issued(self, _error: StanzaError) -> ServerStreamState:
        """Go on without a token: the log-in holds all the same."""
        return self._negotiate_inline()

    def _negotiate_inline(self) -> ServerStreamState:
        """Pass on what features know, such as resumption: it comes before binding (XEP-0386 §3.2)."""
        known = {feature.namespace for feature in self._opening.served.sasl2_inline}
        elements = tuple(each for each in self._login.inline if each.namespace in known)
        if elements:
            self._machine.act(NegotiateInline(self._owner, elements))
            return ServerStreamState.INLINE
        return self._bind_inline()

    def inline_answered(self, elements: tuple[Element, ...], resumed: Jid | None) -> ServerStreamState:
        """Go on with what features answered; a session that is resumed needs no binding."""
        self._answers = elements + self._answers
        if resumed is None:
            return self._bind_inline()
        self.jid = self._own(resumed)
        return self._complete(resumed=True)

    def inline_refused(self, error: StanzaError) -> ServerStreamState:
        """Close: the client is logged in, but cannot have the session that it asked for with it."""
        condition = _STREAM_CONDITIONS.get(error.condition) or _STREAM_CONDITION_OF_KIND[error.kind]
        return self._opening.close(StreamError(condition, error.text, payload=error.payload))

    def _bind_inline(self) -> ServerStreamState:
        request = self._login.bind
        if request is None:
            return self._complete()
        resource = f"{GENERATED}{self._make_token()[:16]}"
        if request.tag:
            resource = _valid_resource(self._owner, f"{request.tag}/{resource}") or resource
        self._machine.act(
            BindResource(
                account=self._owner,
                resource=resource,
                user_agent=self._user_agent,
                inline=request.inline,
                is_bind2=True,
            )
        )
        return ServerStreamState.BINDING_INLINE

    def bound_inline(self, jid: Jid, elements: tuple[Element, ...]) -> ServerStreamState:
        """Answer log-in and binding in one."""
        self.jid = self._own(jid)
        self._answers = (Element("bound", ns.BIND2, None, *elements), *self._answers)
        return self._complete(begun={each.namespace for each in elements if each.name != "failed"})

    def _complete(self, *, resumed: bool = False, begun: Container[str] = ()) -> ServerStreamState:
        """Send <success/> and the new features (XEP-0388 §2.6.1), not for one resumed (XEP-0198 §9.2)."""
        success = Element("success", ns.SASL2)
        if self._login.success_data is not None:
            success.append(Element("additional-data", ns.SASL2, None, write_data(self._login.success_data)))
        success.append(Element("authorization-identifier", ns.SASL2, None, self.jid or self._owner))
        for element in self._answers:
            success.append(element)
        self._answers = ()
        self._machine.act(Send(success))
        if not resumed:
            self._machine.act(
                Send(features_after(self._opening.served, bound=self.jid is not None, begun=begun))
            )
        if self.jid is None:
            return ServerStreamState.AUTHENTICATED
        self._machine.act(Established(self.jid, resumed))
        return ServerStreamState.ESTABLISHED

    # --- between log-in and session

    def bind(self, iq: Element) -> ServerStreamState:
        """Ask for a session (RFC 6120 §7.6, §7.7)."""
        request = iq.find("bind", ns.BIND)
        wish = (request.text_of("resource") if request else "") or ""
        resource = _valid_resource(self._owner, wish) if wish else f"{GENERATED}{self._make_token()[:16]}"
        if not resource:
            self._machine.act(
                Send(iq_error(iq, StanzaError("bad-request", "this resource cannot be part of an address")))
            )
            return ServerStreamState.AUTHENTICATED
        self._binding = iq
        self._machine.act(
            BindResource(
                account=self._owner, resource=resource, chosen=bool(wish), user_agent=self._user_agent
            )
        )
        return ServerStreamState.BINDING

    def bound(self, jid: Jid, _elements: tuple[Element, ...]) -> ServerStreamState:
        """Answer with the address."""
        self.jid = self._own(jid)
        answer = Element("bind", ns.BIND, None, Element("jid", ns.BIND, None, jid))
        self._machine.act(Send(iq_result(self._asked, answer)), Established(jid))
        return ServerStreamState.ESTABLISHED

    def bind_refused(self, error: StanzaError) -> ServerStreamState:
        """Answer with the reason; the client may ask for another resource."""
        self._machine.act(Send(iq_error(self._asked, error)))
        return ServerStreamState.AUTHENTICATED

    def bind_again(self, iq: Element) -> ServerStreamState:
        """Refuse a second resource on one stream (RFC 6120 §7.1)."""
        self._machine.act(Send(iq_error(iq, StanzaError("not-allowed", "this stream has its resource"))))
        return ServerStreamState.ESTABLISHED

    def request_session(self, iq: Element) -> ServerStreamState:
        """Answer the request that RFC 3921 had: it does nothing any more (RFC 6121 §1.4)."""
        self._machine.act(Send(iq_result(iq)))
        return self._machine.state

    def extend(self, element: Element) -> ServerStreamState:
        """Pass on what a feature knows, such as resumption."""
        self._machine.act(NegotiateInline(self._owner, (element,)))
        return ServerStreamState.EXTENDING

    def extended(self, elements: tuple[Element, ...], resumed: Jid | None) -> ServerStreamState:
        """Send what the feature answers; a session that is resumed needs no binding."""
        self._machine.act(*(Send(element) for element in elements))
        if resumed is None:
            return ServerStreamState.AUTHENTICATED
        self.jid = self._own(resumed)
        self._machine.act(Established(resumed, resumed=True))
        return ServerStreamState.ESTABLISHED

    def _own(self, jid: Jid) -> Jid:
        """Make sure that the session belongs to who logged in."""
        if jid.bare != self.account or not jid.resource:
            raise LocalProtocolError(f"{jid} is no session of {self.account}")
        return jid


_STREAM_CONDITIONS = {
    "conflict": "conflict",
    "resource-constraint": "resource-constraint",
    "internal-server-error": "internal-server-error",
}
"""The stream error that stands for a stanza error when there is no stanza to answer."""

_STREAM_CONDITION_OF_KIND = {
    "auth": "not-authorized",
    "cancel": "policy-violation",
    "continue": "policy-violation",
    "modify": "policy-violation",
    "wait": "resource-constraint",
}
"""The same for conditions that streams do not have; `undefined-condition` says nothing alone (§4.9.3.21)."""


def _valid_resource(account: Jid, resource: str) -> str:
    """Prepare a resource; "" where it cannot be one."""
    try:
        return account.with_resource(resource).resource
    except JidError:
        return ""
