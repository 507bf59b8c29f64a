"""Upload kind: what the hosts of upload services are."""

from __future__ import annotations

from typing import Final

from tidings.kernel.clock import Clock
from tidings.messages.router import Router
from tidings.messages.service_kind import ServiceWithoutEntities
from tidings.ports.stores import Stores

PREFIX: Final = "upload"
"""What the name of the service begins with, before that of its domain."""


def upload_kind(domain: str, router: Router, stores: Stores, clock: Clock) -> ServiceWithoutEntities:
    """Make the kind; it takes what every kind of service is made with."""
    del domain, router, stores, clock
    return ServiceWithoutEntities("upload", ("store", "file"))  # XEP-0363 §3
