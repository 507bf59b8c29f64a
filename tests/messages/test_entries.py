"""What a message becomes in the ledger."""

from __future__ import annotations

import pytest

from tests.harness.clock import VirtualClock
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.directory import Directory
from tidings.kernel.hooks import Hooks
from tidings.kernel.host import Host
from tidings.kernel.pacing import Pacing
from tidings.kernel.session import Client, Session
from tidings.kernel.stored_copy import stored_copy
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.messages.account_kind import AccountKind
from tidings.messages.entries import ARCHIVE_RULE, targets
from tidings.messages.origin import Origin, Via
from tidings.messages.router import Router
from tidings.messages.submission import Submission
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    Place,
    message_key,
)
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.classification import Classification, classify
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.payloads.references import IdKind, Reference, ReferenceKind
from tidings.wire.xmpp.stanza import Stanza

NINA, OMAR = Jid("nina@clinic.example"), Jid("omar@clinic.example")
PEERS = (NINA, OMAR)


def message(inside: str = "<body>Hi</body>", *, id_: str = "m1", to: str = OMAR) -> Stanza:
    raw = f"<message type='chat' id='{id_}' from='{NINA}/phone' to='{to}'>{inside}</message>"
    return stanza_of(decode(raw.encode(), ns.CLIENT))


def account(jid: Jid) -> Account:
    return Account(jid, exists=True)


def bound(owner: Account) -> Session:
    client = Client(transport="tcp", address="", secure=True, since=0)
    return Session(owner.jid.with_resource("guest"), owner, None, client, None)  # type: ignore[arg-type]


async def _exists(_: Jid) -> bool:
    return True


def planned(stanza: Stanza, sender: Account | None, recipient: Account) -> Append | None:
    """Plan a message for an account of a host with archives, from one of the same host or from elsewhere."""
    supervisor = Supervisor(Telemetry())
    kind = AccountKind(_exists, Router(None, supervisor, Telemetry(), Pacing(VirtualClock())))
    hooks = Hooks(supervisor, VirtualClock())
    host = Host("clinic.example", kind, Directory(kind, 10), hooks)
    host.has_archives = True
    assert stanza.sender is not None
    origin = Origin(stanza.sender.bare, host if sender else None, Via.SESSION, sender)
    submission = Submission(origin, stanza, recipient.jid, host, kind, recipient)
    classification = classify(stanza)
    kept = None if sender is None else kind.keep(submission, classification)
    return kind.plan(submission, classification, kept).append


def append(stanza: Stanza) -> Append:
    found = planned(stanza, account(NINA), account(OMAR))
    assert found is not None
    return found


def entries(stanza: Stanza, sender: Account | None, recipient: Account) -> tuple[Entry, ...]:
    found = planned(stanza, sender, recipient)
    return () if found is None else found.entries


def test_both_sides_of_a_conversation_have_an_entry() -> None:
    sent, received = entries(message(), account(NINA), account(OMAR))
    assert (sent.archive, sent.peer, sent.direction) == (NINA, OMAR, Direction.SENT)
    assert (received.archive, received.peer, received.direction) == (OMAR, NINA, Direction.RECEIVED)
    assert sent.countable
    assert received.countable
    assert not sent.offline_only
    assert not received.offline_only


def test_who_is_not_here_has_none() -> None:
    assert [entry.archive for entry in entries(message(), None, account(OMAR))] == [OMAR]
    nobody = Account(OMAR, exists=False)
    nobody.sessions["guest"] = session = bound(nobody)
    session.priority = 0  # it reaches somebody, and is kept by the sender alone
    assert [entry.archive for entry in entries(message(), account(NINA), nobody)] == [NINA]


def test_a_note_to_oneself_is_kept_once_and_is_read() -> None:
    nina = account(NINA)
    [entry] = entries(message(to=NINA), nina, nina)
    assert (entry.archive, entry.peer, entry.reader) == (NINA, NINA, NINA)
    assert entry.direction is Direction.RECEIVED


def test_what_passes_is_kept_for_the_recipients_devices_alone() -> None:
    inside = f"<body>Hi</body><no-permanent-store xmlns='{ns.HINTS}'/>"
    [entry] = entries(message(inside), account(NINA), account(OMAR))
    assert entry.archive == OMAR
    assert entry.offline_only
    assert not entry.countable


