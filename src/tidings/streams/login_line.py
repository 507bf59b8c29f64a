"""LoginLine: lets clients in at a bounded rate, so that chat goes on while thousands come back.

After a restart, or when a network is up again, all clients come at once. Each costs some milliseconds;
together they would hold up everybody else, and one another for so long that they give up and come again.

Invariants:
- only who has proven who it is stands in the line, and never with more than `MOST_OF_ONE` log-ins of one
  account; accounts take turns. So strangers cannot fill it, and no account can keep others out;
- nobody waits for longer than `PATIENCE` seconds: who would is told when to come, each at a time of its own,
  so that they do not come together again;
- an event loop that is late lets fewer in, and does not make up for it.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from typing import Final

import structlog

from tidings.base.errors import StanzaError, StreamError
from tidings.base.seldom_told import SeldomTold
from tidings.kernel.clock import Clock, Timer
from tidings.wire.xmpp.payloads.retry_after import RetryAfter

log = structlog.get_logger("tidings.login_line")

PATIENCE: Final = 10.0
"""Seconds that a log-in may stand in the line; many clients give up after 20 or 30."""
MOST_OF_ONE: Final = 8
"""Log-ins of one account that may stand in the line."""
LONGEST: Final = 300.0
"""Seconds until the latest time that anybody is told to come at."""
BY: Final = "login line"
"""Who refuses, in a `StanzaError`."""
_SHORTEST: Final = 0.001
_TOLD_EVERY: Final = 60.0
_AT_ONCE: Final = 0.05
"""While there is a line, those of so many seconds may come in together."""


class Place:
    """A log-in that stands in the line; whoever took it awaits its turn, or leaves it."""

    __slots__ = ("_line", "_turn", "who")

    def __init__(self, line: LoginLine, who: str) -> None:
        self._line = line
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.who = who

    async def turn(self) -> None:
        """Wait until it is let in, or has left."""
        await self._turn

    def leave(self) -> None:
        """Give up the place, such as when the client is gone; harmless when it has been let in."""
        if not self._turn.done():
            self._line.left(self)
            self.come()

    def come(self) -> None:
        """Its turn has come."""
        if not self._turn.done():
            self._turn.set_result(None)


class LoginLine:
    """Where log-ins of all doors wait when more come than `rate` in a second; 0 is no limit."""

    def __init__(self, clock: Clock, rate: int) -> None:
        self._clock = clock
        self._rate = rate
        self._most = rate * PATIENCE
        self._left = float(rate)
        """So many may come in now."""
        self._since = clock.monotonic()
        self._waiting: OrderedDict[str, deque[Place]] = OrderedDict()
        """The places by account, the one whose turn it is first."""
        self._count = 0
        self._told = 0.0
        """The time that somebody was told to come at last."""
        self._timer: Timer | None = None
        self._seldom = SeldomTold(_TOLD_EVERY, clock.monotonic)
        self.turned_away = 0

    def use_rate(self, rate: int) -> None:
        """Let in so many in a second from now on; without a limit, all who wait come in at once."""
        if rate == self._rate:
            return
        self._fill()
        self._rate = rate
        self._most = rate * PATIENCE
        if not self._count:
            self._left = float(rate)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if rate:
            self._arm()
        else:
            self._let_all_in()

    def __len__(self) -> int:
        return self._count

    def enter(self, who: str) -> Place | None:
        """Give a place in the line, or None to who comes in at once.

        Raises `StanzaError` `resource-constraint`, which says when to come, where there is no room.
        """
        if not self._rate:
            return None
        self._fill()
        if not self._count and self._left >= 1:
            self._left -= 1
            return None
        places = self._waiting.setdefault(who, deque())
        if self._count >= self._most or len(places) >= MOST_OF_ONE:
            if not places:
                del self._waiting[who]
            text, payload = self._refusal()
            raise StanzaError("resource-constraint", text, payload=payload, by=BY)
        place = Place(self, who)
        places.append(place)
        self._count += 1
        self._arm()
        return place

    def refusal(self) -> StreamError | None:
        """Give the reason to turn away who has only just connected, when there is no room for more."""
        if not self._rate or self._count < self._most:
            return None
        text, payload = self._refusal()
        return StreamError("resource-constraint", text, payload=payload)

    def left(self, place: Place) -> None:
        """Forget a place that was given up."""
        places = self._waiting[place.who]
        places.remove(place)
        if not places:
            del self._waiting[place.who]
        self._count -= 1

    # --- letting in

    def _arm(self) -> None:
        if self._timer is None and self._count:
            seconds = max(_SHORTEST, (1 - self._left) / self._rate)
            self._timer = self._clock.call_later(seconds, self._let_in)

    def _let_in(self) -> None:
        self._timer = None
        self._fill()
        while self._count and self._left >= 1:
            who, places = self._waiting.popitem(last=False)
            place = places.popleft()
            if places:
                self._waiting[who] = places
            self._count -= 1
            self._left -= 1
            place.come()
        self._arm()

    def _let_all_in(self) -> None:
        for places in self._waiting.values():
            for place in places:
                place.come()
        self._waiting.clear()
        self._count = 0

    def _fill(self) -> None:
        """Count who may come in by now."""
        now = self._clock.monotonic()
        passed, self._since = now - self._since, now
        most = max(1.0, self._rate * _AT_ONCE) if self._count else self._rate
        self._left = min(self._left + self._rate * passed, most)

    # --- turning away

    def _refusal(self) -> tuple[str, bytes]:
        seconds = self._seconds_to_wait()
        self.turned_away += 1
        more = self._seldom.kept_quiet("")
        if more is not None:
            log.warning(
                "logins_turned_away",
                waiting=self._count,
                logins_per_second=self._rate,
                more=more,
                mend="after a restart this passes by itself; if it lasts and the processor has time left, "
                "raise [limits] logins_per_second",
            )
        text = f"too many are logging in at this moment: come back in {seconds} seconds"
        return text, RetryAfter(seconds).encode().to_bytes()

    def _seconds_to_wait(self) -> int:
        """Find a time when there is room, after all who were told before."""
        now = self._clock.monotonic()
        earliest = now + self._count / self._rate
        if not earliest <= self._told <= now + LONGEST:
            self._told = earliest
        self._told += 1 / self._rate
        return math.ceil(self._told - now)
