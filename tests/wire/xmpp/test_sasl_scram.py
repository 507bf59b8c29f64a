"""SCRAM against the documents' examples, against itself, and against everything that could be wrong."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.wire.xmpp.sasl.keys import (
    HASHES,
    ScramKeys,
    derive,
    fake_keys,
    make_scram_keys,
    verify_password,
)
from tidings.wire.xmpp.sasl.offer import Offer, downgrade_hash
from tidings.wire.xmpp.sasl.prepare import PreparationError, prepare_password
from tidings.wire.xmpp.sasl.scram import ScramClient, ScramServer
from tidings.wire.xmpp.sasl.steps import Challenge, Condition, Failure, MechanismError, NeedKeys, Success

BINDINGS = {"tls-exporter": b"exported", "tls-server-end-point": b"certificate"}
PLAIN_OFFER = Offer(("SCRAM-SHA-256",))
PLUS_OFFER = Offer(("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"), tuple(BINDINGS))
KEYS = {keys.mechanism: keys for keys in make_scram_keys("pencil", iterations=4096)}

# (mechanism, client nonce, server nonce, salt, client-first, server-first, client-final, server-final)
VECTORS = [
    pytest.param(  # RFC 5802 §5
        "SCRAM-SHA-1",
        "fyko+d2lbbFgONRv9qkxdawL",
        "3rfcNHYJY1ZVvWVs7j",
        "QSXCR+Q6sek8bf92",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        id="rfc5802",
    ),
    pytest.param(  # RFC 7677 §3
        "SCRAM-SHA-256",
        "rOprNGfwEbeRWgbNEkqO",
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        id="rfc7677",
    ),
]


@pytest.mark.parametrize(
    ("mechanism", "nonce", "_server_nonce", "salt", "without_proof", "proof", "signature"), VECTORS
)
def test_the_documents_examples_on_the_client(
    mechanism, nonce, _server_nonce, salt, without_proof, proof, signature
):
    client = ScramClient(mechanism, "user", "pencil", nonce=nonce, offer=Offer())
    assert client.first() == f"n,,n=user,r={nonce}".encode()
    full_nonce = without_proof.split("r=")[1]
    final = client.receive(f"r={full_nonce},s={salt},i=4096".encode())
    assert final == f"{without_proof},p={proof}".encode()
    client.finish(f"v={signature}".encode())


@pytest.mark.parametrize(
    ("mechanism", "nonce", "server_nonce", "salt", "_without_proof", "_proof", "_signature"), VECTORS
)
def test_the_documents_salts_on_the_server(
    mechanism, nonce, server_nonce, salt, _without_proof, _proof, _signature
):
    """Our server adds the hash of XEP-0474; the rest of server-first is the document's."""
    keys = make_scram_keys("pencil", (mechanism,), 4096, base64.b64decode(salt))[0]
    server = ScramServer(mechanism, offer=Offer((mechanism,)), bindings={}, nonce=server_nonce)
    assert server.receive(f"n,,n=user,r={nonce}".encode()) == NeedKeys("user", "")
    challenge = server.keys_found(keys, genuine=True)
    assert isinstance(challenge, Challenge)
    assert challenge.data.startswith(f"r={nonce}{server_nonce},s={salt},i=4096,h=".encode())


def test_the_example_of_rfc6120_on_the_client():
    nonce, rest = "oMsTAAwAAAAMAAAANP0TAAAAAABPU0AA", "e124695b-69a9-4de6-9c30-b51b3808c59e"  # §9.1.2
    client = ScramClient("SCRAM-SHA-1", "juliet", "r0m30myr0m30", nonce=nonce, offer=Offer())
    assert client.first() == f"n,,n=juliet,r={nonce}".encode()
    salt = "NjhkYTM0MDgtNGY0Zi00NjdmLTkxMmUtNDlmNTNmNDNkMDMz"
    final = client.receive(f"r={nonce}{rest},s={salt},i=4096".encode())
    assert final == f"c=biws,r={nonce}{rest},p=UA57tM/SvpATBkH2FXs0WDXvJYw=".encode()
    client.finish(b"v=pNNDFVEQxuXxCoSEiW8GEZ+1RSo=")


