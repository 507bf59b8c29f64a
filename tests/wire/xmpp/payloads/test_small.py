"""The small payloads: ping, version, time, last activity, client state, limits, private data, vCard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import texts, through_bytes, times
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.client_state import Active, Inactive
from tidings.wire.xmpp.payloads.last import LastActivity
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.ping import Ping
from tidings.wire.xmpp.payloads.private import PrivateData
from tidings.wire.xmpp.payloads.stream_limits import StreamLimits
from tidings.wire.xmpp.payloads.time import EntityTime, format_offset, read_moment, read_offset
from tidings.wire.xmpp.payloads.vcard import VCard
from tidings.wire.xmpp.payloads.version import Version

EXAMPLES = {
    "XEP-0199 example 1": ("<ping xmlns='urn:xmpp:ping'/>", Ping()),
    "XEP-0092 example 1": ("<query xmlns='jabber:iq:version'/>", Version()),
    "XEP-0092 example 2": (
        (
            "<query xmlns='jabber:iq:version'><name>Exodus</name><version>0.7.0.4</version>"
            "<os>Windows-XP 5.01.2600</os></query>"
        ),
        Version("Exodus", "0.7.0.4", "Windows-XP 5.01.2600"),
    ),
    "XEP-0202 example 1": ("<time xmlns='urn:xmpp:time'/>", EntityTime()),
    "XEP-0202 example 2": (
        "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>",
        EntityTime(1166551115.0, -360),
    ),
    "XEP-0012 example 1": ("<query xmlns='jabber:iq:last'/>", LastActivity()),
    "XEP-0012 example 2": ("<query xmlns='jabber:iq:last' seconds='903'/>", LastActivity(903)),
    "XEP-0012 example 4": (
        "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>",
        LastActivity(903, "Heading Home"),
    ),
    "XEP-0352 example 2": ("<inactive xmlns='urn:xmpp:csi:0'/>", Inactive()),
    "XEP-0352 example 3": ("<active xmlns='urn:xmpp:csi:0'/>", Active()),
    "XEP-0478 example 1": (
        (
            "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes>"
            "<idle-seconds>1800</idle-seconds></limits>"
        ),
        StreamLimits(10_000, 1_800),
    ),
    "XEP-0478, nothing told": ("<limits xmlns='urn:xmpp:stream-limits:0'/>", StreamLimits()),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_documents(text: str, value) -> None:
    element = decode(text.encode(), "")
    assert (element.namespace, element.name) == type(value).TAG
    assert type(value).decode(element) == value
    assert value.encode() == element


@given(
    st.one_of(
        st.builds(Version, texts, texts, texts),
        st.builds(LastActivity, st.none() | st.integers(0, 2**64 - 1), texts),
        st.builds(EntityTime, times, st.integers(-840, 840)),
        st.builds(StreamLimits, st.none() | st.integers(0, 2**32 - 1), st.none() | st.integers(0, 2**32 - 1)),
        st.builds(
            lambda text: VCard(Element("vCard", ns.VCARD, None, Element("FN", ns.VCARD, None, text))), texts
        ),
        st.builds(lambda text: PrivateData((Element("a", "urn:a", {"b": text}, text),)), texts),
    )
)
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize("seconds", ["-1", "+1", "1_0", "1.0", "٣", "", str(2**64), "9" * 4_000, "0x1"])
def test_seconds_that_are_no_unsigned_number(seconds: str) -> None:
    with pytest.raises(StanzaError, match="whole number") as error:
        LastActivity.decode(Element("query", ns.LAST, {"seconds": seconds}))
    assert error.value.condition == "bad-request"


def test_numbers_at_their_limits() -> None:
    assert read_unsigned(" 007\n", "n") == 7
    assert read_unsigned(str(2**32 - 1), "n") == 2**32 - 1
    with pytest.raises(StanzaError, match="from 1 to 4294967295"):
        read_unsigned("0", "n", minimum=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2006-12-19T17:58:35",
        "2006-13-19T17:58:35Z",
        "0000-01-01T00:00:00Z",
        "2006-12-19T17:58:35.Z",
        "2006-12-19 17:58:35Z",
        "٢٠٠٦-12-19T17:58:35Z",
        "2006-12-19T17:58:35." + "1" * 100 + "Z",
    ],
)
def test_texts_that_are_no_time(text: str) -> None:
    with pytest.raises(StanzaError):
        read_moment(text)


def test_fractions_of_seconds() -> None:
    assert read_moment("1970-01-01T00:00:01.25Z") == 1.25
    assert read_moment("1970-01-01T00:00:01.2500000009Z") == 1.25


@pytest.mark.parametrize("text", ["", "06:00", "+6:00", "+06:60", "+15:00", "-99:00", "z", "+٠٦:00"])
def test_texts_that_are_no_zone(text: str) -> None:
    with pytest.raises(StanzaError):
        read_offset(text)


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, "+00:00"), (330, "+05:30"), (-360, "-06:00"), (-1, "-00:01")]
)
def test_zones(minutes: int, text: str) -> None:
    assert format_offset(minutes) == text
    assert read_offset(text) == minutes


def test_no_offset_written_as_z() -> None:
    assert read_offset("Z") == 0


@pytest.mark.parametrize("part", ["utc", "tzo"])
def test_half_a_time_is_nonsense(part: str) -> None:
    whole = EntityTime(0.0).encode()
    half = Element("time", ns.TIME, None, whole.find(part))
    with pytest.raises(StanzaError):
        EntityTime.decode(half)


@pytest.mark.parametrize(
    ("children", "condition"),
    [
        ([], "not-acceptable"),  # XEP-0049 §2.3
        ([Element("a", ns.PRIVATE)], "bad-request"),
        ([Element("a", "")], "bad-request"),
        ([Element("a", "urn:a"), Element("b", "")], "bad-request"),
    ],
)
def test_private_data_needs_namespaces(children: list[Element], condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        PrivateData.decode(Element("query", ns.PRIVATE, None, *children))
    assert error.value.condition == condition


def vcard(*content: Element) -> VCard:
    return VCard.decode(Element("vCard", ns.VCARD, None, *content))


def part(name: str, *content: Element | str) -> Element:
    return Element(name, ns.VCARD, None, *content)


def test_what_is_read_from_a_vcard() -> None:
    photo = part("PHOTO", part("TYPE", "image/png"), part("BINVAL", "aGVs\n bG8="))
    card = vcard(part("FN", "Peter Saint-Andre"), part("NICKNAME", "stpeter"), photo)
    assert card.full_name == "Peter Saint-Andre"
    assert card.nickname == "stpeter"
    assert card.photo == ("image/png", b"hello")


@pytest.mark.parametrize("content", ["", "???", "abc"])
def test_a_broken_photo_is_none(content: str) -> None:
    assert vcard(part("PHOTO", part("BINVAL", content))).photo is None


def test_an_empty_vcard_has_nothing() -> None:
    assert (VCard().full_name, VCard().nickname, VCard().photo) == ("", "", None)
