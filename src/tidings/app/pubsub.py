"""Publish-Subscribe as a service of every domain."""

from __future__ import annotations

from typing import Final

from tidings.app.hosts import ServiceKind
from tidings.features.disco import ServiceDiscovery
from tidings.features.nodes import PREFIX, PendingCommand, PubSub, nodes_kind
from tidings.features.ping import XmppPing

PUBSUB: Final = ServiceKind(
    prefix=PREFIX, make_kind=nodes_kind, features=(PubSub, PendingCommand, ServiceDiscovery, XmppPing)
)
