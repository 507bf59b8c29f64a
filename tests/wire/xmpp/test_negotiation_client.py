"""The client's side: how it chooses, what it believes, and that no server makes it fail."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.base.errors import LocalProtocolError, StreamError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import stream_error_element
from tidings.wire.xmpp.negotiation.client import ClientNegotiation
from tidings.wire.xmpp.negotiation.client_login import ClientLoginPhase
from tidings.wire.xmpp.negotiation.client_opening import ClientOpeningPhase
from tidings.wire.xmpp.negotiation.client_plan import choose, plan_login
from tidings.wire.xmpp.negotiation.client_session import ClientSessionPhase, read_own_jid
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings, DeviceToken, TlsWish
from tidings.wire.xmpp.negotiation.client_table import CLIENT_TABLE, ClientInput, ClientStreamState
from tidings.wire.xmpp.negotiation.diagram import update
from tidings.wire.xmpp.negotiation.machine import Go, Ignore, Misuse, Refuse
from tidings.wire.xmpp.negotiation.values import (
    BindFailed,
    CloseStream,
    Established,
    FeaturesReceived,
    LoginFailed,
    OpenStream,
    RestartStream,
    Send,
    StartTls,
    StreamErrorReceived,
    StreamHeader,
    TlsInfo,
)
from tidings.wire.xmpp.sasl.offer import Offer
from tidings.wire.xmpp.sasl.steps import MechanismError

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "negotiation.md"
ALICE = Jid("alice@example.org")
BOTH = TlsInfo(exporter=b"exported", end_point=b"certificate")
SETTINGS = ClientSettings(domain="example.org", account=ALICE, password="secret")
PHASES = {"opening": ClientOpeningPhase, "login": ClientLoginPhase, "session": ClientSessionPhase}
TYPES = ("tls-exporter", "tls-server-end-point")
STARTTLS = Element("starttls", ns.TLS)


def features(*content):
    return Element("features", ns.STREAMS, None, *content)


def mechanisms(*names):
    return Element(
        "mechanisms", ns.SASL, None, *(Element("mechanism", ns.SASL, None, name) for name in names)
    )


def client(tls=BOTH, **changes):
    """A client that has just got the server's header."""
    machine = ClientNegotiation(
        ClientSettings(**({"domain": "example.org", "account": ALICE, "password": "secret"} | changes))
    )
    if tls:
        machine.tls_established(tls)
    machine.start()
    machine.stream_opened(StreamHeader(sender="example.org"))
    machine.take()
    return machine


def test_the_table_is_total():
    assert set(CLIENT_TABLE) == set(ClientStreamState)
    for state, cells in CLIENT_TABLE.items():
        assert set(cells) == set(ClientInput), state
        for cell in cells.values():
            match cell:
                case Go(verb, _):
                    phase, name = verb.split(".")
                    assert callable(getattr(PHASES[phase], name))
                case _:
                    assert isinstance(cell, Refuse | Ignore | Misuse)


def test_the_diagrams_of_the_documentation_are_those_of_the_tables():
    page = PAGE.read_text()
    assert page.count("```mermaid") == 2
    assert update(page) == page, "the tables have changed: write the result of diagram.update to the page"


# --- the choice (XEP-0440 §3, XEP-0474 §6)


@pytest.mark.parametrize(
    ("offered", "types", "tls", "chosen", "kind", "flag"),
    [
        (("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"), None, None, "SCRAM-SHA-512", None, "n"),
        (("SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"), None, BOTH, "SCRAM-SHA-256", None, "y"),
        (
            ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-512"),
            TYPES,
            BOTH,
            "SCRAM-SHA-1-PLUS",
            TYPES[0],
            "p",
        ),
        (("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"), TYPES[1:], BOTH, "SCRAM-SHA-1-PLUS", TYPES[1], "p"),
        (("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"), TYPES, TlsInfo(), "SCRAM-SHA-1", None, "n"),
        (("PLAIN", "X-UNKNOWN"), None, BOTH, "PLAIN", None, "y"),
    ],
)
@pytest.mark.parametrize("sasl2", [True, False])
def test_the_strongest_that_both_know(offered, types, tls, chosen, kind, flag, sasl2):
    choice = choose(SETTINGS, Offer(offered, types), tls, sasl2=sasl2)
    assert choice.mechanism == chosen
    assert (choice.binding and choice.binding[0]) == kind
    assert choice.flag == flag
    assert not choice.needs_hash


