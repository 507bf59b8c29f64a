"""The ledger with several writers, killed processes and lost connections."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading

import msgspec
import pytest
from sqlalchemy import Connection, event, text

from tests.harness.databases import Server
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Accepted, Append, Direction, Entry, LedgerBatch, message_key
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.reading import InboxQuery, PageQuery

PEOPLE = [Jid(f"user{number}@example.org") for number in range(6)]

# Sends in many small batches at once, between everybody; prints what it was told, a line for each message.
CHILD = """
import asyncio, random, sys
from tests.contracts.test_ledger_faults import PEOPLE, chat
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.ports.ledger.batch import LedgerBatch

async def main(url, name, amount):
    ledger = SqlLedger(await open_database(url, lock_seconds=20))
    chance = random.Random(name)
    async def talk(talker):
        for number in range(amount):
            sender, recipient = chance.sample(PEOPLE, 2)
            key = f"{name}-{talker}-{number}"
            batch = LedgerBatch(appends=(chat(sender, recipient, key),))
            (outcome,) = (await ledger.commit(batch)).outcomes
            print(key, *(f"{place.archive} {place.position}" for place in outcome.places), flush=True)
    await asyncio.gather(*(talk(talker) for talker in range(8)))
    await ledger.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def chat(sender: Jid, recipient: Jid, key: str) -> Append:
    name = message_key("once", sender, recipient, key)
    return Append(
        body=key.encode(),
        entries=(
            Entry(archive=sender, peer=recipient, direction=Direction.SENT, countable=True),
            Entry(archive=recipient, peer=sender, countable=True),
        ),
        keys=(name,),
        repeat=name,
    )


@pytest.fixture(params=("sqlite", "postgresql", "mariadb"))
def url(request: pytest.FixtureRequest, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tidings.db"
        return
    server: Server = request.getfixturevalue(f"{request.param}_server")
    made = server.create_database()
    yield made
    server.drop_database(made)


@pytest.fixture(params=("postgresql", "mariadb"))
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{request.param}_server")


async def start(url: str, name: str, amount: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, name, str(amount), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


async def archives(ledger: SqlLedger) -> dict[str, list[str]]:
    """Give the bodies of all archives; checks that they are dense, ordered and agree with their inboxes."""
    found = {}
    for jid in PEOPLE:
        page = await ledger.page(jid, PageQuery(limit=100_000))
        positions = [entry.id.position for entry in page.entries]
        assert positions == list(range(1, len(positions) + 1))
        assert [entry.time for entry in page.entries] == sorted(entry.time for entry in page.entries)
        assert [entry.feed for entry in page.entries] == sorted(entry.feed for entry in page.entries)
        found[str(jid)] = [entry.body.decode() for entry in page.entries]
        assert len(set(found[str(jid)])) == len(found[str(jid)])
        for row in (await ledger.inbox(jid, InboxQuery())).rows:
            of_peer = [entry for entry in page.entries if entry.peer == row.peer]
            sent = [index for index, entry in enumerate(of_peer) if entry.direction is Direction.SENT]
            assert row.unread == len(of_peer) - (sent[-1] + 1 if sent else 0)
            received = [entry.count for entry in of_peer if entry.direction is Direction.RECEIVED]
            assert received == list(range(1, len(received) + 1))
    return found


def check(said: bytes, found: dict[str, list[str]]) -> int:
    """Everything that was acknowledged stands where it was said to stand."""
    lines = [line.split() for line in said.decode().splitlines(keepends=True) if line.endswith("\n")]
    for key, *places in lines:
        for archive, position in zip(places[::2], places[1::2], strict=True):
            assert found[archive][int(position) - 1] == key
    return len(lines)


async def test_several_processes_write_dense_archives_and_a_feed_in_order(url: str) -> None:
    database = await open_database(url)
    ledger = SqlLedger(database)
    processes = [await start(url, f"p{number}", 40) for number in range(3)]
    ends = [asyncio.ensure_future(process.communicate()) for process in processes]
    seen: list[tuple[int, int]] = []
    since = Cursor("")
    while not all(end.done() for end in ends):  # a follower that reads during the writes
        page = await ledger.feed_after(since, limit=20)
        seen += [(item.feed, item.number) for item in page.items]
        since = page.cursor
        await asyncio.sleep(0.001)
    more = True
    while more:
        page = await ledger.feed_after(since)
        seen += [(item.feed, item.number) for item in page.items]
        since, more = page.cursor, not page.is_complete
    said = [await end for end in ends]
    assert [process.returncode for process in processes] == [0, 0, 0], [error.decode() for _, error in said]
    found = await archives(ledger)
    assert sum(check(output, found) for output, _ in said) == 3 * 8 * 40
    assert seen == sorted(set(seen))
    assert len(seen) == 3 * 8 * 40
    assert sorted({feed for feed, _ in seen}) == list(range(1, max(seen)[0] + 1))
    await database.close()


async def test_readers_never_see_a_gap(url: str) -> None:
    writer, other = await open_database(url), await open_database(url)
    ledger, reader = SqlLedger(writer), SqlLedger(other)
    sending = [
        asyncio.ensure_future(ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))))
        for n in range(300)
    ]
    before = 0
    while not all(each.done() for each in sending):
        page = await reader.page(PEOPLE[1], PageQuery(limit=1000))
        assert [entry.id.position for entry in page.entries] == list(range(1, len(page.entries) + 1))
        assert len(page.entries) >= before
        before = len(page.entries)
        assert all(entry.body for entry in page.entries)
    await asyncio.gather(*sending)
    await writer.close()
    await other.close()


