"""A server's data moves from database to database and back; every move is killed twice on its way."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from tests.faults.crashes import Outcome, Tell
from tests.harness.databases import mariadb, program_of_mariadb
from tests.harness.postgresql import own_postgresql
from tests.harness.server_process import tidings_command
from tidings.adapters.sql import open_stores
from tidings.adapters.sql.migrate import current_revision, known_revision, unfinished
from tidings.adapters.sql.urls import database_file, parse_url
from tidings.app.backup_file import BackupReader
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Accepted, Append, Direction, Entry, LedgerBatch, message_key

KILLS = 2
"""Of each move."""

_PEOPLE = tuple(Jid(f"person-{number}@localhost") for number in range(40))
_BATCH = 250
_BIG_TABLES = ("messages", "entries", "conversations", "message_keys")
_MADE_ANEW = "followers"
_END_SECONDS = 1_800


class Move:
    """One way, and what came of it."""

    def __init__(self, folder: Path, source: str, target: str) -> None:
        self.target = target
        self.kills = 0
        self.seconds = 0.0
        self._file = _configuration(folder, source)

    def run(self, rows: int, chance: random.Random) -> None:
        """Kill the command twice, at random moments, then let it end."""
        shares = sorted(chance.uniform(0.05, 0.7) for _ in range(KILLS))
        for share in shares:
            process = self._start()
            if _wait_for_rows(process, self.target, int(rows * share)):
                process.kill()
                self.kills += 1
            process.communicate()
        start = time.monotonic()
        process = self._start()
        said = process.communicate(timeout=_END_SECONDS)[0].decode()
        self.seconds = time.monotonic() - start
        assert process.returncode == 0, said

    def _start(self) -> subprocess.Popen[bytes]:
        command = [tidings_command(), "migrate", "--config", self._file, "--to", self.target]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def move_around(folder: Path, messages: int, seed: int, tell: Tell) -> Outcome:
    """Move from SQLite to PostgreSQL, to MariaDB and to SQLite; compare the last with the first by hash."""
    chance = random.Random(seed)
    first = f"sqlite:///{folder}/first.sqlite"
    accepted = asyncio.run(_fill(first, messages, chance))
    before = _tables(folder, first)
    rows, big = sum(count for count, _ in before.values()), sum(before[name][0] for name in _BIG_TABLES)
    tell(f"{accepted:,} messages acknowledged, {rows:,} rows in all tables")
    outcome = Outcome({"messages acknowledged": accepted, "rows": rows, "kills": 0})
    with _targets(folder) as targets:
        source = first
        for kind, target in targets.items():
            place = folder / f"to-{kind}"
            place.mkdir()
            move = Move(place, source, target)
            move.run(big, chance)
            outcome.counts["kills"] += move.kills
            outcome.counts[f"seconds after the last kill, to {kind}"] = round(move.seconds, 1)
            tell(f"moved to {kind}, killed {move.kills} times, {move.seconds:.1f} s after the last kill")
            if move.kills < KILLS:
                outcome.violations.append(f"the move to {kind} was killed {move.kills} times only")
            after = _tables(place, target)
            outcome.violations += [
                f"{kind}: the table {name} has {after[name]} and had {expected}"
                for name, expected in before.items()
                if after[name] != expected
            ]
            source = target
    return outcome


@contextlib.contextmanager
def _targets(folder: Path) -> Iterator[dict[str, str]]:
    if program_of_mariadb() is None:
        raise RuntimeError("MariaDB is missing: install Debian's package mariadb-server")
    with own_postgresql(is_durable=True) as one, mariadb() as other:
        yield {
            "PostgreSQL": one.url(one.create_database()),
            "MariaDB": other.create_database(),
            "SQLite": f"sqlite:///{folder}/last.sqlite",
        }


def _configuration(folder: Path, url: str) -> Path:
    """Write the configuration of a server on this database."""
    file = folder / "tidings.toml"
    file.write_text(
        f'[server]\ndata_dir = "{folder}/data"\ndomains = ["localhost"]\n[database]\nurl = "{url}"\n'
    )
    return file


def _tables(folder: Path, url: str) -> dict[str, tuple[int, str]]:
    """Give the number of rows of each table and their hash, by a backup of them."""
    file = folder / "compared.backup"
    command = [tidings_command(), "backup", file, "--config", _configuration(folder, url)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with BackupReader(file) as reader:
        tables = {name: (entry.rows, entry.sha256) for name, entry in reader.manifest.tables.items()}
    file.unlink()
    del tables[_MADE_ANEW]
    return tables


def _wait_for_rows(process: subprocess.Popen[bytes], url: str, rows: int) -> bool:
    """Wait until so many rows have arrived; False where the command ended before."""
    parsed = parse_url(url)
    file = database_file(parsed)
    engine = create_engine(parsed, poolclass=NullPool)
    while process.poll() is None:
        begun = time.monotonic()
        if (file is None or file.exists()) and _arrived(engine) >= rows:
            return True
        time.sleep(0.005 + 2 * (time.monotonic() - begun))  # the database has other things to do
    return False


def _arrived(engine: Engine) -> int:
    """Count the rows that have arrived, none where the tables are not made yet."""
    with engine.connect() as connection:
        if current_revision(connection) != unfinished(known_revision()):
            return 0
        counts = [
            connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in _BIG_TABLES
        ]
    return sum(counts)


async def _fill(url: str, messages: int, chance: random.Random) -> int:
    """Have so many messages accepted; tell how many were."""
    stores = await open_stores(url)
    accepted = 0
    try:
        assert stores.ledger is not None
        for person in _PEOPLE:
            await stores.accounts.create(person, (), 1.5)
        for start in range(0, messages, _BATCH):
            appends = tuple(
                _message(number, chance) for number in range(start, min(start + _BATCH, messages))
            )
            commit = await stores.ledger.commit(LedgerBatch(appends=appends))
            accepted += sum(isinstance(outcome, Accepted) for outcome in commit.outcomes)
    finally:
        await stores.close()
    return accepted


def _message(number: int, chance: random.Random) -> Append:
    sender, recipient = chance.sample(_PEOPLE, 2)
    words = "höhe \U0001f600 " * chance.randrange(12)
    body = f'<message xmlns="jabber:client" type="chat"><body>{number} {words}</body></message>'
    return Append(
        body=body.encode(),
        entries=(
            Entry(archive=sender, peer=recipient, direction=Direction.SENT, countable=True),
            Entry(archive=recipient, peer=sender, countable=True),
        ),
        keys=(message_key("origin", sender, f"the message {number}"),),
    )
