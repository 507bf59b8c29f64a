"""Service discovery on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import infos, items, texts, through_bytes
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.disco import Identity, Info, Item, Items


def test_the_info_of_a_chat_service() -> None:  # XEP-0030 example 2
    text = b"""<query xmlns='http://jabber.org/protocol/disco#info'>
    <identity category='conference' type='text' name='Play-Specific Chatrooms'/>
    <feature var='http://jabber.org/protocol/disco#info'/><feature var='jabber:iq:time'/></query>"""
    assert Info.decode(decode(text, "")) == Info(
        identities=(Identity("conference", "text", "Play-Specific Chatrooms"),),
        features=(ns.DISCO_INFO, "jabber:iq:time"),
    )


def test_the_items_of_a_server() -> None:  # XEP-0030 example 17
    text = b"""<query xmlns='http://jabber.org/protocol/disco#items'><item jid='people.shakespeare.lit'
    name='Directory of Characters'/><item jid='catalog.shakespeare.lit' node='books'/></query>"""
    assert Items.decode(decode(text, "")).items == (
        Item(Jid("people.shakespeare.lit"), "", "Directory of Characters"),
        Item(Jid("catalog.shakespeare.lit"), "books"),
    )


@given(infos() | st.builds(Items, texts, st.lists(items).map(tuple)))
def test_round_trips(value: Info | Items) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    ("kind", "child", "condition"),
    [
        (Info, Element("identity", ns.DISCO_INFO, {"category": "a"}), "bad-request"),
        (Info, Element("identity", ns.DISCO_INFO, {"type": "a"}), "bad-request"),
        (Info, Element("feature", ns.DISCO_INFO), "bad-request"),
        (Items, Element("item", ns.DISCO_ITEMS), "bad-request"),
        (Items, Element("item", ns.DISCO_ITEMS, {"jid": "@"}), "jid-malformed"),
    ],
)
def test_nonsense(kind, child: Element, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        kind.decode(Element("query", kind.TAG[0], None, child))
    assert error.value.condition == condition
