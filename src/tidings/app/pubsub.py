"""Publish-Subscribe as a service of every domain."""

from __future__ import annotations

from typing import Final

from tidings.app.hosts import ServiceKind, without_entities
from tidings.features.disco import ServiceDiscovery
from tidings.features.nodes import IDENTITY, PREFIX, PendingCommand, PubSub
from tidings.features.ping import XmppPing

PUBSUB: Final = ServiceKind(
    prefix=PREFIX,
    make_kind=without_entities("nodes", IDENTITY),
    features=(PubSub, PendingCommand, ServiceDiscovery, XmppPing),
)
