"""Announcements: the news of each node are told in the order in which they happened.

Invariant: of one node, what is told later begins when what happened before has been told to all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from tidings.base.jid import Jid
from tidings.features.nodes.answers import Done
from tidings.features.nodes.terms import News
from tidings.kernel.iq import AnswerFirst
from tidings.wire.xml.element import Element

Key = tuple[Jid, str]
"""A node: its owner and its name."""


@dataclass(slots=True)
class _Untold:
    news: deque[News] = field(default_factory=deque)
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)


class Announcements:
    """Keeps what is to be told until it is."""

    def __init__(self, tell: Callable[[News], Awaitable[None]]) -> None:
        self._tell = tell
        self._untold: dict[Key, _Untold] = {}

    def add(self, news: Iterable[News]) -> tuple[Key, ...]:
        """Put news in line in the turn in which they are known; give the nodes that they are of."""
        keys: dict[Key, None] = {}
        for each in news:
            key = (each.owner, each.node)
            self._untold.setdefault(key, _Untold()).news.append(each)
            keys[key] = None
        return tuple(keys)

    def follow(self, done: Done) -> Element | AnswerFirst | None:
        """Give the answer to a request, after which its news are told."""
        if not done.news:
            return done.answer
        keys = self.add(done.news)
        return AnswerFirst(done.answer, lambda: self.tell(keys))

    async def tell(self, keys: Iterable[Key]) -> None:
        """Tell all that is to be told of these nodes."""
        for key in keys:
            untold = self._untold.get(key)
            if untold is None:  # somebody else has told it
                continue
            async with untold.telling:
                while untold.news:
                    await self._tell(untold.news.popleft())
                if self._untold.get(key) is untold:
                    del self._untold[key]