def test_the_example_of_xep0474_on_the_server():
    nonce, rest = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6", "a09117a6-ac50-4f2f-93f1-93799c2bddf6"
    offer = Offer(("SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"), ("tls-server-end-point", "tls-exporter"))
    bindings = {"tls-exporter": b"THIS IS FAKE CB DATA", "tls-server-end-point": b"-"}
    keys = make_scram_keys("pencil", ("SCRAM-SHA-1",), 4096, base64.b64decode("QSXCR+Q6sek8bf92"))[0]
    server = ScramServer("SCRAM-SHA-1-PLUS", offer=offer, bindings=bindings, nonce=rest)
    assert server.receive(f"p=tls-exporter,,n=user,r={nonce}".encode()) == NeedKeys("user", "")
    first = f"r={nonce}{rest},s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08="
    assert server.keys_found(keys, genuine=True) == Challenge(first.encode())
    bound = "cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB"
    extension = "x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3"
    final = f"c={bound},r={nonce}{rest},{extension},p=M/SIDjT+dfcxUh89jZEypRvFxB4="
    assert server.receive(final.encode()) == Success(b"v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=")


def test_the_example_of_the_downgrade_hash():
    offer = Offer(("SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"), ("tls-server-end-point", "tls-exporter"))
    assert downgrade_hash(offer, "SCRAM-SHA-1") == "G6k/rBLDqgOhRRaCuuatSDFkJ08="  # XEP-0474 §5.3