async def test_what_a_killed_process_was_told_is_there(url: str) -> None:
    chance = random.Random(7)
    said = []
    for turn in range(6):
        process = await start(url, f"k{turn}", 100_000)
        assert process.stdout is not None
        output = await process.stdout.readline()  # it is at work
        await asyncio.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        rest, _ = await process.communicate()
        said.append(output + rest)
    database = await open_database(url)
    found = await archives(SqlLedger(database))
    assert all(check(output, found) for output in said)
    entries = [body for bodies in found.values() for body in bodies]
    assert all(entries.count(body) == 2 for body in random.Random(1).sample(entries, 20))
    await database.close()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_without_an_answer_is_looked_up(server: Server, when: str) -> None:
    url = server.create_database()
    database = await open_database(url, readers=1)
    ledger = SqlLedger(database)
    await ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], "0"),)))
    attempts: list[int] = []

    @event.listens_for(database._writer, "commit")
    def cut(connection: Connection) -> None:
        if attempts:
            return
        attempts.append(1)
        driver = connection.connection.driver_connection
        if when == "after":
            driver.commit()  # it takes effect; only the answer is lost
        server.drop_connections(url)
        if url.startswith("postgresql"):
            driver.close()  # which would notice nothing when there is nothing to commit

    answers = await asyncio.gather(
        *(ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))) for n in range(1, 6))
    )
    assert attempts
    assert all(isinstance(answer.outcomes[0], Accepted) for answer in answers)
    assert not any(answer.outcomes[0].repeated for answer in answers)
    found = await archives(ledger)
    assert found[PEOPLE[0]] == found[PEOPLE[1]] == [str(n) for n in range(6)]
    assert [answer.outcomes[0].places[0].position for answer in answers] == [2, 3, 4, 5, 6]
    await database.close()
    server.drop_database(url)


async def test_connections_that_break_all_the_time_lose_and_double_nothing(server: Server) -> None:
    url = server.create_database()
    database = await open_database(url, readers=1)
    ledger = SqlLedger(database)
    is_done = asyncio.Event()

    async def cut() -> None:
        while not is_done.is_set():
            await asyncio.to_thread(server.drop_connections, url)
            await asyncio.sleep(0.05)

    async def talk(talker: int) -> list[str]:
        told = []
        for number in range(30):
            append = chat(*PEOPLE[:2], f"{talker}-{number}")
            while True:
                try:
                    answer = await ledger.commit(LedgerBatch(appends=(append,)))
                except BackendError:
                    continue  # nobody knows: sent again, with the same key
                break
            told.append(answer.outcomes[0])
        return told

    cutting = asyncio.ensure_future(cut())
    told = await asyncio.gather(*(talk(talker) for talker in range(4)))
    is_done.set()
    await cutting
    found = await archives(ledger)
    for talker, outcomes in enumerate(told):
        for number, outcome in enumerate(outcomes):
            assert isinstance(outcome, Accepted)
            assert [found[place.archive][place.position - 1] for place in outcome.places] == [
                f"{talker}-{number}"
            ] * 2
    assert len(found[PEOPLE[0]]) == 120
    await database.close()
    server.drop_database(url)


