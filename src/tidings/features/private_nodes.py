"""Private nodes: what other features show as nodes of the own account, answered as XEP-0060 has it.

Implements of XEP-0060 1.30.0 and XEP-0223 1.1.1 what the nodes found among the host's features need:
publishing one item (§7.1) and reading items (§6.5), for the account itself. It is no service for nodes that
clients make: they are answered `item-not-found`, and what would change a node `feature-not-implemented`. A
feature that serves such nodes takes this one's place and asks the same `PubSubNode`s.
"""

from tidings.base.errors import StanzaError
from tidings.kernel.feature import Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.pubsub_node import PubSubNode
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.pubsub import (
    PubSubRequest,
    items_answer,
    published_answer,
    unfit_payload,
    unsupported,
)

_NEEDS = {
    "affiliations": "retrieve-affiliations",
    "create": "create-nodes",
    "default": "retrieve-default",
    "options": "subscription-options",
    "retract": "delete-items",
    "subscribe": "subscribe",
    "subscriptions": "retrieve-subscriptions",
    "unsubscribe": "subscribe",
}
"""What a service would have to do for an action, by the names of XEP-0060 §10."""


class PrivateNodes(Feature):
    """Answers requests to the nodes of the own account."""

    spec = Spec.xep(60, version="1.30.0", note="publishing to and reading the nodes of XEP-0490 only")
    serves_archives = True

    def __init__(self, host: Host) -> None:
        self._host = host

    @handles(PubSubRequest, kind="get")
    async def read(self, request: Iq[PubSubRequest]) -> Element:
        """Answer with items (§6.5)."""
        asked = request.payload
        if asked.action != "items":
            raise unsupported(_NEEDS.get(asked.action, asked.action))
        view = self._view(asked.node)
        wanted = [item.id for item in asked.items if item.id is not None]
        items = await view.items(request.own_account, wanted, asked.maximum, request.own_session)
        if wanted and not items:
            raise StanzaError("item-not-found")
        return items_answer(asked.node, items)

    @handles(PubSubRequest, kind="set")
    async def publish(self, request: Iq[PubSubRequest]) -> Element:
        """Take an item (§7.1)."""
        asked = request.payload
        if asked.action != "publish":
            raise unsupported(_NEEDS.get(asked.action, asked.action))
        view = self._view(asked.node)
        if len(asked.items) != 1:
            raise unfit_payload("item-required")
        published = await view.publish(request.own_account, asked.items[0], request.own_session)
        return published_answer(asked.node, (published,))

    def _view(self, node: str) -> PubSubNode:
        if not node:
            raise unfit_payload("nodeid-required")
        for feature in self._host.features:
            if isinstance(feature, PubSubNode) and feature.node == node:
                return feature
        raise StanzaError("item-not-found", "there is no such node")
