"""Who may do what with a node: the tables of XEP-0060 §4.1, §4.5 and of its errors, for all that have nodes.

The marks § point at XEP-0060 1.30.0.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.nodes import AccessModel, Affiliation, NodeConfig, PublishModel, Standing
from tidings.wire.xmpp.payloads.pubsub import refusal


class Right(enum.Flag):
    """What somebody may do with a node."""

    READ = enum.auto()
    """Subscribe, and get items and news."""
    PUBLISH = enum.auto()
    RETRACT = enum.auto()
    OWN = enum.auto()
    """Configure, purge and delete the node, and say who may do what."""


_NONE: Final = Right(0)

RIGHTS: Final[Mapping[Affiliation, Right]] = {
    Affiliation.OWNER: Right.READ | Right.PUBLISH | Right.RETRACT | Right.OWN,
    Affiliation.PUBLISHER: Right.READ | Right.PUBLISH | Right.RETRACT,
    Affiliation.PUBLISH_ONLY: Right.PUBLISH,
    Affiliation.MEMBER: Right.READ,
    Affiliation.NONE: _NONE,
    Affiliation.OUTCAST: _NONE,
}
"""What an affiliation gives, whatever the models of the node (§4.1)."""

CLOSED: Final[Mapping[AccessModel, tuple[str, str]]] = {
    AccessModel.PRESENCE: ("not-authorized", "presence-subscription-required"),
    AccessModel.ROSTER: ("not-authorized", "not-in-roster-group"),
    AccessModel.AUTHORIZE: ("not-authorized", "not-subscribed"),
    AccessModel.WHITELIST: ("not-allowed", "closed-node"),
}
"""How each access model refuses somebody whom it does not let in (§6.1.3, §6.5.9)."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, as the owner of a node knows him."""

    jid: Jid
    """The full JID of who asks, or a bare one."""
    is_owner: bool = False
    """Whether he is the entity that the node belongs to."""
    sees_presence: bool = False
    """Whether he has a subscription to the owner's presence."""
    groups: frozenset[str] = frozenset()
    """The roster groups that the owner has him in."""


def affiliation_of(person: Person, standing: Standing) -> Affiliation:
    """Give what counts as somebody's affiliation: an entity owns its nodes."""
    return Affiliation.OWNER if person.is_owner else standing.affiliation


def is_let_in(config: NodeConfig, person: Person, standing: Standing) -> bool:
    """Tell whether the access model lets somebody read who has no affiliation (§4.5)."""
    match config.access_model:
        case AccessModel.OPEN:
            return True
        case AccessModel.PRESENCE:
            return person.sees_presence
        case AccessModel.ROSTER:
            return person.sees_presence and not person.groups.isdisjoint(config.roster_groups)
        case AccessModel.AUTHORIZE:
            return standing.is_subscribed
        case AccessModel.WHITELIST:
            return False


def may_read(config: NodeConfig, person: Person, standing: Standing) -> bool:
    """Tell whether somebody may have items and news of a node."""
    affiliation = affiliation_of(person, standing)
    if affiliation is Affiliation.OUTCAST:
        return False
    return Right.READ in RIGHTS[affiliation] or is_let_in(config, person, standing)


def check_read(config: NodeConfig, person: Person, standing: Standing) -> None:
    """Raise the refusal of the access model for somebody who may not read (§6.5.9)."""
    if may_read(config, person, standing):
        return
    if affiliation_of(person, standing) is Affiliation.OUTCAST or config.access_model not in CLOSED:
        raise StanzaError("forbidden")
    raise refusal(*CLOSED[config.access_model])


def check_publish(config: NodeConfig, person: Person, standing: Standing) -> None:
    """Raise `forbidden` for somebody who may not publish (§7.1.3.1)."""
    affiliation = affiliation_of(person, standing)
    may = Right.PUBLISH in RIGHTS[affiliation]
    if affiliation is not Affiliation.OUTCAST:
        match config.publish_model:
            case PublishModel.OPEN:
                may = True
            case PublishModel.SUBSCRIBERS:
                may = may or standing.is_subscribed
            case PublishModel.PUBLISHERS:
                pass
    if not may:
        raise StanzaError("forbidden", "you may not publish to this node")


def check_right(right: Right, person: Person, standing: Standing) -> None:
    """Raise `forbidden` for somebody whose affiliation does not give a right (§7.2.3.1, §8)."""
    if right not in RIGHTS[affiliation_of(person, standing)]:
        raise StanzaError("forbidden", "only who owns the node may do that")
