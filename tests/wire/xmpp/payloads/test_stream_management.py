"""The elements of stream management."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import texts, through_bytes, words
from tidings.base.errors import STANZA_ERROR_KINDS, StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stream_management import (
    ACK_REQUEST,
    Ack,
    AckRequest,
    Enable,
    Enabled,
    Failed,
    Resume,
    Resumed,
    ack_bytes,
    stream_management_feature,
)

EXAMPLES = {
    "example 2": ("<enable xmlns='urn:xmpp:sm:3'/>", Enable()),
    "example 3": ("<enabled xmlns='urn:xmpp:sm:3'/>", Enabled()),
    "example 4": (
        "<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' resume='true'/>",
        Enabled("some-long-sm-id", can_resume=True),
    ),
    "example 5": (
        (
            "<failed xmlns='urn:xmpp:sm:3'>"
            "<unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
        ),
        Failed("unexpected-request"),
    ),
    "example 7": ("<r xmlns='urn:xmpp:sm:3'/>", AckRequest()),
    "example 7, its answer": ("<a xmlns='urn:xmpp:sm:3' h='1'/>", Ack(1)),
    "example 8": ("<enable xmlns='urn:xmpp:sm:3' resume='true'/>", Enable(can_resume=True)),
    "example 10": ("<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id'/>", Enabled("some-long-sm-id")),
    "example 11": (
        (
            "<enabled xmlns='urn:xmpp:sm:3' id='some-long-sm-id' location='[2001:41D0:1:A49b::1]:9222' "
            "resume='true'/>"
        ),
        Enabled("some-long-sm-id", can_resume=True, location="[2001:41D0:1:A49b::1]:9222"),
    ),
    "example 12": (
        "<resume xmlns='urn:xmpp:sm:3' h='7' previd='some-long-sm-id'/>",
        Resume("some-long-sm-id", 7),
    ),
    "example 13": (
        "<resumed xmlns='urn:xmpp:sm:3' h='9' previd='some-long-sm-id'/>",
        Resumed("some-long-sm-id", 9),
    ),
    "example 14": (
        (
            "<failed xmlns='urn:xmpp:sm:3' h='9'>"
            "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
        ),
        Failed("item-not-found", 9),
    ),
    "with a time": ("<enable xmlns='urn:xmpp:sm:3' max='600'/>", Enable(maximum=600)),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_document(text: str, value) -> None:
    element = decode(text.encode(), "")
    assert (element.namespace, element.name) == type(value).TAG
    assert type(value).decode(element) == value
    assert value.encode() == element


counts = st.integers(0, 2**32 - 1)


@given(
    st.one_of(
        st.builds(Enable, st.booleans(), st.none() | counts),
        st.builds(Enabled, words, st.booleans(), st.none() | counts, texts),
        st.builds(Enabled, maximum=st.none() | counts, location=texts),
        st.builds(Resume, words, counts),
        st.builds(Resumed, words, counts),
        st.builds(Failed, st.sampled_from(sorted(STANZA_ERROR_KINDS)), st.none() | counts, texts),
        st.builds(Ack, counts),
    )
)
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


@given(counts)
def test_what_is_written_without_a_tree(handled: int) -> None:
    assert decode(ack_bytes(handled), ns.CLIENT) == Ack(handled).encode()
    assert decode(ACK_REQUEST, ns.CLIENT) == AckRequest().encode()


def test_the_feature() -> None:
    assert stream_management_feature() == decode(b"<sm xmlns='urn:xmpp:sm:3'/>", "")


@pytest.mark.parametrize(
    "number", ["", "-1", "+1", "1.0", "٣", str(2**32), "9" * 5_000, "some-sequence-number"]
)
def test_counts_that_are_none(number: str) -> None:
    for kind, attributes in (
        (Ack, {"h": number}),
        (Resume, {"h": number, "previd": "x"}),
        (Resumed, {"h": number, "previd": "x"}),
        (Failed, {"h": number}),
        (Enable, {"max": number}),
        (Enabled, {"max": number}),
    ):
        with pytest.raises(StanzaError, match="whole number") as error:
            kind.decode(Element(kind.TAG[1], ns.SM, attributes))
        assert error.value.condition == "bad-request"


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (Ack, {}),
        (Resume, {"h": "1"}),
        (Resume, {"previd": "x"}),
        (Resume, {"h": "1", "previd": ""}),
        (Resume, {"h": "1", "previd": "x" * 4_001}),
        (Resumed, {"h": "1"}),
        (Enable, {"resume": "yes"}),
        (Enable, {"resume": ""}),
        (Enabled, {"resume": "true"}),
        (Enabled, {"id": "x" * 4_001}),
        (Enabled, {"location": "x" * 1_025}),
    ],
)
def test_nonsense(kind, attributes: dict[str, str]) -> None:
    with pytest.raises(StanzaError) as error:
        kind.decode(Element(kind.TAG[1], ns.SM, attributes))
    assert error.value.condition == "bad-request"


def test_one_is_as_good_as_true() -> None:
    assert Enable.decode(decode(b"<enable xmlns='urn:xmpp:sm:3' resume='1'/>", "")).can_resume
    assert not Enable.decode(decode(b"<enable xmlns='urn:xmpp:sm:3' resume='0'/>", "")).can_resume


def test_an_unknown_failure_is_some_failure() -> None:
    for condition in ("<nonsense xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", "<gone xmlns='urn:x'/>", ""):
        text = f"<failed xmlns='urn:xmpp:sm:3'>{condition}</failed>"
        assert Failed.decode(decode(text.encode(), "")) == Failed("undefined-condition")