def test_types_in_common_are_needed_or_the_hash():
    offer = Offer(("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"), ("tls-unknown",))
    choice = choose(SETTINGS, offer, BOTH, sasl2=True)
    assert (choice.mechanism, choice.flag, choice.needs_hash) == ("SCRAM-SHA-1", "n", True)


def test_sasl_without_types_means_the_end_point():
    choice = choose(SETTINGS, Offer(("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")), BOTH, sasl2=False)
    assert choice.binding == ("tls-server-end-point", b"certificate")


@pytest.mark.parametrize(
    ("offer", "tls", "sasl2"),
    [
        (Offer(("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")), BOTH, True),  # the types were removed
        (Offer(("SCRAM-SHA-1",), TYPES), BOTH, True),  # the mechanisms were removed
        (Offer(("SCRAM-SHA-1",), TYPES), BOTH, False),
        (Offer(("PLAIN",)), None, False),  # no password in the clear
        (Offer(("X-UNKNOWN", "DIGEST-MD5")), BOTH, False),
        (Offer(), BOTH, False),
    ],
)
def test_rather_not_than_tricked(offer, tls, sasl2):
    with pytest.raises(MechanismError):
        choose(SETTINGS, offer, tls, sasl2=sasl2)


def test_anonymous_and_external_are_wishes_of_their_own():
    everything = Offer(("ANONYMOUS", "EXTERNAL", "PLAIN"))
    assert choose(SETTINGS, everything, BOTH, sasl2=True).mechanism == "PLAIN"
    nobody = ClientSettings(domain="example.org")
    assert choose(nobody, everything, BOTH, sasl2=True).mechanism == "ANONYMOUS"
    with pytest.raises(MechanismError):
        choose(nobody, Offer(("PLAIN",)), BOTH, sasl2=True)
    certified = ClientSettings(domain="example.org", account=ALICE, external=True)
    assert choose(certified, everything, BOTH, sasl2=True).mechanism == "EXTERNAL"


def test_a_token_for_another_channel_is_not_used():
    fast = Element("fast", ns.FAST, None, Element("mechanism", ns.FAST, None, "HT-SHA-256-EXPR"))
    inline = Element("inline", ns.SASL2, None, fast)
    offered = Element(
        "authentication", ns.SASL2, None, Element("mechanism", ns.SASL2, None, "SCRAM-SHA-1"), inline
    )
    wish = ClientSettings(domain="example.org", account=ALICE, token=DeviceToken("HT-SHA-256-EXPR", "t", 3))
    plan = plan_login(wish, features(offered), BOTH, nonce="n")
    assert plan.uses_token
    assert plan.request.find("fast", ns.FAST).get("count") == "3"
    assert not plan_login(wish, features(offered), TlsInfo(), nonce="n").uses_token


def test_secrets_are_not_shown():
    assert "secret" not in repr(SETTINGS)
    assert "tok" not in repr(DeviceToken("HT-SHA-256-NONE", "tok"))


# --- what it believes


def scram_in_use(**changes):
    machine = client(**changes)
    machine.received(features(mechanisms("SCRAM-SHA-1")))
    machine.take()
    return machine


