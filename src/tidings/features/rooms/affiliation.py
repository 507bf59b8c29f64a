"""Affiliation and role: what somebody is to a room, what somebody may do in it now, and who may change that.

The tables are those of XEP-0045 §5; they are data, and the functions below only look things up.
"""

from __future__ import annotations

import enum
from typing import Final


class Affiliation(enum.StrEnum):
    """What somebody is to a room for good (§5.2)."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    NONE = "none"
    OUTCAST = "outcast"

    @property
    def rank(self) -> int:
        """How high it is; the owner's is the highest."""
        return _RANKS[self]

    @property
    def is_staff(self) -> bool:
        """Whether it administers the room."""
        return self is Affiliation.OWNER or self is Affiliation.ADMIN


class Role(enum.StrEnum):
    """What an occupant may do while being in the room (§5.1)."""

    MODERATOR = "moderator"
    PARTICIPANT = "participant"
    VISITOR = "visitor"
    NONE = "none"


_RANKS: Final = {
    Affiliation.OWNER: 4,
    Affiliation.ADMIN: 3,
    Affiliation.MEMBER: 2,
    Affiliation.NONE: 1,
    Affiliation.OUTCAST: 0,
}

_ROLES_AT_ENTERING: Final = {  # §5.1.2: affiliation, whether the room is moderated
    Affiliation.OWNER: (Role.MODERATOR, Role.MODERATOR),
    Affiliation.ADMIN: (Role.MODERATOR, Role.MODERATOR),
    Affiliation.MEMBER: (Role.PARTICIPANT, Role.PARTICIPANT),
    Affiliation.NONE: (Role.PARTICIPANT, Role.VISITOR),
    Affiliation.OUTCAST: (Role.NONE, Role.NONE),
}


def role_at_entering(affiliation: Affiliation, *, is_moderated: bool) -> Role:
    """Give the role that somebody has when entering (§5.1.2)."""
    return _ROLES_AT_ENTERING[affiliation][is_moderated]


def role_after(role: Role, before: Affiliation, after: Affiliation, *, is_moderated: bool) -> Role:
    """Give the role of an occupant whose affiliation changes (§5.2, §9, §10).

    Who rises gets at least what the new affiliation begins with; who falls from the staff begins anew.
    """
    usual = role_at_entering(after, is_moderated=is_moderated)
    if after.is_staff or before.is_staff:
        return usual
    if after.rank > before.rank and role is Role.VISITOR:
        return usual
    return role


def may_change_affiliation(actor: Affiliation, before: Affiliation, after: Affiliation) -> bool:
    """Tell whether somebody may make this of somebody else (§9, §10; table 6 of §5.2.1).

    An admin bans, unbans, and makes and unmakes members; all else is for owners.
    """
    if actor is Affiliation.OWNER:
        return True
    return actor is Affiliation.ADMIN and not before.is_staff and not after.is_staff


def may_change_role(actor: tuple[Affiliation, Role], target: tuple[Affiliation, Role], after: Role) -> bool:
    """Tell whether an occupant may give another one this role (§8, §9.6, §9.7; table 4 of §5.1.1).

    Moderators kick, give voice and take it; moderators are made and unmade by admins and owners. Nobody takes
    anything from who stands above him, and from who is staff only an owner does: he kicks an admin, and takes
    the voice of none (§8.2, §8.4, §8.5, §9.7).
    """
    (actor_is, actor_role), (target_is, before) = actor, target
    if actor_role is not Role.MODERATOR:
        return False
    if Role.MODERATOR in {before, after} and not actor_is.is_staff:
        return False
    if target_is.is_staff:
        return actor_is.rank > target_is.rank and after is not Role.VISITOR
    takes = after is Role.NONE or after is Role.VISITOR
    return not takes or actor_is.rank >= target_is.rank


def is_for_admins(before: Role, after: Role) -> bool:
    """Tell whether it is for admins alone to ask for such a change: it makes or unmakes a moderator (§9)."""
    return after is Role.MODERATOR or (before is Role.MODERATOR and after is Role.PARTICIPANT)