async def test_a_caller_that_goes_away_disturbs_nobody(url: str) -> None:
    database = await open_database(url)
    ledger = SqlLedger(database)
    futures = [ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))) for n in range(20)]
    for future in futures[::2]:
        future.cancel()
    for future in futures[1::2]:
        await future
    await database.close()


async def test_a_stopping_server_answers_everybody(url: str) -> None:
    database = await open_database(url)
    ledger = SqlLedger(database)
    futures = [ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))) for n in range(600)]
    await database.close()
    answers = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(answer, BackendError) or answer.outcomes for answer in answers)
    with pytest.raises(BackendError, match="is closed"):
        await ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], "late"),)))
    database = await open_database(url)
    found = await archives(SqlLedger(database))
    assert len(found[PEOPLE[0]]) == sum(not isinstance(answer, BackendError) for answer in answers)
    await database.close()


async def test_a_locked_database_is_waited_for_and_given_up(url: str) -> None:
    one, other = await open_database(url), await open_database(url, lock_seconds=0.5)
    ledger = SqlLedger(other, patience=1.5)
    told: list[object] = []
    ledger.state.on_trouble = told.append
    ledger.state.on_recovery = told.append
    loop = asyncio.get_running_loop()

    def batch(number: int) -> LedgerBatch:
        return LedgerBatch(appends=(chat(*PEOPLE[:2], f"{number}"),))

    await ledger.commit(batch(1))
    is_held, is_done = asyncio.Event(), asyncio.Event()

    def hold(connection: Connection) -> None:
        connection.execute(text("UPDATE ledger SET feed = feed"))
        loop.call_soon_threadsafe(is_held.set)
        asyncio.run_coroutine_threadsafe(is_done.wait(), loop).result(30)

    holding = asyncio.ensure_future(one.write(hold))
    await is_held.wait()
    start = loop.time()
    given_up = [ledger.commit(batch(number)) for number in range(2, 6)]
    for future in given_up:
        with pytest.raises(BackendError):
            await future
    assert 0.9 < loop.time() - start < 9
    assert ledger.state.given_up == 4
    while not told:  # MariaDB waits longer for a lock than it was told to
        await asyncio.sleep(0.01)
    waiting = ledger.commit(batch(6))
    is_done.set()
    await holding
    (outcome,) = (await waiting).outcomes
    assert ledger.state.trouble == ""
    assert [type(each) for each in told] == [str, float]
    # What nobody waited for any more was not written, or surely before what came later.
    found = await archives(ledger)
    assert found[PEOPLE[0]][outcome.places[0].position - 1] == "6"
    assert found[PEOPLE[0]][-1] == "6"
    await one.close()
    await other.close()


async def test_a_database_that_is_away_is_waited_for(postgresql_server: Server) -> None:
    url = postgresql_server.create_database()
    database = await open_database(url, readers=1)
    ledger = SqlLedger(database, patience=60)
    name = url.partition("?")[0].rpartition("/")[2]
    loop = asyncio.get_running_loop()
    troubled, recovered = asyncio.Event(), asyncio.Event()
    ledger.state.on_trouble = lambda _: loop.call_soon_threadsafe(troubled.set)
    ledger.state.on_recovery = lambda _: loop.call_soon_threadsafe(recovered.set)
    futures = [ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], "0"),)))]
    await futures[0]
    postgresql_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgresql_server.drop_connections(url)
    futures += [ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))) for n in range(1, 40)]
    await troubled.wait()
    futures += [ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))) for n in range(40, 60)]
    assert not any(future.done() for future in futures[1:])
    postgresql_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    answers = [await future for future in futures]
    assert [answer.outcomes[0].places[0].position for answer in answers] == list(range(1, 61))
    await recovered.wait()
    assert (await archives(ledger))[PEOPLE[1]] == [str(n) for n in range(60)]
    await database.close()
    postgresql_server.drop_database(url)


