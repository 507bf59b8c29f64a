"""Nodes of an account in the portable format: how they behave, and what is in them (XEP-0227 1.1 §4.9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from tidings.base.clock import microseconds
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.node_configuration import configured, form_of
from tidings.portable.account import PortableNode
from tidings.ports.nodes import (
    AccessModel,
    Affiliation,
    NodeConfig,
    NodeItem,
    Subscription,
    SubscriptionState,
)
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import FormKind
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_INT
from tidings.wire.xmpp.payloads.pubsub import PubSubItem, read_form
from tidings.wire.xmpp.payloads.strict import read_id, read_jid

_PUBLISHED: Final = f"{{{ns.TIDINGS_PORTABLE}}}published"
"""When an item was published, which the document has no place for."""

_UNKNOWN: Final = NodeConfig(access_model=AccessModel.PRESENCE)
"""How a node behaves of which nothing is said: nobody reads it who could not have."""


def written_nodes(nodes: Iterable[PortableNode]) -> Iterator[Element]:
    """Give the two elements that say how nodes behave, and what is in them."""
    nodes = list(nodes)
    if not nodes:
        return
    owned, kept = Element("pubsub", ns.PUBSUB_OWNER), Element("pubsub", ns.PUBSUB)
    for node in nodes:
        owned.append(_of_owner("configure", node.name, [form_of(node.config, FormKind.SUBMIT).encode()]))
        if node.affiliations:
            owned.append(_of_owner("affiliations", node.name, map(_affiliation, node.affiliations)))
        if node.subscriptions:
            owned.append(_of_owner("subscriptions", node.name, map(_subscription, node.subscriptions)))
        kept.append(Element("items", ns.PUBSUB, {"node": node.name}, *map(_item, node.items)))
    yield owned
    yield kept


def read_behaviour(nodes: dict[str, PortableNode], element: Element) -> None:
    """Read how nodes behave, and who may do what."""
    for child in element.children:
        name = read_id(child.get("node"), "node")
        node = nodes.get(name) or PortableNode(name, _UNKNOWN)
        match child.name:
            case "configure":
                node = replace(node, config=configured(_UNKNOWN, read_form(child), most=UNSIGNED_INT))
            case "affiliations":
                people = ((read_jid(each.get("jid"), "jid").bare, each) for each in child.children)
                found = tuple((jid, Affiliation(each.get("affiliation") or "")) for jid, each in people)
                node = replace(node, affiliations=found)
            case "subscriptions":
                node = replace(node, subscriptions=tuple(_read_subscriptions(child)))
        nodes[name] = node


def read_items(nodes: dict[str, PortableNode], element: Element, owner: Jid) -> None:
    """Read what is in nodes; the owner has published what nobody is said to have published."""
    for child in element.find_all("items"):
        name = read_id(child.get("node"), "node")
        node = nodes.get(name) or PortableNode(name, _UNKNOWN)
        items = tuple(_read_item(each, owner) for each in child.find_all("item"))
        nodes[name] = replace(node, items=node.items + items)


def _of_owner(name: str, node: str, content: Iterable[Element]) -> Element:
    return Element(name, ns.PUBSUB_OWNER, {"node": node}, *content)


def _affiliation(given: tuple[Jid, Affiliation]) -> Element:
    attributes = {"jid": given[0].text, "affiliation": given[1].value}
    return Element("affiliation", ns.PUBSUB_OWNER, attributes)


def _subscription(subscription: Subscription) -> Element:
    attributes = {"jid": subscription.jid.text, "subscription": subscription.state.value}
    return Element("subscription", ns.PUBSUB_OWNER, {**attributes, "subid": subscription.id})


def _item(item: NodeItem) -> Element:
    payload = decode(item.payload, "") if item.payload else None
    element = PubSubItem(item.id, payload).encode(ns.PUBSUB)
    element.attributes["publisher"] = item.publisher.text
    element.attributes[_PUBLISHED] = format_date_time(microseconds(item.published))
    return element


def _read_item(element: Element, owner: Jid) -> NodeItem:
    item, publisher = PubSubItem.decode(element), element.get("publisher")
    published = element.get(_PUBLISHED)
    return NodeItem(
        item.id or token(12),
        read_jid(publisher, "publisher").bare if publisher else owner,
        read_date_time(published, "published") / 1_000_000 if published else 0.0,
        b"" if item.payload is None else item.payload.to_bytes(),
    )


def _read_subscriptions(element: Element) -> Iterator[Subscription]:
    for each in element.children:
        state = SubscriptionState(each.get("subscription") or "")
        yield Subscription(read_jid(each.get("jid"), "jid"), state, each.get("subid") or token(9), 0.0)
