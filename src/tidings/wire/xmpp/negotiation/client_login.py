"""The second phase of the client's side: SASL and SASL2, attempt by attempt; `client_plan` chooses the way.

Implements RFC 6120 §6, XEP-0388 §2 and XEP-0484 §4.1.
"""

from collections.abc import Callable

from tidings.base.errors import LocalProtocolError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_opening import ClientOpeningPhase
from tidings.wire.xmpp.negotiation.client_plan import LoginPlan, plan_login
from tidings.wire.xmpp.negotiation.client_session import read_own_jid
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings
from tidings.wire.xmpp.negotiation.client_table import ClientMachine, ClientStreamState
from tidings.wire.xmpp.negotiation.elements import (
    LoginRefusedError,
    read_data,
    read_failure,
    response_element,
)
from tidings.wire.xmpp.negotiation.values import (
    Established,
    LoginFailed,
    RestartStream,
    Send,
    TokenReceived,
)
from tidings.wire.xmpp.sasl.steps import MechanismError


class ClientLoginPhase:
    """Logs in and believes the server once that has proved itself: owns the attempt that runs."""

    __slots__ = ("_attempt", "_machine", "_make_token", "_opening", "_settings", "_token_spent")

    def __init__(
        self,
        machine: ClientMachine,
        opening: ClientOpeningPhase,
        settings: ClientSettings,
        make_token: Callable[[], str],
    ) -> None:
        self._machine = machine
        self._opening = opening
        self._settings = settings
        self._make_token = make_token
        self._attempt: LoginPlan | None = None
        self._token_spent = settings.token is None

    @property
    def profile(self) -> str:
        """The namespace in which the client logs in."""
        return ns.SASL if self._attempt is None else self._attempt.profile

    @property
    def _running(self) -> LoginPlan:
        if self._attempt is None:
            raise LocalProtocolError("nobody is logging in")
        return self._attempt

    def features(self, features: Element) -> ClientStreamState:
        """Encrypt first, then log in."""
        return self._opening.encrypt(features) or self._log_in()

    def _log_in(self) -> ClientStreamState:
        """Begin with the token if there is one, else with the strongest mechanism on offer."""
        try:
            self._attempt = plan_login(
                self._settings,
                self._opening.features,
                self._opening.tls,
                nonce=self._make_token(),
                token_spent=self._token_spent,
            )
        except MechanismError as error:
            return self._give_up("mechanism-too-weak", str(error))
        self._machine.act(Send(self._attempt.request))
        return ClientStreamState.LOGGING_IN

    def challenge(self, element: Element) -> ClientStreamState:
        """Answer the server's challenge."""
        try:
            answer = self._running.mechanism.receive(read_data(element.text))
        except (MechanismError, LoginRefusedError) as error:
            self._machine.act(Send(Element("abort", self._running.profile)))
            return self._give_up("aborted", str(error))
        self._machine.act(Send(response_element(self._running.profile, answer)))
        return ClientStreamState.LOGGING_IN

    def failure(self, element: Element) -> ClientStreamState:
        """Tell why; after a refused token, go on with the password (XEP-0484 §4.1)."""
        condition, text = read_failure(element)
        if self._running.uses_token and self._settings.password:
            self._token_spent = True
            self._machine.act(LoginFailed(condition, text))
            return self._log_in()
        return self._give_up(condition, text)

    def task(self, _element: Element) -> ClientStreamState:
        """Give up where SASL2 wants a task done (<continue/>)."""
        self._machine.act(Send(Element("abort", ns.SASL2)))
        return self._give_up("aborted", "the server asks for a second step that is not known here")

    def success(self, element: Element) -> ClientStreamState:
        """Believe the server once it has proved itself."""
        try:
            self._running.mechanism.finish(self._success_data(element))
        except (MechanismError, LoginRefusedError) as error:
            return self._give_up("aborted", str(error))
        if self._running.profile == ns.SASL:
            self._machine.act(RestartStream())
            self._opening.open()
            return ClientStreamState.REOPENING
        return self._sasl2_success(element)

    def _success_data(self, element: Element) -> bytes | None:
        text = (
            element.text_of("additional-data")
            if self._running.profile == ns.SASL2
            else element.text.strip() or None
        )
        return None if text is None else read_data(text)

    def _sasl2_success(self, element: Element) -> ClientStreamState:
        """Read the address, the token and what was negotiated inline (XEP-0388 §2.6.1)."""
        jid = read_own_jid(element.text_of("authorization-identifier"), self._settings.domain)
        given = element.find("token", ns.FAST)
        if given is not None and self._running.token_mechanism:
            self._machine.act(
                TokenReceived(
                    self._running.token_mechanism, given.get("token") or "", given.get("expiry") or ""
                )
            )
        if not jid.resource:
            return ClientStreamState.LOGGED_IN
        bound = element.find("bound", ns.BIND2)
        own = {(ns.SASL2, "additional-data"), (ns.SASL2, "authorization-identifier"), (ns.BIND2, "bound")}
        answers = [child for child in element.children if (child.namespace, child.name) not in own]
        if bound is not None:
            answers.extend(bound.children)
        self._machine.act(Established(jid, bound is None, tuple(answers)))
        return ClientStreamState.ESTABLISHED

    def _give_up(self, condition: str, text: str) -> ClientStreamState:
        self._machine.act(LoginFailed(condition, text))
        return self._machine.close(None)
