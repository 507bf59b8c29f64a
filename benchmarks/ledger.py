"""What a message costs in the ledger: `python -m benchmarks.ledger [URL] [--busy] [--fill N]`.

By default in a SQLite file here. Each message has two archives, two inbox rows, a name and the number of its
stream, between one of 50 pairs. Wall time and the CPU time of the writer and of this process stand beside the
latency of an fsync on the same disk; the CPU time of a database server is not in it. `--busy` keeps the
event loop busy beside the writer; `--fill` first writes so many messages of `--archives` archives.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Append, Direction, Entry, LedgerBatch, message_key
from tidings.ports.ledger.reading import PageQuery

SECONDS: Final = 3.0
BODY: Final = b"<body>" + b"x" * 180 + b"</body>"
FILLED_AT_ONCE: Final = 20_000


def fsync_latency(folder: Path, times: int = 200) -> list[float]:
    """Give the sorted latencies of appending a page and synchronising it, in microseconds."""
    found = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(times):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            found.append((time.perf_counter() - start) * 1e6)
    return sorted(found)


class People:
    """Pairs of accounts that talk back and forth."""

    def __init__(self, archives: int) -> None:
        self._jids = [Jid(f"user{number}@example.org") for number in range(archives)]
        self._streams = [message_key("stream", jid, str(time.time_ns())) for jid in self._jids]
        self._number = 0
        self.amount = archives

    def message(self, pair: int, run: str) -> Append:
        """Make the next message of a pair."""
        self._number = number = self._number + 1
        first = 2 * pair % len(self._jids)
        side = number // len(self._jids) % 2
        sender, recipient = self._jids[first + side], self._jids[first + 1 - side]
        key = message_key("origin", sender, recipient, f"{run}-{number}")
        return Append(
            body=BODY,
            entries=(
                Entry(archive=sender, peer=recipient, direction=Direction.SENT, countable=True),
                Entry(archive=recipient, peer=sender, countable=True),
            ),
            keys=(key,),
            repeat=key,
            stream=self._streams[first + side],
            number=number,
        )


def writer_seconds(ledger: SqlLedger) -> float:
    """Give the CPU time that the writer's thread has used."""
    return ledger.state.cpu_seconds


def line(name: str, done: int, wall: float, cpu: float, writer: float) -> str:
    """Give a line of the table."""
    each = [f"{seconds / done * 1e6:.1f}" for seconds in (wall, cpu, writer)]
    return f"| {name} | {' | '.join(each)} | {done / wall:,.0f} |"


async def measure(ledger: SqlLedger, people: People, size: int) -> str:
    """Commit batches of this size one after another."""
    run, amount = f"{size}-{time.time_ns()}", max(200 * size, 40_000)
    batches = [
        LedgerBatch(appends=tuple(people.message(start + n, run) for n in range(size)))
        for start in range(0, amount, size)
    ]
    gc.collect()
    gc.freeze()  # the messages of this benchmark are no work of the ledger's
    wall, cpu, done = time.perf_counter(), time.process_time(), 0
    writer = writer_seconds(ledger)
    for batch in batches:
        await ledger.commit(batch)
        done += size
        if time.perf_counter() - wall > SECONDS:
            break
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return line(f"batches of {size}", done, wall, cpu, writer_seconds(ledger) - writer)


async def measure_callers(ledger: SqlLedger, people: People, callers: int, each: int) -> str:
    """Let callers send so many messages after another; the group commit puts them together."""
    run, end, done = f"c{callers}-{time.time_ns()}", time.perf_counter() + SECONDS, 0

    async def call(caller: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await ledger.commit(LedgerBatch(appends=tuple(people.message(caller, run) for _ in range(each))))
            done += each

    before, writer = ledger.state.transactions, writer_seconds(ledger)
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    size = done / (ledger.state.transactions - before)
    name = f"{callers} callers of {each}, {size:.0f} a transaction"
    return line(name, done, wall, cpu, writer_seconds(ledger) - writer)


async def fill(ledger: SqlLedger, people: People, amount: int) -> None:
    """Write messages pair by pair and in the order of their names, so that each page is written once."""
    start, each = time.perf_counter(), max(1, 2 * amount // people.amount)
    for done in range(0, amount, FILLED_AT_ONCE):
        batches = []
        for part in range(done, done + FILLED_AT_ONCE, 1000):
            appends = []
            for number in range(part, part + 1000):
                key = (number * ((1 << 128) // amount)).to_bytes(16, "big")
                message = people.message(number // each, "fill")
                appends.append(msgspec.structs.replace(message, keys=(key,), repeat=None))
            batches.append(LedgerBatch(appends=tuple(appends)))
        await asyncio.gather(*(ledger.commit(batch) for batch in batches))
        if done % 1_000_000 == 0:
            print(f"{done:,} after {time.perf_counter() - start:.0f} s", flush=True)
    if amount:
        print(f"{amount:,} after {time.perf_counter() - start:.0f} s\n", flush=True)


async def spin() -> None:
    """Keep the event loop busy."""
    while True:
        end = time.perf_counter() + 0.0005
        while time.perf_counter() < end:
            sum(range(100))
        await asyncio.sleep(0)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--fill", type=int, default=0)
    parser.add_argument("--archives", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        latencies = fsync_latency(Path(folder))
        print(f"fsync: median {latencies[100]:.0f} µs, p99 {latencies[198]:.0f} µs\n")
        database = await open_database(options.url or f"sqlite:///{folder}/tidings.db")
        ledger, people = SqlLedger(database, patience=600), People(options.archives)
        await fill(ledger, people, options.fill)
        spinning = asyncio.ensure_future(spin()) if options.busy else None
        print("| | wall µs/message | CPU µs/message | of it the writer | messages/s |\n|---|---|---|---|---|")
        for size in (1, 8, 64, 256):
            print(await measure(ledger, people, size), flush=True)
        for callers, each in ((50, 1), (50, 10), (500, 1)):
            print(await measure_callers(ledger, people, callers, each), flush=True)
        if spinning is not None:
            spinning.cancel()
        start, archive = time.perf_counter(), Jid("user1@example.org")
        for _ in range(50):
            await ledger.page(archive, PageQuery(newest=True, limit=50, counted=False))
        head = await ledger.head(archive)
        print(f"\npage of 50 of {head.position:,} entries: {(time.perf_counter() - start) / 50 * 1e3:.2f} ms")
        print(f"longest transaction: {ledger.state.longest_seconds * 1e3:.0f} ms")
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