@pytest.mark.parametrize(
    "answer",
    [
        Element("success", ns.SASL),
        Element("success", ns.SASL, None, base64.b64encode(b"v=AAAA").decode()),
        Element("success", ns.SASL, None, "!"),
        Element("challenge", ns.SASL),
        Element("challenge", ns.SASL, None, "!"),
        Element("challenge", ns.SASL, None, base64.b64encode(b"r=other,s=QUJD,i=4096").decode()),
    ],
)
def test_a_server_that_does_not_prove_itself(answer):
    machine = scram_in_use()
    machine.received(answer)
    actions = machine.take()
    failed = [action for action in actions if isinstance(action, LoginFailed)]
    assert [each.condition for each in failed] == ["aborted"]
    assert actions[-1] == CloseStream(None)
    assert machine.closed


def test_a_refused_log_in():
    machine = scram_in_use()
    machine.received(
        Element(
            "failure",
            ns.SASL,
            None,
            Element("account-disabled", ns.SASL),
            Element("text", ns.SASL, None, "spam"),
        )
    )
    assert machine.take() == [LoginFailed("account-disabled", "spam"), CloseStream(None)]


def test_a_second_step_that_is_not_known():
    machine = client()
    offered = Element("authentication", ns.SASL2, None, Element("mechanism", ns.SASL2, None, "PLAIN"))
    machine.received(features(offered))
    machine.take()
    machine.received(Element("continue", ns.SASL2))
    abort, failed, closed = machine.take()
    assert abort == Send(Element("abort", ns.SASL2))
    assert (failed.condition, closed) == ("aborted", CloseStream(None))


@pytest.mark.parametrize("address", ["", "@", "alice@elsewhere.example/x"])
def test_an_address_that_cannot_be_ours(address):
    machine = client()
    offered = Element("authentication", ns.SASL2, None, Element("mechanism", ns.SASL2, None, "PLAIN"))
    machine.received(features(offered))
    machine.received(
        Element("success", ns.SASL2, None, Element("authorization-identifier", ns.SASL2, None, address))
    )
    assert machine.closed
    assert not [action for action in machine.take() if isinstance(action, Established)]


def test_plain_log_in_and_binding_by_rfc6120():
    machine = client(resource="balcony")
    machine.received(features(mechanisms("PLAIN")))
    note, sent = machine.take()
    assert note == FeaturesReceived(features(mechanisms("PLAIN")))
    assert sent.element == Element(
        "auth", ns.SASL, {"mechanism": "PLAIN"}, base64.b64encode(b"\0alice\0secret").decode()
    )
    machine.received(Element("success", ns.SASL))
    restart, opening = machine.take()
    assert (restart, type(opening)) == (RestartStream(), OpenStream)
    machine.stream_opened(StreamHeader(sender="example.org"))
    machine.received(features(Element("bind", ns.BIND)))
    iq = machine.take()[-1].element
    assert iq.find("bind", ns.BIND).text_of("resource") == "balcony"
    machine.received(Element("message", ns.CLIENT))  # not for a session yet
    bound = Element("bind", ns.BIND, None, Element("jid", ns.BIND, None, "alice@example.org/balcony"))
    machine.received(Element("iq", ns.CLIENT, {"type": "result", "id": iq.get("id")}, bound))
    assert machine.take() == [Established(Jid("alice@example.org/balcony"))]
    with pytest.raises(LocalProtocolError):
        machine.received(Element("message", ns.CLIENT))


def test_a_server_without_sessions():
    machine = client()
    machine.received(features(mechanisms("PLAIN")))
    machine.received(Element("success", ns.SASL))
    machine.stream_opened(StreamHeader())
    machine.take()
    machine.received(features())
    assert isinstance(machine.take()[1], BindFailed)
    assert machine.closed


# --- TLS


def test_starttls():
    machine = client(tls=None)
    machine.received(features(STARTTLS))
    assert machine.take()[-1] == Send(STARTTLS)
    machine.received(Element("proceed", ns.TLS))
    assert machine.take() == [StartTls()]
    machine.received(features(mechanisms("PLAIN")))  # injected: not looked at
    assert machine.take() == []
    machine.tls_established(BOTH)
    assert machine.take() == [OpenStream(StreamHeader(to="example.org", sender=str(ALICE), lang="en"))]


