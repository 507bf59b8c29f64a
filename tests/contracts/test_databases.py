"""What the SQL adapter promises beyond the ports: migrations, lost connections, errors that help."""

# ruff: noqa: ASYNC240  # small files on the local disk

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, text

from tests.contracts.samples import ALICE, BOB, keys
from tests.harness.databases import Server
from tidings.adapters.sql import examine, open_database, open_stores
from tidings.adapters.sql.checkpoints import (
    KEPT_OCTETS,
    LOG_PAGES,
    LOOK_SECONDS,
    OLDEST_SECONDS,
    Checkpointer,
)
from tidings.adapters.sql.migrate import _revisions, known_revision
from tidings.adapters.sql.tables import metadata
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Entry, LedgerBatch
from tidings.ports.roster import RosterEntry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tidings.db"


# -- migrations


async def test_an_empty_database_is_migrated_and_kept(fresh_url: str) -> None:
    for turn in range(2):
        stores = await open_stores(fresh_url)
        if turn == 0:
            await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
        assert await stores.accounts.exists(ALICE)
        await stores.close()
    report = await examine(fresh_url)
    assert report.revision == report.known == known_revision()


async def test_the_migrations_make_the_tables_that_the_code_uses(fresh_url: str) -> None:
    def is_compared(name: str | None, kind: str, _: object) -> bool:
        # The text search has a different index in each database, and makes it itself.
        return kind != "table" or name is None or not name.startswith("search")

    def differences(connection: Connection) -> list[object]:
        opts = {"compare_type": False, "include_name": is_compared}
        return compare_metadata(MigrationContext.configure(connection, opts=opts), metadata)

    def types(connection: Connection) -> list[object]:
        opts = {"include_name": is_compared}
        return compare_metadata(MigrationContext.configure(connection, opts=opts), metadata)

    database = await open_database(fresh_url)
    try:
        assert await database.read(differences) == []
        if not fresh_url.startswith("mariadb"):  # where a boolean is read back as a TINYINT
            assert await database.read(types) == []
    finally:
        await database.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(fresh_url: str) -> None:
    database = await open_database(fresh_url)
    await database.write(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    )
    await database.close()
    with pytest.raises(BackendError, match=r"newer Tidings.*9999.*up to " + known_revision()):
        await open_database(fresh_url)
    with pytest.raises(BackendError, match="newer Tidings"):
        await examine(fresh_url)


