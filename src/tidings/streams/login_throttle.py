"""LoginThrottle: slows down who guesses passwords, on however many connections at once.

Invariants:
- of an address that has not failed yet, no more attempts are looked at together than it may fail; the others
  stand in a line, and each that succeeds, or was no guess, lets the next one in;
- what is kept for attempts under way goes when they end, so connections bound it; what is remembered of
  failures has a bound in number, and in octets.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from tidings.base.network import is_loopback, network_of
from tidings.kernel.clock import Clock, Timer

_FREE: Final = 3
_LONGEST: Final = 8.0
_LONGEST_ACCOUNT: Final = 2.0
_QUEUE: Final = 3
_MOST_IN_LINE: Final = 1_000
_FORGET: Final = 600.0
_KEPT: Final = 20_000
_LONGEST_KEY: Final = 100


class Turn(Enum):
    """Where an attempt stands."""

    WAITS = auto()
    HAS_COME = auto()
    """It is looked at, and counts as a failure until it has ended."""
    REFUSED = auto()
    """There are too many for now."""
    OVER = auto()


class Attempt:
    """One try of a credential; whoever began it ends it, as what it was."""

    __slots__ = ("_on_turn", "_throttle", "account", "address", "network", "pair", "timer", "turn")

    def __init__(
        self, throttle: LoginThrottle, account: str, address: str, on_turn: Callable[[], object]
    ) -> None:
        self._throttle = throttle
        self._on_turn = on_turn
        self.account = account
        self.address = address
        self.network = _network(address)
        self.pair = _pair(account, self.network)
        self.turn = Turn.WAITS
        self.timer: Timer | None = None

    @property
    def waits(self) -> bool:
        """Whether it has not been told yet that its turn has come, or that it is refused."""
        return self.turn is Turn.WAITS or self.timer is not None

    def failed(self) -> None:
        """The credential was wrong."""
        self._throttle.failed(self.account, self.address)
        self.leave()

    def succeeded(self) -> None:
        """The credential was right."""
        self._throttle.succeeded(self.account, self.address)
        self.leave()

    def leave(self) -> None:
        """It was no guess after all, or nobody could tell; harmless when it is over."""
        was, self.turn = self.turn, Turn.OVER
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if was in {Turn.WAITS, Turn.HAS_COME}:
            self._throttle.left(self)

    def go_on(self, turn: Turn) -> None:
        """It has waited: its turn has come, or it is refused."""
        self.turn = turn
        self.timer = None
        self._on_turn()


class _Record:
    """The failures of one address or account."""

    __slots__ = ("failures", "free_at", "last")

    def __init__(self) -> None:
        self.failures = 0
        self.last = 0.0
        self.free_at = 0.0


class LoginThrottle:
    """Slows down who guesses passwords; the wait comes before an attempt is looked at.

    So it cannot be skipped by hanging up or by guessing on many connections at once.

    - An attempt that is under way counts as a failure until it has ended otherwise. Of an address (of IPv6:
      of its /64) at most `_FREE` are looked at together, less those that have failed; the rest wait in line.
      So an office that comes back after a restart is let in as fast as it proves itself.
    - The attempts of an address that has failed `_FREE` times come one after the other, with a pause between
      them that doubles with each further failure, up to `_LONGEST` seconds; when several are in the queue,
      more are refused. This machine's own addresses are not held back: behind them may be everybody.
    - An account that others fail to log in to costs a single wait of up to `_LONGEST_ACCOUNT` seconds: its
      owner is never locked out. From an address where the owner has logged in before, nothing waits until
      that pair itself fails too often, or has as many attempts under way.
    - After `_FORGET` seconds without a failure all is forgotten. What is remembered is bounded.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        """Attempts that have had their turn, or have a time at which it comes, by network and by pair."""
        self._lines: dict[str, deque[Attempt]] = {}
        """Attempts that wait for others of their network to end."""

    def enter(self, account: str, address: str, on_turn: Callable[[], object]) -> Attempt:
        """Begin an attempt; where it waits, `on_turn` is called when its turn has come or it is refused."""
        attempt = Attempt(self, account, address, on_turn)
        if attempt.pair in self._known and self._has_room(attempt.pair):
            self._begin(attempt, 0.0)
        else:
            self._line_up(attempt)
        return attempt

    def failed(self, account: str, address: str) -> None:
        """Note a failure; either may be empty where it is not known."""
        now = self._clock.monotonic()
        network = _network(address)
        pair = _pair(account, network)
        for key in filter(None, (_key(account), network, pair)):
            record = self._records.pop(key, None)
            if record is None or now - record.last > _FORGET:
                record = _Record()
            record.failures += 1
            record.last = now
            self._records[key] = record
        if self._records[pair].failures > _FREE:
            self._known.pop(pair, None)
        while len(self._records) > _KEPT:
            self._records.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Remember that the owner of an account comes from this address."""
        pair = _pair(account, _network(address))
        self._records.pop(pair, None)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def left(self, attempt: Attempt) -> None:
        """An attempt is over: forget it, and look who is next."""
        network = attempt.network
        line = self._lines.get(network)
        if line is not None and attempt in line:
            line.remove(attempt)
        else:
            for key in filter(None, (network, attempt.pair)):
                self._under_way[key] -= 1
                if not self._under_way[key]:
                    del self._under_way[key]
        if line is not None:
            self._let_in(network, line)

    # --- the line of an address

    def _line_up(self, attempt: Attempt) -> None:
        """Give the attempt its turn, a time for it, a place in the line, or a refusal."""
        network = attempt.network
        wait = min(self._pause(_key(attempt.account)), _LONGEST_ACCOUNT)
        pause = self._pause(network) if network else 0.0
        if pause:
            now = self._clock.monotonic()
            record = self._records[network]
            begin = max(record.free_at, now + pause)
            if begin - now > _QUEUE * pause:
                attempt.turn = Turn.REFUSED
                return
            record.free_at = begin + pause
            self._begin(attempt, max(wait, begin - now))
        elif not network or self._has_room(network):
            self._begin(attempt, wait)
        elif len(line := self._lines.setdefault(network, deque())) < _MOST_IN_LINE:
            line.append(attempt)
        else:
            attempt.turn = Turn.REFUSED

    def _begin(self, attempt: Attempt, wait: float) -> None:
        self._under_way.update(filter(None, (attempt.network, attempt.pair)))
        if wait:
            attempt.timer = self._clock.call_later(wait, functools.partial(attempt.go_on, Turn.HAS_COME))
        else:
            attempt.turn = Turn.HAS_COME

    def _let_in(self, network: str, line: deque[Attempt]) -> None:
        """Let those in line go on: into the places that are free, or, after failures, at their times.

        They are told from the event loop: what one of them does may let in the next.
        """
        while line and (self._pause(network) or self._has_room(network)):
            attempt = line.popleft()
            self._line_up(attempt)
            if attempt.turn is not Turn.WAITS:
                attempt.timer = self._clock.call_later(0, functools.partial(attempt.go_on, attempt.turn))
        if not line:
            self._lines.pop(network, None)

    def _has_room(self, key: str) -> bool:
        """Tell whether one more may be looked at, if all that are under way fail."""
        return self._failures(key) + self._under_way[key] < _FREE

    def _failures(self, key: str) -> int:
        record = self._records.get(key)
        if record is None or self._clock.monotonic() - record.last > _FORGET:
            return 0
        return record.failures

    def _pause(self, key: str) -> float:
        failures = self._failures(key)
        return 0.0 if failures < _FREE else min(0.5 * 2.0 ** min(failures - _FREE, 10), _LONGEST)


def _network(address: str) -> str:
    """Give what one attacker surely has; "" for this machine."""
    return "" if is_loopback(address) else network_of(address)


def _pair(account: str, network: str) -> str:
    return f"{_key(account)} {network}"


def _key(account: str) -> str:
    """Give what stands for an account: a long name costs us no more than a short one."""
    return account if len(account) <= _LONGEST_KEY else hashlib.sha256(account.encode()).hexdigest()
