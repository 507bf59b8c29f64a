"""Sync: what a device is told that comes back, however it was away and whatever happened meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import Archive
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import Devices
from tidings.features.disco import ServiceDiscovery
from tidings.features.sync import Sync, SyncCursor, SyncOptions, goes_on, ranges
from tidings.kernel.feature import Feature
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import InboxChange, LedgerBatch, ReadMove
from tidings.ports.ledger.reading import EntryId, Head, InboxQuery, PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.sync import (
    SyncConversation,
    SyncEntry,
    SyncErased,
    SyncFin,
    SyncGap,
    SyncItem,
)

FEATURES: tuple[type[Feature], ...] = (
    Rosters,
    Subscriptions,
    Presences,
    ServiceDiscovery,
    Archive,
    Devices,
    Sync,
)
ROMEO, JULIET, NURSE = Jid("romeo@localhost"), Jid("juliet@localhost"), Jid("nurse@localhost")


# --- pure

epochs = st.sampled_from(["k3v9q2x", "a"])
entry_ids = st.builds(EntryId, epochs, st.integers(1, 10**12))
listed = st.tuples(st.integers(0, 10**16), st.sampled_from([JULIET, Jid("ü@bücher.example"), Jid("a.b@x.y")]))
cursors = st.builds(
    SyncCursor, st.just("p8m1zz"), st.integers(0, 10**15), st.none() | entry_ids, st.none() | listed
) | st.builds(SyncCursor, st.just(""), st.just(0), st.none(), st.none() | listed)


@given(cursors)
def test_a_cursor_is_read_as_it_was_written(cursor: SyncCursor) -> None:
    assert SyncCursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "x",
        ".",
        "..",
        "a.b.c",
        "a.1.c",
        "a.-1.e-1",
        "a.1.e-1.x",
        "a.1.e-1.",
        "a.1.e-1.5/%%",
        "a.1٣.e-1",
        ".1.e-1",
    ],
)
def test_what_is_no_cursor(text: str) -> None:
    assert SyncCursor.parse(text) is None


def head(first: int, position: int, *starts: tuple[str, int]) -> Head:
    return Head(first=first, position=position, time=0, version=0, epochs=starts)


@pytest.mark.parametrize(
    ("now", "at", "is_whole"),
    [
        (head(1, 0), None, True),
        (head(1, 5, ("a", 1)), None, True),
        (head(3, 5, ("a", 1)), None, False),  # something came and went
        (head(1, 5, ("a", 1)), EntryId("a", 5), True),
        (head(4, 5, ("a", 1)), EntryId("a", 3), True),
        (head(5, 5, ("a", 1)), EntryId("a", 3), False),
        (head(1, 5, ("a", 1)), EntryId("a", 6), False),  # from the future
        (head(1, 5, ("a", 1), ("b", 4)), EntryId("a", 3), True),
        (head(1, 5, ("a", 1), ("b", 4)), EntryId("a", 4), False),
        (head(1, 5, ("a", 1), ("b", 4)), EntryId("b", 4), True),
        (head(6, 5, ("b", 6)), EntryId("a", 5), False),  # made anew
    ],
)
def test_whether_an_archive_goes_on(now: Head, at: EntryId | None, is_whole: bool) -> None:
    assert goes_on(now, at) is is_whole


@pytest.mark.parametrize(
    ("positions", "told"),
    [
        ([], []),
        ([3], ["a-3 a-3"]),
        ([3, 4, 5], ["a-3 a-5"]),
        ([5, 3, 4, 4, 1], ["a-1 a-1", "a-3 a-5"]),
        ([5, 6, 7], ["a-5 a-6", "b-7 b-7"]),
        ([6, 8], ["a-6 a-6", "b-8 b-8"]),
    ],
)
def test_erased_entries_as_ranges(positions: list[int], told: list[str]) -> None:
    found = ranges(positions, head(1, 9, ("a", 1), ("b", 7)))
    assert [f"{each.first} {each.last}" for each in found] == told


# --- stories


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES, options={"sync": SyncOptions(page=3)})
    yield world
    assert not world.server.telemetry.bugs
    await world.stop()


@pytest.fixture
async def romeo(world: World) -> WorldClient:
    return await world.login("romeo@localhost/orchard")


@pytest.fixture
async def juliet(world: World, romeo: WorldClient) -> WorldClient:
    del romeo
    return await world.login("juliet@localhost/balcony")


numbers = itertools.count()


async def ask(client: WorldClient, since: str = "", rest: str = "") -> tuple[list[SyncItem], SyncFin]:
    """Ask for one page; give its parts and its end."""
    client.take()
    attributes = f"since='{since}' {rest}" if since else rest
    answer = await client.request(
        f"<iq type='get' id='s{next(numbers)}'><sync xmlns='urn:tidings:sync:0' {attributes}/></iq>"
    )
    assert answer.get("type") == "result", answer
    items = []
    for message in client.take("message"):
        part = message.children[0]
        if part.namespace == ns.TIDINGS_SYNC:
            assert message.get("from") == str(client.jid.bare)
            kinds = {
                "entry": SyncEntry,
                "gap": SyncGap,
                "erased": SyncErased,
                "conversation": SyncConversation,
            }
            items.append(kinds[part.name].decode(part))
    return items, SyncFin.decode(answer.children[0])


async def everything(client: WorldClient, since: str = "") -> tuple[list[SyncItem], SyncFin]:
    """Ask until nothing is left."""
    items, fin = await ask(client, since)
    while not fin.is_complete:
        more, fin = await ask(client, fin.cursor)
        assert not fin.is_reset
        items += more
    return items, fin


def bodies(items: list[SyncItem]) -> list[str]:
    stanzas = [item.forwarded.stanza() for item in items if isinstance(item, SyncEntry) and item.forwarded]
    texts = [stanza.decode(ns.CLIENT, "body") for stanza in stanzas if stanza is not None]
    return [text.text for text in texts if text is not None]


def conversations(items: list[SyncItem]) -> dict[str, SyncConversation]:
    return {str(item.peer): item for item in items if isinstance(item, SyncConversation)}


async def say(client: WorldClient, *texts: object, to: Jid = ROMEO, rest: str = "") -> None:
    await client.send(
        *(f"<message to='{to}' type='chat' id='{text}'><body>{text}</body>{rest}</message>" for text in texts)
    )


async def test_an_account_without_anything(romeo: WorldClient) -> None:
    items, fin = await ask(romeo)
    assert (items, fin.is_complete, fin.is_reset, fin.first) == ([], False, False, None)
    items, after = await ask(romeo, fin.cursor)
    assert (items, after.is_complete) == ([], True)
    assert (await ask(romeo, after.cursor))[1] == after


async def test_the_first_pages_list_the_conversations(world: World, romeo: WorldClient) -> None:
    for number in range(5):
        friend = await world.login(f"friend{number}@localhost/x")
        await world.advance(1)
        await say(friend, f"one {number}", f"two {number}")
    items, fin = await ask(romeo)
    assert [str(item.peer) for item in items if isinstance(item, SyncConversation)] == [
        "friend4@localhost",
        "friend3@localhost",
        "friend2@localhost",
    ]
    [newest, *_] = items
    assert isinstance(newest, SyncConversation)
    assert (newest.unread, newest.read, newest.box, newest.archive) == (2, None, "inbox", None)
    assert newest.forwarded is not None
    last = newest.forwarded.stanza()
    assert last is not None
    assert last.id == "two 4"
    assert b"stanza-id" in last.content
    assert not fin.is_complete
    items, fin = await ask(romeo, fin.cursor)
    assert list(conversations(items)) == ["friend1@localhost", "friend0@localhost"]
    assert not fin.is_complete  # what happened since the first page comes now: nothing
    items, fin = await ask(romeo, fin.cursor)
    assert (items, fin.is_complete) == ([], True)


async def test_nothing_falls_between_the_list_and_the_changes(world: World, romeo: WorldClient) -> None:
    friends = [await world.login(f"friend{number}@localhost/x") for number in range(4)]
    for friend in friends:
        await world.advance(1)
        await say(friend, "old")
    _, fin = await ask(romeo)
    await say(friends[0], "new")  # moves from the page to come to the page that was
    items, _ = await everything(romeo, fin.cursor)
    assert bodies(items) == ["new"]
    assert conversations(items)["friend0@localhost"].unread == 2


async def test_what_happened_since(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, "before")
    _, fin = await everything(romeo)
    await say(juliet, "Art thou not Romeo?")
    await say(romeo, "Neither", to=JULIET)
    await juliet.send(
        f"<message to='{ROMEO}' type='chat' id='r'><reactions xmlns='{ns.REACTIONS}' id='Neither'>"
        "<reaction>x</reaction></reactions></message>"
    )
    items, fin = await everything(romeo, fin.cursor)
    entries = [item for item in items if isinstance(item, SyncEntry)]
    assert [(item.kind, item.is_sent, item.peer) for item in entries] == [
        ("message", False, JULIET),
        ("message", True, JULIET),
        ("reactions", False, JULIET),
    ]
    assert entries[2].target == entries[1].id
    assert [item.id.partition("-")[2] for item in entries] == ["2", "3", "4"]
    assert list(conversations(items)) == ["juliet@localhost"]
    row = conversations(items)["juliet@localhost"]
    assert (row.unread, row.read, row.last, row.forwarded) == (0, entries[1].id, entries[1].id, None)
    assert (await ask(romeo, fin.cursor))[0] == []


async def test_what_was_done_on_another_device(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, "one", "two")
    _, fin = await everything(romeo)
    await world.stores.ledger.commit(
        LedgerBatch(
            reads=(ReadMove(owner=ROMEO, peer=JULIET, upto=1),),
            changes=(InboxChange(owner=ROMEO, peer=JULIET, box="archive", muted_until=5_000_000, pinned=2),),
        )
    )
    items, fin = await everything(romeo, fin.cursor)
    [row] = items
    assert isinstance(row, SyncConversation)
    assert (row.unread, row.box, row.muted_until, row.pinned) == (1, "archive", 5_000_000, 2)
    assert (row.read or "").endswith("-1")


async def test_a_conversation_that_leaves_the_inbox(
    world: World, romeo: WorldClient, juliet: WorldClient
) -> None:
    await say(juliet, "one")
    _, fin = await everything(romeo)
    ledger = world.stores.ledger
    await ledger.commit(LedgerBatch(changes=(InboxChange(owner=ROMEO, peer=JULIET, box="bin"),)))
    await ledger.empty_bin(ROMEO)
    items, fin = await everything(romeo, fin.cursor)
    assert items == [SyncConversation(peer=JULIET, is_gone=True)]
    await say(juliet, "two")
    items, fin = await everything(romeo, fin.cursor)
    assert not conversations(items)["juliet@localhost"].is_gone
    await ledger.erase_conversation(ROMEO, JULIET)
    items, fin = await everything(romeo, fin.cursor)
    assert [type(item) for item in items] == [SyncErased, SyncConversation]
    assert conversations(items)["juliet@localhost"].is_gone


async def test_what_was_erased(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, *range(5))
    _, fin = await everything(romeo)
    await world.stores.ledger.erase(ROMEO, (2, 3, 5))
    await say(juliet, "late")
    await world.stores.ledger.erase(ROMEO, (6,))
    items, _ = await everything(romeo, fin.cursor)
    erased = [
        (item.first.partition("-")[2], item.last.partition("-")[2])
        for item in items
        if isinstance(item, SyncErased)
    ]
    assert erased == [("2", "3"), ("5", "5")]
    [entry] = [item for item in items if isinstance(item, SyncEntry)]
    assert entry.forwarded is None
    assert entry.id.endswith("-6")


async def test_a_page_is_as_large_as_it_is_asked_for(romeo: WorldClient, juliet: WorldClient) -> None:
    _, fin = await everything(romeo)
    for number in range(5):
        await say(juliet, number)
    items, page = await ask(romeo, fin.cursor)
    assert bodies(items) == ["0", "1", "2"]
    assert not page.is_complete
    items, page = await ask(romeo, fin.cursor, "max='1' queryid='q'")
    assert bodies(items) == ["0"]
    assert {item.query_id for item in items} == {"q"}
    items, page = await ask(romeo, page.cursor, "max='9'")
    assert (bodies(items), page.is_complete) == (["1", "2", "3", "4"], True)


async def test_the_end_tells_what_is_left(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, *range(4))
    _, fin = await everything(romeo)
    await world.stores.ledger.trim(ROMEO, keep=2)
    _, fin = await everything(romeo, fin.cursor)
    assert (fin.first or "").endswith("-3")
    assert not fin.is_reset


# --- a cursor that is worth nothing


async def test_entries_that_are_gone(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, 1)
    _, fin = await everything(romeo)
    await say(juliet, 2, 3)
    await world.stores.ledger.trim(ROMEO, keep=1)
    items, fin = await ask(romeo, fin.cursor)
    assert fin.is_reset
    assert list(conversations(items)) == ["juliet@localhost"]
    _, fin = await everything(romeo, fin.cursor)
    assert not fin.is_reset


async def test_another_history(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, 1)
    _, fin = await everything(romeo)
    await world.stores.ledger.renew()
    _, fin = await ask(romeo, fin.cursor)
    assert fin.is_reset


@pytest.mark.parametrize("since", ["nonsense", "a.1.b", "x.1.e-1.y"])
async def test_a_cursor_that_is_none_of_ours(romeo: WorldClient, since: str) -> None:
    assert (await ask(romeo, since))[1].is_reset


async def test_a_cursor_from_the_future(romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, 1)
    _, fin = await everything(romeo)
    cursor = SyncCursor.parse(fin.cursor)
    assert cursor is not None
    ahead = SyncCursor(cursor.incarnation, cursor.feed + 1, cursor.at)
    assert (await ask(romeo, str(ahead)))[1].is_reset


# --- who may ask, and what it means


async def test_only_the_own_account_answers(romeo: WorldClient, juliet: WorldClient) -> None:
    for to in ("juliet@localhost", "localhost"):
        answer = await romeo.request(
            f"<iq type='get' id='x' to='{to}'><sync xmlns='urn:tidings:sync:0'/></iq>"
        )
        assert answer.get("type") == "error"
    bad = await romeo.request("<iq type='get' id='y'><sync xmlns='urn:tidings:sync:0' max='0'/></iq>")
    assert bad.get("type") == "error"


async def test_guests_have_none() -> None:
    world = await World.start(features=FEATURES, anonymous=["localhost"])
    guest = await world.login("romeo@localhost/x")
    answer = await guest.request("<iq type='get' id='x'><sync xmlns='urn:tidings:sync:0'/></iq>")
    assert answer.get("type") == "error"
    await world.stop()


async def test_it_is_advertised(romeo: WorldClient) -> None:
    for to in ("localhost", "romeo@localhost"):
        answer = await romeo.request(f"<iq type='get' id='d' to='{to}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
        features = [each.get("var") for each in answer.children[0].children]
        assert features.count(ns.TIDINGS_SYNC) == 1


async def test_who_synchronises_gets_no_replay(world: World, romeo: WorldClient, juliet: WorldClient) -> None:
    await say(juliet, "missed")
    await ask(romeo)
    await romeo.send("<presence/>")
    assert romeo.take("message") == []
    await say(juliet, "live")
    [message] = romeo.take("message")
    assert message.text_of("body") == "live"


# --- whatever happens


@dataclass
class Copy:
    """What a device holds: the state that it is told, kept from page to page."""

    cursor: str = ""
    entries: dict[str, str] = field(default_factory=dict)
    rows: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def apply(self, items: list[SyncItem], fin: SyncFin) -> None:
        if fin.is_reset or not self.cursor:
            self.entries, self.rows = {}, {}
        for item in items:
            match item:
                case SyncEntry():
                    self.entries[item.id] = "" if item.forwarded is None else item.forwarded.raw.decode()
                case SyncErased():
                    first, last = (int(each.rpartition("-")[2]) for each in (item.first, item.last))
                    for each in self.entries:
                        if first <= int(each.rpartition("-")[2]) <= last:
                            self.entries[each] = ""
                case SyncConversation(is_gone=True):
                    self.rows.pop(str(item.peer), None)
                case SyncConversation():
                    self.rows[str(item.peer)] = (item.unread, item.box, item.pinned, item.last, item.read)
        self.cursor = fin.cursor


async def truth(ledger: Ledger) -> dict[str, tuple[object, ...]]:
    """Give every conversation as it is asked for anew."""
    inbox = await ledger.inbox(ROMEO, InboxQuery(all_boxes=True))
    now = await ledger.head(ROMEO)

    def name(position: int) -> str | None:
        return f"{now.epoch_at(position)}-{position}" if position else None

    return {
        str(row.peer): (row.unread, row.box, row.pinned, name(row.position), name(row.read_position))
        for row in inbox.rows
    }


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["juliet", "nurse", "romeo", "read", "box", "erase", "trim", "renew", "sync", "page"]
        ),
        st.integers(1, 6),
    ),
    max_size=25,
)


async def play(schedule: list[tuple[str, int]]) -> None:
    world = await World.start(features=FEATURES, options={"sync": SyncOptions(page=2)})
    try:
        clients = {name: await world.login(f"{name}@localhost/x") for name in ("romeo", "juliet", "nurse")}
        romeo, ledger, copy = clients["romeo"], world.stores.ledger, Copy()
        copy.apply(*(await ask(romeo)))
        for what, number in schedule:
            match what:
                case "juliet" | "nurse":
                    await say(clients[what], *range(number))
                case "romeo":
                    await say(romeo, number, to=JULIET if number % 2 else NURSE)
                case "page":
                    copy.apply(*(await ask(romeo, copy.cursor)))
                case "sync":
                    copy.apply(*(await everything_for(copy, romeo)))
                case _:
                    await change(ledger, what, number)
        copy.apply(*(await everything_for(copy, romeo)))
        assert copy.rows == await truth(ledger)
        page = await ledger.page(ROMEO, PageQuery(limit=1_000, tombstones=True))
        bodies_now = {str(each.id): each.body for each in page.entries}
        held = {each: text for each, text in copy.entries.items() if each in bodies_now}
        assert all(bool(text) is (bodies_now[each] is not None) for each, text in held.items())
    finally:
        await world.stop()


async def change(ledger: Ledger, what: str, number: int) -> None:
    """Do to the archive and the inbox what other devices and retention do."""
    peer = JULIET if number % 2 else NURSE
    match what:
        case "read":
            await ledger.commit(LedgerBatch(reads=(ReadMove(owner=ROMEO, peer=peer, upto=number),)))
        case "box" | "bin":
            box = InboxChange(
                owner=ROMEO, peer=peer, box="bin" if what == "bin" else "archive", pinned=number
            )
            await ledger.commit(LedgerBatch(changes=(box,)))
        case "empty":
            await ledger.empty_bin(ROMEO)
        case "forget":
            await ledger.erase_conversation(ROMEO, peer)
        case "erase":
            await ledger.erase(ROMEO, (number,))
        case "trim":
            await ledger.trim(ROMEO, keep=number)
        case "renew":
            await ledger.renew()


async def everything_for(copy: Copy, client: WorldClient) -> tuple[list[SyncItem], SyncFin]:
    """Apply all pages but the last, which is given."""
    items, fin = await ask(client, copy.cursor)
    while not fin.is_complete:
        copy.apply(items, fin)
        items, fin = await ask(client, copy.cursor)
    return items, fin


@pytest.mark.timeout(300)
@settings(max_examples=40, deadline=None)
@given(steps)
def test_pages_add_up_to_the_state(schedule: list[tuple[str, int]]) -> None:
    asyncio.run(play(schedule))


def test_an_answer_is_an_element() -> None:
    assert SyncFin.decode(SyncFin(cursor="c").encode()) == SyncFin(cursor="c")
    assert isinstance(SyncFin(cursor="c").encode(), Element)
