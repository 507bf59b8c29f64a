"""Keeps the index of the text search: a follower of the feed whose effect and cursor are one transaction."""

from __future__ import annotations

from typing import Final

from tidings.adapters.sql.ledger import search
from tidings.adapters.sql.ledger.encoding import HIDDEN, PER_FEED
from tidings.adapters.sql.ledger.followers import move_cursor
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.tables import key_of
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.feed import FeedEntry, FeedPage

_WRITTEN: Final = (EntryKind.MESSAGE, EntryKind.CORRECTION)
"""What people wrote; other kinds may have a text for clients that do not know them."""

_FLAGS: Final = "SELECT archive, position, flags FROM entries WHERE (archive, position) IN PAIRS"


def is_behind(sql: Sql) -> bool:
    """Tell whether there are messages that the index does not have."""
    newest = sql.run("SELECT id FROM messages ORDER BY id DESC LIMIT 1").scalar()
    cursor = search.cursor(sql)
    return newest is not None and newest >= cursor.feed * PER_FEED + cursor.number


def index_page(sql: Sql, page: FeedPage, now: int) -> int:
    """Index a page and move the cursor behind it; tells how many messages it had.

    Does nothing where the index does not stand at the start of the page any more.
    """
    if search.lock(sql) != page.start:
        return 0
    entries = [item for item in page.items if isinstance(item, FeedEntry)]
    _write(sql, entries)
    if page.cursor != page.start:
        move_cursor(sql, search.FOLLOWER, page.cursor, now)
    return len(entries)


def _write(sql: Sql, entries: list[FeedEntry]) -> None:
    jids = {key_of(place.archive): place.archive for entry in entries for place in entry.places}
    found = sql.find("SELECT digest, id FROM jids WHERE digest IN LIST", sorted(jids))
    numbers = {jids[bytes(digest)]: number for digest, number in found}
    words: dict[tuple[int, int], list[str]] = {}
    retracted = []
    for entry in entries:
        if entry.kind is EntryKind.RETRACTION:
            places = [place for place in entry.places if place.target]
            retracted += [(numbers[place.archive], place.target) for place in places]
        elif entry.kind in _WRITTEN and (said := search.words_of_stanza(entry.body)):
            words |= {(numbers[place.archive], place.position): said for place in entry.places}
    # Looked at under the lock: what was erased since the page was read is not indexed any more.
    documents = [
        (archive, position, words[archive, position])
        for archive, position, flags in sql.find(_FLAGS, sorted(words))
        if not flags & HIDDEN
    ]
    search.remember(sql, documents)
    for archive, target in retracted:
        search.forget(sql, archive, target, target)
