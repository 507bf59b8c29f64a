"""What sync costs for an account in many rooms: `python -m benchmarks.room_sync [URL] [--rooms N]`.

By default in a SQLite file here. The account is in all rooms, each of which has some history; then a number
of messages comes into each, and a device pages through them as a client would, as far as the bytes that it is
sent. Printed is the CPU time of this process for each page; that of a database server is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import time
from pathlib import Path
from typing import Final

from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.features.sync import LARGEST_PAGE, PageLimits, read_page
from tidings.messages.known_as import KnownAs
from tidings.ports.ledger.batch import Append, Entry, EntryKind, LedgerBatch, MemberChange

BODY: Final = b"<body>" + b"x" * 180 + b"</body>"
MEMBER: Final = Jid("romeo@example.org")
SETTLES: Final = 8.0
"""Seconds until what was written is in the database's file, which another thread of this process copies."""
AT_ONCE: Final = 50
"""Messages in one batch."""


def room(number: int) -> Jid:
    """Name a room."""
    return Jid(f"room{number}@conference.example.org")


def joining(number: int) -> Append:
    """Let the member join a room."""
    jid = room(number)
    change = MemberChange(room=jid, member=MEMBER, affiliation="member", joins=True)
    return Append(
        body=b"<message/>",
        entries=(Entry(archive=jid, peer=jid, groupchat=True),),
        kind=EntryKind.MEMBERSHIP,
        members=(change,),
    )


def saying(number: int) -> Append:
    """Let somebody else say something in a room."""
    jid = room(number)
    body = b'<message from="%b/Juliet" type="groupchat">%b</message>' % (jid.xml, BODY)
    entry = Entry(archive=jid, peer=jid, countable=True, groupchat=True)
    return Append(body=body, entries=(entry,), sender="juliet@example.org")


async def write(ledger: SqlLedger, appends: list[Append]) -> None:
    """Write messages, many at once."""
    for start in range(0, len(appends), AT_ONCE):
        await ledger.commit(LedgerBatch(appends=tuple(appends[start : start + AT_ONCE])))


async def page_through(ledger: SqlLedger, cursor: str, parts: int) -> tuple[str, list[float], int]:
    """Go on to the end; gives the last cursor, the CPU seconds of each page, and how many items came."""
    seconds, items, is_complete, known = [], 0, False, KnownAs({})
    while not is_complete:
        begun = time.process_time()
        page = await read_page(ledger, MEMBER, cursor or None, PageLimits(parts), known)
        for item in page.items:
            item.message(to=MEMBER.with_resource("phone"), account=MEMBER).to_bytes()
        seconds.append(time.process_time() - begun)
        cursor, is_complete = page.fin.cursor, page.fin.is_complete
        items += len(page.items)
    return cursor, seconds, items


async def measure(url: str, rooms: int, history: int) -> None:
    """Fill a database, and print what pages cost."""
    database = await open_database(url)
    ledger = SqlLedger(database, patience=600)
    await write(ledger, [joining(number) for number in range(rooms)])
    for _ in range(history):
        await write(ledger, [saying(number) for number in range(rooms)])
    cursor, seconds, _ = await page_through(ledger, "", LARGEST_PAGE)
    _print("the first list", seconds, rooms)
    stories = {
        "nothing new": [],
        "1 message in 10 rooms": list(range(10)),
        "1 message in each room": list(range(rooms)),
        "20 messages in each room": list(range(rooms)) * 20,
        "60 messages in each room, told with gaps": list(range(rooms)) * 60,
    }
    for name, numbers in stories.items():
        await write(ledger, [saying(number) for number in numbers])
        await asyncio.sleep(SETTLES)
        gc.collect()
        gc.freeze()  # a collection of all that this script has made would count as a page's
        cursor, seconds, items = await page_through(ledger, cursor, LARGEST_PAGE)
        _print(name, seconds, items)
    await ledger.close()


def _print(name: str, seconds: list[float], items: int) -> None:
    longest, mean = max(seconds) * 1000, sum(seconds) / len(seconds) * 1000
    print(f"{name}: {len(seconds)} pages, {items} items, {mean:.1f} ms CPU a page, at most {longest:.1f}")


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--rooms", type=int, default=1_000)
    parser.add_argument("--history", type=int, default=100, help="messages of each room before")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        url = chosen.url or f"sqlite:///{folder}/tidings.db"
        asyncio.run(measure(url, chosen.rooms, chosen.history))


if __name__ == "__main__":
    main()
