"""User search as a service of every domain."""

from __future__ import annotations

from typing import Final

from tidings.app.hosts import ServiceKind, without_entities
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.user_search import IDENTITY, PREFIX, UserSearchService

USER_SEARCH: Final = ServiceKind(
    prefix=PREFIX,
    make_kind=without_entities("user_search", IDENTITY),
    features=(UserSearchService, ServiceDiscovery, XmppPing),
)
