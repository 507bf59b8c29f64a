"""Follower: hands the feed to somebody, page by page, at least once and in order.

Invariants:
- a page is handed over while the lease is held, and the cursor moves after its effect, never before;
- the cursor moves only from where it stood: an owner that was paused, or whose follower was rewound, moves
  nothing, and reads the cursor anew;
- what cannot succeed is put aside as a dead letter after some tries, and the rest goes on; a target that does
  not answer is waited for, for as long as that takes;
- the lease is held while there is something to do. A follower with nothing to do writes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from tidings.base.errors import BackendError, TidingsError
from tidings.kernel.backoff import Backoff
from tidings.kernel.clock import Clock, Timer
from tidings.kernel.feed_bell import FeedBell
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.feed import Cursor, FeedItem, FeedPage
from tidings.ports.ledger.followers import FollowerState

log = structlog.get_logger("tidings.follower")

LEASE: Final = 10.0
"""Seconds that a lease lasts; so long may a follower stand still when its owner was killed."""
POLL: Final = 5.0
"""Seconds between two looks for what other processes have written, and whether the follower was rewound."""
STORED_WITHIN: Final = 1.0
"""Seconds after which the cursor is stored, at the latest."""

Take = Callable[[FeedPage], Awaitable[Cursor | None]]
"""Does the effects of a page, in order for each archive; those of `page.start.part` are done.

Gives the cursor behind what is done; None for all of it. Raises `CannotFollow` for one thing that cannot be
done as things stand, and `BackendError` when nothing can be done now.
"""


class CannotFollow(TidingsError):  # noqa: N818  # what it says
    """One thing of the feed cannot be done; those before it are done."""

    def __init__(self, item: FeedItem, reason: str) -> None:
        super().__init__(reason)
        self.item = item
        self.reason = reason


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a follower goes."""

    delay: float = 0.0
    """Seconds from the first thing that is new until it is read, so that many are read together."""
    pause: Callable[[], float] = lambda: 0.0
    """Gives the seconds between two pages."""
    limit: int = 100
    """The most messages of a page."""
    marks: tuple[bytes, ...] = ()
    """With these, messages that contain none of them are passed over, which costs little."""
    tries: int = 5
    """How often a thing is tried before it is put aside."""
    from_now: bool = False
    """Whether a new follower begins with what comes, not with the oldest that there is."""
    keeps_cursor: bool = True
    """False where the effect moves the cursor itself, in one transaction."""


