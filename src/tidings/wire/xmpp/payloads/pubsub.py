"""Publish-Subscribe: requests to a service of nodes, their answers and notifications (XEP-0060 1.30.0).

What publishers, subscribers and readers ask for, and news of items; the marks § point at its sections. What
owners ask for is in `pubsub_owner.py`, other news in `pubsub_event.py`. Limits: an id or the name of a node
of 1,024 octets; 1,000 items of a request, each of which is looked for by itself.
"""

from collections.abc import Iterable
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.strict import (
    octets,
    present,
    read_boolean,
    read_id,
    read_jid,
    read_optional_id,
)

NODE_OCTETS: Final = 1_024
ITEMS: Final = 1_000

_BESIDE: Final = frozenset({"publish-options", "options", "configure"})
"""Children that only say how the action of the request is meant."""

_FORMS: Final = {"publish": "publish-options", "create": "configure", "subscribe": "options"}
"""Which of them holds the form of an action."""


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

    `maximum` is how many of the newest items are wanted (§6.5.7), `page` which of them (§6.5.4). `form` are
    the options of a publication (§7.1.5) or of a subscription (§6.3.7), or the configuration of a node that
    is to be made (§8.1.3). `jid` is who is to be subscribed, and `notify` whether a retraction is told of.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.PUBSUB, "pubsub")

    action: str
    node: str = ""
    items: tuple[PubSubItem, ...] = ()
    maximum: int | None = None
    jid: Jid | None = None
    subscription: str = ""
    notify: bool = False
    form: DataForm | None = None
    page: PageRequest | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for none, and for what it says and is broken."""
        actions = [child for child in element.children if child.namespace == ns.PUBSUB]
        action = next((child for child in actions if child.name not in _BESIDE), None)
        action = action or next(iter(actions), None)
        if action is None:
            raise StanzaError("bad-request", "nothing is asked of the node")
        node = read_node(action)
        items = tuple(action.find_all("item"))
        if len(items) > ITEMS:
            raise StanzaError("bad-request", f"a request names at most {ITEMS} items")
        maximum = action.get("max_items")
        return cls(
            action.name,
            node,
            tuple(map(PubSubItem.decode, items)),
            None if maximum is None else read_unsigned(maximum, "max_items", minimum=1),
            read_jid(action.get("jid"), "jid") if action.get("jid") else None,
            read_optional_id(action.get("subid"), "subid") or "",
            read_boolean(action.get("notify"), "notify"),
            _form_of(element, action),
            PageRequest.within(element) if element.find("set", ns.RSM) is not None else None,
        )

    def encode(self) -> Element:
        """Return `<pubsub/>`."""
        attributes = present(
            node=self.node,
            max_items=None if self.maximum is None else str(self.maximum),
            jid=None if self.jid is None else self.jid.text,
            subid=self.subscription,
            notify="true" if self.notify else None,
        )
        items = (item.encode(ns.PUBSUB) for item in self.items)
        request = Element("pubsub", ns.PUBSUB, None, Element(self.action, ns.PUBSUB, attributes, *items))
        if self.form is not None:
            beside = Element(_FORMS.get(self.action, "options"), ns.PUBSUB, None, self.form.encode())
            request.append(beside)
        if self.page is not None:
            request.append(self.page.encode())
        return request


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


def read_node(action: Element) -> str:
    """Return the name of the node that an action names, or nothing; raise `bad-request` for one too long."""
    node = action.get("node") or ""
    if octets(node) > NODE_OCTETS:
        raise StanzaError("bad-request", f"the name of a node has at most {NODE_OCTETS} octets")
    return node


def read_form(parent: Element | None) -> DataForm | None:
    """Return the form within an element, if there is one; raise `bad-request` for a broken one."""
    form = None if parent is None else parent.find("x", ns.DATA_FORMS)
    return None if form is None else DataForm.decode(form)


def _form_of(request: Element, action: Element) -> DataForm | None:
    name = _FORMS.get(action.name)
    return read_form(action if name is None else request.find(name))


def items_answer(node: str, items: Iterable[PubSubItem], page: Page | None = None) -> Element:
    """Return what a request for items is answered with (§6.5.2), with a page where they are some (§6.5.4)."""
    answer = PubSubRequest("items", node, tuple(items)).encode()
    if page is not None:
        answer.append(page.encode())
    return answer


def published_answer(node: str, ids: Iterable[str]) -> Element:
    """Return what a publication is answered with (§7.1.2)."""
    return PubSubRequest("publish", node, tuple(map(PubSubItem, ids))).encode()


def created_answer(node: str) -> Element:
    """Return what is said of a node whose name the service has chosen (§8.1.2)."""
    return PubSubRequest("create", node).encode()


def subscription_element(namespace: str, jid: Jid, state: str, node: str = "", id_: str = "") -> Element:
    """Return `<subscription/>` as it stands in answers, lists and news (§5.6, §6.1.2, §8.8.1)."""
    return Element("subscription", namespace, present(node=node, jid=jid.text, subid=id_, subscription=state))


def answer(*content: Element) -> Element:
    """Return `<pubsub/>` around what is answered."""
    return Element("pubsub", ns.PUBSUB, None, *content)


def unsupported(feature: str) -> StanzaError:
    """Return the answer to a request that needs what the service does not do."""
    payload = Element("unsupported", ns.PUBSUB_ERRORS, {"feature": feature})
    return StanzaError("feature-not-implemented", payload=payload.to_bytes(ns.CLIENT))


def unfit_payload(name: str) -> StanzaError:
    """Return the answer to an item that is missing or wrong (§7.1.3.6), by the error's name there."""
    return refusal("bad-request", name)


def refusal(condition: str, name: str, text: str = "") -> StanzaError:
    """Return an error that the document names beside the condition, in the namespace of its errors."""
    return StanzaError(condition, text, payload=Element(name, ns.PUBSUB_ERRORS).to_bytes(ns.CLIENT))
