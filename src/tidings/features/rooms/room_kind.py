"""Room kind: what rooms say about messages for them (XEP-0045 §7.4, §8.1).

A message to the room is one entry of its archive, whatever the number of its members.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.base.clock import microseconds
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms import held_back, recent, slow_mode
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.attendance import Attendance
from tidings.features.rooms.held_back import HELD_BACK, HeldBack
from tidings.features.rooms.leaving import is_lost, leave
from tidings.features.rooms.light_delivery import LightDelivery
from tidings.features.rooms.limiting import Limits
from tidings.features.rooms.mentioning import mentioned
from tidings.features.rooms.passing import Passing
from tidings.features.rooms.private_messages import LIVE, PrivateMessages
from tidings.features.rooms.room import Occupant, Room, Subject, room_of
from tidings.features.rooms.room_archive import CHANGES, freshened, view_of
from tidings.features.rooms.room_change import Change, RoomChanged
from tidings.features.rooms.room_claims import shown_as_said, without_room_claims
from tidings.features.rooms.room_requests import RoomRequests
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.storing import CONFIGURATION, SUBJECT, RoomStore
from tidings.kernel.account import Account
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.clock import Clock
from tidings.kernel.entity import Entity
from tidings.kernel.events import EntryRetracted
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.messages import entries
from tidings.messages.router import Router
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    EntryRef,
    PropertyChange,
    Target,
)
from tidings.ports.ledger.reading import Archived, EntryId
from tidings.ports.stores import Stores
from tidings.wire.xmpp.classification import Classification, Storage
from tidings.wire.xmpp.payloads.arrival import kept, stamped
from tidings.wire.xmpp.payloads.muc_user import Status, about_occupant
from tidings.wire.xmpp.payloads.references import Reference
from tidings.wire.xmpp.stanza import Stanza

_KEPT_BY_ROOM: Final = "the room keeps it for everybody"
_TO_ROOM: Final = "it asks something of the room"


class RoomKind:
    """Hosts whose entities are rooms."""

    name = "room"
    identity = ("conference", "text")
    host_identity = ("conference", "text")
    has_parties = True
    reads_messages = False

    def __init__(self, domain: str, router: Router, stores: Stores, clock: Clock) -> None:
        self._domain = domain
        self._router = router
        self._clock = clock
        assert stores.ledger is not None  # services are made for hosts with archives
        self._ledger = stores.ledger
        self._showing = Showing(router)
        self._passing = Passing(router)
        self.limits = Limits(clock)
        """How large rooms get, and how fast things happen there."""
        store = RoomStore(router, self._ledger)
        self.requests = RoomRequests(store, router, self._showing, self.limits)
        """What occupants ask of the rooms."""
        self.attendance = Attendance(router, clock)
        """Who is in which rooms."""
        self.light = LightDelivery(router)
        """The way to members who know a room by MUC Light."""
        self.held_back = HeldBack()
        """What a large room passes on to nobody."""
        self._private = PrivateMessages(router, self._showing, self.limits)

    async def exists(self, jid: Jid) -> bool:
        """Tell whether somebody has made the room."""
        return CONFIGURATION in await self._ledger.properties(jid)

    def make(self, jid: Jid, *, exists: bool) -> Room:
        """Make a room in memory."""
        return Room(jid, exists=exists)

    def address(self, jid: Jid) -> Jid:
        """Give the JID itself."""
        return jid

    def shown(self, entry: Archived, body: bytes) -> bytes | None:
        """Give what was said as it is kept; what tells of members names people whom not all may know."""
        return None if entry.kind in CHANGES else body

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        """Let those read what was said who may enter."""
        return view_of(await freshened(room_of(entity), self._router, self._ledger), asker)

    # --- before the commit: pure

    def parties(self, submission: Submission) -> tuple[Jid, ...]:
        """Name the person behind the occupant whom a private message is for."""
        to, room = submission.message.to, submission.entity
        if to is None or room is None or submission.message.kind == "groupchat":
            return ()
        if not to.resource:
            return self.requests.invited(submission.message)
        addressed = room_of(room).occupants.called(to.resource)
        return () if addressed is None else (addressed.jid,)

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:  # noqa: ARG002  # a room sends nothing
        """Keep nothing: a room is no origin of what has an outcome."""
        return None

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:
        """Let occupants speak who have a voice; raises `StanzaError` for everybody else."""
        message, room = submission.message, room_of(submission.entity)
        if message.kind == "error":
            return Plan(reason=_TO_ROOM)  # §18.1.2: what it means is seen when it is delivered
        if not room.exists:
            raise StanzaError("item-not-found", "there is no such room")
        assert message.sender is not None  # stamped, or verified
        occupant = room.occupants.at(message.sender)
        if occupant is None and room.configuration.is_locked:
            raise StanzaError("item-not-found", "the room is not ready yet")  # §17.2
        if occupant is not None and not room.state.may_be_in(occupant.jid):
            raise StanzaError("forbidden", "you may not be in this room any more")  # and will be out soon
        if message.to is not None and message.to.resource:
            return self._private.plan(submission, classification, kept, room, occupant)
        if message.kind != "groupchat":
            invited, is_retried = submission.parties or (), submission.tries > 0
            self.requests.check(room, occupant, message, invited, is_retried=is_retried)
            return Plan(reason=_TO_ROOM)
        if occupant is None:
            raise StanzaError("not-acceptable", "you are not in the room")
        if occupant.role is Role.VISITOR and not held_back.is_marker(message, classification):
            raise StanzaError("forbidden", "you have no voice in this room")
        may_name = occupant.role is Role.MODERATOR or room.configuration.may_change_subject
        return self.plan_said(submission, classification, room, occupant, may_name=may_name)

    def plan_said(
        self,
        submission: Submission,
        classification: Classification,
        room: Room,
        speaker: Occupant,
        *,
        may_name: bool,
    ) -> Plan:
        """Plan what somebody says who may speak; `may_name`: and may change the subject."""
        message = submission.message
        if not submission.tries:
            self.limits.count_message(room, speaker.jid, submission.message, is_for_all=True)
            if classification.is_counted:
                slow_mode.check(room, speaker, self._clock.monotonic())
        message = submission.message = without_room_claims(message)
        if recent.is_subject(message):
            if not may_name:
                raise StanzaError("forbidden", "only moderators change the subject of this room")
            return self._plan_subject(submission, classification, room, speaker)
        if self.held_back.takes_marker(room, speaker, message, classification):
            append = self._append(submission, classification, room, speaker)
            return Plan(classification, held_back.pointer_alone(append, room), reason=HELD_BACK)
        if classification.storage is Storage.NONE:
            is_held_back = self.held_back.takes_state(room, message)
            return Plan(classification, reason=HELD_BACK if is_held_back else LIVE)
        append = self._append(submission, classification, room, speaker)
        return Plan(classification, append, reason=_KEPT_BY_ROOM)

    def _append(
        self, submission: Submission, classification: Classification, room: Room, occupant: Occupant
    ) -> Append:
        shown = shown_as_said(room, occupant, submission.message)
        member, reference = room.state.members.get(occupant.jid), classification.reference
        has_joined = member is not None and member.has_joined
        sender = submission.origin.entity
        reading = sender[entries.READING] if isinstance(sender, Account) else entries.READING.default
        is_counted = classification.is_counted
        mentions, mentions_all = mentioned(room, occupant, submission.message) if is_counted else ((), False)
        entry = Entry(
            archive=room.jid.text,
            peer=room.jid.text,
            countable=is_counted,
            groupchat=True,
            reads=has_joined and reference is not None and reference.kind in reading,
            reader=occupant.jid.text if has_joined else None,
            version=room.state.version,
        )
        append = entries.append_of(submission, classification, (entry,))
        return msgspec.structs.replace(
            append,
            body=shown.to_bytes(),
            sender=occupant.jid.text,
            refers_to=(*_places(room, reference), *append.refers_to),
            mentions=mentions,
            mentions_all=mentions_all,
        )

    def _plan_subject(
        self, submission: Submission, classification: Classification, room: Room, occupant: Occupant
    ) -> Plan:
        append = self._append(submission, classification, room, occupant)
        subject = _subject_of(occupant, submission.message, microseconds(self._clock.now()))
        self.limits.check_subject(len(subject.content))
        kept = PropertyChange(archive=room.jid.text, name=SUBJECT, value=msgspec.json.encode(subject))
        append = msgspec.structs.replace(append, properties=(kept,), raises=(room.jid.text,))
        return Plan(classification, append, reason=_KEPT_BY_ROOM)

    # --- after it

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:
        """Send it to who is in the room, or to the one whom it is for."""
        message, room = submission.message, room_of(submission.entity)
        assert message.sender is not None
        occupant = room.occupants.at(message.sender)
        if message.kind == "error" and occupant is not None and is_lost(message):
            return leave(room, occupant, message.sender, self.attendance, self._showing)
        if message.kind != "groupchat" and (message.to is None or not message.to.resource):
            return None if message.kind == "error" else self.requests.do(room, message)
        if occupant is None:  # he has left meanwhile, and who is there hears what is kept
            if accepted is None:
                return None
            occupant = _gone(submission, room)
        if message.to is not None and message.to.resource:
            return self._private.deliver(submission, accepted, room, occupant)
        return self.deliver_said(submission, accepted, room, occupant)

    def deliver_said(
        self, submission: Submission, accepted: Accepted | None, room: Room, speaker: Occupant
    ) -> MaybeAwaitable:
        """Send what somebody has said to everybody, through both doors."""
        message = submission.message
        if submission.plan.reason == HELD_BACK:
            return held_back.tell_pointer(room, submission)
        shown = shown_as_said(room, speaker, message)
        if accepted is None:
            return _both(self._showing.to_all(room, shown), self.light.said(room, speaker.jid, message, None))
        [place] = accepted.places
        room.position = place.position
        append = submission.plan.append
        assert append is not None
        if append.properties:
            return self._named(submission, accepted, room, speaker, shown)
        recent.add(room, shown, accepted, append.kind)
        wait = self._tell_referenced(room, submission, accepted.targets[0]) if accepted.targets else None
        live = stamped(shown, room.jid, place.id, accepted.time, is_live=True)
        told = _both(self._showing.to_all(room, live), self.light.said(room, speaker.jid, message, accepted))
        return _both(wait, told)

    def _named(
        self, submission: Submission, accepted: Accepted, room: Room, speaker: Occupant, shown: Stanza
    ) -> MaybeAwaitable:
        """Let the room talk about something else."""
        message, append, state = submission.message, submission.plan.append, room.state
        assert append is not None
        planned = append.entries[0].version
        assert planned is not None
        if state.version == planned:  # else it was read anew since, with this in it
            state.version = planned + 1
        state.subject = _subject_of(speaker, message, accepted.time)
        [place] = accepted.places
        live = stamped(shown, room.jid, place.id, accepted.time, is_live=True)
        told = about_occupant(statuses=(Status.CONFIGURATION_CHANGED,))
        change = Change(told=told, subject=state.subject, id=message.id, by=speaker.jid)
        event = RoomChanged(room, change, {}, state.configuration, planned)
        hooks = self._router.hosts[room.jid.domain].hooks
        said = None
        if message.to is not None and message.to.domain == self.light.domain:
            said = self.light.said(room, speaker.jid, message, accepted)
        return _both(said, _both(self._showing.to_all(room, live), hooks.tell(event)))

    def _tell_referenced(self, room: Room, submission: Submission, target: int) -> MaybeAwaitable:
        """Tell who listens that an earlier message was taken back, or was read by who has sent this."""
        append = submission.plan.append
        assert append is not None
        if append.kind is EntryKind.RETRACTION:
            host = self._router.hosts[self._domain]
            return host.hooks.tell(EntryRetracted(room, target))
        return held_back.tell_read(room, submission, target) if append.entries[0].reads else None

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:
        """Take an iq from one occupant to another; raises `StanzaError` to refuse."""
        return self._passing.take(room_of(entity), stanza)


def _both(first: MaybeAwaitable, second: MaybeAwaitable) -> MaybeAwaitable:
    """Wait for what both doors have to wait for, which is nothing nearly always."""
    return first if second is None else second if first is None else in_turn((first, second))


def _gone(submission: Submission, room: Room) -> Occupant:
    """Give who has sent a message that is kept and is not in the room any more, by the name of then."""
    message, append = submission.message, submission.plan.append
    assert append is not None
    assert message.sender is not None
    shown = kept((append.also or (append,))[0].body)
    assert shown.sender is not None
    jid = message.sender.bare
    return Occupant(shown.sender.resource, jid, Role.NONE, room.occupant_id(jid))


def _places(room: Room, reference: Reference | None) -> tuple[Target, ...]:
    """Give the place that a reference names by the room's own id (XEP-0359 §5)."""
    entry = None if reference is None else EntryId.parse(reference.target)
    return () if entry is None else (EntryRef(room.jid.text, entry.epoch, entry.position),)


def _subject_of(occupant: Occupant, message: Stanza, time: int) -> Subject:
    content = b"".join(child.raw for child in message.children if child.name == "subject")
    return Subject(content=content, nick=occupant.nick, time=time)
