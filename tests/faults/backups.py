"""Backups that are made while everybody writes, each restored elsewhere and held against what was said."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.book import Fate
from tests.faults.crashes import Outcome, Tell
from tests.faults.population import Pace, Population, read_archives
from tests.harness.server_process import ServerProcess, tidings_command

HURRY = Pace(window=24, mean_pause=0.0005)
"""As fast as the server answers: about a thousand messages a second on two cores."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One that was made, and what it must have."""

    file: Path
    acknowledged: frozenset[str]
    """The messages that had been acknowledged before it began."""


async def back_up(server: ServerProcess, folder: Path, rounds: int, seed: int, tell: Tell) -> Outcome:
    """Make that many backups under load, then restore each into a server of its own."""
    chance = random.Random(seed)
    population = Population(server, chance, HURRY)
    restored = 0
    try:
        await population.arrive()
        population.press()
        begun = time.monotonic()
        made = [
            await _make(population, server, folder / f"{number}.backup", chance) for number in range(rounds)
        ]
        acknowledged = population.book.count(Fate.ACKNOWLEDGED)
        rate = round(acknowledged / (time.monotonic() - begun))
        tell(f"{rounds} backups, {acknowledged:,} messages acknowledged meanwhile, {rate:,} a second")
        await population.settle()
        await population.audit()
        for number, backup in enumerate(made):
            place = folder / f"restored-{number}"
            await asyncio.to_thread(place.mkdir)
            restored += await _check(population, backup, place)
            tell(f"{number + 1} restored, {len(backup.acknowledged):,} messages acknowledged before it began")
    finally:
        await population.leave()
    return Outcome.of(
        population,
        **{"backups": rounds, "messages a second": rate, "entries in restored archives": restored},
    )


async def _make(population: Population, server: ServerProcess, file: Path, chance: random.Random) -> Backup:
    await asyncio.sleep(chance.uniform(0.5, 2.0))
    sent = population.book.sent.values()
    acknowledged = frozenset(each.id for each in sent if each.fate is Fate.ACKNOWLEDGED)
    done = await asyncio.to_thread(server.command, "backup", str(file))
    assert not done.returncode, done.stderr
    return Backup(file, acknowledged)


async def _check(population: Population, backup: Backup, folder: Path) -> int:
    """Compare what is restored with the archives of the server that went on; give how many entries it has."""
    book, entries = population.book, 0
    restoring = [tidings_command(), "restore", backup.file, "--data-dir", folder / "data"]
    done = await asyncio.to_thread(subprocess.run, restoring, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    server = await asyncio.to_thread(ServerProcess.start, folder)
    try:
        for bare, archive in (await read_archives(server.tcp_port)).items():
            entries += len(archive)
            if archive != population.archives[bare][: len(archive)]:
                book.complain(f"{bare}: a restored archive is not the beginning of the one that went on")
            there = {entry.id for entry in archive}
            for id_ in backup.acknowledged - there:
                if bare in book.sent[id_].archives:
                    book.complain(f"{bare}: {id_} was acknowledged before the backup began and is not in it")
    finally:
        await asyncio.to_thread(server.stop)
    return entries
