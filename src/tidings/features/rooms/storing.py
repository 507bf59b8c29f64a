"""Storing: how rooms are read from the ledger, and how what is kept of them changes.

A change is one append: the entry that tells of it, the members, the properties, and another version of the
archive, by which what was planned before it is planned anew. Changes of one room come one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.room import STATE, Membership, Room, RoomState, Subject
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
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, about_occupant
from tidings.wire.xmpp.stanza import Stanza

CONFIGURATION: Final = "room"
"""The property that a room is one by: what is set of it."""
SUBJECT: Final = "subject"

_PAGE: Final = 2_000
_TRIES: Final = 5


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a room."""

    told: Element
    """What the archive tells of it, in a message of the room."""
    members: Mapping[Jid, Membership] = {}
    """By bare JID, what somebody is from now on; an affiliation of none removes a member."""
    configuration: RoomConfiguration | None = None
    """What is set from now on; None leaves it."""


class RoomStore:
    """Reads the rooms of a host and changes what is kept of them. Everything raises `BackendError`."""

    def __init__(self, router: Router, ledger: Ledger) -> None:
        self._router = router
        self._ledger = ledger

    async def load(self, jid: Jid) -> RoomState:
        """Read what is kept of a room that exists."""
        version = (await self._ledger.head(jid)).version  # before what it is the version of
        properties = await self._ledger.properties(jid)
        members: dict[Jid, Membership] = {}
        after = None
        while page := await self._ledger.members(jid, after, _PAGE):
            for each in page:
                affiliation = Affiliation(each.affiliation)
                members[each.member] = Membership(affiliation, each.nick, each.joined is not None)
            after = page[-1].member
        kept = properties.get(CONFIGURATION)
        if kept is None:
            raise BackendError(f"the room {jid} is gone")
        subject = properties.get(SUBJECT)
        return RoomState(
            version,
            msgspec.json.decode(kept, type=RoomConfiguration),
            members,
            None if subject is None else msgspec.json.decode(subject, type=Subject),
        )

    async def create(self, room: Room, owner: Jid, configuration: RoomConfiguration, told: Element) -> None:
        """Make a room, whose owner this is; to be called by who holds `room.changing`."""
        await self.forget(room)  # what is left of an earlier one of this name is not this one's
        state = RoomState((await self._ledger.head(room.jid)).version, configuration, {})
        change = Change(
            told=told,
            members={owner: Membership(Affiliation.OWNER, has_joined=True)},
            configuration=configuration,
        )
        answer = await self._commit(room, state, change)
        if not isinstance(answer, Accepted):
            raise StanzaError("resource-constraint", "the room is being made by somebody else; try again")
        _apply(state, change)
        room[STATE] = state
        room.exists = True
        room.position = answer.places[0].position

    async def end(self, room: Room, told: Element) -> None:
        """Let a room exist no more; to be called by who holds `room.changing`. `forget` does the rest."""
        for _ in range(_TRIES):
            answer = await self._commit(room, room.state, Change(told=told), is_end=True)
            if isinstance(answer, Accepted):
                room.exists = False
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
                answer = await self._commit(room, state, change)
                if isinstance(answer, Accepted):
                    room.position = max(room.position, answer.places[0].position)
                    if room.state is state:
                        _apply(state, change)
                    else:  # read anew while this was written
                        await self._refresh(room)
                    return change
                await self._refresh(room)
        raise StanzaError("resource-constraint", "the room changes all the time; try again")

    async def _refresh(self, room: Room) -> None:
        await self._router.hosts[room.jid.domain].directory.refresh(room)

    async def _commit(
        self, room: Room, state: RoomState, change: Change, *, is_end: bool = False
    ) -> Accepted | Stale:
        jid = room.jid
        told = Stanza.build("message", kind="groupchat", sender=jid, to=jid, content=(change.told,))
        properties: tuple[PropertyChange, ...] = ()
        if is_end or change.configuration is not None:
            value = b"" if is_end else msgspec.json.encode(change.configuration)
            properties = (PropertyChange(archive=jid.text, name=CONFIGURATION, value=value),)
        append = Append(
            body=told.to_bytes(),
            entries=(Entry(archive=jid.text, peer=jid.text, groupchat=True, version=state.version),),
            kind=EntryKind.MEMBERSHIP if change.members else EntryKind.MESSAGE,
            members=tuple(
                _member_change(room.jid, member, state.members.get(member), after)
                for member, after in change.members.items()
            ),
            properties=properties,
            raises=(jid.text,),
        )
        [answer] = (await self._ledger.commit(LedgerBatch(appends=(append,)))).outcomes
        if not isinstance(answer, Accepted | Stale):
            raise StanzaError("not-acceptable", f"the room cannot be kept so: {answer}")
        return answer


def _member_change(room: Jid, member: Jid, before: Membership | None, after: Membership) -> MemberChange:
    if after.affiliation is Affiliation.NONE:
        return MemberChange(room=room.text, member=member.text, affiliation="")
    had_joined = before is not None and before.has_joined
    return MemberChange(
        room=room.text,
        member=member.text,
        affiliation=after.affiliation.value,
        joins=None if after.has_joined == had_joined else after.has_joined,
        nick=after.nick,
    )


def _apply(state: RoomState, change: Change) -> None:
    """Let what is in memory be what was committed."""
    state.version += 1
    for jid, member in change.members.items():
        if member.affiliation is Affiliation.NONE:
            state.members.pop(jid, None)
        else:
            state.members[jid] = member
    if change.configuration is not None:
        state.configuration = change.configuration
