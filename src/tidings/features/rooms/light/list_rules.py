"""List rules: what becomes of a room's members when somebody asks for changes by MUC Light; pure.

An owner may do anything. An administrator, whom MongooseIM does not know, adds and removes members; a member
may leave, and add others where all may. A room with owners never loses the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.light_view import ADMINISTRATOR, READ_ONLY, is_in, user_of
from tidings.features.rooms.room import Membership, RoomState
from tidings.features.rooms.succession import heir_of
from tidings.wire.xmpp.payloads.muc_light import LightUser

_NOBODY = Membership(Affiliation.NONE)
_ROLES = frozenset({"", ADMINISTRATOR, READ_ONLY})


class ListRules(NamedTuple):
    """What the rules depend on beside the room."""

    domain: str
    """The host of MUC Light."""
    options: LightOptions
    all_can_invite: bool
    """In this room."""
    as_owner: bool = False
    """Whether the service itself asks, which may do what an owner may."""


def check_request(users: Iterable[LightUser], most: int) -> dict[Jid, LightUser]:
    """Give who is named, or raise `bad-request`: nobody is named twice, nor too many; 0: any number."""
    found: dict[Jid, LightUser] = {}
    for user in users:
        if user.jid in found:
            raise StanzaError("bad-request", f"{user.jid} is named twice")
        if user.role not in _ROLES or (user.role and user.affiliation != "member"):
            raise StanzaError("bad-request", f"there is no role {user.role!r} of an {user.affiliation}")
        found[user.jid] = user
        if most and len(found) > most:
            raise StanzaError("bad-request", f"one request names {most} people at most")
    return found


def listed(
    state: RoomState, actor: Jid, wanted: Mapping[Jid, LightUser], rules: ListRules
) -> dict[Jid, Membership]:
    """Give what becomes of members; raises `StanzaError` to refuse all of it."""
    changed: dict[Jid, Membership] = {}
    for jid, user in wanted.items():
        before = state.members.get(jid, _NOBODY)
        if user == user_of(jid, before):
            raise StanzaError("bad-request", "Meaningless change")
        _check_allowed(state, actor, before, user, rules)
        changed[jid] = _made(before, user, rules)
    if rules.options.equal_occupants:
        if any(user.affiliation == "owner" for user in wanted.values()):
            raise StanzaError("bad-request", "the rooms of this service have no owners")
    else:
        _give_to_new_owner(state, wanted, changed, rules)
        _keep_an_owner(state, changed, rules)
    _check_size(state, changed, rules.options)
    return changed


def at_creation(
    creator: Jid, wanted: Mapping[Jid, LightUser], left_out: frozenset[Jid], rules: ListRules
) -> dict[Jid, Membership]:
    """Give the members of a new room; raises `bad-request` for what cannot be."""
    options = rules.options
    if creator in wanted:
        raise StanzaError("bad-request", "who makes a room is in it, and need not be named")
    if any(user.affiliation == "none" for user in wanted.values()):
        raise StanzaError("bad-request", "nobody can be removed from a new room")
    owners = [user for user in wanted.values() if user.affiliation == "owner"]
    if owners and options.equal_occupants:
        raise StanzaError("bad-request", "the rooms of this service have no owners")
    if len(owners) > 1 and not options.allow_multiple_owners:
        raise StanzaError("bad-request", "a room has one owner")
    takes_over = any(user.jid not in left_out for user in owners) and not options.allow_multiple_owners
    own = LightUser(creator, "member" if options.equal_occupants or takes_over else "owner")
    members = {creator: _made(_NOBODY, own, rules)}
    for jid, user in wanted.items():
        if jid not in left_out:
            members[jid] = _made(_NOBODY, user, rules)
    if options.max_occupants and len(members) > options.max_occupants:
        raise StanzaError("bad-request", "max_occupants_reached")
    return members


def _made(before: Membership, user: LightUser, rules: ListRules) -> Membership:
    """Give what somebody is who becomes this; newcomers know the room by this door."""
    if user.affiliation == "none":
        return _NOBODY
    affiliation = Affiliation.OWNER if user.affiliation == "owner" else Affiliation.MEMBER
    if user.role == ADMINISTRATOR:
        affiliation = Affiliation.ADMIN
    is_read_only = user.role == READ_ONLY
    if is_in(before):
        return before._replace(affiliation=affiliation, is_read_only=is_read_only)
    return Membership(affiliation, before.nick, True, rules.domain, is_read_only)


def _check_allowed(
    state: RoomState, actor: Jid, before: Membership, user: LightUser, rules: ListRules
) -> None:
    if rules.as_owner or state.members[actor].affiliation is Affiliation.OWNER:
        return
    mine = state.members[actor]
    if user.affiliation == "none" and user.jid == actor:
        return
    is_plain = user.affiliation != "owner" and user.role != ADMINISTRATOR
    if mine.affiliation is Affiliation.ADMIN and is_plain and not before.affiliation.is_staff:
        return
    is_invitation = user.affiliation == "member" and not user.role and before.affiliation is Affiliation.NONE
    if rules.all_can_invite and is_invitation and not mine.is_read_only:
        return
    raise StanzaError("not-allowed", "that is for the owner of the room")


def _give_to_new_owner(
    state: RoomState, wanted: Mapping[Jid, LightUser], changed: dict[Jid, Membership], rules: ListRules
) -> None:
    """Let a new owner take the place of the old one, where there is one at a time."""
    new = [jid for jid, user in wanted.items() if user.affiliation == "owner"]
    if not new or rules.options.allow_multiple_owners:
        return
    if len(new) > 1:
        raise StanzaError("bad-request", "a room has one owner")
    for jid, member in state.members.items():
        if member.affiliation is Affiliation.OWNER and jid not in changed:
            changed[jid] = member._replace(affiliation=Affiliation.MEMBER)


def _keep_an_owner(state: RoomState, changed: dict[Jid, Membership], rules: ListRules) -> None:
    """Make somebody owner where the last one leaves: his heir, before any newcomer."""
    before = [jid for jid, member in state.members.items() if member.affiliation is Affiliation.OWNER]
    if not before or any(jid not in changed for jid in before):
        return
    if any(member.affiliation is Affiliation.OWNER for member in changed.values()):
        return
    heirs = [jid for jid, member in state.members.items() if jid not in changed and is_in(member)]
    staying = [jid for jid, member in changed.items() if is_in(member)]
    if not heirs and not staying:
        return  # nobody is left, and the room ends
    if not rules.options.promote_on_last_owner_leave:
        raise StanzaError("bad-request", "Cannot remove the last owner")
    old = [jid for jid in staying if is_in(state.members.get(jid)) and jid not in before]
    heir = heir_of({jid: state.members[jid] for jid in heirs}) or next(iter([*old, *staying]))
    known = changed.get(heir) or state.members[heir]
    changed[heir] = known._replace(affiliation=Affiliation.OWNER, is_read_only=False)


def _check_size(state: RoomState, changed: Mapping[Jid, Membership], options: LightOptions) -> None:
    new = sum(is_in(member) and not is_in(state.members.get(jid)) for jid, member in changed.items())
    if new and options.max_occupants:
        gone = sum(not is_in(member) and is_in(state.members.get(jid)) for jid, member in changed.items())
        there = sum(is_in(member) for member in state.members.values())
        if there + new - gone > options.max_occupants:
            raise StanzaError("bad-request", "max_occupants_reached")
