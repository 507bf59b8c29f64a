"""Databases as each earlier version left them, with data in them, are brought to this version and go on.

Each is made by the migrations themselves, as far as they went then; the rows are those that this version
writes, as far as there were tables and columns for them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, insert

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    Clock,
    accept,
    change,
    chat,
    clock,
    pointing,
    read,
    seen,
    texts,
    unread,
)
from tests.contracts.old_schemas import RENAMED
from tests.contracts.samples import keys
from tidings.adapters.sql import examine, open_database, open_stores
from tidings.adapters.sql.engine import connect_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.migrate import _revisions, known_revision
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import InboxQuery, PageQuery
from tidings.ports.roster import RosterEntry
from tidings.ports.stores import Stores
from tidings.ports.vcard import SearchField, WantedWord

__all__ = ["clock"]

LEDGER, RENAMING = "0002", "0006"
EARLIER = _revisions()[:-1]


async def fill(stores: Stores, ledger: SqlLedger) -> None:
    """Write something of each kind that the first versions knew."""
    for account in (ALICE, BOB, CAROL):
        await stores.accounts.create(account, keys("SCRAM-SHA-256"), 1.0)
    await stores.roster.put(ALICE, RosterEntry(jid=BOB, name="Bob"))
    await stores.vcards.put(ALICE, b"<vCard xmlns='vcard-temp'><NICKNAME>Lissy</NICKNAME></vCard>")
    await accept(
        ledger,
        chat(ALICE, BOB, "one", name=1),
        chat(ALICE, BOB, "two", name=2),
        chat(BOB, ALICE, "three", name=3),
        chat(CAROL, BOB, "four", name=4),
        pointing(ALICE, BOB, EntryKind.RETRACTION, 2),
        pointing(BOB, ALICE, EntryKind.REACTIONS, 1),
    )
    await read(ledger, BOB, ALICE, 1)
    await change(ledger, BOB, CAROL, pinned=3, muted_until=7)
    await seen(ledger, BOB, "phone", 2)
    await ledger.hold(BOB, (1,))


async def stored(stores: Stores) -> list[object]:
    """Give all that stores keep of the accounts."""
    nickname = (WantedWord(SearchField.NICK, "lissy"),)
    found: list[object] = [await stores.vcards.search(ALICE.domain, nickname, limit=9)]
    assert found != [()]
    for account in (ALICE, BOB, CAROL):
        found += [await stores.accounts.get(account), await stores.vcards.get(account)]
        found.append(await stores.roster.load(account))
    return found


async def archived(ledger: SqlLedger) -> list[object]:
    """Give all that the ledger keeps of the accounts."""
    query = PageQuery(tombstones=True, offline_only=True, folded=True, limit=100)
    found: list[object] = []
    for owner in (ALICE, BOB, CAROL):
        found += [
            await ledger.page(owner, query),
            await ledger.inbox(owner, InboxQuery(all_boxes=True)),
            await ledger.devices(owner),
            await ledger.changes(owner, 0),
        ]
    return found


def copy_into(connection: Connection, source: Path, revision: str) -> None:
    """Put all rows of an SQLite file into the tables and columns that a database has."""
    there = MetaData()
    there.reflect(connection)
    names = {old: new for new, old in RENAMED.items()} if revision < RENAMING else {}
    with contextlib.closing(sqlite3.connect(source)) as given:
        for table in there.sorted_tables:
            name = names.get(table.name, table.name)
            known = {row[1] for row in given.execute(f"PRAGMA table_info('{name}')")}
            columns = [column.name for column in table.columns if column.name in known]
            if not columns or table.name == "alembic_version":
                continue
            quoted = ", ".join(f'"{each}"' for each in columns)
            rows = [
                dict(zip(columns, row, strict=True))
                for row in given.execute(f'SELECT {quoted} FROM "{name}"')
            ]
            connection.execute(table.delete())
            if rows:
                connection.execute(insert(table), rows)


@pytest.mark.parametrize("revision", EARLIER)
async def test_what_an_earlier_version_kept_is_there_and_goes_on(
    revision: str, fresh_url: str, tmp_path: Path, clock: Clock
) -> None:
    source = tmp_path / "source.db"
    stores = await open_stores(f"sqlite:///{source}")
    ledger = SqlLedger(stores.database, now=clock)
    await fill(stores, ledger)
    before = await stored(stores), await archived(ledger)
    await stores.close()

    old = connect_database(fresh_url)
    await old.migrate(revision)
    await old.write(lambda connection: copy_into(connection, source, revision))
    await old.close()
    report = await examine(fresh_url)
    assert (report.revision, report.known) == (revision, known_revision())

    told: list[tuple[str, str]] = []
    stores = await open_stores(fresh_url, on_upgrade=lambda since, to: told.append((since, to)))
    ledger = SqlLedger(stores.database, now=clock)
    assert told == [(revision, known_revision())]
    assert await stored(stores) == before[0]
    if revision >= LEDGER:
        assert await archived(ledger) == before[1]
        assert await unread(ledger, BOB) == {ALICE: 0, CAROL: 1}
    await accept(ledger, chat(ALICE, BOB, "five", name=5))
    assert (await texts(ledger, BOB))[-1] == "five"
    await stores.close()


async def test_a_database_that_is_new_or_up_to_date_tells_of_no_upgrade(fresh_url: str) -> None:
    told: list[tuple[str, str]] = []
    for _ in range(2):
        database = await open_database(fresh_url, on_upgrade=lambda since, to: told.append((since, to)))
        await database.close()
    assert told == []
