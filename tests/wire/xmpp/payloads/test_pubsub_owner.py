"""Publish-subscribe for owners, and its news: the examples of XEP-0060."""

import pytest

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.pubsub import PubSubEvent, PubSubItem
from tidings.wire.xmpp.payloads.pubsub_event import (
    configured,
    deleted,
    purged,
    retracted,
    subscription_changed,
    written_item,
)
from tidings.wire.xmpp.payloads.pubsub_owner import OwnerRequest, own_affiliations_answer

MANY = "<affiliation jid='a@b'/>" * 1_001
BARD = Jid("bard@shakespeare.lit")


def owner(content: str) -> Element:
    return decode(f"<pubsub xmlns='{ns.PUBSUB_OWNER}'>{content}</pubsub>".encode(), ns.CLIENT)


@pytest.mark.parametrize(
    ("content", "request_"),
    [
        ("<configure node='n'/>", OwnerRequest("configure", "n")),
        ("<default/>", OwnerRequest("default")),
        ("<purge node='n'/>", OwnerRequest("purge", "n")),
        ("<delete node='n'/>", OwnerRequest("delete", "n")),
        (
            "<delete node='n'><redirect uri='xmpp:hamlet@denmark.lit'/></delete>",
            OwnerRequest("delete", "n", redirect="xmpp:hamlet@denmark.lit"),
        ),
        (
            (
                "<affiliations node='n'><affiliation jid='bard@shakespeare.lit' affiliation='publisher'/>"
                "</affiliations>"
            ),
            OwnerRequest("affiliations", "n", people=((BARD, "publisher"),)),
        ),
        (
            (
                "<subscriptions node='n'><subscription jid='bard@shakespeare.lit' subscription='none'/>"
                "</subscriptions>"
            ),
            OwnerRequest("subscriptions", "n", people=((BARD, "none"),)),
        ),
        (
            (
                "<configure node='n'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#title'>"
                "<value>t</value></field></x></configure>"
            ),
            OwnerRequest("configure", "n", DataForm(FormKind.SUBMIT, (Field("pubsub#title", ("t",)),))),
        ),
    ],
)
def test_requests(content: str, request_: OwnerRequest) -> None:
    assert OwnerRequest.decode(owner(content)) == request_
    assert OwnerRequest.decode(request_.encode()) == request_


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        ("", "bad-request"),
        ("<configure xmlns='urn:example:other'/>", "bad-request"),
        (f"<purge node='{'n' * 1_025}'/>", "bad-request"),
        ("<affiliations node='n'><affiliation affiliation='owner'/></affiliations>", "bad-request"),
        ("<affiliations node='n'><affiliation jid='@' affiliation='owner'/></affiliations>", "jid-malformed"),
        (f"<affiliations node='n'>{MANY}</affiliations>", "bad-request"),
    ],
)
def test_nonsense(content: str, condition: str) -> None:
    with pytest.raises(StanzaError) as refusal:
        OwnerRequest.decode(owner(content))
    assert refusal.value.condition == condition


def test_news() -> None:
    form = DataForm(FormKind.RESULT, (Field("pubsub#title", ("t",)),))
    for news, content in (
        (retracted("n", ["a", "b"]), "<items node='n'><retract id='a'/><retract id='b'/></items>"),
        (purged("n"), "<purge node='n'/>"),
        (deleted("n"), "<delete node='n'/>"),
        (deleted("n", "xmpp:a@b"), "<delete node='n'><redirect uri='xmpp:a@b'/></delete>"),
        (configured("n", None), "<configuration node='n'/>"),
        (
            configured("n", form),
            (
                "<configuration node='n'><x xmlns='jabber:x:data' type='result'><field var='pubsub#title'>"
                "<value>t</value></field></x></configuration>"
            ),
        ),
        (
            subscription_changed("n", BARD, "subscribed", "s"),
            "<subscription node='n' jid='bard@shakespeare.lit' subid='s' subscription='subscribed'/>",
        ),
    ):
        assert news == decode(f"<event xmlns='{ns.PUBSUB_EVENT}'>{content}</event>".encode(), ns.CLIENT)


def test_an_item_that_is_written_says_what_a_decoded_one_says() -> None:
    item = PubSubItem("<i>", Element("x", "urn:x", None, "ü & co"))
    assert item.payload is not None
    written = written_item("n'\"&", "<i>", item.payload.to_bytes())
    assert written.decode() == PubSubEvent("n'\"&", (item,)).encode()
    assert written_item("n", "i", b"").decode() == PubSubEvent("n", (PubSubItem("i"),)).encode()


def test_what_somebody_may_do() -> None:  # example 22
    expected = "<affiliations><affiliation node='n' affiliation='owner'/></affiliations>"
    answer = own_affiliations_answer({"n": "owner"})
    assert answer == decode(f"<pubsub xmlns='{ns.PUBSUB}'>{expected}</pubsub>".encode(), ns.CLIENT)
