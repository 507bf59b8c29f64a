"""The options of a service of nodes: who may make some, and how much may be in them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidings.base.shares import OLDEST_LEAVES, share


class PubSubOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The service `pubsub.DOMAIN`, whose nodes belong to nobody's account (XEP-0060)."""

    create: Annotated[
        Literal["accounts", "admins", "nobody"],
        Meta(description="Who may make nodes: everybody with an account here, admins, or nobody."),
    ] = "accounts"
    max_nodes: Annotated[int, share("Nodes of the service.")] = 10_000
    account_nodes: Annotated[
        int, share("Nodes of the service that one account may own; admins own any number.")
    ] = 100
    max_items: Annotated[
        int, share("Items of one node, where the node does not have fewer; the oldest leaves.", OLDEST_LEAVES)
    ] = 1_000
    max_item_octets: Annotated[int, share("Octets of one item.", "not-acceptable", ge=1_024)] = 196_608
    max_octets: Annotated[int, share("Octets that all items of the service have together.", ge=16_384)] = (
        1_073_741_824
    )
    max_people: Annotated[
        int, share("Subscriptions to one node, and affiliations with it, of each so many.")
    ] = 10_000
    page_items: Annotated[int, Meta(description="Items of one answer.", ge=1, le=10_000)] = 1_000
    page_octets: Annotated[int, Meta(description="Octets of the items of one answer.", ge=1_024)] = 1_048_576
