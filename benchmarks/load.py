"""The closed loop: pairs of connections that keep a number of chat messages under way."""

import contextlib
import itertools
import select
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.connection import Connection, Door
from benchmarks.servers.base import Server, user_name

_END = b"</message>"
_BODY = b"<body>Shall we meet at the usual place, a quarter past seven this evening?</body>"
_SILENCE = 30.0  # seconds without a single message after which a run is given up


class Pair:
    """One sender and one receiver; a message that arrives lets the next one go."""

    def __init__(
        self, sender: Connection, receiver: Connection, recipient: str, outstanding: int, hint: bytes = b""
    ) -> None:
        self.sender = sender
        self.receiver = receiver
        rest = b" type='chat' id='m' to='" + recipient.encode() + b"'>" + _BODY + hint + _END
        message = sender.stanza(b"message", rest)
        self._ready = [message * count for count in range(outstanding + 1)]
        self._sent = self._received = 0
        self._mark = 0  # the message whose latency is being sampled; 0 for none
        self._marked_at = 0.0
        self.latencies: list[float] = []

    def send(self, count: int) -> None:
        """Send that many messages in one write."""
        self._sent += count
        if not self._mark:
            self._mark = self._sent
            self._marked_at = time.perf_counter()
        self.sender.sendall(self._ready[count])

    def receive(self) -> int:
        """Count the messages that have arrived."""
        count = self.receiver.count(_END)
        self._received += count
        if self._mark and self._received >= self._mark:
            self.latencies.append(time.perf_counter() - self._marked_at)
            self._mark = 0
        return count

    @property
    def under_way(self) -> int:
        """How many messages have been sent and have not arrived."""
        return self._sent - self._received

    def close(self) -> None:
        """Log both out."""
        self.sender.close()
        self.receiver.close()


@dataclass(slots=True)
class Outcome:
    """What a stretch of load came to."""

    messages: int
    seconds: float
    generator_cpu: float
    latencies: list[float] = field(default_factory=list)

    def latency(self, share: float) -> float:
        """Give the latency in seconds that this share of the samples stays within."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextlib.contextmanager
def pairs(
    server: Server, count: int, outstanding: int, door: Door = Door.TCP, hint: bytes = b""
) -> Iterator[list[Pair]]:
    """Log in that many pairs, available to everybody; users 0 and 1 are the first pair.

    The hint goes into every message.
    """
    made: list[Pair] = []
    try:
        for number in range(0, 2 * count, 2):
            sender, receiver = server.log_in(number, door), server.log_in(number + 1, door)
            for connection in (sender, receiver):
                connection.become_available()
            recipient = f"{user_name(number + 1)}@{server.domain}/bench"
            made.append(Pair(sender, receiver, recipient, outstanding, hint))
        yield made
    finally:
        for pair in made:
            pair.close()


def exchange(parties: Iterable[Pair], seconds: float, outstanding: int) -> Outcome:
    """Keep the messages under way for some seconds; then let the last ones arrive, uncounted."""
    by_number = {pair.receiver.fileno(): pair for pair in parties}
    with select.epoll() as poll:
        for number, pair in by_number.items():
            pair.sender.unblock()  # what is under way fits any buffer
            pair.receiver.unblock()
            poll.register(number, select.EPOLLIN)
            pair.latencies = []
        generator_before, start = time.process_time(), time.perf_counter()
        for pair in by_number.values():
            pair.send(outstanding)
        messages = 0
        now, heard = start, start
        while now < start + seconds:
            for number, _ in poll.poll(1.0):
                pair = by_number[number]
                if count := pair.receive():
                    messages += count
                    heard = now
                    pair.send(count)
            now = time.perf_counter()
            _check_silence(now - heard)
        outcome = Outcome(messages, now - start, time.process_time() - generator_before)
        while any(pair.under_way for pair in by_number.values()):
            for number, _ in poll.poll(1.0):
                if by_number[number].receive():
                    heard = time.perf_counter()
            _check_silence(time.perf_counter() - heard)
    outcome.latencies = [latency for pair in by_number.values() for latency in pair.latencies]
    return outcome


def pace(parties: Sequence[Pair], seconds: float, rate: float, outstanding: int = 1) -> Outcome:
    """Let the pairs send in turn, at a total rate; none has more than `outstanding` messages under way."""
    by_number = {pair.receiver.fileno(): pair for pair in parties}
    turns = itertools.cycle(parties)
    with select.epoll() as poll:
        for number, pair in by_number.items():
            pair.sender.unblock()
            pair.receiver.unblock()
            poll.register(number, select.EPOLLIN)
            pair.latencies = []
        generator_before, start = time.process_time(), time.perf_counter()
        sent = messages = 0
        now = heard = start
        while now < start + seconds or messages < sent:
            due = int((min(now - start, seconds)) * rate)
            while sent < due and (pair := next(turns)).under_way < outstanding:
                pair.send(1)
                sent += 1
            for number, _ in poll.poll(0.002):
                messages += by_number[number].receive()
                heard = now
            now = time.perf_counter()
            _check_silence(now - heard)
        outcome = Outcome(messages, now - start, time.process_time() - generator_before)
    outcome.latencies = [latency for pair in parties for latency in pair.latencies]
    return outcome


def _check_silence(seconds: float) -> None:
    if seconds > _SILENCE:
        raise TimeoutError(f"no message arrived for {seconds:.0f} s")
