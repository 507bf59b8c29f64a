"""Outbound budget: what waits for clients, in connections and unacknowledged, of all sessions together.

What waits for one client is bounded by the limits of its connection and its window. Here is the bound for all
of them: where it is passed, the sessions with most waiting end first. What their devices lack is found in the
archive.

Windows count each stanza; a connection counts what its socket has not taken, whenever it writes, so that the
sum may be too high where clients have read since then. It is made right before anybody has to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import structlog

from tidings.base.errors import StreamError
from tidings.kernel.session import Session

log = structlog.get_logger("tidings.outbound")

DEFAULT_OCTETS: Final = 512 * 1024 * 1024

_GOAL: Final = 7 / 8
"""Of the budget; so much is left when somebody had to go, lest the next message begins that again."""

_LAST_WORDS: Final = 65_536
"""Whoever has more than this unread is not going to read why its session has ended."""


class Backlogged(Protocol):
    """A connection, as far as what waits in it is concerned."""

    session: Session | None
    """The session that it carries, if there is one."""

    def backlog(self) -> int:
        """Count now what was written and has not left."""
        ...

    def abort(self) -> None:
        """End it at once."""
        ...


class OutboundBudget:
    """Counts what waits for all clients, and makes room where that is too much."""

    __slots__ = ("_connections", "_is_due", "_sessions", "ended", "limit", "octets")

    def __init__(
        self,
        limit: int,
        sessions: Callable[[], Iterable[Session]],
        connections: Callable[[], Iterable[Backlogged]],
    ) -> None:
        self.limit = limit
        self.octets = 0
        """What waits now; whoever makes something wait, or lets go of it, changes this."""
        self.ended = 0
        """How many sessions had to end for others."""
        self._sessions = sessions
        self._connections = connections
        self._is_due = False

    def exceeded(self) -> None:
        """Make room, as soon as whoever goes through the sessions at this moment is done."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._relieve)

    def _relieve(self) -> None:
        try:
            self._make_room()
        finally:
            self._is_due = False

    def _make_room(self) -> None:
        backlogs: list[tuple[int, Session | Backlogged]] = [
            (session.backlog, session) for session in self._sessions()
        ]
        # Streams that are not bound yet, or wait for their goodbye to be read.
        backlogs += [
            (connection.backlog(), connection)
            for connection in self._connections()
            if connection.session is None
        ]
        goal = int(self.limit * _GOAL)
        if self.octets <= goal:
            return
        backlogs.sort(key=lambda each: each[0], reverse=True)
        for octets, holder in backlogs:
            if self.octets <= goal or not octets:
                break
            if isinstance(holder, Session):
                self._end(holder, octets)
            else:
                holder.abort()

    def _end(self, session: Session, octets: int) -> None:
        log.warning(
            "backlog_dropped",
            session=str(session.jid),
            octets=octets,
            waiting=self.octets,
            budget=self.limit,
            reason="too much waits for all clients together, and most of it for this one",
        )
        self.ended += 1
        link = session.link
        session.cut(StreamError("resource-constraint", "too much waits here for you and for others"))
        if link is not None and link.backlog() > _LAST_WORDS:
            link.abort()
