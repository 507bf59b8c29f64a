"""Rooms in sync: what is new in all of them comes in one run, however much is written meanwhile."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.rooms.stage import ROOM, enter, occupant, say, start
from tests.features.rooms.test_owners_and_admins import admin
from tests.features.rooms.test_room_inbox import OTHER, OtherDoor, _members_of_two_doors, members
from tests.features.test_sync import ask
from tests.harness.world import World, WorldClient
from tidings.app.hosts import ServiceKind
from tidings.app.rooms import ROOMS
from tidings.base.jid import Jid
from tidings.features.sync import SyncCursor, SyncOptions, SyncRun
from tidings.operations.all import CATALOGUE
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Append, Entry, EntryKind, LedgerBatch, MemberChange
from tidings.ports.ledger.reading import EntryId, InboxQuery, PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.sync import SyncConversation, SyncEntry, SyncErased, SyncGap, SyncItem

BOB, THE_ROOM = Jid("bob@localhost"), Jid(ROOM)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start(features={"sync": SyncOptions(page=100)})
    yield world
    assert not world.server.telemetry.bugs
    await world.stop()


@dataclass
class Device:
    """What a device makes of the pages of rooms: it keeps what it is told, and knows what it was not told."""

    client: WorldClient
    cursor: str = ""
    entries: dict[Jid, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    missing: dict[Jid, set[int]] = field(default_factory=lambda: defaultdict(set))
    unread: dict[Jid, int] = field(default_factory=dict)
    pages: int = 0

    async def page(self) -> bool:
        """Take one page; tells whether it was complete."""
        items, fin = await ask(self.client, self.cursor)
        self.pages += 1
        for item in items:
            self._take(item)
        told = [item for item in items if isinstance(item, SyncEntry) and item.archive is not None]
        assert len(told) <= 100
        self.cursor = fin.cursor
        return fin.is_complete

    async def catch_up(self) -> None:
        for _ in range(500):
            if await self.page():
                return
        raise AssertionError("the pages do not end")

    def _take(self, item: SyncItem) -> None:
        match item:
            case SyncEntry(archive=Jid() as room):
                position = _position(item.id)
                assert position not in self.entries[room], "told twice"
                known = [*self.entries[room], *self.missing[room]]
                assert not known or position == max(known) + 1, (room, position, max(known))
                self.entries[room][position] = item.kind
            case SyncGap(archive=room):
                after = 0 if item.after is None else _position(item.after)
                self.missing[room] |= set(range(after + 1, _position(item.before)))
            case SyncConversation(archive=Jid() as room):
                self.unread[room] = item.unread
            case _:
                pass


def _position(id_: str) -> int:
    entry = EntryId.parse(id_)
    assert entry is not None
    return entry.position


async def join(ledger: Ledger, rooms: Iterable[Jid], member: Jid = BOB) -> None:
    for room in rooms:
        change = MemberChange(room=room, member=member, affiliation="member", joins=True)
        told = Append(
            body=b"<message/>",
            entries=(Entry(archive=room, peer=room),),
            kind=EntryKind.MEMBERSHIP,
            members=(change,),
        )
        await ledger.commit(LedgerBatch(appends=(told,)))


async def write(ledger: Ledger, *rooms: Jid) -> None:
    appends = tuple(
        Append(
            body=f"<message from='{room}/Alice' type='groupchat'><body>hello</body></message>".encode(),
            entries=(Entry(archive=room, peer=room, countable=True, groupchat=True),),
            sender="alice@localhost",
        )
        for room in rooms
    )
    await ledger.commit(LedgerBatch(appends=appends))


# --- a run


async def test_two_hundred_rooms_are_written_to_while_a_client_pages(world: World) -> None:
    ledger, dice = world.stores.ledger, random.Random(7)  # a schedule
    rooms = [Jid(f"room{number}@conference.localhost") for number in range(200)]
    await join(ledger, rooms)
    device = Device(await world.login("bob@localhost/phone"))
    await device.catch_up()
    joined = {room: (await ledger.head(room)).position for room in rooms}
    for room in rooms:
        await write(ledger, *[room] * dice.choice([0, 1, 1, 2, 3, 60]))
    ended = 0
    while ended < 3:  # it is never told all there is, and yet each run ends
        await device.page()
        await write(ledger, *dice.choices(rooms, k=5), *[rooms[0]] * 3)  # the first of all, again and again
        cursor = SyncCursor.parse(device.cursor)
        assert cursor is not None
        ended += cursor.run is None
        assert device.pages < 150, "the runs do not end"
    await device.catch_up()
    counts = {row.peer: row.unread for row in (await ledger.inbox(BOB, InboxQuery())).rows}
    for room in rooms:
        head = await ledger.head(room)
        expected = set(range(joined[room] + 1, head.position + 1))
        assert device.entries[room].keys() | device.missing[room] == expected, room
        assert not device.entries[room].keys() & device.missing[room]
        if expected:
            assert device.unread[room] == counts[room]


async def test_a_run_ends_where_it_was_to_end_and_the_next_goes_on(world: World) -> None:
    ledger = world.stores.ledger
    rooms = [Jid(f"room{number}@conference.localhost") for number in range(130)]
    await join(ledger, rooms)
    device = Device(await world.login("bob@localhost/phone"))
    await device.catch_up()
    await write(ledger, *rooms)
    assert not await device.page()
    run = SyncCursor.parse(device.cursor)
    assert run is not None
    assert run.run is not None
    assert sum(map(len, device.entries.values())) == 100
    await write(ledger, *rooms[:3], rooms[-1])
    assert not await device.page()  # through with the run, whose end is behind the last transaction now
    through = SyncCursor.parse(device.cursor)
    assert through is not None
    assert (through.feed, through.run) == (run.run.top, None)
    assert sum(map(len, device.entries.values())) == 130
    assert await device.page()
    assert sum(map(len, device.entries.values())) == 134
    assert await device.page()
    assert sum(map(len, device.entries.values())) == 134


async def test_what_happens_to_the_account_comes_first_and_shares_the_page(world: World) -> None:
    ledger = world.stores.ledger
    await join(ledger, [THE_ROOM])
    await world.register("alice@localhost")
    bob, alice = await world.login("bob@localhost/phone"), await world.login("alice@localhost/phone")
    _, fin = await ask(bob)
    _, fin = await ask(bob, fin.cursor)
    await alice.send(
        *(f"<message to='bob@localhost' type='chat'><body>{n}</body></message>" for n in range(4))
    )
    await write(ledger, *[THE_ROOM] * 4)
    items, fin = await ask(bob, fin.cursor, "max='6'")
    assert [item.archive for item in items if isinstance(item, SyncEntry)] == [None] * 4 + [THE_ROOM] * 2
    [gap] = [item for item in items if isinstance(item, SyncGap)]
    assert fin.is_complete
    assert (_position(gap.after or ""), _position(gap.before)) == (1, 4)


@given(
    st.builds(
        SyncCursor,
        st.just("p8m1zz"),
        st.integers(0, 50),
        st.none() | st.builds(EntryId, st.just("k3v9q2x"), st.integers(1, 99)),
        run=st.builds(SyncRun, st.integers(100, 10**15), st.integers(50, 100), st.integers(0, 10**12)),
    )
)
def test_a_cursor_of_a_run_is_read_as_it_was_written(cursor: SyncCursor) -> None:
    assert SyncCursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize("place", ["7", "7-", "-7", "7.7", "3-7", "12-7", "x-7", "7-x"])
def test_what_is_no_place_of_a_run(place: str) -> None:
    assert SyncCursor.parse(f"p8m1zz.5.k-1.10.{place}") is None
    assert SyncCursor.parse("p8m1zz.5.k-1.10.7-7") is not None


# --- what is told


async def test_entries_of_a_room_come_with_their_ids_and_its_row_with_unread_and_mentions(
    world: World,
) -> None:
    alice, bob = await members(world)
    _, fin = await ask(bob)
    _, fin = await ask(bob, fin.cursor)
    alice.take()
    await alice.send(say("one"), say("Bob: two", id_="2"))
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='3'><body>three</body></message>")
    await alice.send(say("four", id_="4"))
    items, fin = await ask(bob, fin.cursor)
    told = [item for item in items if isinstance(item, SyncEntry)]
    page = await world.stores.ledger.page(THE_ROOM, PageQuery(limit=99))
    assert [item.id for item in told] == [str(entry.id) for entry in page.entries[-4:]]
    assert [(item.peer, item.archive, item.is_sent) for item in told] == [
        (THE_ROOM, THE_ROOM, sent) for sent in (False, False, True, False)
    ]
    for item in told:
        assert item.forwarded is not None
        stanza = item.forwarded.stanza()
        assert stanza is not None
        shown = stanza.decode(ns.STANZA_ID, "stanza-id")
        assert shown is not None
        assert (shown.get("by"), shown.get("id")) == (ROOM, item.id)
    [row] = [item for item in items if isinstance(item, SyncConversation)]
    assert (row.peer, row.archive, row.unread, row.mentions, row.last) == (
        THE_ROOM,
        THE_ROOM,
        1,
        0,
        told[-1].id,
    )
    assert row.forwarded is None  # its last message is among the entries
    await alice.send(say("@all five", id_="5"))
    items, _ = await ask(bob, fin.cursor)
    [row] = [item for item in items if isinstance(item, SyncConversation)]
    assert (row.unread, row.mentions) == (2, 1)


async def test_reactions_members_and_erasures_are_told(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("one"))
    _, fin = await ask(bob)
    _, fin = await ask(bob, fin.cursor)
    page = await world.stores.ledger.page(THE_ROOM, PageQuery(limit=99))
    first = page.entries[-1].id
    reactions = f"<reactions xmlns='urn:xmpp:reactions:0' id='{first}'><reaction>x</reaction></reactions>"
    await alice.send(f"<message to='{ROOM}' type='groupchat' id='r'>{reactions}</message>")
    await admin(alice, "<item jid='carol@localhost' affiliation='member'/>")
    items, fin = await ask(bob, fin.cursor)
    told = [(item.kind, item.target) for item in items if isinstance(item, SyncEntry)]
    assert told == [("reactions", str(first)), ("membership", None)]
    contents = [item.forwarded for item in items if isinstance(item, SyncEntry)]
    assert contents[0] is not None
    assert contents[1] is None  # Bob may not know who Carol is
    [row] = [item for item in items if isinstance(item, SyncConversation)]
    assert row.forwarded is not None  # it was told long ago, or never
    await CATALOGUE.call(world.context, "retention", "erase-message", {"user": ROOM, "id": str(first)})
    items, fin = await ask(bob, fin.cursor)
    assert [item for item in items if isinstance(item, SyncErased)] == [
        SyncErased(str(first), str(first), archive=THE_ROOM)
    ]
    await admin(alice, "<item jid='bob@localhost' affiliation='none'/>")
    await alice.send(say("without him", id_="6"))
    items, _ = await ask(bob, fin.cursor)
    assert items == [SyncConversation(peer=THE_ROOM, is_gone=True)]


async def test_who_joins_is_told_what_came_since_then(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    _, fin = await ask(bob)
    await alice.send(say("before"))
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await enter(bob, "Bob")
    await alice.send(say("after", id_="2"))
    items, _ = await ask(bob, fin.cursor)
    told = [item for item in items if isinstance(item, SyncEntry) and item.archive is not None]
    assert [item.kind for item in told] == ["membership", "message"]


async def test_a_room_is_told_under_the_address_that_its_member_knows() -> None:
    services = (ROOMS, ServiceKind(prefix="other", make_kind=OtherDoor))
    world = await World.start(("localhost",), services=services)
    alice, bob = await _members_of_two_doors(world)
    _, fin = await ask(bob)
    _, fin = await ask(bob, fin.cursor)
    await alice.send(say("one"))
    items, _ = await ask(bob, fin.cursor)
    [entry] = [item for item in items if isinstance(item, SyncEntry)]
    assert (entry.peer, entry.archive) == (Jid(OTHER), Jid(OTHER))
    assert entry.forwarded is not None
    stanza = entry.forwarded.stanza()
    assert stanza is not None
    assert stanza.sender == Jid(f"{OTHER}/alice@localhost")
    [row] = [item for item in items if isinstance(item, SyncConversation)]
    assert (row.peer, row.archive) == (Jid(OTHER), Jid(OTHER))
    items, _ = await ask(bob)
    [row] = [item for item in items if isinstance(item, SyncConversation)]
    assert row.forwarded is not None
    assert OTHER.encode() in row.forwarded.raw
    await world.stop()


async def test_the_operation_tells_of_rooms_too(world: World) -> None:
    ledger = world.stores.ledger
    await join(ledger, [THE_ROOM])
    await world.register("bob@localhost")
    listed = await CATALOGUE.call(world.context, "archive", "sync", {"user": "bob@localhost"})
    await write(ledger, *[THE_ROOM] * 60)
    arguments = {"user": "bob@localhost", "since": listed.cursor}
    found = await CATALOGUE.call(world.context, "archive", "sync", arguments)
    assert {each.archive for each in found.entries} == {THE_ROOM}
    assert (len(found.entries), len(found.missing), found.complete) == (50, 1, True)
    assert [(each.archive, _position(each.before)) for each in found.missing] == [(THE_ROOM, 12)]
