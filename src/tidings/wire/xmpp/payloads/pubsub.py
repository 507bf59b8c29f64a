"""Publish-Subscribe: requests to a service of nodes, their answers and notifications (XEP-0060 1.30.0).

As much of it as nodes need whose items clients publish, read and hear of; the marks § point at its sections.
Limits: an id or the name of a node of 1,024 octets; 1,000 items of a request, each of which is looked for by
itself.
"""

from collections.abc import Iterable
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import octets, present, read_id, read_optional_id

NODE_OCTETS: Final = 1_024
ITEMS: Final = 1_000

_BESIDE: Final = frozenset({"publish-options", "options", "configure"})
"""Children that only say how the action of the request is meant."""


class PubSubItem(msgspec.Struct, frozen=True):
    """One item of a node; a request may name it without its payload."""

    id: str | None
    payload: Element | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the item; raise `bad-request` for more than one payload (§7.1.3.6)."""
        if len(element.children) > 1:
            raise unfit_payload("invalid-payload")
        return cls(read_optional_id(element.get("id"), "id"), next(iter(element.children), None))

    def encode(self, namespace: str) -> Element:
        """Return `<item/>` for the namespace of answers or that of notifications."""
        payload = [] if self.payload is None else [self.payload]
        return Element("item", namespace, present(id=self.id), *payload)


class PubSubRequest(msgspec.Struct, frozen=True):
    """What is asked of a node: the first child that names an action, and what that says.

    `maximum` is how many of the newest items are wanted (§6.5.7).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.PUBSUB, "pubsub")

    action: str
    node: str = ""
    items: tuple[PubSubItem, ...] = ()
    maximum: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for none, and for a broken item or number."""
        actions = [child for child in element.children if child.namespace == ns.PUBSUB]
        action = next((child for child in actions if child.name not in _BESIDE), None)
        action = action or next(iter(actions), None)
        if action is None:
            raise StanzaError("bad-request", "nothing is asked of the node")
        node = action.get("node") or ""
        if octets(node) > NODE_OCTETS:
            raise StanzaError("bad-request", f"the name of a node has at most {NODE_OCTETS} octets")
        items = tuple(action.find_all("item"))
        if len(items) > ITEMS:
            raise StanzaError("bad-request", f"a request names at most {ITEMS} items")
        maximum = action.get("max_items")
        return cls(
            action.name,
            node,
            tuple(map(PubSubItem.decode, items)),
            None if maximum is None else read_unsigned(maximum, "max_items", minimum=1),
        )

    def encode(self) -> Element:
        """Return `<pubsub/>`."""
        maximum = None if self.maximum is None else str(self.maximum)
        items = (item.encode(ns.PUBSUB) for item in self.items)
        attributes = present(node=self.node, max_items=maximum)
        return Element("pubsub", ns.PUBSUB, None, Element(self.action, ns.PUBSUB, attributes, *items))


class PubSubEvent(msgspec.Struct, frozen=True):
    """Tells who listens that these items are new (§7.1.2.1)."""

    TAG: ClassVar[tuple[str, str]] = (ns.PUBSUB_EVENT, "event")

    node: str
    items: tuple[PubSubItem, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the news; raise `bad-request` for any other than items."""
        items = element.find("items")
        if items is None:
            raise StanzaError("bad-request", "an event without items")
        return cls(read_id(items.get("node"), "node"), tuple(map(PubSubItem.decode, items.find_all("item"))))

    def encode(self) -> Element:
        """Return `<event/>`."""
        items = (item.encode(ns.PUBSUB_EVENT) for item in self.items)
        attributes = {"node": self.node}
        return Element("event", ns.PUBSUB_EVENT, None, Element("items", ns.PUBSUB_EVENT, attributes, *items))


def items_answer(node: str, items: Iterable[PubSubItem]) -> Element:
    """Return what a request for items is answered with (§6.5.2)."""
    return PubSubRequest("items", node, tuple(items)).encode()


def published_answer(node: str, ids: Iterable[str]) -> Element:
    """Return what a publication is answered with (§7.1.2)."""
    return PubSubRequest("publish", node, tuple(map(PubSubItem, ids))).encode()


def unsupported(feature: str) -> StanzaError:
    """Return the answer to a request that needs what the service does not do."""
    payload = Element("unsupported", ns.PUBSUB_ERRORS, {"feature": feature})
    return StanzaError("feature-not-implemented", payload=payload.to_bytes(ns.CLIENT))


def unfit_payload(name: str) -> StanzaError:
    """Return the answer to an item that is missing or wrong (§7.1.3.6), by the error's name there."""
    return StanzaError("bad-request", payload=Element(name, ns.PUBSUB_ERRORS).to_bytes(ns.CLIENT))
