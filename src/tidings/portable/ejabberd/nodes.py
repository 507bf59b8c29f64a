"""Nodes of accounts (PEP), of which records and rows tell the same: settings, states of people, and items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from tidings.base.clock import SECOND
from tidings.base.jid import Jid
from tidings.portable.account import PortableNode
from tidings.portable.ejabberd.terms import Term
from tidings.portable.ejabberd.values import text_of
from tidings.portable.nodes import affiliations_of, configured_by, publisher_of, subscriptions_of
from tidings.ports.nodes import Affiliation, NodeItem, SubscriptionState

_AFFILIATIONS: Final = {
    "o": Affiliation.OWNER,
    "p": Affiliation.PUBLISHER,
    "u": Affiliation.PUBLISH_ONLY,
    "publish_only": Affiliation.PUBLISH_ONLY,
    "m": Affiliation.MEMBER,
    "c": Affiliation.OUTCAST,
    "n": Affiliation.NONE,
}
"""What stands for an affiliation where it is not its own name."""

_STATES: Final = {"s": SubscriptionState.SUBSCRIBED, "p": SubscriptionState.PENDING}
"""By the first letter; all others are those of nobody who is told anything."""

_ANY_NUMBER: Final = frozenset({"infinity", "unlimited"})


class Person(NamedTuple):
    """How somebody stands to a node."""

    address: str
    affiliation: str
    subscriptions: tuple[str, ...]
    """The state of each, or a word that begins with its letter."""


class Item(NamedTuple):
    """An item as it is kept."""

    id: str
    publisher: str
    published: int
    """In microseconds since 1970."""
    payload: bytes


def node_of(
    owner: Jid,
    name: str,
    options: Iterable[tuple[str, Term]],
    people: Iterable[Person],
    items: Iterable[Item],
    left_out: list[str],
) -> PortableNode:
    """Give a node; what was published again stands where it was last."""
    people = list(people)
    given = ((each.address, _AFFILIATIONS.get(each.affiliation, each.affiliation)) for each in people)
    states = ((each.address, _STATES.get(state[:1])) for each in people for state in each.subscriptions)
    return PortableNode(
        name,
        configured_by({key: _values(value) for key, value in options}, name, left_out),
        tuple(
            NodeItem(each.id, publisher_of(each.publisher, owner), each.published / SECOND, each.payload)
            for each in sorted(items, key=lambda each: each.published)
        ),
        affiliations_of(owner, given, left_out),
        subscriptions_of(((address, state) for address, state in states if state is not None), left_out),
    )


def _values(value: Term) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(map(text_of, value))
    text = text_of(value)
    return ("max",) if text in _ANY_NUMBER else (text,)
