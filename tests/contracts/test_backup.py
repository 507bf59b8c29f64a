"""A backup has everything as it was at one moment, and goes back into any kind of database."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, create_engine, text

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    ROOM,
    accept,
    change,
    chat,
    pointing,
    read,
    said,
    say,
    seen,
    texts,
    unread,
)
from tests.contracts.room_stories import joins, membership
from tests.contracts.samples import LONGEST, LOOK_ALIKES, keys
from tidings.adapters.sql import open_database, open_stores
from tidings.adapters.sql.dump import TABLES, Row, snapshot
from tidings.adapters.sql.load import load
from tidings.adapters.sql.move_target import move_target
from tidings.adapters.sql.stores import SqlStores
from tidings.adapters.sql.tables import metadata
from tidings.adapters.sql.urls import parse_url
from tidings.app import backup
from tidings.app.backup_file import BackupReader, Manifest
from tidings.app.config import load as load_config
from tidings.app.move import move
from tidings.app.options import Config
from tidings.base.errors import BackendError, BackupError
from tidings.ports.accounts import Ban
from tidings.ports.groups import Member, SharedGroup
from tidings.ports.ledger.batch import EntryKind, LedgerBatch
from tidings.ports.ledger.reading import EntryId, InboxQuery, NoSuchEntry, PageQuery
from tidings.ports.nodes import (
    Affiliation,
    ItemQuery,
    NodeConfig,
    NodeItem,
    NodeLimits,
    SubscriptionState,
)
from tidings.ports.nodes import (
    Subscription as NodeSubscription,
)
from tidings.ports.roster import RosterEntry, Subscription

TABLES_BY_NAME = {str(table.name): table for table in TABLES}
HALF = 5
"""Of the accounts."""

RENEWED = {"ledger", "followers"}
"""What a restored database says differently."""


def ignore(*_: object) -> None:
    """Progress that nobody looks at."""


def config_of(url: str, folder: Path) -> Config:
    folder.mkdir(exist_ok=True)
    file = folder / "tidings.toml"
    file.write_text(f'[server]\ndata_dir = "{folder}/data"\n[database]\nurl = "{url}"\n')
    return load_config(str(file), {}, {})


def hashes(manifest: Manifest) -> dict[str, tuple[int, str]]:
    entries = manifest.tables.items()
    return {name: (entry.rows, entry.sha256) for name, entry in entries if name not in RENEWED}


def anybody(_node: object, _standing: object) -> None:
    """Let everybody change a node."""


async def live(stores: SqlStores) -> None:
    """Let something stand in every kind of table."""
    for jid in (ALICE, BOB, LONGEST, *LOOK_ALIKES):
        await stores.accounts.create(jid, keys("SCRAM-SHA-256"), 1.5)
    await stores.accounts.ban(BOB, Ban("spam \U0001f4a9", 2.25))
    await stores.roster.put(ALICE, RosterEntry(jid=LONGEST, name="Ñ", groups=("a", "b")))
    await stores.roster.put(ALICE, RosterEntry(jid=BOB, subscription=Subscription.BOTH, approved=True))
    await stores.private.put(ALICE, "urn:x", "höhe", bytes(range(256)))
    await stores.vcards.put(BOB, b"<vCard xmlns='vcard-temp'><FN>Bob the Builder</FN></vCard>")
    await stores.blocking.add(ALICE, (CAROL, LONGEST))
    await stores.documents.put(ALICE, "urn:y", "key", b"\x00\xff", expected=None)
    await stores.groups.create(ALICE.domain, SharedGroup(name="größe", label="G", displayed=frozenset({"a"})))
    await stores.groups.add(ALICE.domain, "größe", [Member(ALICE, "Älice"), Member(BOB)])
    await stores.groups.drop(ALICE.domain, "größe", [BOB])
    limits = NodeLimits(nodes=9, items=9, octets=9_999)
    item = NodeItem("höhe", ALICE, 1.5, b"<x xmlns='urn:x'/>")
    await stores.nodes.publish(ALICE, "urn:x", item, make=NodeConfig(), check=anybody, limits=limits)
    await stores.nodes.affiliate(ALICE, "urn:x", {BOB: Affiliation.MEMBER}, by=ALICE, check=anybody, most=9)
    subscription = NodeSubscription(BOB, SubscriptionState.SUBSCRIBED, "id", 2.5)
    await stores.nodes.subscribe(ALICE, "urn:x", subscription, by=BOB, check=anybody, most=9)
    ledger = stores.ledger
    await accept(
        ledger,
        chat(ALICE, BOB, "one", name=1),
        chat(BOB, ALICE, "two", name=2),
        pointing(ALICE, BOB, EntryKind.RETRACTION, 1),
        chat(CAROL, BOB, "away", offline_only=True, countable=False),
        *(chat(ALICE, BOB, f"many {number}") for number in range(80)),
    )
    await accept(ledger, membership(joins(ALICE), joins(BOB)), say(ALICE, "to the room"))
    await read(ledger, BOB, ALICE, 1)
    await change(ledger, BOB, CAROL, pinned=3, muted_until=7)
    await seen(ledger, BOB, "phone", 2)
    await ledger.hold(BOB, (1,))
    await ledger.erase(BOB, (9,))
    await ledger.index_step(1_000)


async def all_of(stores: SqlStores) -> list[object]:
    """What readers see."""
    query = PageQuery(tombstones=True, offline_only=True, folded=True, limit=200)
    found: list[object] = []
    for owner in (ALICE, BOB, CAROL, ROOM):
        found += [
            await stores.ledger.page(owner, query),
            await stores.ledger.inbox(owner, InboxQuery(all_boxes=True)),
            await stores.ledger.devices(owner),
        ]
    for account in (ALICE, BOB, LONGEST, *LOOK_ALIKES):
        found += [
            await stores.accounts.get(account),
            sorted((await stores.roster.load(account)).entries, key=lambda entry: entry.jid),
            (await stores.roster.load(account)).version,
            await stores.private.get(account, "urn:x", "höhe"),
            await stores.vcards.get(account),
            await stores.blocking.list(account),
            await stores.documents.get(account, "urn:y", "key"),
        ]
    found += [
        await stores.nodes.items(ALICE, "urn:x", ItemQuery()),
        await stores.nodes.standing(ALICE, "urn:x", BOB),
    ]
    groups = await stores.groups.load(ALICE.domain)
    found += [replace(groups, memberships=()), sorted(groups.memberships, key=lambda each: each.jid)]
    return found


@pytest.fixture
def other_url(request: pytest.FixtureRequest, tmp_path: Path, postgresql_server, mariadb_server):
    """Empty databases of each kind."""
    made = {"sqlite": f"sqlite:///{tmp_path}/other.db"}
    servers = {"postgresql": postgresql_server, "mariadb": mariadb_server}
    made |= {kind: server.create_database() for kind, server in servers.items()}
    yield made
    for kind, server in servers.items():
        server.drop_connections(made[kind])
        server.drop_database(made[kind])


async def test_it_goes_into_every_kind_of_database_and_is_the_same_there(
    fresh_url: str, other_url: dict[str, str], tmp_path: Path
) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    before = await all_of(stores)
    config = config_of(fresh_url, tmp_path / "first")
    first = await backup.make(config, tmp_path / "first.backup", ignore)
    await stores.close()
    assert first.tables["messages"].rows > 80
    for kind, url in other_url.items():
        there = config_of(url, tmp_path / kind)
        await backup.restore(there, tmp_path / "first.backup", ignore)
        again = await backup.make(there, tmp_path / f"{kind}.backup", ignore)
        assert hashes(again) == hashes(first), kind
        stores = await open_stores(url)
        assert await all_of(stores) == before, kind
        await stores.close()


async def test_it_moves_to_every_kind_of_database_and_goes_on_there(
    fresh_url: str, other_url: dict[str, str], tmp_path: Path
) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    before = await all_of(stores)
    incarnation = await stores.ledger.feed()
    await stores.close()
    config = config_of(fresh_url, tmp_path / "first")
    first = await backup.make(config, tmp_path / "first.backup", ignore)
    with pytest.raises(BackupError, match="uses already"):
        await move(config, fresh_url, ignore)
    for kind, url in other_url.items():
        rows = await move(config, url, ignore)
        # The one follower is the index of the search, which is made anew.
        assert rows == {name: entry.rows for name, entry in first.tables.items()} | {"followers": 0}
        stores = await open_stores(url)
        assert await all_of(stores) == before, kind
        assert await stores.ledger.feed() == incarnation
        await accept(stores.ledger, chat(BOB, ALICE, "moved"))
        head = await stores.ledger.head(ALICE)
        assert len(head.epochs) == 1
        await stores.close()
        with pytest.raises(BackupError, match="has data already"):
            await move(config, url, ignore)


async def test_a_move_that_was_interrupted_goes_on_where_it_was(
    fresh_url: str, other_url: dict[str, str], tmp_path: Path
) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    before = await all_of(stores)
    await stores.close()
    config = config_of(fresh_url, tmp_path / "first")
    for kind, url in other_url.items():
        await begin_move(fresh_url, url)
        with pytest.raises(BackendError, match="only the beginning of what moves to it"):
            await open_stores(url)
        with pytest.raises(BackupError, match="only the beginning of what moves to it"):
            await backup.make(config_of(url, tmp_path / kind), tmp_path / "of-a-part.backup", ignore)
        done: list[tuple[int, int]] = []
        await move(config, url, lambda _, rows, total, done=done: done.append((rows, total)))
        assert done[-1][0] == done[-1][1], kind
        stores = await open_stores(url)
        assert await all_of(stores) == before, kind
        await accept(stores.ledger, chat(BOB, ALICE, "moved"))
        await stores.close()


async def test_a_move_goes_on_in_its_own_beginning_only(
    fresh_url: str, other_url: dict[str, str], tmp_path: Path
) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    await stores.close()
    config = config_of(fresh_url, tmp_path / "first")
    for kind, url in other_url.items():
        await begin_move(fresh_url, url, but_for=2)
        with pytest.raises(BackupError, match="its table accounts is another one"):
            await move(config, url, ignore)
        with pytest.raises(BackendError, match="only the beginning of what moves to it"):
            await open_stores(url)
        there = create_engine(parse_url(url))
        with there.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM accounts")).scalar() == HALF - 1, kind
        there.dispose()


async def test_a_database_that_is_served_while_it_moves_is_told(
    fresh_url: str, other_url: dict[str, str], tmp_path: Path
) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    await stores.close()
    config = config_of(fresh_url, tmp_path / "first")
    there = create_engine(parse_url(fresh_url))

    def write(what: str, *_: object) -> None:
        """Be a server of another machine, which takes a message."""
        if what == "comparing":
            with there.begin() as connection:
                connection.execute(text("UPDATE ledger SET feed = feed + 1"))

    with pytest.raises(BackupError, match="was written to while it moved"):
        await move(config, other_url["sqlite"], write)
    there.dispose()
    with pytest.raises(BackendError, match="only the beginning of what moves to it"):
        await open_stores(other_url["sqlite"])


async def begin_move(source: str, url: str, *, but_for: int | None = None) -> None:
    """Leave a target as a move that is killed does: in the middle of a table, perhaps without one row."""
    accounts = TABLES_BY_NAME["accounts"]
    with snapshot(source) as found:
        async with move_target(url, found.revision) as target:
            for table in TABLES[: TABLES.index(accounts)]:
                if rows := list(found.rows(table)):
                    await target.put(table, rows)
            rows = list(found.rows(accounts))
            assert len(rows) > HALF
            await target.put(accounts, [row for at, row in enumerate(rows[:HALF]) if at != but_for])


async def test_what_is_restored_is_another_incarnation_and_goes_on(
    fresh_url: str, other_url: dict[str, str], tmp_path: Path
) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    incarnation, _ = await stores.ledger.feed()
    await backup.make(config_of(fresh_url, tmp_path / "first"), tmp_path / "first.backup", ignore)
    (lost,) = await accept(stores.ledger, chat(ALICE, BOB, "after the backup", name="lost"))
    await stores.close()
    kind = "sqlite" if fresh_url.startswith("sqlite") else fresh_url.partition(":")[0].partition("+")[0]
    kind = {"mysql": "mariadb"}.get(kind, kind)
    await backup.restore(config_of(other_url[kind], tmp_path / "next"), tmp_path / "first.backup", ignore)

    stores = await open_stores(other_url[kind])
    ledger = stores.ledger
    assert (await ledger.feed())[0] != incarnation
    stranger = BOB.with_resource("").bare
    await accept(ledger, chat(stranger, ALICE, "here again"), chat(LONGEST, ALICE, "new here"))
    assert (await texts(ledger, ALICE, limit=200))[-2:] == ["here again", "new here"]
    place = lost.places[0]
    with pytest.raises(NoSuchEntry):
        await ledger.page(ALICE, PageQuery(after=EntryId(place.epoch, place.position)))
    # The repeat of what the backup has is known, what it has not is accepted.
    again = (chat(BOB, ALICE, "two", name=2), chat(ALICE, BOB, "after", name="lost"))
    batch = LedgerBatch(appends=tuple(replace(append, repeat=append.keys[0]) for append in again))
    outcomes = (await ledger.commit(batch)).outcomes
    assert [outcome.repeated for outcome in outcomes] == [True, False]
    while await ledger.index_step(1_000):
        pass
    found = await ledger.page(ALICE, PageQuery(words=("new",)))
    assert [said(entry) for entry in found.entries] == ["new here"]
    assert await unread(ledger, BOB)
    await stores.close()


async def test_it_is_of_one_moment_whatever_is_written_meanwhile(fresh_url: str) -> None:
    stores = await open_stores(fresh_url)
    await live(stores)
    with snapshot(fresh_url) as found:
        count = found.count(TABLES_BY_NAME["entries"])
        await accept(stores.ledger, chat(ALICE, BOB, "meanwhile", name="meanwhile"))
        assert found.count(TABLES_BY_NAME["entries"]) == count
        assert len(list(found.rows(TABLES_BY_NAME["messages"]))) == found.count(TABLES_BY_NAME["messages"])
    with snapshot(fresh_url) as found:
        assert found.count(TABLES_BY_NAME["entries"]) == count + 2
    await stores.close()


async def test_nothing_is_put_where_something_is(fresh_url: str, tmp_path: Path) -> None:
    stores = await open_stores(fresh_url)
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-256"), 1.5)
    config = config_of(fresh_url, tmp_path / "first")
    await backup.make(config, tmp_path / "first.backup", ignore)
    reader = BackupReader(tmp_path / "first.backup")
    with reader, pytest.raises(BackupError, match="has data already"):
        await load(fresh_url, reader)
    assert await stores.accounts.count("example.org") == 1
    await stores.close()


async def test_rows_are_read_a_few_at_a_time(fresh_url: str) -> None:
    rows, octets = 3_000, 4_000
    stores = await open_stores(fresh_url)
    for number in range(0, rows, 500):
        made = {("memory", str(number + each)): b"x" * octets for each in range(500)}
        await stores.documents.make_all(ALICE, made)
    await stores.close()
    with snapshot(fresh_url) as found:
        tracemalloc.start()
        try:
            count = sum(1 for _ in found.rows(TABLES_BY_NAME["documents"]))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count == rows
    assert peak < rows * octets / 2


LATER = {
    *("promotions", "former_accounts", "group_heads", "shared_groups", "group_members", "properties"),
    *("nodes", "node_items", "node_affiliations", "node_subscriptions"),
    *("files", "file_usage", "file_mentions", "vcard_words"),
}
"""Tables that it did not have."""
LATER_COLUMNS = {
    ("archives", "octets"),
    ("accounts", "removal_since"),
    ("accounts", "removal_due"),
    ("members", "nick"),
    ("members", "domain"),
    ("ledger", "renames"),
    ("inbox", "read_time"),
}


class Earlier:
    """A backup that an earlier version made, which knew less of archives and of accounts."""

    revision = "0009"

    def __init__(self, reader: BackupReader) -> None:
        self._reader = reader
        self.tables = [name for name in reader.tables if name not in LATER]

    def columns(self, name: str) -> list[str]:
        return [column for column in self._reader.columns(name) if (name, column) not in LATER_COLUMNS]

    def rows(self, name: str) -> Iterator[Row]:
        there = self._reader.columns(name)
        kept = [there.index(column) for column in self.columns(name)]
        return (tuple(row[number] for number in kept) for row in self._reader.rows(name))


def _forget_read_times(connection: Connection) -> None:
    """Let nobody know when something was read, as it was then."""
    connection.execute(text("UPDATE inbox SET read_time = 0"))


async def test_a_backup_of_an_earlier_version_is_brought_up_to_date(fresh_url: str, tmp_path: Path) -> None:
    stores = await open_stores(f"sqlite:///{tmp_path}/first.db")
    await live(stores)
    await stores.groups.clear(ALICE.domain)  # there were none
    await stores.nodes.clear(ALICE)
    await stores.ledger._database.write(_forget_read_times)
    before = await all_of(stores)
    await stores.close()
    config = config_of(f"sqlite:///{tmp_path}/first.db", tmp_path / "first")
    first = await backup.make(config, tmp_path / "first.backup", ignore)
    with BackupReader(tmp_path / "first.backup") as reader:
        await load(fresh_url, Earlier(reader))
    again = await backup.make(config_of(fresh_url, tmp_path / "next"), tmp_path / "next.backup", ignore)
    assert hashes(again) == hashes(first)
    stores = await open_stores(fresh_url)
    assert await all_of(stores) == before
    await stores.close()


async def test_a_backup_of_a_newer_version_is_refused(fresh_url: str, tmp_path: Path) -> None:
    class Newer(Earlier):
        revision = "9999"

    stores = await open_stores(f"sqlite:///{tmp_path}/first.db")
    await stores.close()
    config = config_of(f"sqlite:///{tmp_path}/first.db", tmp_path / "first")
    await backup.make(config, tmp_path / "first.backup", ignore)
    reader = BackupReader(tmp_path / "first.backup")
    with reader, pytest.raises(BackupError, match="made by a newer Tidings"):
        await load(fresh_url, Newer(reader))


async def test_a_damaged_backup_is_told_and_changes_nothing(fresh_url: str, tmp_path: Path) -> None:
    stores = await open_stores(f"sqlite:///{tmp_path}/first.db")
    await live(stores)
    await stores.close()
    path = tmp_path / "first.backup"
    config = config_of(f"sqlite:///{tmp_path}/first.db", tmp_path / "first")
    await backup.make(config, path, ignore)
    backup.verify(path, ignore)
    raw = path.read_bytes()
    target = config_of(fresh_url, tmp_path / "next")
    for damage in (raw[:-100], raw[: len(raw) // 2], b"", b"no backup", _flipped(path)):
        path.write_bytes(damage)
        with pytest.raises(BackupError, match=r"whole backup|damaged"):
            backup.verify(path, ignore)
        with pytest.raises(BackupError, match=r"whole backup|damaged"):
            await backup.restore(target, path, ignore)
    path.write_bytes(raw)
    database = await open_database(fresh_url)
    await database.close()
    await backup.restore(target, path, ignore)


def _flipped(path: Path) -> bytes:
    """Change one octet of what is compressed of the largest table."""
    with zipfile.ZipFile(path) as opened:
        largest = max(opened.infolist(), key=lambda entry: entry.compress_size)
    raw = bytearray(path.read_bytes())
    end = raw.index(b"PK", largest.header_offset + 100 + largest.compress_size // 2)
    raw[end - largest.compress_size // 2] ^= 0x10
    return bytes(raw)


def test_every_table_is_dumped_or_left_out_on_purpose() -> None:
    assert {table.name for table in metadata.sorted_tables} - {table.name for table in TABLES} == {"leases"}
