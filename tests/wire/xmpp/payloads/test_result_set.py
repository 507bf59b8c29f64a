"""Result set management on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import texts, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest


def rsm(content: str) -> str:
    return f"<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>"


EXAMPLES = {
    "example 1": (rsm("<max>10</max>"), PageRequest(10)),
    "example 4": (
        rsm(
            "<first index='0'>stpeter@jabber.org</first><last>peterpan@neverland.lit</last><count>800</count>"
        ),
        Page("stpeter@jabber.org", "peterpan@neverland.lit", 0, 800),
    ),
    "example 5": (
        rsm("<max>10</max><after>peterpan@neverland.lit</after>"),
        PageRequest(10, after="peterpan@neverland.lit"),
    ),
    "example 7": (rsm("<count>790</count>"), Page(count=790)),
    "example 8": (
        rsm("<max>10</max><before>peter@pixyland.org</before>"),
        PageRequest(10, before="peter@pixyland.org"),
    ),
    "example 11": (rsm("<max>10</max><before/>"), PageRequest(10, before="")),
    "example 12": (rsm("<max>10</max><index>371</index>"), PageRequest(10, index=371)),
    "example 15": (rsm("<max>0</max>"), PageRequest(0)),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_document(text: str, value) -> None:
    element = decode(text.encode(), "")
    assert type(value).decode(element) == value
    assert through_bytes(value.encode()) == through_bytes(element)


numbers = st.none() | st.integers(0, 2**32 - 1)


@given(
    st.one_of(
        st.builds(PageRequest, numbers, st.none() | texts, st.none() | texts, numbers),
        st.builds(Page, words, words, numbers, numbers),
        st.builds(Page, count=numbers),
    )
)
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


def test_what_is_not_said() -> None:
    query = Element("query", ns.MAM2)
    assert PageRequest.within(query) == PageRequest()
    assert Page.within(query) == Page()
    query.append(PageRequest(3).encode())
    assert PageRequest.within(query) == PageRequest(3)


def test_mongooseims_word_for_max() -> None:
    assert PageRequest.decode(decode(rsm("<limit>5</limit>").encode(), "")) == PageRequest(5)
    assert PageRequest.decode(decode(rsm("<limit>5</limit><max>3</max>").encode(), "")) == PageRequest(3)


@pytest.mark.parametrize(("maximum", "size"), [(None, 50), (0, 0), (10, 10), (1_000, 100)])
def test_a_page_is_never_larger_than_the_limit(maximum: int | None, size: int) -> None:
    assert PageRequest(maximum).size(default=50, limit=100) == size


def test_backward_is_before() -> None:
    assert PageRequest(before="").is_backward
    assert PageRequest(before="x").is_backward
    assert not PageRequest(after="x").is_backward


@pytest.mark.parametrize("content", ["-1", "+1", "ten", "", "1.0", "٣", str(2**32), "9" * 5_000, "0x1"])
@pytest.mark.parametrize("name", ["max", "index", "limit"])
def test_numbers_that_are_none(name: str, content: str) -> None:
    with pytest.raises(StanzaError) as error:
        PageRequest.decode(decode(rsm(f"<{name}>{content}</{name}>").encode(), ""))
    assert error.value.condition == "bad-request"


@pytest.mark.parametrize("name", ["before", "after"])
def test_ids_that_are_too_long(name: str) -> None:
    assert PageRequest.decode(decode(rsm(f"<{name}>{'x' * 4_096}</{name}>").encode(), ""))
    with pytest.raises(StanzaError, match="longer"):
        PageRequest.decode(decode(rsm(f"<{name}>{'ü' * 2_049}</{name}>").encode(), ""))


@pytest.mark.parametrize(
    "content",
    [
        "<first>a</first>",
        "<last>a</last>",
        "<first/><last/>",
        "<first index='x'>a</first><last>b</last>",
        "<count>many</count>",
    ],
)
def test_pages_that_are_none(content: str) -> None:
    with pytest.raises(StanzaError) as error:
        Page.decode(decode(rsm(content).encode(), ""))
    assert error.value.condition == "bad-request"
