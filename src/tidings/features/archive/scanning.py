"""Scanning: the messages with one resource of a peer, or of one author in a room, picked from the others.

Archives are kept by conversation, not by resource, so these pages are gathered: exact, but not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Archived, ArchivePage, PageQuery

SCANNED: Final = 20_000
"""How many messages are looked at for one page."""

_STEP: Final = 200
_STEP_OCTETS: Final = 4 << 20
"""So much is read at once: what is not wanted of it is let go of."""


async def scan(
    ledger: Ledger, archive: Jid, query: PageQuery, matches: Callable[[Archived], bool]
) -> ArchivePage:
    """Give the page of those messages that match.

    Raises `NoSuchEntry`, and `resource-constraint` where too many others lie between.
    """
    step = msgspec.structs.replace(query, limit=_STEP, counted=False, flipped=False, octets=_STEP_OCTETS)
    found: list[Archived] = []
    scanned = 0
    while scanned < SCANNED:
        page = await ledger.page(archive, step)
        scanned += len(page.entries)
        matching = [entry for entry in page.entries if matches(entry)]
        found = [*matching, *found] if query.newest else [*found, *matching]
        kept = _kept(found, query)
        if page.is_complete or kept < len(found):
            return _cut(found, kept, query, page)
        if query.newest:
            step = msgspec.structs.replace(step, before=page.entries[0].id)
        else:
            step = msgspec.structs.replace(step, after=page.entries[-1].id)
    raise StanzaError(
        "resource-constraint", "too many other messages: ask with the bare address, or for a shorter time"
    )


def _kept(found: list[Archived], query: PageQuery) -> int:
    """Tell how many of them, from the beginning of the page, it has room for."""
    octets = 0
    for number, entry in enumerate(reversed(found) if query.newest else found):
        octets += len(entry.body or b"")
        if number >= query.limit or (number and query.octets is not None and octets > query.octets):
            return number
    return len(found)


def _cut(found: list[Archived], number: int, query: PageQuery, page: ArchivePage) -> ArchivePage:
    is_complete = page.is_complete and number == len(found)
    kept = found[len(found) - number :] if query.newest else found[:number]
    entries = tuple(reversed(kept) if query.flipped else kept)
    return ArchivePage(entries, is_complete, None, None, page.head)
