"""Sequences before log-in, fed to the server's machine of negotiation alone."""

from __future__ import annotations

import copy
import random

from tests.fuzz.budget import Budget, Finding, Outcome
from tests.fuzz.login_script import Kind, Script, Step
from tidings.base.errors import StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.negotiation.server_table import ServerStreamState
from tidings.wire.xmpp.sasl.keys import make_scram_keys, verify_password
from tidings.wire.xmpp.sasl.tokens import issue_token

PROMISE = (
    "whatever comes before log-in: no exception, an answer or an end, and nobody gets in without credentials"
)
_DOMAIN = "localhost"
_ALICE = Jid(f"alice@{_DOMAIN}")
_PASSWORD = "secret-of-alice"
_SECRET = b"s" * 32
_KEYS = make_scram_keys(_PASSWORD, iterations=4_096)
_TLS = values.TlsInfo(version="TLSv1.3", end_point=b"certificate", exporter=b"exported")
_CREDENTIALS = values.LookUpKeys | values.CheckPassword | values.CheckAccount | values.LookUpTokens
_QUESTIONS = (
    *(values.LookUpKeys, values.CheckPassword, values.CheckAccount, values.LookUpTokens, values.StartTls),
    *(values.NegotiateInline, values.BindResource, values.IssueToken, values.RegistrationRequest),
)


def run(budget: Budget) -> Outcome:
    """Try random sequences."""
    outcome = Outcome()
    for number in budget.numbers(outcome):
        chance = budget.chance(number)
        bench = Bench(chance, Script(chance, "alice", _PASSWORD, _DOMAIN))
        try:
            found = bench.run(outcome)
        except Exception as error:  # noqa: BLE001  # nothing that a peer sends may raise anything
            found = [f"raised {error!r}"]
        outcome.findings += [Finding(budget.case(number), what, bench.given) for what in found]
    return outcome


class Bench:
    """A machine, a peer that sends what its script says, and the truth about one account."""

    def __init__(self, chance: random.Random, script: Script) -> None:
        self._chance = chance
        self._script = script
        self._is_refusing = chance.random() < 0.2
        self._tokens: list[object] = []
        self._logins = 0
        self._sent: list[bytes] = []
        host = HostPolicy(
            domain=_DOMAIN,
            iterations=4_096,
            tls_required=chance.random() < 0.3,
            plain_without_tls=chance.random() < 0.5,
            registration=chance.random() < 0.5,
            sasl2_inline=(Element("sm", ns.SM),),
            bind2_inline=(ns.SM, ns.CARBONS),
            extensions=(ns.SM,),
        )
        policy = StreamPolicy(
            host={_DOMAIN: host}.get, secret=_SECRET, default_domain=_DOMAIN, starttls=chance.random() < 0.8
        )
        self._machine = ServerNegotiation(policy)
        if chance.random() < 0.5:
            self._machine.tls_established(_TLS)

    @property
    def given(self) -> bytes:
        """What was sent, a step on each line."""
        return b"\n".join(self._sent)

    def run(self, outcome: Outcome) -> list[str]:
        """Feed all steps until the stream has ended or is established; give what is wrong."""
        machine = self._machine
        outcome.counts["sequences"] += 1
        for step in self._script.steps():
            if machine.closed or machine.state is ServerStreamState.ESTABLISHED:
                break
            outcome.counts["steps"] += 1
            before = machine.state
            has_answered = self._feed(step)
            if step.kind is Kind.ELEMENT and not has_answered and not machine.closed:
                return [f"no answer in {before}"]
        outcome.counts[f"ended in {machine.state.name.lower()}"] += 1
        found = []
        if self._logins > int(self._script.is_proven):
            found.append(f"{self._logins} log-ins, right credentials sent: {self._script.is_proven}")
        if machine.jid is not None and not self._logins:
            found.append("bound without a log-in")
        machine.stream_closed()
        self._act()
        if not machine.closed:
            found.append(f"lives after its end in {machine.state}")
        return found

    def _feed(self, step: Step) -> bool:
        match step:
            case Step(Kind.HEADER, attributes=dict(attributes)):
                self._sent.append(repr(attributes).encode())
                self._machine.stream_opened(
                    values.StreamHeader(
                        to=attributes.get("to", ""),
                        sender=attributes.get("from", ""),
                        version=attributes.get("version", ""),
                        lang=attributes.get("xml:lang", ""),
                    )
                )
            case Step(Kind.ELEMENT, element=Element() as element):
                try:
                    raw = element.to_bytes()
                    received = decode(raw, "")
                except ValueError:
                    return True  # what is no XML does not come so far
                self._sent.append(raw)
                self._machine.received(received)
            case Step(Kind.CLOSING):
                self._machine.stream_closed()
            case Step(Kind.RAW):
                self._machine.fail(StreamError("not-well-formed"))
        return self._act()

    def _act(self) -> bool:
        """Do what the machine wants; tell whether that was anything that the peer hears of."""
        has_answered = False
        while actions := self._machine.take():
            for action in actions:
                match action:
                    case values.Send(element):
                        has_answered = True
                        element.to_bytes()
                        if element.name == "challenge":
                            self._script.challenge = element.text
                    case values.OpenStream() | values.CloseStream() | values.Established():
                        has_answered = True
                    case values.Authenticated(account=account):
                        self._logins += 1
                        assert account == _ALICE, f"logged in as {account}"
                    case _ if isinstance(action, _QUESTIONS):
                        has_answered = True
                        self._answer(action)
        return has_answered

    def _answer(self, question: values.Action) -> None:
        """Answer truthfully; now and then the store does not answer."""
        machine = self._machine
        is_down = self._is_refusing and self._chance.random() < 0.3
        match question:
            case values.StartTls():
                machine.tls_established(_TLS)
            case _ if is_down and isinstance(question, _CREDENTIALS):
                machine.unavailable()
            case values.LookUpKeys(account):
                machine.keys_found(_KEYS if account == _ALICE else None)
            case values.CheckPassword(account, password):
                machine.checked(account == _ALICE and verify_password(password, _KEYS, 4_096))
            case values.CheckAccount(account):
                machine.checked(account == _ALICE)
            case values.LookUpTokens():
                machine.tokens_found(copy.copy(self._tokens), now=1_000.0)  # type: ignore[arg-type]
            case _ if is_down:
                machine.refused(StanzaError("resource-constraint"))
            case values.IssueToken(account, device, mechanism):
                text, stored = issue_token(_SECRET, account, device, mechanism, 2_000.0)
                self._tokens.append(stored)
                machine.token_issued(text, "2026-01-01T00:00:00Z")
            case values.NegotiateInline():
                machine.inline_answered([Element("failed", ns.SM)])
            case values.BindResource(account=account, resource=resource):
                machine.bound(account.with_resource(resource))
            case values.RegistrationRequest():
                machine.registration_answered(Element("iq", ns.CLIENT, {"type": "result"}))
