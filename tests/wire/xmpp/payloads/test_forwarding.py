"""Forwarded stanzas, delays and carbons: the bytes of the original are copied, never changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.wire.xmpp.payloads.messages import delays, forwards, received, stanzas
from tests.wire.xmpp.payloads.strategies import jids, through_bytes
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.carbons import (
    Carbon,
    CarbonDirection,
    DisableCarbons,
    EnableCarbons,
    Private,
    carbon_copy,
    carbon_of,
)
from tidings.wire.xmpp.payloads.delay import Delay, delay_of
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.stanza import Stanza

ROMEO, GARDEN = Jid("romeo@montague.example"), Jid("romeo@montague.example/garden")
COUNSEL = (
    "<message from='juliet@capulet.example/balcony' to='romeo@montague.example/garden' type='chat'>"
    "<body>What man art thou that, thus bescreen'd in night, so stumblest on my counsel?</body>"
    "<thread>0e3141cd80894871a68e6fe6b1ec56fa</thread></message>"
)
CARBON = (  # XEP-0280 example 10
    "<message xmlns='jabber:client' from='romeo@montague.example' "
    "to='romeo@montague.example/home' type='chat'>"
    "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
    "<message xmlns='jabber:client' from='juliet@capulet.example/balcony' "
    "to='romeo@montague.example/garden' type='chat'>"
    "<body>What man art thou that, thus bescreen'd in night, so stumblest on my counsel?</body>"
    "<thread>0e3141cd80894871a68e6fe6b1ec56fa</thread></message></forwarded></received></message>"
)
DELAYS = {
    "XEP-0203 example 1": (
        (
            "<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>"
            "Offline Storage</delay>"
        ),
        Delay(1_031_699_305_000_000, Jid("capulet.com"), "Offline Storage"),
    ),
    "without from": (
        "<delay xmlns='urn:xmpp:delay' stamp='2026-03-09T08:14:02.551300Z'/>",
        Delay(1_773_044_042_551_300),
    ),
}


def canonical(raw: bytes) -> bytes:
    """Return a form in which equal documents are equal bytes, by another parser than ours."""
    return etree.tostring(etree.fromstring(raw), method="c14n2", strip_text=False)


@pytest.mark.parametrize(("text", "value"), DELAYS.values(), ids=DELAYS)
def test_delays(text: str, value: Delay) -> None:
    assert Delay.decode(decode(text.encode(), "")) == value
    assert value.encode() == decode(text.encode(), "")


@given(delays)
def test_delays_round_trip(delay: Delay) -> None:
    assert Delay.decode(through_bytes(delay.encode())) == delay


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ("", "bad-request"),
        ("stamp=''", "bad-request"),
        ("stamp='yesterday'", "bad-request"),
        ("stamp='2002-09-10T23:08:25Z' from='@'", "jid-malformed"),
    ],
)
def test_broken_delays(attributes: str, condition: str) -> None:
    text = f"<delay xmlns='urn:xmpp:delay' {attributes}/>"
    with pytest.raises(StanzaError) as error:
        Delay.decode(decode(text.encode(), ""))
    assert error.value.condition == condition
    assert delay_of(received(f"<message>{text}</message>")) is None


def test_the_delay_of_a_message() -> None:
    text, value = DELAYS["XEP-0203 example 1"]
    assert delay_of(received(f"<message><body>a</body>{text}</message>")) == value
    assert delay_of(received("<message/>")) is None


@given(stanzas, st.none() | delays, st.sampled_from(["", "jabber:client", "jabber:server", "urn:x"]))
def test_what_is_forwarded_is_the_same_wherever_it_stands(stanza: Stanza, delay, scope: str) -> None:
    forwarded = Forwarded.of(stanza, delay)
    assert stanza.content in forwarded.to_bytes()  # copied, not written anew
    assert Forwarded.decode(decode(forwarded.to_bytes(), scope)) == forwarded
    inside = etree.fromstring(b'<a xmlns="%b">%b</a>' % (scope.encode(), forwarded.to_bytes()))
    found = inside.find(".//{jabber:client}message")
    alone = etree.fromstring(decode(stanza.to_bytes(), ns.CLIENT).to_bytes())
    assert canonical(etree.tostring(found, with_tail=False)) == canonical(etree.tostring(alone))


@given(forwards)
def test_the_stanza_inside_can_be_read(forwarded: Forwarded) -> None:
    stanza = forwarded.stanza()
    assert stanza is not None
    assert decode(stanza.to_bytes(), ns.CLIENT) == decode(forwarded.raw, ns.CLIENT)


def test_attributes_in_a_namespace_survive() -> None:
    stanza = received("<message xmlns:a='urn:a' a:b='1' xml:lang='de' to='a@b' c='2'><body/></message>")
    inside = Forwarded.decode(decode(Forwarded.of(stanza).to_bytes(), "")).stanza()
    assert inside is not None
    assert (inside.extra, inside.lang, inside.to) == (stanza.extra, "de", Jid("a@b"))


def test_an_archive_may_keep_a_message_to_itself() -> None:  # XEP-0313 §3.2
    empty = decode(b"<forwarded xmlns='urn:xmpp:forward:0'/>", "")
    assert Forwarded.decode(empty) == Forwarded(b"")
    assert decode(Forwarded(b"").to_bytes(), "") == empty
    assert Forwarded(b"").stanza() is None


def test_other_children_are_passed_over() -> None:
    raw = (
        "<forwarded xmlns='urn:xmpp:forward:0'><x xmlns='urn:x'/><message xmlns='urn:y'/>"
        "<iq xmlns='jabber:client' id='1'/></forwarded>"
    )
    assert Forwarded.decode(decode(raw.encode(), "")).raw == b'<iq id="1"/>'


@pytest.mark.parametrize(
    "content",
    [
        "<message xmlns='jabber:client'/><message xmlns='jabber:client'/>",
        "<delay xmlns='urn:xmpp:delay'/><message xmlns='jabber:client'/>",
    ],
)
def test_nonsense_is_not_forwarded(content: str) -> None:
    text = f"<forwarded xmlns='urn:xmpp:forward:0'>{content}</forwarded>"
    with pytest.raises(StanzaError) as error:
        Forwarded.decode(decode(text.encode(), ""))
    assert error.value.condition == "bad-request"


def test_the_carbon_of_the_document() -> None:
    copy = carbon_copy(received(COUNSEL), GARDEN, CarbonDirection.RECEIVED)
    home = copy.addressed(Jid("romeo@montague.example/home"))
    assert canonical(home.to_bytes().replace(b"<message", b"<message xmlns='jabber:client'", 1)) == canonical(
        CARBON.encode()
    )
    assert home.has(ns.CARBONS, "received")


@given(stanzas, st.sampled_from(CarbonDirection), jids)
def test_carbons_round_trip(message: Stanza, direction: CarbonDirection, account: Jid) -> None:
    copy = carbon_copy(message, account, direction)
    assert (copy.kind, copy.sender, copy.to) == (message.kind, account.bare, None)
    carbon = carbon_of(received(copy.to_bytes(GARDEN).decode()), account)
    assert carbon == Carbon(direction, Forwarded.of(message))


@pytest.mark.parametrize(
    "forger", ["tybalt@capulet.example/home", "romeo@montague.example/garden", "montague.example"]
)
def test_a_carbon_comes_from_the_own_account_only(forger: str) -> None:  # §11
    forged = received(CARBON).replace(sender=Jid(forger))
    assert carbon_of(forged, GARDEN) is None
    assert carbon_of(forged.replace(sender=None), GARDEN) is not None  # RFC 6120 §8.1.2.1: the own account
    assert carbon_of(received(COUNSEL), Jid("juliet@capulet.example")) is None


@pytest.mark.parametrize(
    "text",
    [
        "<received xmlns='urn:xmpp:carbons:2'/>",
        "<private xmlns='urn:xmpp:carbons:2'/>",
        "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
        (
            "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
            "<iq xmlns='jabber:client'/></forwarded></sent>"
        ),
    ],
)
def test_carbons_of_nothing(text: str) -> None:
    with pytest.raises(StanzaError) as error:
        Carbon.decode(decode(text.encode(), ""))
    assert error.value.condition == "bad-request"


@pytest.mark.parametrize("value", [EnableCarbons(), DisableCarbons(), Private()])
def test_the_words_of_carbons(value) -> None:
    assert value.encode() == Element(type(value).TAG[1], "urn:xmpp:carbons:2")
    assert type(value).decode(value.encode()) == value
