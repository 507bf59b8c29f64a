"""Text index: keeps the text search of archives close behind the messages.

A follower of the feed, one for all domains. It goes in small steps, and hardly at all while much is written:
a search brings the index up to date by itself first, so nothing is missed meanwhile.
"""

from typing import Final

from tidings.kernel.follower import Pace
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.feed import Cursor, FeedPage

DELAY: Final = 5.0
"""Seconds from a message until it is indexed, and between two pages while much is written."""
PAUSE: Final = 0.05
"""Seconds between two pages while little is written."""
PAGE: Final = 500
"""The most messages of a page; with more written from one page to the next, much is written."""


class TextIndex:
    """Puts pages of the feed into the index."""

    name = "text_index"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._written = 0
        self.pace = Pace(delay=DELAY, pause=self._pause, limit=PAGE, keeps_cursor=False)

    async def take(self, page: FeedPage) -> Cursor | None:
        """Index a page; the ledger moves the cursor with it."""
        await self._ledger.index(page)
        return None

    def _pause(self) -> float:
        written, self._written = self._ledger.state.items - self._written, self._ledger.state.items
        return PAUSE if written <= PAGE else DELAY