async def test_a_full_disk_is_waited_for(tmp_path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/tidings.db")
    ledger = SqlLedger(database, patience=30)

    def limit(pages: int | None) -> None:
        def work(connection: Connection) -> None:
            connection.connection.cursor().execute(f"PRAGMA max_page_count = {pages or 1 << 30}").fetchall()

        database.transact_once(work)

    await ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], "0"),)))
    loop = asyncio.get_running_loop()
    troubled = asyncio.Event()
    ledger.state.on_trouble = lambda _: loop.call_soon_threadsafe(troubled.set)
    database.submit(lambda: limit(1))  # no page can be added
    large = [msgspec.structs.replace(chat(*PEOPLE[:2], f"{n}"), body=b"x" * 9000) for n in range(1, 9)]
    futures = [ledger.commit(LedgerBatch(appends=(append,))) for append in large]
    await troubled.wait()
    assert "full" in ledger.state.trouble
    assert not any(future.done() for future in futures)
    database.submit(lambda: limit(None))
    outcomes = [(await future).outcomes[0] for future in futures]
    assert [outcome.places[0].position for outcome in outcomes] == list(range(2, 10))
    assert ledger.state.trouble == ""
    await database.close()


async def test_a_long_queue_is_refused_at_once(tmp_path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/tidings.db")
    ledger = SqlLedger(database, queue_octets=100_000, queue_length=50)
    may_go_on = threading.Event()
    database.submit(may_go_on.wait)
    long = msgspec.structs.replace(chat(*PEOPLE[:2], "long"), body=b"x" * 200_000)
    futures = [ledger.commit(LedgerBatch(appends=(chat(*PEOPLE[:2], f"{n}"),))) for n in range(60)]
    with pytest.raises(BackendError, match="too slow"):
        await futures[-1]
    may_go_on.set()
    answers = await asyncio.gather(*futures, return_exceptions=True)
    assert [isinstance(answer, BackendError) for answer in answers] == [n >= 50 for n in range(60)]
    may_go_on.clear()
    database.submit(may_go_on.wait)
    futures = [ledger.commit(LedgerBatch(appends=(append,))) for append in (long, chat(*PEOPLE[:2], "y"))]
    with pytest.raises(BackendError, match="too slow"):
        await futures[1]
    may_go_on.set()
    await futures[0]
    assert ledger.state.batches == 51
    await database.close()


async def test_the_log_stays_short(tmp_path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/tidings.db")
    ledger = SqlLedger(database)
    log, longest = tmp_path / "tidings.db-wal", 0
    body = b"x" * 100_000
    for turn in range(60):
        appends = (msgspec.structs.replace(chat(*PEOPLE[:2], f"{turn}-{n}"), body=body) for n in range(40))
        await ledger.commit(LedgerBatch(appends=tuple(appends)))
        longest = max(longest, log.stat().st_size)
    assert (tmp_path / "tidings.db").stat().st_size + longest > 60 * 40 * 100_000
    assert longest < 160 << 20
    await database.close()


async def test_a_writer_that_loses_its_place_to_another_reads_anew(tmp_path) -> None:
    """Two writers take turns on one file: neither goes by what it remembers."""
    url = f"sqlite:///{tmp_path}/tidings.db"
    ledgers = [SqlLedger(await open_database(url)) for _ in range(2)]
    stream = b"s" * 16
    for number in range(1, 20):
        for turn, ledger in enumerate(ledgers):
            append = chat(*PEOPLE[turn : turn + 2], f"{number}-{turn}")
            append = msgspec.structs.replace(append, stream=stream, number=2 * number + turn)
            (outcome,) = (await ledger.commit(LedgerBatch(appends=(append,)))).outcomes
            assert not outcome.repeated
            if number % 7 == 0:
                await ledgers[1 - turn].bump_version(PEOPLE[1])
    assert (await ledgers[0].head(PEOPLE[1])).position == 38
    assert (await ledgers[0].head(PEOPLE[1])).version == 4
    await archives(ledgers[1])
    for ledger in ledgers:
        await ledger.close()