def test_stored_keys_are_those_of_another_implementation():
    """`SCRAM-SHA-1` keys of "pencil" as RFC 5803-style tools print them."""
    salted = hashlib.pbkdf2_hmac("sha1", b"pencil", base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert salted.hex() == "1d96ee3a529b5a5f9e47c01f229a2cb8a6e15f7d"  # RFC 5802's SaltedPassword
    keys = make_scram_keys("pencil", ("SCRAM-SHA-1",), 4096, base64.b64decode("QSXCR+Q6sek8bf92"))[0]
    assert keys.stored_key.hex() == "e9d94660c39d65c38fbad91c358f14da0eef2bd6"
    assert keys.server_key.hex() == "0fe09258b3ac852ba502cc62ba903eaacdbf7d31"


def run(client, server, keys, *, genuine=True):
    """Pass messages between both sides; give what the server says last."""
    step = server.receive(client.first())
    if not isinstance(step, NeedKeys):
        return step
    step = server.keys_found(keys, genuine=genuine)
    step = server.receive(client.receive(step.data))
    if isinstance(step, Success):
        client.finish(step.data)
    return step


def pair(mechanism, password="pencil", *, offer=PLAIN_OFFER, seen=None, bindings=BINDINGS, **options):
    """Make both sides; `seen` is the offer that reached the client."""
    client = ScramClient(mechanism, "user", password, nonce="client", offer=seen or offer, **options)
    return client, ScramServer(mechanism, offer=offer, bindings=bindings, nonce="server")


@pytest.mark.parametrize("mechanism", HASHES)
@pytest.mark.parametrize("kind", [None, *BINDINGS])
def test_both_sides_agree(mechanism, kind):
    offer = Offer((mechanism + "-PLUS", mechanism), tuple(BINDINGS))
    binding = (kind, BINDINGS[kind]) if kind else None
    name = mechanism + "-PLUS" if kind else mechanism
    assert isinstance(run(*pair(name, offer=offer, binding=binding), KEYS[mechanism]), Success)


REFUSED = Failure(Condition.NOT_AUTHORIZED)


def test_a_wrong_password_and_an_unknown_user_are_refused_alike():
    fake = fake_keys(b"secret", "user@example.org", "SCRAM-SHA-256", 4096)
    wrong = run(*pair("SCRAM-SHA-256", "pen"), KEYS["SCRAM-SHA-256"])
    unknown = run(*pair("SCRAM-SHA-256"), fake, genuine=False)
    assert wrong == unknown == REFUSED


def test_keys_that_are_not_genuine_never_let_in():
    assert run(*pair("SCRAM-SHA-256"), KEYS["SCRAM-SHA-256"], genuine=False) == REFUSED


def test_an_unknown_user_always_shows_the_same_salt_and_every_one_another():
    first, again = (fake_keys(b"secret", "a@example.org", "SCRAM-SHA-256") for _ in range(2))
    assert first == again
    real = KEYS["SCRAM-SHA-256"]
    assert (len(first.salt), len(first.stored_key)) == (len(real.salt), len(real.stored_key))
    others = [("b@example.org", "SCRAM-SHA-256"), ("a@example.org", "SCRAM-SHA-1")]
    assert all(fake_keys(b"secret", account, name).salt != first.salt for account, name in others)
    assert fake_keys(b"other", "a@example.org", "SCRAM-SHA-256").salt != first.salt


def test_a_removed_plus_is_noticed_by_the_flag():
    """The client could have bound the channel and saw no -PLUS; the server had offered it."""
    client, server = pair("SCRAM-SHA-256", offer=PLUS_OFFER, seen=PLAIN_OFFER, flag="y")
    assert run(client, server, KEYS["SCRAM-SHA-256"]) == REFUSED


def test_the_flag_y_is_fine_where_nothing_was_offered():
    assert isinstance(run(*pair("SCRAM-SHA-256", flag="y"), KEYS["SCRAM-SHA-256"]), Success)


def test_a_changed_list_is_noticed_by_the_hash():
    client, server = pair("SCRAM-SHA-256", offer=PLUS_OFFER, seen=PLAIN_OFFER)
    with pytest.raises(MechanismError, match="list of mechanisms"):
        run(client, server, KEYS["SCRAM-SHA-256"])


def test_a_client_that_needs_the_hash_goes_no_further_without():
    client = ScramClient("SCRAM-SHA-256", "user", "pencil", nonce="n", offer=Offer(), needs_hash=True)
    with pytest.raises(MechanismError, match="list of mechanisms"):
        client.receive(b"r=nm,s=QUJD,i=4096")


def test_binding_to_another_channel_is_refused():
    client, server = pair("SCRAM-SHA-256-PLUS", offer=PLUS_OFFER, binding=("tls-exporter", b"the impostor's"))
    assert run(client, server, KEYS["SCRAM-SHA-256"]) == REFUSED


def test_binding_of_a_kind_that_the_stream_has_not():
    client, server = pair("SCRAM-SHA-256-PLUS", offer=PLUS_OFFER, binding=("tls-unique", b"x"))
    assert run(client, server, KEYS["SCRAM-SHA-256"]).condition == Condition.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,r=nonce",
        b"n,,r=nonce,n=user",
        b"n,,n=user,r=",
        b"n,,n=user,r=" + b"x" * 300,
        b"n,,n=user,r=a b",
        b"n,,n=user,r=nonce\xff",
        b"n,,n=us=er,r=nonce",
        b"n,,n=user,r=nonce,n=again",
        b"n,,m=ext,n=user,r=nonce",
        b"n,,n=user,r=nonce,m=ext",
        b"n,,n=user,r=nonce,",
        b"n,,n=us\0er,r=nonce",
        b"n,admin,n=user,r=nonce",
        b"p=tls-exporter,,n=user,r=nonce",
        b"q,,n=user,r=nonce",
        b",,,,,,",
    ],
)
def test_first_messages_that_break_the_grammar(message):
    server = ScramServer("SCRAM-SHA-256", offer=PLAIN_OFFER, bindings={}, nonce="s")
    assert server.receive(message).condition == Condition.MALFORMED_REQUEST


