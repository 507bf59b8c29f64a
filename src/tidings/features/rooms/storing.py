"""Storing: how rooms are read from the ledger, and how what is kept of them changes.

A change is one append: the entry that tells of it, the members, the properties, and another version of the
archive, by which what was planned before it is planned anew. Changes of one room come one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms import recent
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.light_view import record
from tidings.features.rooms.limiting import limits_of
from tidings.features.rooms.room import OCCUPANTS, STATE, Membership, Room, RoomState, Subject
from tidings.features.rooms.room_change import Change, RoomChanged, RoomDestroyed
from tidings.features.rooms.room_properties import RoomProperties
from tidings.kernel.accounts import AddressHeld
from tidings.kernel.events import AccountWanted
from tidings.kernel.hooks import Fact
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    LedgerBatch,
    MemberChange,
    PropertyChange,
    Stale,
)
from tidings.ports.ledger.reading import Member
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, VersionMark, about_occupant
from tidings.wire.xmpp.stanza import Stanza

__all__ = ["CONFIGURATION", "SUBJECT", "Change", "RoomStore", "member_change", "membership_of"]

CONFIGURATION: Final = "room"
"""The property that a room is one by: what is set of it."""
SUBJECT: Final = "subject"
READ_ONLY: Final = "read-only"
"""What the ledger calls a member who may not speak."""

_PAGE: Final = 2_000
_TRIES: Final = 5


class RoomStore:
    """Reads the rooms of a host and changes what is kept of them. Everything raises `BackendError`."""

    def __init__(self, router: Router, ledger: Ledger) -> None:
        self._router = router
        self._ledger = ledger

    async def load(self, jid: Jid) -> RoomState:
        """Read what is kept of a room that exists."""
        version = (await self._ledger.head(jid)).version  # before what it is the version of
        properties = await self._ledger.properties(jid)
        kept = properties.get(CONFIGURATION)
        if kept is None:
            raise BackendError(f"the room {jid} is gone")
        subject = properties.get(SUBJECT)
        state = RoomState(
            version,
            msgspec.json.decode(kept, type=RoomConfiguration),
            None if subject is None else msgspec.json.decode(subject, type=Subject),
            RoomProperties().with_kept(properties),
        )
        after = None
        while page := await self._ledger.members(jid, after, _PAGE):
            for each in page:
                state.put(each.member, membership_of(each))
            after = page[-1].member
        return state

    async def create(
        self, room: Room, owner: Jid, configuration: RoomConfiguration, told: Element, nick: str = ""
    ) -> None:
        """Make a room, whose owner this is; to be called by who holds `room.changing`.

        Raises `conflict` where legal hold keeps messages of an earlier room of this name.
        """
        members = {owner: Membership(Affiliation.OWNER, nick, has_joined=True)}
        await self.make(room, Change(told=told, members=members, configuration=configuration, by=owner))

    async def make(self, room: Room, change: Change) -> None:
        """Make a room as a change says, which has its configuration; for who holds `room.changing`.

        Raises `conflict` as `create` does.
        """
        assert change.configuration is not None
        await until_done(self._router.hosts[room.jid.domain].hooks.run(AccountWanted(room.jid)))
        await self.forget(room)  # what is left of an earlier one of this name is not this one's
        recent.forget(room)
        del room[OCCUPANTS]
        head = await self._ledger.head(room.jid)
        if head.first <= head.position:
            raise AddressHeld(room.jid)
        state = RoomState(head.version, change.configuration)
        limits_of(self._router.hosts[room.jid.domain]).check_change(state, change)
        change = _numbered(state, change)
        before = state.version
        answer = await self._commit(room, state, change)
        if not isinstance(answer, Accepted):
            raise StanzaError("resource-constraint", "the room is being made by somebody else; try again")
        _apply(state, change, answer.places[0].position)
        room[STATE] = state
        room.exists = True
        room.position = answer.places[0].position
        await self._tell(room, RoomChanged(room, change, {}, None, before))

    async def end(self, room: Room, told: Element, *, by: Jid, id: str | None = None) -> None:  # noqa: A002  # the attribute's own name
        """Let a room exist no more; to be called by who holds `room.changing`. `forget` does the rest."""
        for _ in range(_TRIES):
            answer = await self._commit(room, room.state, Change(told=told), is_end=True)
            if isinstance(answer, Accepted):
                room.exists = False
                await self._tell(room, RoomDestroyed(room, by, id))
                return
            await self._refresh(room)
        raise StanzaError("resource-constraint", "the room changes all the time; try again")

    async def forget(self, room: Room) -> None:
        """Forget everything of a room that exists no more; the same again does what was left."""
        while await self._ledger.forget_account(room.jid):
            pass

    async def join(self, room: Room, member: Jid) -> None:
        """Bring the room into the inbox of a member who enters for the first time; nothing is unread."""

        def decide(state: RoomState) -> Change | None:
            known = state.members.get(member)
            if known is None or known.has_joined or known.affiliation is Affiliation.OUTCAST:
                return None
            item = OccupantItem(affiliation=known.affiliation.value, jid=member)
            return Change(told=about_occupant(item), members={member: known._replace(has_joined=True)})

        await self.change(room, decide)

    async def change(self, room: Room, decide: Callable[[RoomState], Change | None]) -> Change | None:
        """Change what is kept of a room, as `decide` says of what that is now; gives what it has said.

        It is asked again when somebody else has changed the room meanwhile, and raises to refuse.
        """
        async with room.changing:
            for _ in range(_TRIES):
                state = room.state
                change = decide(state)
                if change is None:
                    return None
                limits_of(self._router.hosts[room.jid.domain]).check_change(state, change)
                change = _numbered(state, change)
                answer = await self._commit(room, state, change)
                if isinstance(answer, Accepted):
                    room.position = max(room.position, answer.places[0].position)
                    known = {jid: state.members[jid] for jid in change.members if jid in state.members}
                    told = RoomChanged(room, change, known, state.configuration, state.version)
                    if room.state is state:
                        _apply(state, change, answer.places[0].position)
                    else:  # read anew while this was written
                        await self._refresh(room)
                    await self._tell(room, told)
                    return change
                await self._refresh(room)
        raise StanzaError("resource-constraint", "the room changes all the time; try again")

    async def _refresh(self, room: Room) -> None:
        await self._router.hosts[room.jid.domain].directory.refresh(room)

    async def _tell(self, room: Room, event: Fact) -> None:
        """Tell those who listen on the host of the room, before anybody changes it again."""
        await until_done(self._router.hosts[room.jid.domain].hooks.tell(event))

    async def _commit(
        self, room: Room, state: RoomState, change: Change, *, is_end: bool = False
    ) -> Accepted | Stale:
        jid = room.jid
        content = (_told(change), *(() if is_end else record(state, change)))
        told = Stanza.build("message", kind="groupchat", sender=jid, to=jid, id=change.id, content=content)
        properties: list[PropertyChange] = []
        if is_end or change.configuration is not None:
            value = b"" if is_end else msgspec.json.encode(change.configuration)
            properties.append(PropertyChange(archive=jid.text, name=CONFIGURATION, value=value))
        if change.subject is not None:
            value = msgspec.json.encode(change.subject)
            properties.append(PropertyChange(archive=jid.text, name=SUBJECT, value=value))
        properties += (
            PropertyChange(archive=jid.text, name=name, value=value)
            for name, value in change.properties.items()
        )
        append = Append(
            body=told.to_bytes(),
            entries=(Entry(archive=jid.text, peer=jid.text, groupchat=True, version=state.version),),
            kind=EntryKind.MEMBERSHIP if change.members else EntryKind.CONFIGURATION,
            members=tuple(
                member_change(room.jid, member, state.members.get(member), after)
                for member, after in change.members.items()
            ),
            properties=tuple(properties),
            raises=(jid.text,),
        )
        committing = self._ledger.commit(LedgerBatch(appends=(append,)))
        if committing.done():  # what was said before is delivered by callbacks that have still to run
            await asyncio.sleep(0)
        [answer] = (await committing).outcomes
        if not isinstance(answer, Accepted | Stale):
            raise StanzaError("not-acceptable", f"the room cannot be kept so: {answer}")
        return answer


def _numbered(state: RoomState, change: Change) -> Change:
    """Give a change with the versions of the affiliations, where it changes these."""
    steps = state.steps(change.members) if change.members else {}
    return msgspec.structs.replace(change, steps=steps) if steps else change


def _told(change: Change) -> Element:
    """Give what the archive tells of a change, with the versions before and after it (XEP-0463)."""
    if not change.steps:
        return change.told
    first, *_ = steps = tuple(change.steps.values())
    mark = VersionMark(since=first.since, until=steps[-1].until).encode()
    return Element(change.told.name, change.told.namespace, None, mark, *change.told.content)


def member_change(room: Jid, member: Jid, before: Membership | None, after: Membership) -> MemberChange:
    """Give what the ledger is told of a member."""
    if after.affiliation is Affiliation.NONE:
        return MemberChange(room=room.text, member=member.text, affiliation="")
    had_joined = before is not None and before.has_joined
    return MemberChange(
        room=room.text,
        member=member.text,
        affiliation=_word_of(after),
        joins=None if after.has_joined == had_joined else after.has_joined,
        nick=after.nick,
        domain=after.domain,
    )


def membership_of(member: Member) -> Membership:
    """Give what the ledger says of a member."""
    is_read_only = member.affiliation == READ_ONLY
    return Membership(
        Affiliation.MEMBER if is_read_only else Affiliation(member.affiliation),
        member.nick,
        has_joined=member.joined is not None,
        domain=member.domain,
        is_read_only=is_read_only,
        joined=member.joined or 0,
    )


def _word_of(member: Membership) -> str:
    is_read_only = member.is_read_only and member.affiliation is Affiliation.MEMBER
    return READ_ONLY if is_read_only else member.affiliation.value


def _apply(state: RoomState, change: Change, position: int) -> None:
    """Let what is in memory be what was committed at a position."""
    state.version += 1
    for jid, member in change.members.items():
        if member.affiliation is Affiliation.NONE:
            state.put(jid, None)
        elif member.has_joined and not member.joined:
            state.put(jid, member._replace(joined=position))
        else:
            state.put(jid, member)
    if change.configuration is not None:
        state.configuration = change.configuration
    if change.subject is not None:
        state.subject = change.subject
    if change.properties:
        state.properties = state.properties.with_kept(change.properties)