async def test_processes_that_start_together_migrate_once(fresh_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from tidings.adapters.sql import open_stores\n"
        "async def main():\n"
        "    sys.stdin.readline()\n"
        "    stores = await open_stores(sys.argv[1], lock_seconds=20)\n"
        "    await stores.ping()\n"
        "    await stores.close()\n"
        "asyncio.run(main())\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, fresh_url, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    outcomes = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0], [said.decode() for _, said in outcomes]
    assert (await examine(fresh_url)).revision == known_revision()


async def test_a_migration_that_was_killed_halfway_is_taken_up_again(mariadb_server: Server) -> None:
    url = mariadb_server.create_database()
    await (await open_database(url)).close()
    database = await open_database(url)
    await database.write(lambda connection: connection.execute(text("DROP TABLE blocked")))
    await database.write(lambda connection: connection.execute(text("DELETE FROM alembic_version")))
    await database.close()
    stores = await open_stores(url)
    await stores.accounts.create(ALICE, (), 1.0)
    await stores.blocking.add(ALICE, [BOB])
    await stores.close()
    mariadb_server.drop_database(url)


async def test_the_text_search_goes_on_where_it_was_before_it_was_a_follower(fresh_url: str) -> None:
    database = await open_database(fresh_url)

    def go_back(connection: Connection) -> None:
        connection.execute(
            text("CREATE TABLE search_state (id SMALLINT PRIMARY KEY, message BIGINT NOT NULL)")
        )
        connection.execute(text(f"INSERT INTO search_state (id, message) VALUES (1, {(7 << 16) + 4})"))
        connection.execute(text("DELETE FROM followers"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))

    await database.write(go_back)
    await database.close()
    stores = await open_stores(fresh_url)
    assert stores.ledger is not None
    state = await stores.ledger.followers.follower("text_index")
    assert state is not None
    assert (state.cursor.feed, state.cursor.number) == (7, 5)
    await stores.close()


# -- connections


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_lost_connections_are_not_noticed(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    stores = await open_stores(url, readers=1)
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
    assert await stores.accounts.exists(ALICE)
    assert server.drop_connections(url) == 2
    assert await stores.accounts.exists(ALICE)
    await stores.roster.put(ALICE, RosterEntry(jid=BOB))
    assert server.drop_connections(url) == 2
    await stores.roster.put(ALICE, RosterEntry(jid=BOB, name="Bob"))
    assert (await stores.roster.load(ALICE)).entries == (RosterEntry(jid=BOB, name="Bob"),)
    await stores.close()
    server.drop_database(url)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_transaction_that_loses_its_connection_is_done_once(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    stores = await open_stores(url, readers=1)
    attempts = []

    def insert_and_lose(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE IF NOT EXISTS probes (number INTEGER)"))
        connection.execute(text("INSERT INTO probes VALUES (1)"))
        attempts.append(1)
        if len(attempts) == 1:
            server.drop_connections(url)
        connection.execute(text("INSERT INTO probes VALUES (2)"))

    await stores.database.write(insert_and_lose)
    assert len(attempts) == 2
    found = await stores.database.read(
        lambda connection: connection.execute(text("SELECT COUNT(*) FROM probes")).scalar_one()
    )
    assert found == 2
    await stores.close()
    server.drop_database(url)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_commit_without_an_answer_is_not_repeated(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    database = await open_database(url)
    attempts = []

    def lose_at_the_end(connection: Connection) -> None:
        attempts.append(1)
        connection.execute(text("SELECT 1"))
        server.drop_connections(url)

    with pytest.raises(BackendError, match="during a commit"):
        await database.write(lose_at_the_end)
    assert len(attempts) == 1
    await database.ping()
    await database.close()
    server.drop_database(url)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_deadlock_is_tried_again(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    one, other = await open_database(url, lock_seconds=20), await open_database(url, lock_seconds=20)
    await one.write(
        lambda connection: connection.execute(text("CREATE TABLE probes (id INTEGER PRIMARY KEY, n INTEGER)"))
    )
    await one.write(lambda connection: connection.execute(text("INSERT INTO probes VALUES (1, 0), (2, 0)")))
    loop = asyncio.get_running_loop()
    both_began = asyncio.Barrier(2)
    waits = []

    def crosswise(first: int, second: int):
        turns = []

        def work(connection: Connection) -> None:
            connection.execute(text("UPDATE probes SET n = n + 1 WHERE id = :id"), {"id": first})
            if not turns:
                turns.append(1)
                waits.append(1)
                asyncio.run_coroutine_threadsafe(both_began.wait(), loop).result(20)
            connection.execute(text("UPDATE probes SET n = n + 1 WHERE id = :id"), {"id": second})

        return work

    await asyncio.gather(one.write(crosswise(1, 2)), other.write(crosswise(2, 1)))
    found = await one.read(
        lambda connection: connection.execute(text("SELECT n FROM probes")).scalars().all()
    )
    assert list(found) == [2, 2]
    await one.close()
    await other.close()
    server.drop_database(url)


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    for url in (
        f"postgresql://tidings:hush@/tidings?host={tmp_path}",
        "postgresql://tidings:hush@127.0.0.1:1/tidings",
        "mysql://tidings:hush@127.0.0.1:1/tidings",
        "mariadb://tidings:hush@127.0.0.1:1/tidings",
    ):
        with pytest.raises(BackendError, match="Start the database server") as caught:
            await open_database(url)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_database_that_is_not_there_is_told(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    server.drop_database(url)
    with pytest.raises(BackendError, match="Create the database"):
        await open_database(url)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
async def test_a_lock_that_another_holds_is_told(kind: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    one, other = await open_stores(url), await open_stores(url, lock_seconds=1)
    await one.accounts.create(ALICE, (), 1.0)
    loop = asyncio.get_running_loop()
    is_held, is_done = asyncio.Event(), asyncio.Event()

    def hold(connection: Connection) -> None:
        connection.execute(text("UPDATE accounts SET created = 2"))
        loop.call_soon_threadsafe(is_held.set)
        asyncio.run_coroutine_threadsafe(is_done.wait(), loop).result(30)

    holding = asyncio.ensure_future(one.database.write(hold))
    await is_held.wait()
    with pytest.raises(BackendError, match="Another process holds a lock"):
        await other.accounts.touch_last(ALICE, 3.0)
    assert await other.accounts.exists(ALICE)  # readers wait for nobody
    is_done.set()
    await holding
    await one.close()
    await other.close()
    server.drop_database(url)


# -- SQLite files


async def test_a_new_file_is_readable_by_its_owner_alone(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    await stores.accounts.create(ALICE, (), 1.0)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    await stores.close()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


async def test_a_file_is_written_ahead_and_synchronised(file: Path) -> None:
    database = await open_database(f"sqlite:///{file}")

    def settings(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await database.write(settings) == ["wal", 2, 1]
    await database.close()


async def test_the_log_stays_short_whatever_the_rows_are_like(file: Path) -> None:
    database = await open_database(f"sqlite:///{file}")
    await database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE large (octets BLOB)"))
    longest = 0
    for _ in range(100):

        def one_row(connection: Connection) -> None:
            connection.exec_driver_sql("DELETE FROM large")
            connection.exec_driver_sql("INSERT INTO large VALUES (zeroblob(1000000))")

        await database.write(one_row)
        longest = max(longest, Path(f"{file}-wal").stat().st_size)
    assert longest < KEPT_OCTETS + 20_000_000  # it is looked at every so many commits
    await database.close()


def rows_of(path: Path) -> int:
    """Count accounts and messages in a copy of the file alone, as `cp` makes it; none where it is a torn one.

    `cp` is a process of its own: who closes a file of a database ends the locks that this process has on it.
    """
    copy, found = path.with_name("copy.db"), 0
    subprocess.run(["cp", path, copy], check=True)
    with contextlib.closing(sqlite3.connect(copy)) as connection, contextlib.suppress(sqlite3.DatabaseError):
        for table in ("accounts", "messages"):
            found += int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    for each in path.parent.glob("copy.db*"):
        each.unlink()
    return found


@pytest.mark.parametrize("in_process", [False, True])
async def test_a_copy_of_the_file_alone_has_everything_once_nothing_happens(
    file: Path, in_process: bool
) -> None:
    stores = await open_stores(f"sqlite:///{file}", in_process=in_process)
    ledger = stores.ledger
    assert ledger is not None
    for number in range(20):
        await stores.accounts.create(Jid(f"user{number}@localhost"), (), 1.0)
    entry = Entry(archive=ALICE, peer=Jid("bob@localhost"))
    await ledger.commit(LedgerBatch(appends=(Append(body=b"<message/>", entries=(entry,)),)))
    async with asyncio.timeout(20):
        while rows_of(file) < 21:
            await asyncio.sleep(0.1)
    await stores.accounts.create(Jid("late@localhost"), (), 1.0)
    async with asyncio.timeout(20):
        while rows_of(file) < 22:
            await asyncio.sleep(0.1)
    await stores.close()
    assert not any(Path(f"{file}{ending}").exists() for ending in ("-wal", "-shm"))
    assert rows_of(file) == 22


async def test_who_copies_the_log_ends_no_lock_of_sqlite(file: Path) -> None:
    """Looking at the log from the process that has the database open must not let others write beside it."""
    database = await open_database(f"sqlite:///{file}")
    held, released = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE held (x)"))
        held.set()
        assert released.wait(20)

    writing = asyncio.create_task(database.write(work))
    await asyncio.to_thread(held.wait, 20)
    await asyncio.sleep(2 * LOOK_SECONDS)  # it looks at the log meanwhile
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    tried = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", other, file], capture_output=True, text=True, check=False
    )
    released.set()
    await writing
    await database.close()
    assert "database is locked" in tried.stderr


async def test_a_copy_of_the_file_alone_is_never_far_behind_under_load(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    made, seen = 0, 0
    async with asyncio.timeout(40):
        while seen < 20:  # a trickle that never rests for as long as it takes to be called idle
            await stores.accounts.create(Jid(f"user{made}@localhost"), (), 1.0)
            made += 1
            await asyncio.sleep(0.05)
            seen = rows_of(file)
    assert made < 20 + (OLDEST_SECONDS + 3 * LOOK_SECONDS) / 0.05
    await stores.close()


def test_what_another_connection_wrote_counts_for_the_log(file: Path) -> None:
    copied = []
    checkpointer = Checkpointer(file, copied.append, lambda: (0, 1, 1))
    for rows in (LOG_PAGES // 2, LOG_PAGES - 10, 5):  # the last one on a new connection
        checkpointer.committed(rows)
    assert copied == []
    checkpointer.committed(20)
    checkpointer.close()
    assert len(copied) == 1


async def test_readers_do_not_wait_for_the_writer(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    await stores.accounts.create(ALICE, (), 1.0)
    loop = asyncio.get_running_loop()
    is_held, is_done = asyncio.Event(), asyncio.Event()

    def hold(connection: Connection) -> None:
        connection.execute(text("DELETE FROM accounts"))
        loop.call_soon_threadsafe(is_held.set)
        asyncio.run_coroutine_threadsafe(is_done.wait(), loop).result(30)

    holding = asyncio.ensure_future(stores.database.write(hold))
    await is_held.wait()
    assert await stores.accounts.exists(ALICE)
    is_done.set()
    await holding
    assert not await stores.accounts.exists(ALICE)
    await stores.close()


async def test_a_locked_file_is_told(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}", lock_seconds=0.05)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BackendError, match=rf"{file}: database is locked.*fuser"):
        await stores.accounts.create(ALICE, (), 1.0)
    assert not await stores.accounts.exists(ALICE)
    other.execute("ROLLBACK")
    await stores.accounts.create(ALICE, (), 1.0)
    other.close()
    await stores.close()


async def test_a_full_disk_is_told_and_service_resumes(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    await stores.accounts.create(ALICE, (), 1.0)
    limit = ["PRAGMA max_page_count = 40", "PRAGMA max_page_count = 100000"]

    def next_limit(connection: Connection) -> None:
        connection.exec_driver_sql(limit.pop(0))

    await stores.database.write(next_limit)
    with pytest.raises(BackendError, match=rf"{file}: database or disk is full.*Free or add disk space"):
        await stores.vcards.put(ALICE, b"v" * 400_000)
    assert await stores.vcards.get(ALICE) is None
    await stores.vcards.put(ALICE, b"small")
    await stores.database.write(next_limit)
    await stores.vcards.put(ALICE, b"v" * 400_000)
    assert await stores.vcards.get(ALICE) == b"v" * 400_000
    await stores.close()


async def test_a_damaged_file_is_told(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
    await stores.close()
    octets = bytearray(file.read_bytes())
    octets[4096:] = b"\xa5" * (len(octets) - 4096)
    file.write_bytes(octets)
    with pytest.raises(BackendError, match=rf"{file}: database disk image is malformed.*recover"):
        await examine(f"sqlite:///{file}")
    with pytest.raises(BackendError, match=rf"{file}: database disk image is malformed.*recover"):
        await open_stores(f"sqlite:///{file}")


async def test_a_file_that_is_no_database_is_told_and_left_alone(file: Path) -> None:
    file.write_bytes(b"Dear diary, " * 1000)
    for opening in (examine, open_stores):
        with pytest.raises(BackendError, match=r"file is not a database.*move this one away"):
            await opening(f"sqlite:///{file}")
    assert file.read_bytes() == b"Dear diary, " * 1000


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    for opening in (examine, open_stores):
        with pytest.raises(BackendError, match=r"No such file.*folder .*missing exists"):
            await opening(f"sqlite:///{tmp_path}/missing/tidings.db")


async def test_a_look_makes_no_file(file: Path) -> None:
    report = await examine(f"sqlite:///{file}")
    assert (report.revision, report.known) == (None, known_revision())
    assert not file.exists()


# -- the rest


@pytest.mark.parametrize(
    "url", ["", "tidings.db", "oracle://tidings:hush@host/x", "postgresql://tidings:hush@host:port/x"]
)
async def test_a_wrong_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(BackendError, match="An example: sqlite:///") as caught:
        await open_database(url)
    assert "hush" not in str(caught.value)


async def test_closed_stores_say_so(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    await stores.close()
    with pytest.raises(BackendError, match="is closed"):
        await stores.accounts.exists(ALICE)


async def test_a_log_in_reads_one_row(file: Path) -> None:
    stores = await open_stores(f"sqlite:///{file}")
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"), 1.0)
    said = []
    for engine in (stores.database._reader, stores.database._writer):
        event.listen(engine, "before_cursor_execute", lambda *arguments: said.append(arguments[2]))
    await stores.accounts.get(ALICE)
    assert len(said) == 1
    plan = sqlite3.connect(file)
    (row,) = plan.execute(f"EXPLAIN QUERY PLAN {said[0]}", (b"",)).fetchall()
    plan.close()
    assert "SEARCH accounts USING INDEX" in row[3]
    await stores.close()


def test_the_files_of_migrations_are_numbered_as_alembic_orders_them():
    config = Config()
    config.set_main_option("script_location", "tidings.adapters.sql:migrations")
    ordered = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(ordered)) == _revisions()
