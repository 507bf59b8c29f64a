"""Erasing: a retracted message goes from the database, with the corrections that still tell it.

What a crash or a slow database keeps from being erased is shown as a tombstone all the same, and is erased
when it is read.
"""

from __future__ import annotations

import structlog

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import EntryId, NoSuchEntry, PageQuery

log = structlog.get_logger("tidings.archive")


async def erase(ledger: Ledger, archive: Jid, position: int) -> None:
    """Turn an entry that was retracted, and its corrections, into tombstones; held entries stay."""
    try:
        await _erase(ledger, archive, position)
    except BackendError as error:
        log.warning("erasing_failed", reason=str(error))


async def _erase(ledger: Ledger, archive: Jid, position: int) -> None:
    head = await ledger.head(archive)
    if not head.first <= position <= head.position:
        return
    wanted = PageQuery(
        ids=(EntryId(head.epoch_at(position), position),),
        limit=1,
        tombstones=True,
        counted=False,
        folded=True,
    )
    try:
        entries = (await ledger.page(archive, wanted)).entries
    except NoSuchEntry:  # trimmed meanwhile
        return
    corrections = (
        pointer.id.position
        for entry in entries
        for pointer in entry.pointers
        if pointer.kind is EntryKind.CORRECTION
    )
    await ledger.erase(archive, (position, *corrections))
