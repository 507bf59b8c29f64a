"""Short words for what happens in rooms and around them."""

from __future__ import annotations

from tests.contracts.ledger_stories import ALICE, BOB, ROOM, key, stanza
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Direction, Entry, EntryKind, MemberChange
from tidings.ports.ledger.reading import InboxRow, RoomChanges

PHONE = ALICE.with_resource("phone")
IN_ROOM = {ALICE: ROOM.with_resource("alice"), BOB: ROOM.with_resource("bob")}
"""What Alice and Bob are called in the room."""


def membership(*changes: MemberChange, by: Jid = ALICE, version: int | None = None, **more: object) -> Append:
    """An entry of the room's archive about its members."""
    entry = Entry(archive=ROOM, peer=ROOM, reader=by, version=version)
    return Append(
        body=stanza("members change"),
        entries=(entry,),
        kind=EntryKind.MEMBERSHIP,
        members=changes,
        raises=(ROOM,),
        **more,
    )


def joins(member: Jid, affiliation: str = "member", room: Jid = ROOM) -> MemberChange:
    return MemberChange(room=room, member=member, affiliation=affiliation, joins=True)


def leaves(member: Jid, affiliation: str = "") -> MemberChange:
    return MemberChange(room=ROOM, member=member, affiliation=affiliation, joins=False)


def whisper(words: object, sender: Jid = ALICE, recipient: Jid = BOB) -> Append:
    """A private message through the room: each side knows the other as an occupant, in a body of its own."""
    sent = Entry(archive=sender, peer=IN_ROOM[recipient], direction=Direction.SENT, countable=True)
    received = Entry(archive=recipient, peer=IN_ROOM[sender], countable=True)
    real = sender.with_resource("phone")
    other = Append(
        body=stanza(f"{words} for you"), entries=(received,), keys=(key(ROOM, words),), sender=real
    )
    return Append(body=stanza(words), entries=(sent,), keys=(key(sender, words),), sender=real, also=(other,))


def invitation(words: object, invited: Jid = BOB) -> Append:
    """A text from the room's address that is for one person."""
    entry = Entry(archive=invited, peer=ROOM, countable=True)
    return Append(body=stanza(words), entries=(entry,), sender=PHONE)


def by(sender: Jid, kind: EntryKind, *targets: object) -> Append:
    """An entry of the room's archive about an earlier one."""
    entry = Entry(archive=ROOM, peer=ROOM, reader=sender)
    return Append(
        body=stanza("-"), entries=(entry,), kind=kind, refers_to=targets, sender=sender.with_resource("phone")
    )


async def row_of(ledger: SqlLedger, owner: Jid, peer: Jid = ROOM) -> InboxRow:
    row = await ledger.conversation(owner, peer)
    assert row is not None
    return row


async def room_changes(
    ledger: SqlLedger, owner: Jid, base: int, top: int = 1 << 40, **more: int
) -> RoomChanges:
    return await ledger.room_changes(owner, base, top, **more)
