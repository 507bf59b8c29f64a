"""The blocking command on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import jids, through_bytes
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.blocking import Block, BlockList, Unblock

ROMEO = Jid("romeo@montague.net")

EXAMPLES = [
    ("<blocklist xmlns='urn:xmpp:blocking'/>", BlockList()),
    (
        (
            "<blocklist xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/>"
            "<item jid='iago@shakespeare.lit'/>"
            "</blocklist>"
        ),
        BlockList((ROMEO, Jid("iago@shakespeare.lit"))),
    ),
    ("<block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block>", Block((ROMEO,))),
    ("<unblock xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></unblock>", Unblock((ROMEO,))),
    ("<unblock xmlns='urn:xmpp:blocking'/>", Unblock()),
]


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_examples_of_the_document(text: str, value) -> None:
    assert type(value).decode(decode(text.encode(), "")) == value
    assert value.encode() == decode(text.encode(), "")


@given(st.lists(jids, min_size=1, unique=True).map(tuple), st.sampled_from([Block, BlockList, Unblock]))
def test_round_trips(blocked: tuple[Jid, ...], kind) -> None:
    assert kind.decode(through_bytes(kind(blocked).encode())) == kind(blocked)


def block(*addresses: str) -> Element:
    return Element(
        "block", ns.BLOCKING, None, *(Element("item", ns.BLOCKING, {"jid": jid}) for jid in addresses)
    )


def test_the_same_address_written_twice_is_one() -> None:
    spellings = block("Romeo@Montague.NET", "romeo@montague.net", "ROMEO@montague.net.")
    assert Block.decode(spellings).jids == (ROMEO,)


def test_look_alikes_stay_apart() -> None:
    assert len(Block.decode(block("paypal@example.org", "p\u0430yp\u0430l@example.org")).jids) == 2


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        (block(), "bad-request"),  # §3.3
        (block(""), "bad-request"),
        (block("@"), "jid-malformed"),
        (block("a" * 1024 + "@example.org"), "jid-malformed"),
        (Element("block", ns.BLOCKING, None, Element("item", ns.BLOCKING)), "bad-request"),
        (Element("block", ns.BLOCKING, None, Element("item", "urn:other", {"jid": "a@b"})), "bad-request"),
    ],
)
def test_nonsense(element: Element, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        Block.decode(element)
    assert error.value.condition == condition
