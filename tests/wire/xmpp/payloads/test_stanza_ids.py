"""Ids of messages: whose they are, and that nobody can give one in our name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import received, stanzas
from tests.wire.xmpp.payloads.strategies import jids, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.displayed_sync import DisplayedUpTo
from tidings.wire.xmpp.payloads.stanza_ids import (
    OriginId,
    StanzaId,
    origin_id_of,
    stanza_id_of,
    with_stanza_id,
    without_claims,
)
from tidings.wire.xmpp.stanza import Stanza

ROOM, JULIET = Jid("room@muc.example.com"), Jid("juliet@capulet.lit")
ID = "de305d54-75b4-431b-adb2-eb6b9e546013"
EXAMPLES = {
    "XEP-0359 example 1": (
        f"<stanza-id xmlns='urn:xmpp:sid:0' id='{ID}' by='room@muc.example.com'/>",
        StanzaId(ID, ROOM),
    ),
    "XEP-0359 example 2": (f"<origin-id xmlns='urn:xmpp:sid:0' id='{ID}'/>", OriginId(ID)),
    "XEP-0490 example 1": (
        (
            "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' "
            "by='juliet@capulet.lit' id='0f710f2b-52ed-4d52-b928-784dad74a52b'/></displayed>"
        ),
        DisplayedUpTo(StanzaId("0f710f2b-52ed-4d52-b928-784dad74a52b", JULIET)),
    ),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_documents(text: str, value) -> None:
    element = decode(text.encode(), "")
    assert (element.namespace, element.name) == type(value).TAG
    assert type(value).decode(element) == value
    assert value.encode() == element


@given(st.builds(StanzaId, words, jids) | st.builds(OriginId, words))
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ({}, "bad-request"),
        ({"id": "1"}, "bad-request"),
        ({"id": "1", "by": ""}, "bad-request"),
        ({"by": "a@b"}, "bad-request"),
        ({"id": "", "by": "a@b"}, "bad-request"),
        ({"id": "x" * 1_025, "by": "a@b"}, "bad-request"),
        ({"id": "1", "by": "@"}, "jid-malformed"),
    ],
)
def test_nonsense(attributes: dict[str, str], condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        StanzaId.decode(Element("stanza-id", ns.STANZA_ID, attributes))
    assert error.value.condition == condition


def test_a_position_is_one_message() -> None:
    one = StanzaId("1", JULIET).encode()
    for ids in ([], [one, one]):
        with pytest.raises(StanzaError):
            DisplayedUpTo.decode(Element("displayed", ns.DISPLAYED_SYNC, None, *ids))


@pytest.mark.parametrize(
    ("id_", "found"), [("o1", "o1"), ("", None), ("x" * 256, "x" * 256), ("ü" * 129, None)]
)
def test_the_authors_id(id_: str, found: str | None) -> None:
    assert (
        origin_id_of(received(f"<message><origin-id xmlns='urn:xmpp:sid:0' id='{id_}'/></message>")) == found
    )


def test_no_authors_id() -> None:
    assert origin_id_of(received("<message><origin-id xmlns='urn:other' id='1'/></message>")) is None
    assert origin_id_of(received("<message><origin-id xmlns='urn:xmpp:sid:0'/></message>")) is None


def claim(attributes: str) -> str:
    return f"<stanza-id xmlns='urn:xmpp:sid:0' {attributes}/>"


@pytest.mark.parametrize(
    "attributes",
    [
        "id='1' by='juliet@capulet.lit'",
        "id='1' by='JULIET@CAPULET.LIT'",  # §3: addresses are normalised
        "id='1' by='juliet@capulet.lit.'",
        "by='juliet@capulet.lit'",
        "id='1'",
        "id='1' by=''",
        "id='1' by='@'",
        "id='' by='room@muc.example.com'",
    ],
)
def test_claims_in_our_name_go(attributes: str) -> None:
    kept = claim("id='2' by='room@muc.example.com'")
    stanza = received(
        f"<message to='a@b'> \n{claim(attributes)}<body>hi</body>{kept}<x xmlns='urn:x'/></message>"
    )
    clean = without_claims(stanza, JULIET)
    assert stanza_id_of(clean, JULIET) is None
    assert stanza_id_of(clean, ROOM) == "2"
    assert clean.to_bytes().count(b"stanza-id") == 1
    assert clean.has(ns.CLIENT, "body")
    assert clean.has("urn:x", "x")
    assert received(clean.to_bytes().decode()).index == clean.index


def test_a_prefix_hides_no_claim() -> None:
    stanza = received(
        "<message><a:stanza-id xmlns:a='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/></message>"
    )
    assert without_claims(stanza, JULIET).children == ()


def test_what_is_no_claim_stays_as_it_is() -> None:
    for text in (
        "<message><body>hi</body></message>",
        "<message>" + claim("id='2' by='room@muc.example.com'") + "</message>",
        "<message>" + claim("id='2' by='juliet@capulet.lit/balcony'") + "</message>",
        "<message><stanza-id xmlns='urn:other' id='1' by='juliet@capulet.lit'/></message>",
        "<message><x xmlns='urn:x'>" + claim("id='1' by='juliet@capulet.lit'") + "</x></message>",
    ):
        stanza = received(text)
        assert without_claims(stanza, JULIET) is stanza


@given(
    stanzas,
    st.lists(st.builds(StanzaId, words, jids), max_size=4),
    st.lists(jids, min_size=1, max_size=2),
)
def test_nobody_speaks_for_us(stanza: Stanza, claims: list[StanzaId], ours: list[Jid]) -> None:
    written = stanza.replace(append=[value.encode() for value in claims])
    clean = without_claims(written, *ours)
    left = [
        StanzaId.decode(decode(child.raw, ns.CLIENT)) for child in clean.children if child.name == "stanza-id"
    ]
    assert left == [value for value in claims if value.by not in ours]
    assert clean.to_bytes().startswith(stanza.to_bytes()[: stanza.to_bytes().rindex(b"</message>")])


@given(stanzas, st.lists(st.builds(StanzaId, words, jids), max_size=3), st.builds(StanzaId, words, jids))
def test_an_archive_has_one_id_for_a_message(
    stanza: Stanza, claims: list[StanzaId], given_: StanzaId
) -> None:
    written = stanza.replace(append=[value.encode() for value in claims])
    stamped = with_stanza_id(written, given_)
    assert stanza_id_of(stamped, given_.by) == given_.id
    assert stanza_id_of(received(stamped.to_bytes().decode()), given_.by) == given_.id
    named = [child for child in stamped.children if child.name == "stanza-id"]
    ids = [StanzaId.decode(decode(child.raw, ns.CLIENT)) for child in named]
    assert [value.by for value in ids].count(given_.by) == 1
