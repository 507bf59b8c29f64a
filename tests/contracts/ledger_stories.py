"""A ledger over every database, empty for each test, and short words for what happens in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest
from sqlalchemy import Connection, text

from tests.harness.databases import Server
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.ledger.tables import LEDGER_TABLES
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    CursorMove,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    InboxChange,
    LedgerBatch,
    ReadMove,
    message_key,
)
from tidings.ports.ledger.reading import Archived, EntryId, InboxQuery, PageQuery

ALICE: Final = Jid("alice@example.org")
BOB: Final = Jid("bob@example.org")
CAROL: Final = Jid("carol@example.org")
ROOM: Final = Jid("room@rooms.example.org")
START: Final = 1_767_225_600_000_000
SECOND: Final = 1_000_000

KINDS: Final = ("sqlite", "sqlite in memory", "postgresql", "mariadb")


class Clock:
    """Times that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def ledger_urls() -> dict[str, str]:
    """One database on each server for all tests."""
    return {}


@pytest.fixture(params=KINDS)
def ledger_url(request: pytest.FixtureRequest, ledger_urls: dict[str, str], tmp_path) -> str:
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path}/tidings.db"
        case "sqlite in memory":
            return "sqlite://"
        case kind:
            server: Server = request.getfixturevalue(f"{kind}_server")
            if kind not in ledger_urls:
                ledger_urls[kind] = server.create_database()
            return ledger_urls[kind]


@pytest.fixture
async def ledger(ledger_url: str, clock: Clock) -> AsyncIterator[SqlLedger]:
    database = await open_database(ledger_url, lock_seconds=20)
    yield SqlLedger(database, now=clock)
    if not ledger_url.startswith("sqlite"):
        await database.write(_empty)
    await database.close()


def _empty(connection: Connection) -> None:
    for table in reversed(LEDGER_TABLES):
        connection.execute(table.delete())
    connection.execute(text("DELETE FROM search"))


# -- writing


def stanza(words: object, name: str = "message") -> bytes:
    """A message as it is kept."""
    return f'<{name} xmlns="jabber:client" type="chat"><body>{words}</body></{name}>'.encode()


def key(sender: Jid, name: object) -> bytes:
    return message_key("origin", sender, str(name))


def chat(sender: Jid, recipient: Jid, words: object = "", *, name: object = "", **changes: object) -> Append:
    """A message between two who both live here; `changes` are those of the recipient's entry."""
    sent = Entry(archive=sender, peer=recipient, direction=Direction.SENT, countable=True)
    received = Entry(archive=recipient, peer=sender, countable=True)
    return Append(
        body=stanza(words),
        entries=(sent, msgspec.structs.replace(received, **changes)),
        keys=(key(sender, name),) if name != "" else (),
    )


def pointing(sender: Jid, recipient: Jid, kind: EntryKind, target: object, words: object = "-") -> Append:
    """An entry of another kind about the message that has this name: the sender's own, or the other's."""
    names = (key(sender, target), key(recipient, target))
    entries = (
        Entry(archive=sender, peer=recipient, direction=Direction.SENT),
        Entry(archive=recipient, peer=sender),
    )
    return Append(body=stanza(words), entries=entries, kind=kind, refers_to=names)


def say(sender: Jid, words: object, room: Jid = ROOM) -> Append:
    """A message in a room."""
    entry = Entry(archive=room, peer=room, countable=True, reader=sender, groupchat=True)
    return Append(body=stanza(words), entries=(entry,))


async def accept(ledger: SqlLedger, *appends: Append) -> list[Accepted]:
    outcomes = (await ledger.commit(LedgerBatch(appends=appends))).outcomes
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    return list(outcomes)


async def read(ledger: SqlLedger, owner: Jid, peer: Jid, upto: int, source: Jid | None = None) -> None:
    await ledger.commit(LedgerBatch(reads=(ReadMove(owner=owner, peer=peer, upto=upto, source=source),)))


async def change(ledger: SqlLedger, owner: Jid, peer: Jid, **changes: object) -> None:
    await ledger.commit(LedgerBatch(changes=(InboxChange(owner=owner, peer=peer, **changes),)))


async def seen(ledger: SqlLedger, archive: Jid, device: str, position: int, *, pulls: bool = False) -> None:
    move = CursorMove(archive=archive, device=device, position=position, pulls=pulls)
    await ledger.commit(LedgerBatch(cursors=(move,)))


# -- reading


def said(entry: Archived | None) -> str | None:
    """Give the text of an entry's body."""
    if entry is None or entry.body is None:
        return None
    return entry.body.decode().partition("<body>")[2].partition("</body>")[0]


async def texts(ledger: SqlLedger, archive: Jid, **query: object) -> list[str | None]:
    return [said(entry) for entry in (await ledger.page(archive, PageQuery(**query))).entries]


async def positions(ledger: SqlLedger, archive: Jid, **query: object) -> list[int]:
    return [entry.id.position for entry in (await ledger.page(archive, PageQuery(**query))).entries]


async def unread(ledger: SqlLedger, owner: Jid) -> dict[Jid, int]:
    return {row.peer: row.unread for row in (await ledger.inbox(owner, InboxQuery())).rows}


async def at(ledger: SqlLedger, archive: Jid, position: int) -> EntryId:
    """Give the id of a position."""
    return EntryId((await ledger.head(archive)).epoch_at(position), position)


async def place(ledger: SqlLedger, archive: Jid, position: int) -> EntryRef:
    entry = await at(ledger, archive, position)
    return EntryRef(archive, entry.epoch, entry.position)