def test_what_the_owner_does_not_archive_passes_too() -> None:
    omar, nina = account(OMAR), account(NINA)
    omar[ARCHIVE_RULE] = lambda peer: peer.bare != NINA
    sent, received = entries(message(), nina, omar)
    assert not sent.offline_only
    assert received.offline_only
    nina[ARCHIVE_RULE] = lambda peer: False
    [received] = entries(message(), nina, omar)
    assert received.archive == OMAR


def test_the_versions_that_guard_saw_are_compared() -> None:
    nina, omar = account(NINA), account(OMAR)
    nina.archive_version, omar.archive_version = 3, 5
    assert [entry.version for entry in entries(message(), nina, omar)] == [3, 5]


def test_a_resource_that_is_gone_makes_it_a_message_for_all() -> None:
    omar = account(OMAR)
    omar.sessions["desk"] = None  # type: ignore[assignment]  # that there is one matters
    at_desk = entries(message(to=Jid(f"{OMAR}/desk")), None, omar)
    at_bed = entries(message(to=Jid(f"{OMAR}/bed")), None, omar)
    assert [entry.resource for entry in (*at_desk, *at_bed)] == ["desk", ""]


def test_the_authors_id_makes_a_repeat_and_the_plain_id_does_not() -> None:
    def keys(inside: str):
        found = append(message(inside))
        return found.keys, found.repeat

    origin = f"<body>Hi</body><origin-id xmlns='{ns.STANZA_ID}' id='{{}}'/>"
    by_origin, by_id = message_key("origin", NINA, OMAR, "m1"), message_key("id", NINA, OMAR, "m1")
    assert keys("<body>Hi</body>") == ((by_id,), None)
    assert keys(origin.format("m1")) == ((by_origin,), by_origin)
    other = message_key("origin", NINA, OMAR, "o1")
    assert keys(origin.format("o1")) == ((other, by_id), other)
    escaped = message_key("origin", NINA, OMAR, "a&b")
    assert keys(origin.format("a&amp;b")) == ((escaped, by_id), escaped)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            Reference(ReferenceKind.CORRECTION, "x"),
            (message_key("id", NINA, OMAR, "x"), message_key("origin", NINA, OMAR, "x")),
        ),
        (
            Reference(ReferenceKind.DISPLAYED, "x"),
            (message_key("id", OMAR, NINA, "x"), message_key("origin", OMAR, NINA, "x")),
        ),
        (
            Reference(ReferenceKind.RETRACTION, "x", IdKind.ORIGIN),
            (message_key("origin", NINA, OMAR, "x"),),
        ),
        (Reference(ReferenceKind.RETRACTION, "e1-7", IdKind.ARCHIVE), (EntryRef(NINA, "e1", 7),)),
        (Reference(ReferenceKind.RETRACTION, "none of ours", IdKind.ARCHIVE), ()),
    ],
)
def test_who_may_point_where_is_decided_by_the_keys(reference: Reference, expected: tuple) -> None:
    assert targets(reference, PEERS) == expected


def test_the_kinds_of_markers_and_their_readers() -> None:
    inside = f"<displayed xmlns='{ns.MARKERS}' id='x'/>"
    stanza = message(inside)
    sent, received = entries(stanza, account(NINA), account(OMAR))
    assert sent.reads
    assert not received.reads
    assert append(stanza).kind is EntryKind.DISPLAYED


def test_what_the_ledger_answered_is_told_for_each_side() -> None:
    accepted = Accepted(
        places=(Place(NINA, "a", 1), Place(OMAR, "b", 7)), time=5, feed=9, returned=(OMAR,), targets=(0, 6)
    )
    classification = Classification()
    at_nina, at_omar = (stored_copy(classification, accepted, owner) for owner in PEERS)
    assert at_nina.place is not None
    assert at_omar.place is not None
    assert (at_nina.place.id, at_nina.returned, at_nina.target) == ("a-1", False, 0)
    assert (at_omar.place.id, at_omar.returned, at_omar.target) == ("b-7", True, 6)
    assert stored_copy(classification, accepted, Jid("other@clinic.example")).place is None
