"""Publish-subscribe: the examples of XEP-0060 and XEP-0490, and what is refused."""

import pytest

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.pubsub import (
    PubSubEvent,
    PubSubItem,
    PubSubRequest,
    items_answer,
    published_answer,
    unfit_payload,
    unsupported,
)
from tidings.wire.xmpp.payloads.result_set import PageRequest

ACCESS = DataForm(FormKind.SUBMIT, (Field("pubsub#access_model", ("open",)),))


def pubsub(content: str) -> Element:
    return decode(f"<pubsub xmlns='{ns.PUBSUB}'>{content}</pubsub>".encode(), ns.CLIENT)


def test_a_publication_with_options() -> None:  # XEP-0490, example 1
    request = PubSubRequest.decode(
        pubsub(
            "<publish node='urn:xmpp:mds:displayed:0'><item id='romeo@montegue.lit'>"
            "<displayed xmlns='urn:xmpp:mds:displayed:0'/></item></publish>"
            "<publish-options><x xmlns='jabber:x:data' type='submit'/></publish-options>"
        )
    )
    assert (request.action, request.node) == ("publish", "urn:xmpp:mds:displayed:0")
    (item,) = request.items
    assert (item.id, item.payload) == ("romeo@montegue.lit", Element("displayed", ns.DISPLAYED_SYNC))


@pytest.mark.parametrize(
    ("content", "request_"),
    [
        ("<items node='n'/>", PubSubRequest("items", "n")),
        ("<items node='n' max_items='2'/>", PubSubRequest("items", "n", maximum=2)),
        ("<items node='n'><item id='a'/></items>", PubSubRequest("items", "n", (PubSubItem("a"),))),
        ("<create/><configure/>", PubSubRequest("create")),
        (
            (
                "<publish node='n'><item id='a'/></publish><publish-options>"
                "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'>"
                "<value>open</value></field></x></publish-options>"
            ),
            PubSubRequest("publish", "n", (PubSubItem("a"),), form=ACCESS),
        ),
        ("<retract node='n' notify='true'/>", PubSubRequest("retract", "n", notify=True)),
        (
            "<items node='n'/><set xmlns='http://jabber.org/protocol/rsm'><max>2</max></set>",
            PubSubRequest("items", "n", page=PageRequest(2)),
        ),
        (
            "<unsubscribe node='n' jid='a@b/c' subid='s'/>",
            PubSubRequest("unsubscribe", "n", jid=Jid("a@b/c"), subscription="s"),
        ),
        ("<configure node='n'/>", PubSubRequest("configure", "n")),
        ("<subscriptions/>", PubSubRequest("subscriptions")),
    ],
)
def test_requests(content: str, request_: PubSubRequest) -> None:
    assert PubSubRequest.decode(pubsub(content)) == request_
    assert PubSubRequest.decode(request_.encode()) == request_


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<items xmlns='urn:example:other' node='n'/>",
        "<items node='n' max_items='0'/>",
        "<items node='n' max_items='x'/>",
        f"<items node='{'n' * 1_025}'/>",
        f"<items node='n'><item id='{'i' * 1_025}'/></items>",
        f"<items node='n'>{'<item/>' * 1_001}</items>",
        "<publish node='n'><item id='a'><a xmlns='u'/><b xmlns='u'/></item></publish>",
    ],
)
def test_nonsense(content: str) -> None:
    with pytest.raises(StanzaError) as refusal:
        PubSubRequest.decode(pubsub(content))
    assert refusal.value.condition == "bad-request"


def test_answers_and_news() -> None:
    item = PubSubItem("a", Element("x", "urn:example:payload"))
    assert items_answer("n", (item,)) == pubsub(
        "<items node='n'><item id='a'><x xmlns='urn:example:payload'/></item></items>"
    )
    assert published_answer("n", ["a"]) == pubsub("<publish node='n'><item id='a'/></publish>")
    event = PubSubEvent("n", (item,))
    assert PubSubEvent.decode(event.encode()) == event
    assert event.encode().children[0].namespace == ns.PUBSUB_EVENT
    with pytest.raises(StanzaError):
        PubSubEvent.decode(Element("event", ns.PUBSUB_EVENT))


def test_errors_say_what_is_missing() -> None:
    for error, condition, name in (
        (unsupported("delete-items"), "feature-not-implemented", "unsupported"),
        (unfit_payload("item-required"), "bad-request", "item-required"),
    ):
        assert error.condition == condition
        detail = decode(error.payload, ns.CLIENT)
        assert (detail.namespace, detail.name) == (ns.PUBSUB_ERRORS, name)
