"""What all nodes do, whoever has them, by its names in XEP-0060 §10."""

from typing import Final

from tidings.wire.xmpp import ns

_COMMON: Final = (
    "access-open",
    "access-whitelist",
    "auto-create",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "instant-nodes",
    "item-ids",
    "last-published",
    "leased-subscription",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-default-sub",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
    "subscription-options",
)


def features(*also: str) -> tuple[str, ...]:
    """Give the namespaces that disco names, with those of more than what all nodes do."""
    return (ns.PUBSUB, *(f"{ns.PUBSUB}#{each}" for each in (*_COMMON, *also)))
