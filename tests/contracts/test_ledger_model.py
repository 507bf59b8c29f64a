"""The ledger beside a plain model: whatever is written, both say the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from tests.harness.databases import Server
from tests.harness.ledger_model import UNKNOWN, Model
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger, open_memory_ledger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Conflict,
    CursorMove,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    Full,
    InboxChange,
    LedgerBatch,
    MemberChange,
    Outcome,
    ReadMove,
    Stale,
    message_key,
)
from tidings.ports.ledger.reading import EntryId, InboxQuery, PageQuery

PEOPLE = [Jid(f"{name}@example.org") for name in ("nina", "nína", "bob")]
ROOM = Jid("room@rooms.example.org")
KINDS = [
    EntryKind.MESSAGE,
    EntryKind.MESSAGE,
    EntryKind.MESSAGE,
    EntryKind.RETRACTION,
    EntryKind.DISPLAYED,
    EntryKind.CORRECTION,
]
people = st.sampled_from(PEOPLE)
names = st.builds(lambda sender, number: message_key(sender, str(number)), people, st.integers(1, 12))
places = st.tuples(people, st.integers(0, 40))
"""Stand for `EntryRef`, whose epoch only the ledger knows."""

bounds = st.sampled_from([0, 0, 0, 0, 30, 100, 300])
"""How many octets an archive may have."""

targets = st.lists(names | places, min_size=1, max_size=2).map(tuple)


NICKS = {person: ROOM.with_resource(f"nick{number}") for number, person in enumerate(PEOPLE)}
CONTENTS = [b"", b"one".ljust(16), b"two".ljust(16)]
SHAPES = ["chat", "chat", "room", "room", "private", "wrong", "invitation", "member"]
NEXT = -1
"""Stands for where a stream stands before the batch, or for the version that an archive has then."""


@st.composite
def messages(draw: st.DrawFn) -> Append:
    """A message between two people, one in the room, or one that the room is about."""
    sender = draw(people)
    shape = draw(
        st.sampled_from(["chat", "chat", "room", "room", "private", "wrong", "invitation", "member"])
    )
    kind = EntryKind.MESSAGE if shape in {"private", "invitation"} else draw(st.sampled_from(KINDS))
    kind = EntryKind.MEMBERSHIP if shape == "member" else kind
    is_countable = kind is EntryKind.MESSAGE
    name = message_key(sender, draw(st.integers(1, 12).map(str)))
    stream = draw(st.sampled_from([None, None, b"1" * 16, b"2" * 16]))
    append = Append(
        body=f"{kind} {draw(st.integers(1, 3))}{'x' * draw(st.integers(0, 20))}".encode(),
        entries=draw(_entries(shape, sender, kind)),
        kind=kind,
        keys=(name,) if is_countable else (),
        repeat=draw(st.sampled_from([None, name])) if is_countable else None,
        refers_to=() if is_countable or shape == "member" else draw(targets),
        stream=stream,
        number=draw(st.integers(1, 60)) if stream else 0,
        follows=draw(st.sampled_from([None, None, NEXT, NEXT, 7])) if stream else None,
        sender=draw(st.sampled_from(["", sender, f"{sender}/phone"])),
        content=draw(st.sampled_from(CONTENTS)),
        is_strict=draw(st.sampled_from([False, False, True])),
        repeat_within=draw(st.sampled_from([0, 0, 1, 3])),  # in commits, each of which is a microsecond later
        raises=draw(st.sampled_from([(), (), (ROOM,)])),
        reads=draw(st.lists(reads(), max_size=1).map(tuple)),
    )
    replace = msgspec.structs.replace
    match shape:
        case "room" if is_countable:
            mentions = draw(st.sets(people, max_size=2))
            return replace(append, mentions=tuple(mentions), mentions_all=draw(st.booleans()))
        case "member":
            return replace(append, members=draw(st.lists(_member_changes, min_size=1, max_size=2).map(tuple)))
        case "private":
            entry = Entry(archive=draw(people), peer=NICKS[sender], countable=True, most_octets=draw(bounds))
            also = Append(body=b"the other side", entries=(entry,), sender=f"{sender}/phone")
            return replace(append, sender=f"{sender}/phone", also=(also,))
        case "wrong" | "invitation":
            return replace(append, sender=f"{sender}/phone")
    return append


@st.composite
def _entries(draw: st.DrawFn, shape: str, sender: Jid, kind: EntryKind) -> tuple[Entry, ...]:
    is_countable = kind is EntryKind.MESSAGE
    recipient = draw(people)
    version = draw(st.sampled_from([None, None, None, NEXT, 0]))
    most, most_received = draw(bounds), draw(bounds)
    sent = Entry(
        archive=sender,
        peer=recipient,
        direction=Direction.SENT,
        countable=is_countable,
        most_octets=most,
    )
    received = Entry(archive=recipient, peer=sender, countable=is_countable, most_octets=most_received)
    replace = msgspec.structs.replace
    match shape:
        case "room":
            entry = Entry(
                archive=ROOM,
                peer=ROOM,
                countable=is_countable,
                reader=sender,
                version=version,
                most_octets=most,
            )
            return (replace(entry, reads=kind is EntryKind.DISPLAYED),)
        case "member":
            return (Entry(archive=ROOM, peer=ROOM, reader=sender, version=version),)
        case "private":  # each side knows the other as an occupant; the room adds the second one
            return (replace(sent, peer=NICKS[recipient]),)
        case "wrong":  # as if the room were the other side
            return replace(sent, peer=ROOM), replace(received, peer=ROOM)
        case "invitation":
            return (replace(received, peer=ROOM),)
    reads = kind is EntryKind.DISPLAYED and draw(st.booleans())
    is_offline_only = draw(st.sampled_from([False, False, False, True]))
    return replace(sent, reads=reads, version=version), replace(received, offline_only=is_offline_only)


@st.composite
def reads(draw: st.DrawFn) -> ReadMove:
    peer = draw(people | st.just(ROOM))
    upto = draw(st.integers(0, 40) | targets)
    source = draw(st.sampled_from([ROOM, None])) if peer == ROOM else None
    return ReadMove(owner=draw(people), peer=peer, upto=upto, source=source)


_member_changes = st.builds(
    MemberChange,
    room=st.just(ROOM),
    member=people,
    affiliation=st.sampled_from(["member", "owner", "outcast", ""]),
    joins=st.sampled_from([None, True, True, False]),
)

changes = st.builds(
    InboxChange,
    owner=people,
    peer=people | st.just(ROOM),
    box=st.sampled_from([None, "inbox", "archive", "bin", "x"]),
    pinned=st.sampled_from([None, 0, 3]),
    unread=st.sampled_from([None, None, True, False]),
)
cursors = st.builds(
    CursorMove, archive=people, device=st.sampled_from(["phone", "Phone"]), position=st.integers(0, 40)
)
batches = st.builds(
    LedgerBatch,
    appends=st.lists(messages(), max_size=6).map(tuple),
    reads=st.lists(reads(), max_size=2).map(tuple),
    changes=st.lists(changes, max_size=2).map(tuple),
    cursors=st.lists(cursors, max_size=2).map(tuple),
)


class Machine(RuleBasedStateMachine):
    """One caller; what several do at once is for the other suites."""

    url: ClassVar[str]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model = Model()
        self.feeds: dict[Jid, list[int]] = {}
        self.now = 1_767_225_600_000_000
        self.open()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def open(self) -> None:
        if self.url == "at once":
            self.ledger = self.run(open_memory_ledger(now=lambda: self.now))
            return
        database = self.run(open_database(self.url.replace("FOLDER", self.folder.name)))
        self.ledger = SqlLedger(database, now=lambda: self.now)

    def teardown(self) -> None:
        self.run(self.ledger._database.write(clear))
        self.run(self.ledger.close())
        self.folder.cleanup()

    def told(self, targets: tuple[Any, ...]) -> tuple[Any, ...]:
        """Give places their epochs."""
        told = []
        for target in targets:
            if isinstance(target, tuple):
                head = self.run(self.ledger.head(target[0]))
                is_there = 1 <= target[1] <= head.position
                epoch = head.epoch_at(target[1]) if is_there else UNKNOWN
                target = EntryRef(target[0], epoch, target[1])  # noqa: PLW2901
            told.append(target)
        return tuple(told)

    def named(self, batch: LedgerBatch) -> LedgerBatch:
        """Give the batch what only the ledger knows: epochs, versions, where streams stand."""
        replace = msgspec.structs.replace
        appends = []
        for append in batch.appends:
            entries = tuple(
                replace(entry, version=self.model.versions.get(entry.archive, 0))
                if entry.version == NEXT
                else entry
                for entry in append.entries
            )
            follows = append.follows
            if follows == NEXT:
                follows = self.model.streams.get(append.stream, 0)
            reads = self.named_reads(append.reads)
            refers_to = self.told(append.refers_to)
            appends.append(
                replace(append, entries=entries, follows=follows, reads=reads, refers_to=refers_to)
            )
        return replace(batch, appends=tuple(appends), reads=self.named_reads(batch.reads))

    def named_reads(self, reads: tuple[ReadMove, ...]) -> tuple[ReadMove, ...]:
        replace = msgspec.structs.replace
        return tuple(
            replace(each, upto=self.told(each.upto)) if isinstance(each.upto, tuple) else each
            for each in reads
        )

    @rule(batch=batches)
    def commit(self, batch: LedgerBatch) -> None:
        async def commit():
            return await self.ledger.commit(batch)

        self.now += 1
        batch = self.named(batch)
        answer = self.run(commit())
        for outcome, wanted in zip(answer.outcomes, self.model.commit(batch.appends), strict=True):
            assert kind_of(outcome) == wanted.kind
            if wanted.kind == "stale":
                continue
            if wanted.full is not None:
                assert outcome == Full(*wanted.full)
                continue
            message = wanted.message
            assert places_of(outcome) == (message.places if message else [])
            if wanted.kind == "accepted":
                assert list(outcome.targets) == (message.targets if any(message.targets) else [])
                assert list(outcome.returned) == message.returned
                assert [places_of(also) for also in outcome.also] == [also.places for also in message.also]
        moves = [(move, self.model.read(move)) for move in batch.reads]
        assert list(answer.moved) == [moved for _, moved in moves]
        assert list(answer.changed) == [self.model.change(change) for change in batch.changes]
        for move in batch.cursors:
            self.model.seen(move)

    @rule(jid=st.sampled_from([*PEOPLE, ROOM, ROOM]))
    def forget(self, jid: Jid) -> None:
        """Destroy the room, or remove an account, if nothing of it is held."""
        first = self.model.first(jid)
        if any(item.is_held for item in self.model.archives.get(jid, [])[first - 1 :]):
            return
        while self.run(self.ledger.forget_account(jid, limit=3)):
            pass
        self.model.forget(jid)

    @rule(archive=st.sampled_from([*PEOPLE, ROOM]), positions=st.sets(st.integers(1, 40), max_size=8))
    def erase(self, archive: Jid, positions: set[int]) -> None:
        erased = self.run(self.ledger.erase(archive, tuple(positions)))
        assert erased == self.model.erase(archive, list(positions))

    @rule(archive=st.sampled_from([*PEOPLE, ROOM]), peer=people)
    def erase_conversation(self, archive: Jid, peer: Jid) -> None:
        while self.run(self.ledger.erase_conversation(archive, peer, limit=2)):
            pass
        self.model.erase_conversation(archive, peer)

    @rule(archive=st.sampled_from([*PEOPLE, ROOM]), position=st.integers(1, 40), is_held=st.booleans())
    def hold(self, archive: Jid, position: int, is_held: bool) -> None:
        self.run(self.ledger.hold(archive, (position,), is_held=is_held))
        self.model.hold(archive, position, is_held)

    @rule(archive=st.sampled_from([*PEOPLE, ROOM]), keep=st.integers(0, 12), limit=st.integers(1, 5))
    def trim(self, archive: Jid, keep: int, limit: int) -> None:
        while self.run(self.ledger.trim(archive, keep=keep, limit=limit)):
            pass
        self.model.trim(archive, keep)

    @rule(archive=st.sampled_from([*PEOPLE, ROOM]), octets=st.integers(0, 150), limit=st.integers(1, 5))
    def trim_to_octets(self, archive: Jid, octets: int, limit: int) -> None:
        while self.run(self.ledger.trim(archive, octets=octets, limit=limit)):
            pass
        self.model.trim(archive, octets=octets)

    @rule(archive=st.sampled_from([*PEOPLE, ROOM]), position=st.integers(1, 40))
    def erase_everywhere(self, archive: Jid, position: int) -> None:
        head = self.run(self.ledger.head(archive))
        if not head.first <= position <= head.position:
            return
        erased = self.run(self.ledger.erase_everywhere(EntryId(head.epoch_at(position), position), archive))
        assert erased == self.model.erase_everywhere(archive, position)

    @rule()
    def forget_offline_only(self) -> None:
        while self.run(self.ledger.forget_offline_only(self.now + 1, limit=3)):
            pass
        self.model.forget_offline_only()

    @rule()
    def open_again(self) -> None:
        if self.url.startswith("sqlite:///FOLDER"):
            self.run(self.ledger.close())
            self.open()

    @rule()
    def begin_another_incarnation(self) -> None:
        self.run(self.ledger.renew())

    @rule(
        archive=st.sampled_from([*PEOPLE, ROOM]),
        peer=st.none() | people,
        limit=st.integers(0, 5),
        start=st.integers(0, 40),
        newest=st.booleans(),
        has_start=st.booleans(),
    )
    def look(self, archive: Jid, peer: Jid | None, limit: int, start: int, newest: bool, has_start: bool):
        head = self.run(self.ledger.head(archive))
        is_there = has_start and head.first <= start <= head.position
        bound = EntryId(head.epoch_at(start), start) if is_there else None
        query = PageQuery(
            peer=peer,
            limit=limit,
            newest=newest,
            before=bound if newest else None,
            after=None if newest else bound,
        )
        page = self.run(self.ledger.page(archive, query))
        wanted = self.model.matching(archive, peer)
        assert page.total == len(wanted)
        if bound is not None:
            wanted = [place for place in wanted if (place < start if newest else place > start)]
        shown = wanted[max(0, len(wanted) - limit) :] if newest else wanted[:limit]
        assert [entry.id.position for entry in page.entries] == shown
        assert page.is_complete == (len(wanted) <= limit)
        for entry in page.entries:
            item = self.model.archives[archive][entry.id.position - 1]
            assert (entry.body, entry.target) == (item.message.append.body, item.target)
            assert (entry.retracted is not None) is self.model.is_retracted(archive, entry.id.position)

    @invariant()
    def archives_are_equal(self) -> None:
        for archive, items in self.model.archives.items():
            page = self.run(self.ledger.page(archive, PageQuery(limit=1000, tombstones=True)))
            first = self.model.first(archive)
            here = items[first - 1 :]
            assert [entry.id.position for entry in page.entries] == list(range(first, len(items) + 1))
            kept = [
                None if item.is_erased or item.entry.offline_only else item.message.append.body
                for item in here
            ]
            assert [entry.body for entry in page.entries] == kept
            assert [entry.peer for entry in page.entries] == [item.entry.peer for item in here]
            times = [entry.time for entry in page.entries]
            assert times == sorted(times)
            assert self.run(self.ledger.head(archive)).octets == self.model.octets(archive)

    @invariant()
    def inboxes_are_equal(self) -> None:
        for owner in PEOPLE:
            inbox = self.run(self.ledger.inbox(owner, InboxQuery(all_boxes=True)))
            unread = self.model.unread(owner)
            assert {row.peer: row.unread for row in inbox.rows} == unread
            for row in inbox.rows:
                wanted = self.model.rows[owner, row.peer]
                assert row.pinned == wanted.pinned
                if wanted.source == owner:
                    assert row.box == wanted.box
            assert {row.peer: row.mentions for row in inbox.rows} == self.model.mentions(owner)
            outside = [row.unread for row in inbox.rows if row.box != "bin"]
            assert inbox.unread == sum(outside)
            assert inbox.unread_conversations == sum(1 for count in outside if count)
            devices = {device: at for (of, device), at in self.model.devices.items() if of == owner}
            known = self.run(self.ledger.devices(owner))
            assert {name: device.position for name, device in known.items()} == devices

    @invariant()
    def members_are_equal(self) -> None:
        members = {member.member: member for member in self.run(self.ledger.members(ROOM))}
        found = {(ROOM, jid): (each.affiliation, each.joined) for jid, each in members.items()}
        assert found == self.model.members
        for person in PEOPLE:
            assert self.run(self.ledger.member(ROOM, person)) == members.get(person)
            assert list(self.run(self.ledger.rooms_of(person))) == [
                each for each in (members.get(person),) if each
            ]
        for archive, version in self.model.versions.items():
            assert self.run(self.ledger.head(archive)).version == version


def kind_of(outcome: Outcome) -> str:
    match outcome:
        case Accepted():
            return "repeated" if outcome.repeated else "accepted"
        case Stale():
            return "stale"
        case Conflict():
            return "conflict"
        case Full():
            return "full"
    raise AssertionError(outcome)


def places_of(outcome: Accepted | Conflict) -> list[tuple[str, int]]:
    return [(place.archive, place.position) for place in outcome.places]


def clear(connection) -> None:
    from tidings.adapters.sql.tables import metadata

    for table in metadata.sorted_tables:
        connection.execute(table.delete())
    connection.execute(text("DELETE FROM search"))


@pytest.fixture(params=("at once", "sqlite in memory", "sqlite", "postgresql", "mariadb"))
def place(request: pytest.FixtureRequest):
    match request.param:
        case "at once":
            yield "at once", 40
        case "sqlite in memory":
            yield "sqlite:///:memory:", 5
        case "sqlite":
            yield "sqlite:///FOLDER/tidings.db", 10
        case _:
            server: Server = request.getfixturevalue(f"{request.param}_server")
            url = server.create_database()
            yield url, 5
            server.drop_database(url)


@pytest.mark.timeout(900)  # making what has failed small takes its time, and is worth it
def test_the_ledger_equals_the_model(place: tuple[str, int]) -> None:
    url, examples = place
    with asyncio.Runner() as runner:
        machine = type("Machine", (Machine,), {"url": url, "runner": runner})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
