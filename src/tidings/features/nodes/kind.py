"""Nodes kind: what the hosts of nodes are. They read messages: owners answer who asks for a subscription."""

from __future__ import annotations

from typing import Final

from tidings.kernel.clock import Clock
from tidings.messages.router import Router
from tidings.messages.service_kind import ServiceWithoutEntities
from tidings.ports.stores import Stores

PREFIX: Final = "pubsub"
"""What the name of the service begins with, before that of its domain."""


def nodes_kind(domain: str, router: Router, stores: Stores, clock: Clock) -> ServiceWithoutEntities:
    """Make the kind; it takes what every kind of service is made with."""
    del domain, router, stores, clock
    return ServiceWithoutEntities("nodes", ("pubsub", "service"), reads_messages=True)  # §5.3
