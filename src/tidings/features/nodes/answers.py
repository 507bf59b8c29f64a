"""Answers: what a request to nodes is answered with, what is told of it, and how both are made."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from tidings.base.jid import Jid
from tidings.features.nodes.rules import Right, check_right
from tidings.features.nodes.terms import News, People, Visit
from tidings.ports.nodes import (
    Check,
    ItemPage,
    ItemQuery,
    Node,
    NodeConfig,
    NodeItem,
    Subscription,
    SubscriptionState,
)
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp.payloads import pubsub_event
from tidings.wire.xmpp.payloads.pubsub import PubSubItem, refusal
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest


class Done(NamedTuple):
    """What a request is answered with, and what there is to tell others then."""

    answer: Element | None = None
    news: tuple[News, ...] = ()


def item_of(item: NodeItem) -> PubSubItem:
    """Give an item as it stands in answers and news."""
    return PubSubItem(item.id, decode(item.payload, "") if item.payload else None)


def told_item(config: NodeConfig, item: NodeItem) -> PubSubItem:
    """Give an item as a node tells of it."""
    return item_of(item) if config.deliver_payloads else PubSubItem(item.id)


def news_of(node: Node, content: Element, visit: Visit, people: People | None = None) -> News:
    """Give what has happened at a node, for all who may hear it."""
    return News(
        owner=node.owner,
        node=node.name,
        config=node.config,
        content=content,
        by=visit.person.jid,
        people=people,
    )


def notice_of(node: Node, content: Element, to: Jid, *, is_kept: bool = True) -> News:
    """Give what somebody is told about himself, or about who wants something of him."""
    return News(
        owner=node.owner,
        node=node.name,
        config=node.config,
        content=content,
        only=to,
        is_notice=True,
        is_kept=is_kept,
    )


def standing_changed(node: Node, subscription: Subscription, state: SubscriptionState | None) -> News:
    """Give what a subscriber is told whose subscription stands otherwise; None: it is gone (§12.14)."""
    word = "none" if state is None else state.value
    content = pubsub_event.subscription_changed(node.name, subscription.jid, word, subscription.id)
    return notice_of(node, content, subscription.jid)


def page_of(items: ItemPage) -> Page:
    """Tell which part of the items is named (XEP-0059)."""
    if not items.items:
        return Page(count=items.count)
    return Page(items.items[0].id, items.items[-1].id, items.index, items.count)


def page_query(asked: PageRequest, newest: ItemQuery) -> ItemQuery:
    """Give what is looked for when somebody asks for a page (§6.5.4), where else it is the newest items."""
    return replace(
        newest,
        after=asked.after or None,
        before=asked.before or None,
        from_start=asked.before is None,
        limit=asked.size(default=newest.limit, limit=newest.limit),
    )


def named(node: str) -> str:
    """Give the name of a node; raises `nodeid-required` for none."""
    if not node:
        raise refusal("bad-request", "nodeid-required")
    return node


def needs(visit: Visit, right: Right) -> Check:
    """Give the check that who asks has a right."""
    return lambda _, standing: check_right(right, visit.person, standing)
