"""Nodes as other servers keep them: settings under the names of XEP-0060, people and items.

What cannot be read is told in `left_out` and closes nothing else; a node whose settings cannot be read is
nobody's but the owner's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid, JidError
from tidings.kernel.node_configuration import configured
from tidings.ports.nodes import AccessModel, Affiliation, NodeConfig, Subscription, SubscriptionState
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_INT

PERSONAL: Final = NodeConfig(
    access_model=AccessModel.PRESENCE, max_items=1, notify_delete=True, notify_retract=True
)
"""How a node of an account behaves on Prosody and ejabberd as long as nobody says otherwise."""


def configured_by(
    settings: Mapping[str, tuple[str, ...]], node: str, left_out: list[str], *, base: NodeConfig = PERSONAL
) -> NodeConfig:
    """Give the configuration that settings make, which are named as in XEP-0060 §16.4.4 without `pubsub#`."""
    fields = (Field(f"pubsub#{name}", values) for name, values in settings.items())
    form = DataForm.of(FormKind.SUBMIT, ns.PUBSUB_NODE_CONFIG, *fields)
    try:
        return configured(base, form, most=UNSIGNED_INT)
    except StanzaError:
        left_out.append(f"the settings of the node {node}, which is the owner's alone now")
        return replace(base, access_model=AccessModel.WHITELIST)


def affiliations_of(
    owner: Jid, people: Iterable[tuple[str, str]], left_out: list[str]
) -> tuple[tuple[Jid, Affiliation], ...]:
    """Give who may do what with a node beside its owner."""
    found = []
    for address, affiliation in people:
        try:
            jid, given = Jid(address).bare, Affiliation(affiliation)
        except (JidError, ValueError):
            left_out.append("affiliations with nodes that cannot be read")
            continue
        if jid != owner and given is not Affiliation.NONE:
            found.append((jid, given))
    return tuple(found)


def subscriptions_of(
    people: Iterable[tuple[str, SubscriptionState]], left_out: list[str]
) -> tuple[Subscription, ...]:
    """Give who has subscribed to a node."""
    found = []
    for address, state in people:
        try:
            jid = Jid(address)
        except JidError:
            left_out.append("subscriptions to nodes that cannot be read")
            continue
        found.append(Subscription(jid, state, token(9), 0.0))
    return tuple(found)


def publisher_of(address: str, owner: Jid) -> Jid:
    """Give who has published an item; the owner where that is not said."""
    try:
        return Jid(address).bare if address else owner
    except JidError:
        return owner
