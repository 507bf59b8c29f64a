"""Followers: everybody in this process who follows the feed, with one bell for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tidings.kernel.clock import Clock
from tidings.kernel.feed_bell import FeedBell
from tidings.kernel.follower import Follower, Pace, Take
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.ports.ledger import Ledger


class Followers:
    """Starts and ends followers, and tells how they stand."""

    def __init__(self, ledger: Ledger, clock: Clock, supervisor: Supervisor, telemetry: Telemetry) -> None:
        self.bell = FeedBell(ledger.state)
        self._ledger = ledger
        self._clock = clock
        self._supervisor = supervisor
        self._followers: dict[str, Follower] = {}
        text = "Transactions of the feed that a follower has not read yet"
        telemetry.gauge_by("follower_lag", text, "follower", self._read(lambda each: each.lag))
        text = "Pages, or parts of them, that a follower could not do"
        telemetry.total_by("follower_failures", text, "follower", self._read(lambda each: each.failures))
        text = "What a follower has put aside because it could not be done"
        telemetry.gauge_by(
            "follower_dead_letters", text, "follower", self._read(lambda each: each.dead_letters)
        )

    def __iter__(self) -> Iterator[Follower]:
        return iter(self._followers.values())

    def follow(self, name: str, take: Take, pace: Pace | None = None) -> Follower:
        """Hand the feed to somebody from the start of the server on; the name is theirs alone."""
        assert name not in self._followers, f"two followers are called {name}"
        follower = Follower(
            name, take, self._ledger, self.bell, self._clock, self._supervisor, pace or Pace()
        )
        self._followers[name] = follower
        return follower

    async def start(self) -> None:
        """Begin to follow."""
        self.bell.start()
        for follower in self:
            follower.start()

    def wind_down(self) -> None:
        """Begin no page any more."""
        self.bell.stop()
        for follower in self:
            follower.wind_down()

    async def stop(self) -> None:
        """Note what is done, and give the leases back."""
        self.wind_down()
        for follower in self:
            await follower.stop()

    def _read(self, value: Callable[[Follower], float]) -> Callable[[], Mapping[str, float]]:
        return lambda: {each.name: value(each) for each in self}
