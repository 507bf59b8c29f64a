"""PLAIN, EXTERNAL and ANONYMOUS."""

import pytest

from tidings.wire.xmpp.sasl.simple import (
    AnonymousServer,
    ExternalServer,
    OneMessageClient,
    PlainServer,
    plain_client,
)
from tidings.wire.xmpp.sasl.steps import (
    Condition,
    Failure,
    MechanismError,
    NeedAccount,
    NeedPassword,
    Success,
)


def test_plain():
    server = PlainServer()
    message = plain_client("tim", "tanstaaftanstaaf").first()
    assert message == b"\0tim\0tanstaaftanstaaf"  # RFC 4616 §4
    assert server.receive(message) == NeedPassword("tim", "", "tanstaaftanstaaf")
    assert server.receive(b"Ursel\0Kurt\0xipj3plmq") == NeedPassword("Kurt", "Ursel", "xipj3plmq")
    assert server.checked(accepted=True) == Success()
    assert server.checked(accepted=False) == Failure(Condition.NOT_AUTHORIZED)


@pytest.mark.parametrize(
    "message", [b"", b"tim", b"\0tim", b"\0\0pw", b"\0tim\0", b"\0a\0b\0c", b"\0t\xff\0pw"]
)
def test_plain_messages_that_break_the_grammar(message):
    assert PlainServer().receive(message).condition == Condition.MALFORMED_REQUEST


def test_a_password_with_nul_cannot_be_sent_in_the_clear():
    with pytest.raises(MechanismError):
        plain_client("tim", "a\0b")


def test_external_takes_the_only_address_or_the_chosen_one():
    one, two = ExternalServer(["a@example.org"]), ExternalServer(["a@example.org", "b@example.org"])
    assert one.receive(b"") == NeedAccount("a@example.org")
    assert two.receive(b"b@example.org") == NeedAccount("b@example.org")
    assert two.receive(b"").condition == Condition.INVALID_AUTHZID
    assert one.receive(b"\xff").condition == Condition.MALFORMED_REQUEST
    assert one.receive(b"a\0").condition == Condition.MALFORMED_REQUEST
    assert one.checked(accepted=False) == Failure(Condition.NOT_AUTHORIZED)


def test_anonymous_forgets_the_trace():
    assert AnonymousServer().receive(b"sirhc") == Success()
    assert AnonymousServer().receive(b"x" * 2000).condition == Condition.MALFORMED_REQUEST


def test_a_challenge_out_of_turn_ends_the_attempt():
    with pytest.raises(MechanismError):
        OneMessageClient(b"").receive(b"")
