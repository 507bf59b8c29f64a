"""The third phase of the server's side: from log-in to a session.

Implements RFC 6120 §7, XEP-0386, and the answers of XEP-0388 §2.6.1 and XEP-0484.
"""

from collections.abc import Container

from tidings.base.errors import LocalProtocolError, StanzaError, StreamError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import iq_error, iq_result, write_data
from tidings.wire.xmpp.negotiation.features import features_after
from tidings.wire.xmpp.negotiation.server_opening import OpeningPhase
from tidings.wire.xmpp.negotiation.server_table import ServerState
from tidings.wire.xmpp.negotiation.values import BindResource, Established, IssueToken, NegotiateInline, Send

GENERATED = "~"
"""What the part of a resource begins with that was made here."""


class SessionPhase(OpeningPhase):
    """What `ServerNegotiation` does once a client has logged in; see there."""

    # SASL2's inline requests are answered one after the other; the session comes last, so that nothing that
    # is sent to it can overtake <success/>.

    def _begin_session(self) -> ServerState:
        if self._token_wanted:
            self._act(IssueToken(self._owner, self._user_agent.id, self._token_wanted))
            return ServerState.ISSUING
        return self._negotiate_inline()

    def _issued(self, text: str, expires: str) -> ServerState:
        self._success.append(Element("token", ns.FAST, {"token": text, "expiry": expires}))
        return self._negotiate_inline()

    def _not_issued(self, _error: StanzaError) -> ServerState:
        return self._negotiate_inline()

    def _negotiate_inline(self) -> ServerState:
        """Pass on what features know, such as resumption: it comes before binding (XEP-0386 §3.2)."""
        known = {feature.namespace for feature in self._served.sasl2_inline}
        elements = tuple(each for each in self._attempt.request.inline if each.namespace in known)
        if elements:
            self._act(NegotiateInline(self._owner, elements))
            return ServerState.INLINE
        return self._bind_inline()

    def _inline_answered(self, elements: tuple[Element, ...], resumed: Jid | None) -> ServerState:
        self._success[:0] = elements
        if resumed is None:
            return self._bind_inline()
        self._jid = self._own(resumed)
        return self._complete(resumed=True)

    def _inline_refused(self, error: StanzaError) -> ServerState:
        """Close: the client is logged in, but cannot have the session that it asked for with it."""
        return self._close(
            StreamError(_STREAM_CONDITIONS.get(error.condition, "undefined-condition"), error.text)
        )

    def _bind_inline(self) -> ServerState:
        request = self._attempt.request.bind
        if request is None:
            return self._complete()
        resource = f"{GENERATED}{self._make_token()[:16]}"
        if request.tag:
            resource = _valid_resource(self._owner, f"{request.tag}/{resource}") or resource
        self._act(
            BindResource(
                account=self._owner, resource=resource, user_agent=self._user_agent, inline=request.inline
            )
        )
        return ServerState.BINDING_INLINE

    def _bound_inline(self, jid: Jid, elements: tuple[Element, ...]) -> ServerState:
        self._jid = self._own(jid)
        self._success.insert(0, Element("bound", ns.BIND2, None, *elements))
        return self._complete(begun={each.namespace for each in elements if each.name != "failed"})

    def _complete(self, *, resumed: bool = False, begun: Container[str] = ()) -> ServerState:
        """Send <success/> and the new features (XEP-0388 §2.6.1), not for one resumed (XEP-0198 §9.2)."""
        success = Element("success", ns.SASL2)
        if self._success_data is not None:
            success.append(Element("additional-data", ns.SASL2, None, write_data(self._success_data)))
        success.append(Element("authorization-identifier", ns.SASL2, None, self._jid or self._owner))
        for element in self._success:
            success.append(element)
        self._login, self._success = None, []
        self._act(Send(success))
        if not resumed:
            self._act(Send(features_after(self._served, bound=self._jid is not None, begun=begun)))
        if self._jid is None:
            return ServerState.AUTHENTICATED
        self._act(Established(self._jid, resumed))
        return ServerState.ESTABLISHED

    # --- between log-in and session

    def _bind(self, iq: Element) -> ServerState:
        """Ask for a session (RFC 6120 §7.6, §7.7)."""
        request = iq.find("bind", ns.BIND)
        wish = (request.text_of("resource") if request else "") or ""
        resource = _valid_resource(self._owner, wish) if wish else f"{GENERATED}{self._make_token()[:16]}"
        if not resource:
            self._act(
                Send(iq_error(iq, StanzaError("bad-request", "this resource cannot be part of an address")))
            )
            return ServerState.AUTHENTICATED
        self._request = iq
        self._act(
            BindResource(
                account=self._owner, resource=resource, chosen=bool(wish), user_agent=self._user_agent
            )
        )
        return ServerState.BINDING

    def _bound(self, jid: Jid, _elements: tuple[Element, ...]) -> ServerState:
        self._jid = self._own(jid)
        answer = Element("bind", ns.BIND, None, Element("jid", ns.BIND, None, jid))
        self._act(Send(iq_result(self._asked, answer)), Established(jid))
        return ServerState.ESTABLISHED

    def _bind_refused(self, error: StanzaError) -> ServerState:
        self._act(Send(iq_error(self._asked, error)))
        return ServerState.AUTHENTICATED

    def _bind_again(self, iq: Element) -> ServerState:
        """Refuse a second resource on one stream (RFC 6120 §7.1)."""
        self._act(Send(iq_error(iq, StanzaError("not-allowed", "this stream has its resource"))))
        return ServerState.ESTABLISHED

    def _session(self, iq: Element) -> ServerState:
        """Answer the request that RFC 3921 had: it does nothing any more (RFC 6121 §1.4)."""
        self._act(Send(iq_result(iq)))
        return self._state

    def _extend(self, element: Element) -> ServerState:
        self._act(NegotiateInline(self._owner, (element,)))
        return ServerState.EXTENDING

    def _extended(self, elements: tuple[Element, ...], resumed: Jid | None) -> ServerState:
        self._act(*(Send(element) for element in elements))
        if resumed is None:
            return ServerState.AUTHENTICATED
        self._jid = self._own(resumed)
        self._act(Established(resumed, resumed=True))
        return ServerState.ESTABLISHED

    def _own(self, jid: Jid) -> Jid:
        """Make sure that the session belongs to who logged in."""
        if jid.bare != self._account or not jid.resource:
            raise LocalProtocolError(f"{jid} is no session of {self._account}")
        return jid


_STREAM_CONDITIONS = {
    "conflict": "conflict",
    "resource-constraint": "resource-constraint",
    "internal-server-error": "internal-server-error",
    "not-allowed": "policy-violation",
    "policy-violation": "policy-violation",
}
"""The stream error that stands for a stanza error when there is no stanza to answer."""


def _valid_resource(account: Jid, resource: str) -> str:
    """Prepare a resource; "" where it cannot be one."""
    try:
        return account.with_resource(resource).resource
    except JidError:
        return ""
