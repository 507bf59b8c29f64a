"""Tokens: what is stored lets nobody in, and every check of XEP-0484 is made."""

import hashlib
import hmac

import msgspec
import pytest

from tidings.wire.xmpp.sasl.steps import Condition, Failure, MechanismError, NeedTokens, Success
from tidings.wire.xmpp.sasl.tokens import HT_MECHANISMS, TokenClient, TokenServer, derive_token, issue_token

SECRET, ACCOUNT, DEVICE = b"s" * 32, "alice@example.org", "d4565fa7-4d72-4749-b3d3-740edbf87770"
BINDINGS = {"tls-exporter": b"exported", "tls-server-end-point": b"certificate"}
REFUSED = Failure(Condition.NOT_AUTHORIZED)


def log_in(
    text,
    tokens,
    *,
    mechanism="HT-SHA-256-EXPR",
    device=DEVICE,
    count=None,
    now=0.0,
    account=ACCOUNT,
    secret=SECRET,
):
    kind = HT_MECHANISMS[mechanism]
    binding = BINDINGS[kind] if kind else b""
    client = TokenClient("alice", text, binding)
    server = TokenServer(mechanism, bindings=BINDINGS, device=device, count=count)
    assert server.receive(client.first()) == NeedTokens("alice")
    step = server.tokens_found(tokens, secret, account, now)
    if isinstance(step, Success):
        client.finish(step.data)
        assert server.used in tokens
    return step


@pytest.mark.parametrize("mechanism", HT_MECHANISMS)
def test_both_sides_agree(mechanism):
    text, stored = issue_token(SECRET, ACCOUNT, DEVICE, mechanism, 10.0)
    assert isinstance(log_in(text, [stored], mechanism=mechanism), Success)


def test_messages_are_those_of_the_draft():
    first = TokenClient("alice", "token", b"cb").first()
    assert first == b"alice\0" + hmac.digest(b"token", b"Initiatorcb", "sha256")
    TokenClient("alice", "token", b"cb").finish(hmac.digest(b"token", b"Respondercb", "sha256"))


def test_what_is_stored_is_not_what_logs_in():
    text, stored = issue_token(SECRET, ACCOUNT, DEVICE, "HT-SHA-256-NONE", 10.0)
    shown = msgspec.json.encode(stored)
    assert text.encode() not in shown
    assert stored.digest[16:] == hashlib.sha256(text.encode()).digest()
    for guess in (stored.digest, stored.digest[:16], stored.digest[16:], stored.digest.hex().encode()):
        proof = b"alice\0" + hmac.digest(guess, b"Initiator", "sha256")
        server = TokenServer("HT-SHA-256-NONE", bindings={}, device=DEVICE, count=None)
        server.receive(proof)
        assert server.tokens_found([stored], SECRET, ACCOUNT, 0.0) == REFUSED
    assert "digest" not in repr(stored)


def test_tokens_differ_in_everything_that_they_are_bound_to():
    base = (SECRET, ACCOUNT, DEVICE, "HT-SHA-256-NONE", b"n" * 16)
    others = [
        (b"t" * 32, *base[1:]),
        (SECRET, "bob@example.org", *base[2:]),
        (SECRET, ACCOUNT, "other", *base[3:]),
        (*base[:3], "HT-SHA-256-EXPR", base[4]),
        (*base[:4], b"m" * 16),
        (SECRET, ACCOUNT + DEVICE[:1], DEVICE[1:], *base[3:]),
    ]
    assert len({derive_token(*each) for each in (base, *others)}) == 7
    first, second = (issue_token(SECRET, ACCOUNT, DEVICE, "HT-SHA-256-NONE", 1.0)[0] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    "change",
    [
        {"device": "another"},
        {"account": "bob@example.org"},
        {"secret": b"t" * 32},
        {"mechanism": "HT-SHA-256-NONE"},
        {"mechanism": "HT-SHA-256-ENDP"},
    ],
)
def test_a_token_is_good_for_nothing_else(change):
    text, stored = issue_token(SECRET, ACCOUNT, DEVICE, "HT-SHA-256-EXPR", 10.0)
    assert log_in(text, [stored], **change) == REFUSED


def test_an_expired_token_is_told_to_its_owner_only():
    text, stored = issue_token(SECRET, ACCOUNT, DEVICE, "HT-SHA-256-EXPR", 10.0)
    assert log_in(text, [stored], now=10.0) == Failure(Condition.CREDENTIALS_EXPIRED)
    assert log_in("guess", [stored], now=10.0) == REFUSED
    assert log_in("guess", []) == REFUSED


def test_the_older_of_two_tokens_is_good_until_the_newer_is_used():
    (old, old_stored), (new, new_stored) = (
        issue_token(SECRET, ACCOUNT, DEVICE, "HT-SHA-256-EXPR", expires) for expires in (10.0, 20.0)
    )
    for text in (old, new):
        assert isinstance(log_in(text, [new_stored, old_stored]), Success)


def test_a_count_that_was_seen_is_a_replay():
    text, stored = issue_token(SECRET, ACCOUNT, DEVICE, "HT-SHA-256-EXPR", 10.0)
    stored = msgspec.structs.replace(stored, count=5)
    assert log_in(text, [stored], count=5) == REFUSED
    assert isinstance(log_in(text, [stored], count=6), Success)


@pytest.mark.parametrize("message", [b"", b"alice", b"\0proof", b"alice\0", b"\xff\0proof"])
def test_messages_that_break_the_grammar(message):
    server = TokenServer("HT-SHA-256-NONE", bindings={}, device=DEVICE, count=None)
    assert server.receive(message).condition == Condition.MALFORMED_REQUEST


def test_a_client_believes_no_server_that_does_not_know_the_token():
    client = TokenClient("alice", "token")
    for answer in (None, b"", hmac.digest(b"token", b"Initiator", "sha256")):
        with pytest.raises(MechanismError):
            client.finish(answer)
    with pytest.raises(MechanismError):
        client.receive(b"")
