"""Publish-Subscribe news beside new items: what is gone, what is different (XEP-0060 1.30.0)."""

from collections.abc import Iterable

from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.pubsub import subscription_element
from tidings.wire.xmpp.stanza import Child


def written_item(node: str, id_: str, payload: bytes) -> Child:
    """Return the news of an item whose payload is kept as bytes that name its namespace; nothing is parsed.

    It says the same as `PubSubEvent`.
    """
    root = f'<event xmlns="{ns.PUBSUB_EVENT}"><items node="{escape_attribute(node)}">'
    item = f'<item id="{escape_attribute(id_)}"'
    content = b">" + payload + b"</item>" if payload else b"/>"
    return Child(ns.PUBSUB_EVENT, "event", (root + item).encode() + content + b"</items></event>")


def retracted(node: str, ids: Iterable[str]) -> Element:
    """Return the news that items are gone (§7.2.2.1)."""
    gone = (Element("retract", ns.PUBSUB_EVENT, {"id": each}) for each in ids)
    return _event(Element("items", ns.PUBSUB_EVENT, {"node": node}, *gone))


def purged(node: str) -> Element:
    """Return the news that all items are gone (§8.5.2)."""
    return _event(Element("purge", ns.PUBSUB_EVENT, {"node": node}))


def deleted(node: str, redirect: str = "") -> Element:
    """Return the news that the node is gone, and where to turn now (§8.4.2)."""
    news = Element("delete", ns.PUBSUB_EVENT, {"node": node})
    if redirect:
        news.append(Element("redirect", ns.PUBSUB_EVENT, {"uri": redirect}))
    return _event(news)


def configured(node: str, form: DataForm | None) -> Element:
    """Return the news that the node behaves otherwise; with the form where payloads are told (§8.2.5.3)."""
    content = () if form is None else (form.encode(),)
    return _event(Element("configuration", ns.PUBSUB_EVENT, {"node": node}, *content))


def subscription_changed(node: str, jid: Jid, state: str, id_: str = "") -> Element:
    """Return the news that a subscription stands otherwise (§8.6, §8.8.4)."""
    return _event(subscription_element(ns.PUBSUB_EVENT, jid, state, node, id_))


def _event(content: Element) -> Element:
    return Element("event", ns.PUBSUB_EVENT, None, content)