class Follower:
    """One follower of the feed, as this process has it."""

    def __init__(
        self,
        name: str,
        take: Take,
        ledger: Ledger,
        bell: FeedBell,
        clock: Clock,
        supervisor: Supervisor,
        pace: Pace,
    ) -> None:
        self.name = name
        self.failures = 0
        """How often a page, or a thing of it, could not be done."""
        self.dead_letters = 0
        self._take = take
        self._ledger = ledger
        self._bell = bell
        self._clock = clock
        self._supervisor = supervisor
        self._pace = pace
        self._owner = secrets.token_hex(8)
        self._job = Job(f"follower {name}", self._step, clock, supervisor)
        self._backoff = Backoff()
        self._leased_until = 0.0
        self._done: Cursor | None = None  # up to here the effects are done
        self._stored: Cursor | None = None  # here the ledger's cursor stands, as far as is known
        self._stored_at = 0.0
        self._tried: tuple[Cursor, int] | None = None
        self._bugs = 0
        self._is_taking = False
        self._is_reading = False  # in the midst of pages
        self._is_dirty = False  # effects were done behind the stored cursor
        self._has_retries = False
        self._renewing: Timer | None = None

    @property
    def lag(self) -> int:
        """How many transactions it has not read yet."""
        done = 0 if self._done is None else self._done.feed
        return max(self._ledger.state.feed + 1 - done, 0) if self._ledger.state.feed else 0

    def start(self) -> None:
        """Begin."""
        self._job.begin(self._pace.delay or POLL)

    def wind_down(self) -> None:
        """Begin no page any more."""
        self._job.stop()

    async def stop(self) -> None:
        """Note what is done, and give the lease back."""
        self.wind_down()
        if self._leased_until <= self._clock.monotonic():
            return
        try:
            await self._store()
            await self._ledger.followers.release(self.name, self._owner)
        except BackendError as error:
            log.warning("lease_not_released", follower=self.name, reason=str(error))

    # -- steps

    def _wake(self) -> None:
        self._job.begin(self._pace.delay)

    async def _step(self) -> float | None:
        if self._is_taking:  # the last step ended in a bug, which the supervisor has told
            self._is_taking = False
            self._bugs += 1
            self.failures += 1
        try:
            return await self._go_on()
        except BackendError as error:
            self.failures += 1
            seconds = self._backoff.failed()
            log.warning("follower_waits", follower=self.name, reason=str(error), seconds=round(seconds, 1))
            return seconds

    async def _go_on(self) -> float:
        if not self._is_reading and not await self._has_news():
            return self._rest()
        if (self._done is None or self._has_retries) and not await self._own():
            return LEASE
        page = await self._read()
        if page.items or (self._pace.marks and page.cursor != self._done):
            before = self._done
            if not await self._own():
                return LEASE
            if self._done != before:
                return 0.0  # it was rewound meanwhile
            pause = await self._do(page)
            if pause is not None:
                return pause
        else:
            self._done = page.cursor  # nothing to store: who reads it again finds nothing, too
        self._is_reading = not page.is_complete
        if self._is_reading:
            if self._clock.monotonic() - self._stored_at >= STORED_WITHIN:
                await self._store()
            return self._pace.pause()
        await self._store()
        return self._rest()

    def _rest(self) -> float:
        """Sleep until the bell rings, or it is time to look by oneself."""
        self._backoff.succeeded()
        self._bell.sleep_until(1 if self._done is None else self._done.feed, self._wake)
        return POLL

    async def _has_news(self) -> bool:
        """Look before anything is locked."""
        state = await self._ledger.followers.follower(self.name)
        if state is None:
            return True
        self._adopt(state)
        assert self._done is not None
        incarnation, last = await self._ledger.feed()
        is_other = self._done.incarnation not in {"", incarnation}
        return self._done.feed <= last or is_other or self._has_retries

    async def _own(self) -> bool:
        """Hold the lease, for half of its time at least; False while another one does."""
        now = self._clock.monotonic()
        if self._leased_until - now > LEASE / 2 and not self._has_retries:
            return True
        followers = self._ledger.followers
        state = await followers.take_lease(self.name, self._owner, LEASE, from_now=self._pace.from_now)
        if state is None:
            self._give_up()
            return False
        self._leased_until = now + LEASE
        self._adopt(state)
        if self._has_retries:
            await self._retry()
        return True

    def _adopt(self, state: FollowerState) -> None:
        """Take what the ledger says; the cursor only where somebody has moved it."""
        self.dead_letters, self._has_retries = state.dead_letters, bool(state.retries)
        if self._done is None or state.cursor != self._stored:
            self._done = self._stored = state.cursor
            self._is_dirty = False

    def _give_up(self) -> None:
        """Forget what was known while the lease was held."""
        self._leased_until, self._done, self._stored = 0.0, None, None
        self._is_reading = self._is_dirty = False

    async def _read(self) -> FeedPage:
        """Read on; after some bugs a thing at a time, until the one that causes them is put aside."""
        assert self._done is not None
        if self._bugs < self._pace.tries:
            return await self._ledger.feed_after(self._done, self._pace.limit, self._pace.marks)
        page = _first_of(await self._ledger.feed_after(self._done, 1, self._pace.marks))
        if self._bugs >= 2 * self._pace.tries and page.items and await self._own():
            await self._put_aside(page.items[0], "it ends in a bug, which the log tells")
            return await self._read()
        return page

    async def _do(self, page: FeedPage) -> float | None:
        """Hand a page over; gives the pause before what could not be done is tried again, None after all."""
        self._renewing = self._clock.call_later(LEASE / 2, self._renew_later)
        self._is_taking = True
        try:
            done = await self._take(page)
        except CannotFollow as error:
            self._is_taking = False
            return await self._cannot(page, error)
        except BackendError:
            self._is_taking = False
            raise
        finally:
            if self._renewing is not None:
                self._renewing.cancel()
        self._is_taking, self._bugs = False, 0
        self._backoff.succeeded()
        self._done = page.cursor if done is None else done
        if self._pace.keeps_cursor:
            self._is_dirty = True
        else:
            self._stored = self._done
        return None if done is None else 0.0

    async def _cannot(self, page: FeedPage, error: CannotFollow) -> float:
        """Go on behind a thing that was tried often enough, or try it again a while later."""
        self.failures += 1
        at = page.cursor.at(error.item)
        if (at.feed, at.number) > (page.start.feed, page.start.number):
            self._done, self._is_dirty = at, True
        tried = self._tried[1] + 1 if self._tried is not None and self._tried[0] == at else 1
        self._tried = at, tried
        if tried < self._pace.tries:
            seconds = self._backoff.failed()
            log.info("follower_tries_again", follower=self.name, cursor=str(at), reason=error.reason)
            return seconds
        await self._put_aside(error.item, error.reason)
        return 0.0

    async def _put_aside(self, item: FeedItem, reason: str) -> None:
        assert self._done is not None
        incarnation, _ = await self._ledger.feed()
        at = Cursor(incarnation, item.feed, item.number)
        await self._ledger.followers.put_aside(self.name, at, reason)
        log.warning("dead_letter", follower=self.name, cursor=str(at), reason=reason)
        self.dead_letters += 1
        self._done, self._tried, self._bugs, self._is_dirty = at.behind(item), None, 0, True
        self._backoff.succeeded()
        await self._store()

    async def _retry(self) -> None:
        """Try again what somebody has asked for."""
        followers = self._ledger.followers
        for letter in await followers.dead_letters(self.name, limit=self._pace.limit, retried_only=True):
            page = _first_of(await self._ledger.feed_after(letter.cursor, 1))
            place = letter.cursor.feed, letter.cursor.number
            if page.items and (page.items[0].feed, page.items[0].number) == place:
                try:
                    await self._take(page)
                except CannotFollow as error:
                    self.failures += 1
                    await followers.put_aside(self.name, letter.cursor, error.reason)
                    continue
            await followers.remove_dead_letter(self.name, letter.cursor)
            self.dead_letters = max(self.dead_letters - 1, 0)
        self._has_retries = False

    # -- the cursor

    async def _store(self) -> None:
        """Let the ledger's cursor stand where the effects are done."""
        old, new = self._stored, self._done
        if not self._is_dirty or old is None or new is None:
            return
        if await self._ledger.followers.advance(self.name, self._owner, old, new):
            self._stored, self._stored_at, self._is_dirty = new, self._clock.monotonic(), False
        else:
            log.info("follower_moved_elsewhere", follower=self.name, cursor=str(new))
            self._give_up()

    def _renew_later(self) -> None:
        """Hold the lease while a long page is under way."""
        self._renewing = self._clock.call_later(LEASE / 2, self._renew_later)
        self._supervisor.start(f"lease {self.name}", self._renew())

    async def _renew(self) -> None:
        try:
            await self._ledger.followers.take_lease(self.name, self._owner, LEASE)
        except BackendError as error:
            log.warning("lease_not_renewed", follower=self.name, reason=str(error))


def _first_of(page: FeedPage) -> FeedPage:
    """Give a page with the first thing alone."""
    if len(page.items) < 2:
        return page
    first = page.items[0]
    return FeedPage(page.start, (first,), page.cursor.behind(first), is_complete=False)
