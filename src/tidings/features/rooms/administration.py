"""Administration of rooms: who is what in a room, and who is put out of it (XEP-0045 §8, §9, §10.3 to §10.8).

The marks § point at the sections of XEP-0045. What is refused changes nothing, and of several items in one
request all are changed or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms import kept_roles
from tidings.features.rooms.affiliation import (
    Affiliation,
    Role,
    is_for_admins,
    may_change_affiliation,
    may_change_role,
    role_after,
)
from tidings.features.rooms.affiliation_version import VersionStep
from tidings.features.rooms.attendance import attendance_of
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.member_lists import affiliated, with_role
from tidings.features.rooms.nick_conflicts import check_free
from tidings.features.rooms.nicknames import prepared
from tidings.features.rooms.room import Membership, Occupant, Room, RoomState
from tidings.features.rooms.room_access import existing, may_list
from tidings.features.rooms.room_requests import invited_through
from tidings.features.rooms.showing import Showing, one_after_another
from tidings.features.rooms.standing import is_service, standing
from tidings.features.rooms.storing import Change, RoomStore
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import AnswerFirst, Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.messages.origin import Via
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_admin import RoomAdministration
from tidings.wire.xmpp.payloads.muc_user import Invitation, OccupantItem, Status, about_occupant
from tidings.wire.xmpp.stanza import Child

log = structlog.get_logger("tidings.rooms")


class RoomAdministrators(Feature):
    """Lets moderators, admins and owners change what others are in a room."""

    spec = Spec.xep(45, version="1.35.3", advertises=(ns.MUC_ADMIN,))
    requires = (Entrance,)
    option_name = "room_administration"

    def __init__(self, host: Host, router: Router, ledger: Ledger) -> None:
        self._host = host
        self._router = router
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)
        self._attendance = attendance_of(host)
        self._limits = limits_of(host)

    @handles(RoomAdministration, kind="get", at=Addressee.ENTITY)  # §8.4, §9.5, §9.8, §10.5, §10.8
    def show(self, request: Iq[RoomAdministration]) -> Child:
        """Answer with who has an affiliation or a role."""
        room = existing(request)
        [wanted, *more] = request.payload.items
        if more:
            raise StanzaError("bad-request", "ask for one affiliation or one role at a time")
        if wanted.affiliation:
            affiliation, page = _affiliation(wanted.affiliation), request.payload.page
            self.check_list(room, request.sender, affiliation)
            return affiliated(room, affiliation, page, self._limits.options.max_listed)
        return self._with_role(room, request.sender, _role(wanted.role))

    @handles(RoomAdministration, kind="set", at=Addressee.ENTITY)
    async def change(self, request: Iq[RoomAdministration]) -> AnswerFirst:
        """Change affiliations or roles; who asks has the answer before everybody sees it (§8.2 to §10.8)."""
        room, items = existing(request), request.payload.items
        actor = request.sender
        self._limits.check_count(len(items))
        self._limits.check_reasons(item.reason for item in items)
        if all(item.affiliation and not item.role for item in items):
            steps = await self._change_affiliations(room, actor, items)
        elif all(item.role and not item.affiliation for item in items):
            steps = self._change_roles(room, actor, items)
        else:
            raise StanzaError("bad-request", "change affiliations or roles")
        return AnswerFirst(None, lambda: in_turn(steps))

    # --- lists

    def may_list(self, room: Room, asker: Jid, wanted: Affiliation) -> bool:
        """Tell whether somebody may know who has an affiliation."""
        mine = standing(self._host, room.state, asker)
        occupant = room.occupants.at(asker)
        return may_list(room, mine, None if occupant is None else occupant.role, wanted)

    def check_list(self, room: Room, asker: Jid, wanted: Affiliation) -> None:
        """Raise `forbidden` for who may not know who has an affiliation."""
        if not self.may_list(room, asker, wanted):
            raise StanzaError("forbidden", "that list is not for you")

    def _with_role(self, room: Room, asker: Jid, wanted: Role) -> Child:
        (_, role), _ = self._standing(room, asker)
        if role is not Role.MODERATOR:
            raise StanzaError("forbidden", "that list is for moderators")
        return with_role(room, wanted)

    # --- affiliations

    async def _change_affiliations(
        self, room: Room, actor: Jid, items: tuple[OccupantItem, ...]
    ) -> Iterable[MaybeAwaitable]:
        """Change affiliations; gives the steps by which everybody is told."""
        named = [(_person(room, item), item) for item in items]
        before: dict[Jid, Affiliation] = {}

        def decide(state: RoomState) -> Change | None:
            before.clear()
            return self.changed(room, state, actor.bare, named, before)

        change = await self._store.change(room, decide)
        if change is None:
            return ()
        return self.changed_by(room, actor, before, change, {jid: item.reason for jid, item in named})

    def changed_by(
        self,
        room: Room,
        actor: Jid,
        before: dict[Jid, Affiliation],
        change: Change,
        reasons: dict[Jid, str],
    ) -> Iterator[MaybeAwaitable]:
        """Log what somebody has made of people; gives the steps by which everybody is told."""
        for jid, member in change.members.items():
            log.info(
                "room_affiliation_changed",
                room=room.jid.text,
                account=jid.text,
                affiliation=member.affiliation.value,
                by=actor.bare.text,
            )
        by = room.occupants.at(actor)
        return self.tell_changes(room, before, change, reasons, "" if by is None else by.nick)

    def changed(
        self,
        room: Room,
        state: RoomState,
        actor: Jid,
        named: Iterable[tuple[Jid, OccupantItem]],
        before: dict[Jid, Affiliation],
    ) -> Change | None:
        """Give what becomes of members, and in `before` what they were; raises where he may not do that."""
        mine = standing(self._host, state, actor)
        members: dict[Jid, Membership] = {}
        for jid, item in named:
            was, after = state.affiliation_of(jid), _affiliation(item.affiliation)
            old = state.members.get(jid, Membership(Affiliation.NONE))
            nick = "" if item.takes_nick else prepared(item.nick) if item.nick else old.nick
            if jid == actor and after is Affiliation.OUTCAST and mine.is_staff:
                raise StanzaError("conflict", "nobody bans himself")  # §9.1
            if not may_change_affiliation(mine, was, after):
                # Whom an admin may not ban stands above him (§9.1); all else is for owners (§10.3 to §10.8).
                is_ban = mine.is_staff and after is Affiliation.OUTCAST
                raise StanzaError("not-allowed" if is_ban else "forbidden", "you may not change that")
            if item.nick and nick != old.nick:
                check_free(room, state, jid, nick)
            if was is after and nick == old.nick:
                continue
            before[jid] = was
            stays = after not in {Affiliation.NONE, Affiliation.OUTCAST}
            has_joined = old.has_joined and stays
            members[jid] = old._replace(
                affiliation=after,
                nick=nick if stays else "",
                has_joined=has_joined,
                domain=old.domain if has_joined else "",
            )
        if not members:
            return None
        if Affiliation.OWNER in before.values() and not _has_owner(state, members):
            raise StanzaError("conflict", "a room has an owner")  # §10.4
        told = (
            OccupantItem(affiliation=member.affiliation.value, jid=jid) for jid, member in members.items()
        )
        return Change(told=about_occupant(*told), members=members, by=actor)

    def tell_changes(
        self,
        room: Room,
        before: dict[Jid, Affiliation],
        change: Change,
        reasons: dict[Jid, str],
        actor: str = "",
        *,
        leaving: Jid | None = None,
    ) -> Iterator[MaybeAwaitable]:
        """Show everybody who is something else now than before, and put out who may not stay.

        `actor` is the name of who has done it, `leaving` somebody who goes whatever he may.
        """
        steps = self._shown_changes(room, before, change, reasons, actor, leaving=leaving)
        yield one_after_another(room, steps)

    def _shown_changes(
        self,
        room: Room,
        before: dict[Jid, Affiliation],
        change: Change,
        reasons: dict[Jid, str],
        actor: str,
        *,
        leaving: Jid | None,
    ) -> Iterator[MaybeAwaitable]:
        moderated, occupants = room.configuration.is_moderated, room.occupants
        away: list[Jid] = []
        for jid, was in before.items():
            if occupants.of(jid):
                yield self._attendance.time_slice.turn()
            if room.occupants is not occupants:
                return  # it was destroyed meanwhile, and made anew
            after, reason = room.state.affiliation_of(jid), reasons.get(jid, "")
            step, there = change.steps.get(jid), room.occupants.of(jid)
            if there:  # versions come in their order
                yield self._showing.changed_while_away(room, away, change.steps)
                away = []
            for occupant in there:
                status = Status.LOST_AFFILIATION if jid == leaving else _why_out(room, after)
                if status is not None:
                    yield self._put_out(room, occupant, (status,), actor, reason, after, step)
                else:
                    occupant.role = role_after(occupant.role, was, after, is_moderated=moderated)
                    yield self._showing.updated(room, occupant, actor=actor, reason=reason, step=step)
            if after is Affiliation.OUTCAST and not jid.local:
                for occupant in [each for each in occupants if each.jid.domain == jid.domain]:
                    yield self._attendance.time_slice.turn()
                    is_here = occupants.called(occupant.nick) is occupant
                    if is_here and room.state.affiliation_of(occupant.jid) is Affiliation.OUTCAST:
                        yield self._put_out(room, occupant, (Status.BANNED,), actor, reason, after)
            if there:
                continue
            away.append(jid)
            is_new = was is Affiliation.NONE and after is Affiliation.MEMBER
            if is_new and room.configuration.is_members_only and change.by is not None:
                yield self._invite(room, jid, change.by, reason)
        yield self._showing.changed_while_away(room, away, change.steps)
        self._attendance.settle(room)

    async def _invite(self, room: Room, member: Jid, by: Jid, reason: str) -> None:
        """Tell a new member of a room that is for members only (§9.5)."""
        invitation = Invitation(name="invite", address=by, reason=reason)
        told = invited_through(room, invitation, member)
        await self._router.send(self._router.origin_of(room.jid, Via.SELF), (told,))

    # --- roles

    def _change_roles(
        self, room: Room, actor: Jid, items: tuple[OccupantItem, ...]
    ) -> Iterable[MaybeAwaitable]:
        """See whether somebody may change roles; gives the steps by which they are, and everybody is told."""
        mine, nick = self._standing(room, actor)
        changes: list[tuple[Occupant, Role, str]] = []
        for item in items:
            occupant, after = room.occupants.called(item.nick), _role(item.role)
            if occupant is None:
                raise StanzaError("item-not-found", f"nobody here is called {item.nick}")
            theirs = (room.state.affiliation_of(occupant.jid), occupant.role)
            may = may_change_role(mine, theirs, after)
            if is_service(room, actor):  # puts out anybody, and takes no role that comes with the affiliation
                may = after in {Role.NONE, Role.MODERATOR} or not theirs[0].is_staff
            if not may:
                is_his = mine[0].is_staff or not is_for_admins(occupant.role, after)
                is_allowed = mine[1] is Role.MODERATOR and is_his
                raise StanzaError(
                    "not-allowed" if is_allowed else "forbidden", f"you may not do that to {item.nick}"
                )
            changes.append((occupant, after, item.reason))

        def steps() -> Iterator[MaybeAwaitable]:
            for occupant, after, reason in changes:
                yield self._attendance.time_slice.turn()
                if room.occupants.called(occupant.nick) is not occupant:
                    continue  # he has left meanwhile
                log.info(
                    "room_role_changed",
                    room=room.jid.text,
                    account=occupant.jid.text,
                    role=after.value,
                    by=actor.bare.text,
                )
                if after is Role.NONE:
                    yield self._put_out(room, occupant, (Status.KICKED,), nick, reason)
                else:
                    occupant.role = after
                    kept_roles.keep(room, occupant)
                    yield self._showing.updated(room, occupant, actor=nick, reason=reason)
            self._attendance.settle(room)

        return steps()

    def _standing(self, room: Room, actor: Jid) -> tuple[tuple[Affiliation, Role], str]:
        """Give the affiliation, role and nick by which somebody acts, who is known by his bare JID (§8, §9).

        An admin who is not in the room acts as a moderator without a nick.
        """
        here = room.occupants.at(actor)
        occupants = room.occupants.of(actor.bare) if here is None else [here]
        by = next((each for each in occupants if each.role is Role.MODERATOR), None)
        affiliation = standing(self._host, room.state, actor)
        if by is not None:
            return (affiliation, by.role), by.nick
        if not occupants and affiliation.is_staff:
            return (affiliation, Role.MODERATOR), ""
        return (affiliation, Role.NONE), ""

    def _put_out(
        self,
        room: Room,
        occupant: Occupant,
        statuses: tuple[int, ...],
        actor: str,
        reason: str,
        affiliation: Affiliation | None = None,
        step: VersionStep | None = None,
    ) -> MaybeAwaitable:
        told = self._showing.removed(
            room,
            occupant,
            affiliation=affiliation,
            statuses=statuses,
            actor=actor,
            reason=reason,
            step=step,
        )
        self._attendance.remove(room, occupant)
        return told


def _has_owner(state: RoomState, changed: Mapping[Jid, Membership]) -> bool:
    """Tell whether a room has an owner after a change."""
    owner = Affiliation.OWNER
    return any(member.affiliation is owner for member in changed.values()) or any(
        member.affiliation is owner and jid not in changed for jid, member in state.members.items()
    )


def _why_out(room: Room, affiliation: Affiliation) -> Status | None:
    """Give the status code by which somebody is put out who is this now; None for who may stay."""
    if affiliation is Affiliation.OUTCAST:
        return Status.BANNED
    if room.configuration.is_members_only and affiliation is Affiliation.NONE:
        return Status.LOST_AFFILIATION
    return None


def _person(room: Room, item: OccupantItem) -> Jid:
    """Give the bare JID of whom an item is about, who may be named by what he is called here."""
    if item.jid is not None:
        return item.jid.bare
    occupant = room.occupants.called(item.nick)
    if occupant is None:
        raise StanzaError("item-not-found", f"nobody here is called {item.nick}")
    return occupant.jid


def _affiliation(text: str) -> Affiliation:
    try:
        return Affiliation(text)
    except ValueError:
        raise StanzaError("bad-request", f"there is no affiliation {text!r}") from None


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise StanzaError("bad-request", f"there is no role {text!r}") from None
