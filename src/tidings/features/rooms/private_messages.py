"""Private messages: what one occupant says to another, under the names of the room (XEP-0045 §7.5).

One is two bodies in one transaction, since neither side may learn the other's address from it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.limiting import Limits
from tidings.features.rooms.room import Occupant, Room
from tidings.features.rooms.room_claims import shown_as_said, without_room_claims
from tidings.features.rooms.showing import Showing
from tidings.kernel.account import Account
from tidings.kernel.events import MessageDelivered
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.stored_copy import stored_copy
from tidings.messages import entries
from tidings.messages.router import Router
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger.batch import Accepted, Append, Direction, Entry
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.classification import Classification, Storage
from tidings.wire.xmpp.stanza import Stanza

LIVE: Final = "it is for who is in the room now, and kept by nobody"


class PrivateMessages:
    """Plans and delivers private messages in the rooms of one domain."""

    def __init__(self, router: Router, showing: Showing, limits: Limits) -> None:
        self._router = router
        self._showing = showing
        self._limits = limits

    def plan(
        self,
        submission: Submission,
        classification: Classification,
        kept: Entry | None,
        room: Room,
        occupant: Occupant | None,
    ) -> Plan:
        """Let occupants speak to each other (§7.5); raises `StanzaError` for who may not."""
        message = submission.message
        assert message.to is not None
        if message.kind == "groupchat":
            raise StanzaError("bad-request", "a message of type groupchat is for the room")
        if occupant is None:
            raise StanzaError("not-acceptable", "you are not in the room")
        addressed = room.occupants.called(message.to.resource)
        if addressed is None:
            raise StanzaError("item-not-found", f"nobody here is called {message.to.resource}")
        if not _may_whisper(room, occupant, addressed):
            raise StanzaError("forbidden", "private messages are not allowed to you in this room")
        if not submission.tries:
            self._limits.count_message(room, occupant.jid, message, is_for_all=False)
        submission.message = without_room_claims(message)
        person = _person(submission, addressed)
        if classification.storage is Storage.NONE or person is None or not person.exists:
            return Plan(classification, reason=LIVE)
        theirs = Entry(
            archive=person.jid.text,
            peer=room.address_of(occupant.nick).text,
            countable=classification.is_counted,
            version=person.archive_version,
        )
        body = _private(room, occupant, submission.message, person.jid).to_bytes()
        seen = ((room.jid.text, room.state.version),)
        second = Append(body=body, entries=(theirs,), sender=occupant.jid.text)
        if kept is None:
            second = msgspec.structs.replace(second, versions=seen)
            return Plan(classification, second, reason="the recipient keeps it")
        own = msgspec.structs.replace(kept, peer=message.to.text, direction=Direction.SENT)
        append = entries.append_of(submission, classification, (own,))
        append = msgspec.structs.replace(append, also=(second,), sender=occupant.jid.text, versions=seen)
        return Plan(classification, append, reason="both keep it, each under the names of the room")

    def deliver(
        self, submission: Submission, accepted: Accepted | None, room: Room, occupant: Occupant
    ) -> MaybeAwaitable:
        """Send it to the devices of the one whom it is for that are in the room."""
        message = submission.message
        assert message.to is not None
        addressed = room.occupants.called(message.to.resource)
        if addressed is None:
            return None
        person = _person(submission, addressed)
        shown = _private(room, occupant, message, None)
        if accepted is None or person is None:
            return self._showing.to_one(room, addressed, shown)
        theirs = accepted.also[0] if accepted.also else accepted
        stored = stored_copy(submission.plan.classification, theirs, person.jid)
        sessions = [device.session for device in addressed.devices.values() if device.session is not None]
        event = MessageDelivered(person, shown.replace(to=person.jid), sessions, stored, submission)
        host = self._router.hosts[person.jid.domain]

        def tell() -> MaybeAwaitable:
            for session in sessions:
                session.send(event.stanza, session.jid)
            return host.hooks.tell(event)

        handover = self._router.handover
        if handover is None:
            return in_turn((tell(),))
        append = submission.plan.append
        assert append is not None
        body = append.also[0].body if append.also else append.body
        return handover.deliver(person, body, stored, tell, _nothing)


def _nothing() -> None:
    """Do nothing: whoever has read the message from the archive has told of it."""


def _person(submission: Submission, addressed: Occupant) -> Account | None:
    """Give the account behind an occupant, where it is one of this server."""
    for _, party in submission.parties or ():
        if isinstance(party, Account) and party.jid == addressed.jid:
            return party
    return None


def _may_whisper(room: Room, occupant: Occupant, addressed: Occupant) -> bool:
    match room.configuration.whisperers:
        case "anyone":
            return True
        case "participants":
            return occupant.role is not Role.VISITOR or addressed.role is Role.MODERATOR
        case "moderators":
            return Role.MODERATOR in {occupant.role, addressed.role}
        case _:
            return False


def _private(room: Room, occupant: Occupant, message: Stanza, to: Jid | None) -> Stanza:
    """Give a private message as the recipient gets it, marked as one (§7.5)."""
    shown = shown_as_said(room, occupant, message).replace(append=(Element("x", ns.MUC_USER),))
    return shown.replace(to=room.jid if to is None else to)
