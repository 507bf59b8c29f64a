"""Terms: what differs between those who have nodes, and what a visit to one is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.nodes.rules import Person
from tidings.ports.nodes import AccessModel, Affiliation, NodeConfig, NodeLimits, Standing, Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.pubsub import refusal


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes are made, and how much may be in them."""

    defaults: NodeConfig
    """What a node has that nobody has configured."""
    access_models: frozenset[AccessModel]
    limits: NodeLimits
    item_octets: int
    people: int
    """Affiliations of a node, and subscriptions."""
    page_items: int
    """Items of one answer."""
    page_octets: int
    nodes_of_account: int | None = None
    """Nodes of a host that one account may own; None where an account has its own nodes."""


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks something, of whose nodes, and under which terms."""

    owner: Jid
    person: Person
    terms: Terms
    may_make: bool
    """Whether he may make nodes there."""
    person_of: Callable[[Jid], Person]
    """Gives others as the owner of the nodes knows them."""

    def check_may_make(self) -> None:
        """Raise `forbidden` for somebody who may not make nodes."""
        if not self.may_make:
            raise StanzaError("forbidden", "you may not make nodes here")

    def check_config(self, config: NodeConfig) -> NodeConfig:
        """Give the configuration; raise `not-acceptable` where nodes here cannot have it."""
        if config.access_model not in self.terms.access_models:
            raise refusal(
                "not-acceptable", "unsupported-access-model", "nodes here have no such access model"
            )
        return config


class People:
    """Who is affiliated and subscribed to a node."""

    __slots__ = ("_by_account", "affiliations", "subscriptions")

    def __init__(self, affiliations: dict[Jid, Affiliation], subscriptions: tuple[Subscription, ...]) -> None:
        """Note whose each subscription is: there may be ten thousand."""
        self.affiliations = affiliations
        self.subscriptions = subscriptions
        self._by_account: dict[Jid, tuple[Subscription, ...]] = {}
        for each in subscriptions:
            bare = each.jid.bare
            self._by_account[bare] = (*self._by_account.get(bare, ()), each)

    def standing_of(self, jid: Jid) -> Standing:
        """Give how a bare JID stands to the node."""
        return Standing(self.affiliations.get(jid, Affiliation.NONE), self._by_account.get(jid, ()))


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at a node, for whoever listens to it."""

    owner: Jid
    node: str
    config: NodeConfig
    content: Element
    """The `<event/>`."""
    by: Jid | None = None
    """The full JID of who did it, where that is told."""
    only: Jid | None = None
    """Whom it is for alone; None: all who may hear it."""
    is_notice: bool = False
    """It is about that one, or for his decision: it comes whatever the node tells of its items."""
    is_kept: bool = False
    """Whether a notice waits for somebody who is away."""
    people: People | None = None
    """Who was affiliated and subscribed to a node that is gone; None: that is asked."""
