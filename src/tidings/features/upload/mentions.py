"""File mentions: which messages name which files, so that a file goes with the last one that is taken back.

A follower of the feed, one for all domains. It is no part of the transaction that accepts a message: no
sender waits for it, and what it does may be done twice. What is erased before the follower has seen it is
told without its content, so it follows closely; a file that is missed so goes when it expires.

A message names a file where the path of its address stands in it: in out-of-band data (XEP-0066), among the
sources of shared files (XEP-0447), in a body or in JSON. Ids are long and random, so nothing else looks like
them. What is encrypted names nothing that the server could see; such files go when they expire.

A file goes whatever the archive does with what is retracted, but for archives under legal hold. What a
correction names counts with the message that it corrects, so that it goes with that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import structlog

from tidings.base.jid import Jid
from tidings.features.upload.cleaning import FileCleaning
from tidings.features.upload.slots import PATH
from tidings.kernel.follower import Pace
from tidings.ports.files import FileStore, Mention
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.feed import Cursor, FeedEntry, FeedErasure, FeedPage

log = structlog.get_logger("tidings.files")

DELAY: Final = 0.5
"""Seconds from a message until it is read, so that many are read together."""
PAUSE: Final = 0.05
"""Seconds between two pages."""
PAGE: Final = 500
"""The most messages of a page."""
MARKS: Final = (f"{PATH}/".encode(), b"retract")
"""One of these is in whatever names a file, and in every retraction, whichever document it is by."""
MOST: Final = 100
"""So many files are counted that one message names; of more, those that stand first."""

_NAMED: Final = re.compile(rf"{PATH}/([A-Za-z0-9_-]{{22}})/".encode())


class FileMentions:
    """Notes what messages name, and lets files go that none names any longer."""

    name = "file_mentions"
    pace = Pace(delay=DELAY, pause=lambda: PAUSE, limit=PAGE, marks=MARKS)

    def __init__(self, files: FileStore, ledger: Ledger, cleaning: FileCleaning) -> None:
        self._files = files
        self._ledger = ledger
        self._cleaning = cleaning

    async def take(self, page: FeedPage) -> Cursor | None:
        """Note what is new on a page, then what is taken back."""
        entries = [item for item in page.items if isinstance(item, FeedEntry)]
        mentions = [mention for entry in entries for mention in mentions_of(entry)]
        if mentions:
            await self._files.mention(mentions)
        gone = [(item.archive, item.position) for item in page.items if isinstance(item, FeedErasure)]
        gone += [place for entry in entries for place in await self._retracted(entry)]
        if gone and (count := await self._files.withdraw(gone)):
            log.info("files_discarded", count=count, reason="no message names them any longer")
            self._cleaning.begin()
        return None

    async def _retracted(self, entry: FeedEntry) -> list[tuple[Jid, int]]:
        """Give what a retraction takes back, by archive and position."""
        if entry.kind is not EntryKind.RETRACTION:
            return []
        return [
            (place.archive, place.target)
            for place in entry.places
            if place.target and not await self._ledger.is_held(place.archive)
        ]


def mentions_of(entry: FeedEntry) -> Iterator[Mention]:
    """Give the files that an entry names, for each archive in which it stands."""
    named = dict.fromkeys(found[1].decode() for found in _NAMED.finditer(entry.body))
    for file in list(named)[:MOST]:
        for place in entry.places:
            if not place.is_erased:
                position = place.target if entry.kind is EntryKind.CORRECTION else 0
                yield Mention(file, entry.sender, place.archive, position or place.position)
