"""Nodes of accounts (PEP): the store `pep` has how they behave, and an archive each has the items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tidings.base.jid import Jid
from tidings.portable.account import PortableNode
from tidings.portable.nodes import affiliations_of, configured_by, publisher_of, subscriptions_of
from tidings.portable.prosody.entry import Entry
from tidings.portable.prosody.table import Table, Value
from tidings.ports.nodes import NodeItem, SubscriptionState

STORE_OF_ITEMS: Final = "pep_"
"""What the name of a node has before it in the name of its archive."""

_STANDARD_NAMES: Final = {
    "payload_type": "type",
    "notify_items": "deliver_notifications",
    "include_payload": "deliver_payloads",
}
"""Settings that Prosody calls otherwise than XEP-0060."""


def node_of(
    owner: Jid, name: str, kept: Value, entries: Iterable[Entry], left_out: list[str]
) -> PortableNode:
    """Give a node; older versions have kept `true` for one that behaves as every other."""
    stored = kept if isinstance(kept, Table) else Table()
    config = stored.table("config") or Table()
    settings = {
        _STANDARD_NAMES.get(key, key): (_text(value),)
        for key, value in config.fields.items()
        if value is not None
    }
    affiliations = (stored.table("affiliations") or Table()).fields
    subscribers = (stored.table("subscribers") or Table()).fields
    return PortableNode(
        name,
        configured_by(settings, name, left_out),
        _items(owner, entries),
        affiliations_of(owner, ((jid, str(value)) for jid, value in affiliations.items()), left_out),
        subscriptions_of(((jid, SubscriptionState.SUBSCRIBED) for jid in subscribers), left_out),
    )


def _items(owner: Jid, entries: Iterable[Entry]) -> tuple[NodeItem, ...]:
    """Give the items in the order of publication; what was published again stands where it was last."""
    items: dict[str, NodeItem] = {}
    for entry in entries:
        items.pop(entry.key, None)
        publisher = publisher_of(entry.peer, owner)
        items[entry.key] = NodeItem(entry.key, publisher, entry.when or 0.0, entry.element.to_bytes())
    return tuple(items.values())


def _text(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value))
        case _:
            return str(value)
