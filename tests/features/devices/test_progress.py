"""Progress: which entries are meant for a device, and that its cursor never runs ahead of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.jid import Jid
from tidings.features.devices.progress import (
    MOST_EARLY,
    MOST_HELD,
    MOST_MARKS,
    SETTLED,
    Progress,
    device_of,
    is_meant_for,
)
from tidings.kernel.account import Account
from tidings.kernel.session import Client, Session
from tidings.ports.ledger.batch import Direction, EntryKind
from tidings.ports.ledger.reading import Archived, EntryId
from tidings.wire.xmpp.stanza import Stanza

JID = Jid("romeo@localhost")
STANZA = Stanza.build("message")


def entry(
    resource: str = "", direction: Direction = Direction.RECEIVED, kind: EntryKind = EntryKind.MESSAGE
) -> Archived:
    return Archived(
        id=EntryId("e", 1),
        feed=1,
        time=0,
        peer=Jid("juliet@localhost"),
        direction=direction,
        kind=kind,
        resource=resource,
        countable=True,
        count=1,
        target=0,
        body=b"<message/>",
    )


@pytest.mark.parametrize(
    ("found", "bound", "is_meant"),
    [
        (entry(), [], True),
        (entry("phone"), [], True),
        (entry("desk"), [], False),
        (entry("desk"), ["desk"], False),
        (entry("Phone"), [], False),  # resources are compared as they are
        (entry("~made"), [], True),  # it never comes back, so what was for it is for all
        (entry("app/~made"), [], True),
        (entry("app/~made"), ["app/~made"], False),
        (entry("~app/desk"), [], False),
        (entry(direction=Direction.SENT), [], False),
        (entry("phone", Direction.SENT), [], False),
        (entry(kind=EntryKind.DISPLAYED), [], True),
        (entry(kind=EntryKind.RECEIPT, direction=Direction.SENT), [], False),
    ],
)
def test_what_is_meant_for_a_device(found: Archived, bound: list[str], is_meant: bool) -> None:
    assert is_meant_for(found, "phone", bound) is is_meant


@pytest.mark.parametrize(
    ("client", "device"),
    [
        ({"device": "d4565fa7"}, "d4565fa7"),
        ({"device": "d4565fa7", "chose_resource": False}, "d4565fa7"),
        ({"chose_resource": True}, "resource:phone"),
        ({"chose_resource": False}, ""),
    ],
)
def test_what_a_device_is(client: dict[str, Any], device: str) -> None:
    way = Client(transport="tcp", address="", secure=True, since=0, **client)
    host: Any = None
    assert (
        device_of(Session(JID.with_resource("phone"), Account(JID, exists=True), host, way, None)) == device
    )


def test_the_cursor_follows_acknowledgements() -> None:
    progress = Progress("phone")
    for number in (1, 2, 3):
        progress.went(position=number * 10, count=number, now=0)
    assert (progress.upto, progress.cursor) == (30, 0)
    progress.acknowledge(2)
    assert progress.cursor == 20
    progress.acknowledge(2)
    progress.went(position=20, count=9, now=0)  # long past
    assert (progress.upto, progress.cursor) == (30, 20)
    progress.acknowledge(9)
    assert (progress.cursor, progress.has_marks) == (30, False)
    progress.went(position=40, count=9, now=0)  # nothing was sent for it: there is nothing to wait for
    assert (progress.cursor, progress.has_marks) == (40, False)


def test_a_client_that_does_not_count_has_what_it_got_a_while_ago() -> None:
    progress = Progress("phone")
    progress.went(1, 1, now=100.0)
    progress.went(2, 2, now=104.0)
    progress.heard_of(1, before=100.0 + SETTLED - 1)
    assert progress.cursor == 0
    progress.heard_of(1, before=200.0)  # nothing new has come from it
    assert progress.cursor == 0
    progress.heard_of(2, before=103.0 + SETTLED)
    assert progress.cursor == 1
    progress.acknowledge_all()
    assert progress.cursor == 2


def test_memory_is_bounded() -> None:
    progress = Progress("phone")
    progress.start_reading()
    for number in range(1, 3 * MOST_EARLY):
        progress.came_early(number)
        progress.missed(number, STANZA)
    assert len(progress.early) == MOST_EARLY
    assert (progress.held, progress.overflowed, progress.first_missed) == ([], True, 1)
    progress.start_reading()
    for number in range(MOST_HELD):
        progress.missed(number, STANZA)
    assert (len(progress.held), progress.overflowed) == (MOST_HELD, False)
    progress = Progress("phone")
    for number in range(1, 3 * MOST_MARKS):
        progress.went(number, number, now=0)
    progress.acknowledge(3 * MOST_MARKS - 2)
    assert progress.cursor == MOST_MARKS - 1  # what is uncertain comes again rather than never
    progress.acknowledge(3 * MOST_MARKS - 1)
    assert progress.cursor == 3 * MOST_MARKS - 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), st.integers(1, 3)),
        st.tuples(st.just("passed"), st.integers(1, 3)),
        st.tuples(st.just("acknowledged"), st.integers(0, 3)),
        st.tuples(st.just("time"), st.integers(1, 9)),
        st.tuples(st.just("heard"), st.integers(0, 1)),
    )
)


@given(steps)
def test_the_cursor_never_leads(schedule: list[tuple[str, int]]) -> None:
    """What it passes has been acknowledged, or was written long before the client said anything."""
    progress, now, looked = Progress("phone"), 0.0, 0.0
    count = acknowledged = received = position = 0
    written: dict[int, tuple[int, float]] = {}  # what was sent: position to count and moment
    for what, number in schedule:
        before = progress.cursor
        match what:
            case "sent":
                for _ in range(number):
                    count, position = count + 1, position + 1
                    written[position] = count, now
                    progress.went(position, count, now)
            case "passed":
                position += number
                progress.went(position, count, now)
            case "acknowledged":
                acknowledged = min(acknowledged + number, count)
                progress.acknowledge(acknowledged)
            case "time":
                now += number
            case "heard":
                received += number
                progress.heard_of(received, looked)
                for place, (sent, moment) in written.items():
                    if number and moment <= looked - SETTLED:
                        acknowledged = max(acknowledged, sent)
                        assert progress.cursor >= place or len(progress._marks) == MOST_MARKS
                looked = now
        assert before <= progress.cursor <= progress.upto == position
        assert all(sent <= acknowledged for place, (sent, _) in written.items() if place <= progress.cursor)
    progress.acknowledge_all()
    assert progress.cursor == position
