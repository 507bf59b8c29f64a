"""SASL failures as RFC 6120 §6.5 lists them, in SASL and in SASL2, which has the same (XEP-0388 §2.6.2)."""

from __future__ import annotations

import hmac

import pytest

from tests.wire.xmpp.test_negotiation_server import (
    DEVICE,
    KEYS,
    PLAIN,
    SCRAM,
    auth,
    authenticate,
    encode,
    opened,
)
from tidings.app.limits_options import LimitsOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.server_table import ServerStreamState
from tidings.wire.xmpp.negotiation.values import AuthenticationFailed, Send
from tidings.wire.xmpp.sasl.steps import Condition
from tidings.wire.xmpp.sasl.tokens import issue_token

REQUESTS = {ns.SASL: auth, ns.SASL2: authenticate}


def plain(text: str) -> str:
    return encode(f"{text}\0juliet\0pw")


def refused(profile, first=PLAIN, mechanism="PLAIN", **options):
    """A request that is refused as soon as it is read."""
    stream = opened(**options)
    return stream, stream.feed(REQUESTS[profile](first, mechanism))


def checked(profile, accepted, banned):
    stream, _ = refused(profile)
    stream.machine.checked(accepted, banned=banned)
    return stream, stream.take()


def aborted(profile):
    stream, _ = refused(profile, SCRAM, "SCRAM-SHA-256")
    stream.machine.keys_found(KEYS)
    stream.take()
    return stream, stream.feed(f"<abort xmlns='{profile}'/>")


def unavailable(profile):
    stream, _ = refused(profile)
    stream.machine.unavailable()
    return stream, stream.take()


TABLE = [
    # in the section's order
    ("aborted", aborted),
    ("account-disabled", lambda profile: checked(profile, True, "for spam")),
    ("encryption-required", lambda profile: refused(profile, tls=None)),
    ("encryption-required", lambda profile: refused(profile, tls=None, tls_required=False)),
    ("incorrect-encoding", lambda profile: refused(profile, "no base64!")),
    ("invalid-authzid", lambda profile: refused(profile, plain("romeo@im.example.com"))),
    ("invalid-mechanism", lambda profile: refused(profile, mechanism="CRAM-MD5")),
    ("invalid-mechanism", lambda profile: refused(profile, mechanism="")),
    ("malformed-request", lambda profile: refused(profile, encode("juliet"))),
    ("mechanism-too-weak", lambda profile: refused(profile, mechanisms=("SCRAM-SHA-256",))),
    ("not-authorized", lambda profile: checked(profile, False, None)),
    ("not-authorized", lambda profile: checked(profile, False, "for spam")),  # only its owner is told
    ("temporary-auth-failure", unavailable),
]


@pytest.mark.parametrize("profile", REQUESTS, ids=["SASL", "SASL2"])
@pytest.mark.parametrize(("condition", "act"), TABLE)
def test_what_fails_is_told_and_another_attempt_may_follow(condition, act, profile):
    stream, actions = act(profile)
    assert_failed(actions[-1], profile, condition)
    assert [action.condition for action in actions[:-1] if isinstance(action, AuthenticationFailed)] == (
        [] if condition == "temporary-auth-failure" else [condition]  # it is not the client's fault
    )
    assert stream.machine.state is ServerStreamState.OPENED


def assert_failed(action, profile, condition):
    """Check §6.4.5: one condition of the section, and perhaps a text that says its language."""
    assert isinstance(action, Send)
    element = action.element
    assert (element.namespace, element.name) == (profile, "failure")
    first, *others = element.children
    assert first == Element(condition, ns.SASL)  # SASL2 borrows them
    assert [(other.namespace, other.name) for other in others] in ([], [(profile, "text")])
    assert all(other.get("xml:lang") for other in others)


def test_a_token_that_has_expired_is_told_to_who_holds_it():  # SASL has no tokens (XEP-0484)
    secret = b"s" * 32
    text, token = issue_token(secret, "juliet@im.example.com", DEVICE, "HT-SHA-256-NONE", 10.0)
    for said, condition in ((text, "credentials-expired"), ("a guess", "not-authorized")):
        stream = opened()
        agent = f"<user-agent id='{DEVICE}'/><fast xmlns='{ns.FAST}'/>"
        stream.feed(authenticate(proof(said), "HT-SHA-256-NONE", agent))
        stream.machine.tokens_found([token], now=11.0)
        assert_failed(stream.take()[-1], ns.SASL2, condition)


def proof(token):
    return encode(b"juliet\0" + hmac.digest(token.encode(), b"Initiator", "sha256"))


def test_every_condition_of_the_section_has_a_row():
    assert {condition for condition, _ in TABLE} | {"credentials-expired"} == {*Condition}


@pytest.mark.parametrize("profile", REQUESTS, ids=["SASL", "SASL2"])
def test_two_retries_are_free_and_the_attempt_after_the_last_ends_the_stream(profile):  # §6.4.5
    stream = opened()  # as a server has it that says nothing else
    for is_last in (False, False, True):
        stream.feed(REQUESTS[profile](PLAIN))
        stream.machine.checked(False)
        stream.take()
        assert stream.machine.closed is is_last
    assert stream.error == "policy-violation"
    assert_failed(Send(stream.sent[-1]), profile, "not-authorized")  # told before the stream ends


def test_the_default_is_within_the_bounds_of_the_document():  # §6.4.5: at least 2 retries and no more than 5
    assert 2 <= LimitsOptions().login_failures - 1 <= 5
