"""Read share: how much of the database's time one archive may have at once.

Whoever asks for pages on fifty connections has two of them read at a time; the rest wait behind those, and
nobody else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tidings.base.jid import Jid

MOST: Final = 2
"""Reads of one archive that are under way together."""


class ReadShare:
    """Lets reads of one archive wait for each other, and for those of no other."""

    def __init__(self) -> None:
        self._turns: dict[Jid, asyncio.Semaphore] = {}
        self._asking: dict[Jid, int] = {}

    @asynccontextmanager
    async def turn(self, archive: Jid) -> AsyncIterator[None]:
        """Wait until the archive has a turn, and give that back at the end."""
        turns = self._turns.get(archive)
        if turns is None:
            turns = self._turns[archive] = asyncio.Semaphore(MOST)
        self._asking[archive] = self._asking.get(archive, 0) + 1
        try:
            async with turns:
                yield
        finally:
            self._asking[archive] -= 1
            if not self._asking[archive]:
                del self._asking[archive], self._turns[archive]

    def __len__(self) -> int:
        """Give how many archives are read, or wait to be."""
        return len(self._turns)