@pytest.mark.parametrize("answer", [features(mechanisms("PLAIN")), Element("failure", ns.TLS)])
def test_no_tls_no_log_in(answer):
    machine = client(tls=None)
    if answer.name == "failure":
        machine.received(features(STARTTLS))
    machine.received(answer)
    assert machine.take()[-2].condition == "encryption-required"
    assert machine.closed


def test_an_old_server():
    machine = ClientNegotiation(SETTINGS)
    machine.start()
    machine.stream_opened(StreamHeader(version=""))
    assert machine.take()[-1].error.condition == "unsupported-version"


def test_the_servers_error():
    machine = client()
    machine.received(stream_error_element(StreamError("see-other-host", "moved", content="other.example")))
    told, closed = machine.take()
    assert isinstance(told, StreamErrorReceived)
    assert (told.error.condition, told.error.text, told.error.content) == (
        "see-other-host",
        "moved",
        "other.example",
    )
    assert closed == CloseStream(None)
    machine.received(Element("error", ns.STREAMS))
    assert machine.take() == []


# --- anything at all

NAMES = st.sampled_from(
    [
        ("features", ns.STREAMS),
        ("error", ns.STREAMS),
        ("proceed", ns.TLS),
        ("failure", ns.TLS),
        *(
            (name, space)
            for name in ("challenge", "success", "failure", "continue", "x")
            for space in (ns.SASL, ns.SASL2)
        ),
        ("iq", ns.CLIENT),
        ("message", ns.CLIENT),
        ("x", "urn:example"),
    ]
)
PARTS = st.lists(
    st.sampled_from(
        [
            STARTTLS,
            mechanisms("PLAIN", "SCRAM-SHA-1"),
            mechanisms("SCRAM-SHA-1-PLUS"),
            Element("authentication", ns.SASL2, None, Element("mechanism", ns.SASL2, None, "PLAIN")),
            Element(
                "sasl-channel-binding",
                ns.CHANNEL_BINDING,
                None,
                Element("channel-binding", ns.CHANNEL_BINDING),
            ),
            Element("bind", ns.BIND),
            Element("authorization-identifier", ns.SASL2, None, "alice@example.org"),
            Element("authorization-identifier", ns.SASL2, None, "alice@example.org/x"),
            Element("token", ns.FAST),
            Element("not-authorized", ns.SASL),
            "AAAA",
            "cj1uLHM9UUJELGk9NDA5Ng==",
        ]
    ),
    max_size=3,
)
STEPS = st.lists(st.one_of(st.tuples(NAMES, PARTS), st.none(), st.just(BOTH)), max_size=15)


@settings(max_examples=150)
@given(STEPS, st.sampled_from(list(TlsWish)), st.booleans())
def test_nothing_that_a_server_sends_makes_the_client_fail(steps, wish, encrypted):
    machine = ClientNegotiation(
        ClientSettings(
            domain="example.org", account=ALICE, password="secret", tls=wish, plain_without_tls=True
        )
    )
    if encrypted:
        machine.tls_established(BOTH)
    machine.start()
    for step in steps:
        if machine.state is ClientStreamState.ESTABLISHED:
            break
        if step is None:
            machine.stream_opened(StreamHeader())
        elif isinstance(step, TlsInfo):
            if machine.waiting:
                machine.tls_established(step)
        else:
            (name, namespace), content = step
            machine.received(decode(Element(name, namespace, None, *content).to_bytes(ns.CLIENT), ns.CLIENT))
    closings = [action for action in machine.take() if isinstance(action, CloseStream)]
    assert len(closings) == machine.closed


@pytest.mark.parametrize("text", [None, "", "@", "alice@elsewhere.example/x"])
def test_an_address_that_cannot_be_ours_is_nothing_to_go_on_with(text):
    with pytest.raises(StreamError) as caught:
        read_own_jid(text, "example.org")
    assert caught.value.condition == "bad-format"
