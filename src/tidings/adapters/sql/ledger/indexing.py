"""The follower of the feed that keeps the index of the text search."""

from __future__ import annotations

from itertools import accumulate
from typing import Final

from tidings.adapters.sql.ledger import search
from tidings.adapters.sql.ledger.encoding import ERASED, OFFLINE_ONLY, decode_places
from tidings.adapters.sql.ledger.statements import Sql
from tidings.ports.ledger.batch import EntryKind

STEP_OCTETS: Final = 2 << 20
"""A step takes bodies of so many octets together, or a single longer one."""

_WRITTEN: Final = (EntryKind.MESSAGE, EntryKind.CORRECTION)
"""What people wrote; other kinds may have a text for clients that do not know them."""

_NEXT: Final = "SELECT id, LENGTH(body) FROM messages WHERE id > ? ORDER BY id LIMIT "  # and a number
_BODIES: Final = "SELECT id, places, body FROM messages WHERE id > ? AND id <= ? ORDER BY id"
_ENTRIES: Final = (
    "SELECT archive, position, kind, flags, target FROM entries WHERE (archive, position) IN PAIRS"
)


def is_behind(sql: Sql) -> bool:
    """Tell whether there are messages that the index does not have."""
    newest = sql.run("SELECT id FROM messages ORDER BY id DESC LIMIT 1").scalar()
    indexed = sql.run("SELECT message FROM search_state WHERE id = 1").scalar()
    return (newest or 0) > (indexed or 0)


def index_step(sql: Sql, limit: int) -> int:
    """Index the next messages, as one transaction; tells how many there were.

    Messages become visible in the order of their numbers, so none comes later before the last one seen.
    """
    last = search.lock(sql)
    lengths = sql.run(f"{_NEXT}{int(limit)}", last).all()
    if not lengths:
        return 0
    sums = accumulate(int(length) for _, length in lengths)
    taken = max(1, sum(1 for octets in sums if octets <= STEP_OCTETS))
    end = lengths[taken - 1][0]
    rows = sql.run(_BODIES, last, end).all()
    words = {row[0]: search.words_of_stanza(bytes(row[2])) for row in rows}
    places = {
        (archive, position): row[0]
        for row in rows
        for archive, _, position in decode_places(bytes(row[1]))[0]
    }
    documents, retracted = [], []
    for archive, position, kind, flags, target in sql.find(_ENTRIES, sorted(places)):
        if kind == EntryKind.RETRACTION and target:
            retracted.append((archive, target))
        elif kind in _WRITTEN and not flags & (ERASED | OFFLINE_ONLY):
            found = words[places[archive, position]]
            if found:
                documents.append((archive, position, found))
    search.remember(sql, documents)
    for archive, target in retracted:
        search.forget(sql, archive, target, target)
    sql.run("UPDATE search_state SET message = ? WHERE id = 1", end)
    return taken