def test_names_are_unescaped_and_extensions_passed_over():
    server = ScramServer("SCRAM-SHA-256", offer=PLAIN_OFFER, bindings={}, nonce="s")
    assert server.receive(b"n,a=b=3Dc,n=a=2Cb=3Dc,r=nonce,x=1") == NeedKeys("a,b=c", "b=c")


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        (lambda text: text.replace("r=client", "r=other"), Condition.NOT_AUTHORIZED),
        (lambda text: text.replace("r=clientserver", "r=clientserver2"), Condition.NOT_AUTHORIZED),
        (lambda text: text.replace("r=clientserver", "r=client"), Condition.NOT_AUTHORIZED),
        (lambda text: text.replace("c=biws", "c=eSws"), Condition.NOT_AUTHORIZED),
        (lambda text: text.replace("c=biws", "c=!"), Condition.MALFORMED_REQUEST),
        (lambda text: text.replace(",p=", ",x=1,p="), Condition.NOT_AUTHORIZED),
        (lambda text: text.replace("p=", "q="), Condition.MALFORMED_REQUEST),
        (lambda text: text[:-8], Condition.MALFORMED_REQUEST),
        (lambda text: text + ",x=1", Condition.MALFORMED_REQUEST),
        (lambda text: text.split(",p=")[0] + ",p=AAAA", Condition.MALFORMED_REQUEST),
        (lambda _: "", Condition.MALFORMED_REQUEST),
    ],
)
def test_final_messages_that_were_changed(change, condition):
    client, server = pair("SCRAM-SHA-256")
    server.receive(client.first())
    challenge = server.keys_found(KEYS["SCRAM-SHA-256"], genuine=True)
    final = client.receive(challenge.data).decode()
    assert server.receive(change(final).encode()).condition == condition


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=other,s=QUJD,i=4096",
        b"r=nonce,s=QUJD,i=4096",
        b"r=nonceX,s=!,i=4096",
        b"r=nonceX,s=QUJD,i=1",
        b"r=nonceX,s=QUJD,i=99999999999999999999",
        b"r=nonceX,s=QUJD,i=-4096",
        b"r=nonceX,s=QUJD,i=\xd9\xa4\xd9\xa0\xd9\xa9\xd9\xa6",
        b"r=nonceX,s=QUJD",
        b"m=1,r=nonceX,s=QUJD,i=4096",
        b"e=other-error",
        b"\xff",
    ],
)
def test_a_client_sends_no_proof_to_a_server_that_breaks_the_rules(challenge):
    client = ScramClient("SCRAM-SHA-256", "user", "pencil", nonce="nonce", offer=Offer())
    with pytest.raises(MechanismError):
        client.receive(challenge)


def test_a_client_believes_no_server_that_does_not_know_the_keys():
    client, server = pair("SCRAM-SHA-256")
    server.receive(client.first())
    client.receive(server.keys_found(KEYS["SCRAM-SHA-256"], genuine=True).data)
    for signature in (None, b"", b"v=AAAA", b"e=other-error"):
        with pytest.raises(MechanismError):
            client.finish(signature)


def test_success_before_the_challenge_proves_nothing():
    with pytest.raises(MechanismError):
        ScramClient("SCRAM-SHA-256", "user", "pencil", nonce="n", offer=Offer()).finish(b"v=AAAA")


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_no_message_makes_the_server_fail(messages):
    server = ScramServer("SCRAM-SHA-256", offer=PLAIN_OFFER, bindings={}, nonce="s")
    for message in messages:
        step = server.receive(message)
        if isinstance(step, NeedKeys):
            step = server.keys_found(KEYS["SCRAM-SHA-256"], genuine=True)
        assert not isinstance(step, Success)


def test_passwords_are_verified_by_any_of_their_keys():
    for keys in KEYS.values():
        assert verify_password("pencil", (keys,))
        assert not verify_password("Pencil", (keys,))
    assert verify_password("pencil", tuple(KEYS.values()))
    assert not verify_password("pencil", None, 4096)
    assert not verify_password("", tuple(KEYS.values()))


def test_every_password_gets_salts_of_its_own():
    first, second = (make_scram_keys("pencil", iterations=4096) for _ in range(2))
    salts = {keys.salt for keys in (*first, *second)}
    assert len(salts) == 6
    assert "stored" not in repr(first)


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [  # RFC 4013 §3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\U0001f511", "\U0001f511"),
    ],
)
def test_preparation_of_passwords(typed, prepared):
    assert prepare_password(typed) == prepared
    keys = make_scram_keys(prepared, ("SCRAM-SHA-1",), 4096)
    assert verify_password(typed, keys)


@pytest.mark.parametrize("text", ["", "\u0007", "\u06271", "a\nb", "\u00ad", "x" * 1024, "\ud800"])
def test_texts_that_cannot_be_passwords(text):
    with pytest.raises(PreparationError):
        prepare_password(text)
    with pytest.raises(PreparationError):
        make_scram_keys(text, iterations=4096)
    assert not verify_password(text, tuple(KEYS.values()))


def test_the_derivation_is_the_documents():
    keys = derive("SCRAM-SHA-1", "pencil", base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert isinstance(keys.client_key, bytes)
    assert hashlib.sha1(keys.client_key).hexdigest() == "e9d94660c39d65c38fbad91c358f14da0eef2bd6"
    assert isinstance(KEYS["SCRAM-SHA-1"], ScramKeys)
