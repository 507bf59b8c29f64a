"""Multicast as a service of every domain."""

from __future__ import annotations

from typing import Final

from tidings.app.hosts import ServiceKind, without_entities
from tidings.features.disco import ServiceDiscovery
from tidings.features.multicast import IDENTITY, PREFIX, Multicast
from tidings.features.ping import XmppPing

MULTICAST: Final = ServiceKind(
    prefix=PREFIX,
    make_kind=without_entities("multicast", IDENTITY),
    features=(Multicast, ServiceDiscovery, XmppPing),
)
