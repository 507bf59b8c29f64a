"""A user with a thousand contacts comes and goes."""

import contextlib
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.connection import Connection
from benchmarks.load import Pair
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Server, user_name

_CONTACTS = 1_000
_END = b"</presence>"
_SILENCE = 30.0  # seconds after which a broadcast that does not arrive is given up


@dataclass(slots=True)
class _Party:
    """The user, the contacts that see each other with the user, and two who merely chat."""

    user: Connection
    contacts: list[Connection]
    chat: Pair


@contextlib.contextmanager
def _presence(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    with contextlib.ExitStack() as stack:

        def arrive(number: int) -> Connection:
            connection = server.log_in(number)
            stack.callback(connection.close)
            connection.become_available()
            return connection

        sender, receiver = arrive(_CONTACTS + 1), arrive(_CONTACTS + 2)
        chat = Pair(sender, receiver, f"{user_name(_CONTACTS + 2)}@{server.domain}/bench", 1)
        party = _Party(arrive(0), [arrive(number) for number in range(1, _CONTACTS + 1)], chat)
        for connection in (party.user, *party.contacts, sender, receiver):
            connection.unblock()
        _broadcast(party, 1.0)

        def measure() -> Figures:
            before, generator_before = server.usage(), time.process_time()
            broadcast = _broadcast(party, seconds)
            used, generator = server.usage() - before, time.process_time() - generator_before
            beside_chat = _broadcast(party, seconds, chatting=True)
            return {
                Metric.CPU: used.cpu / broadcast.delivered * 1e6,
                Metric.RATE: broadcast.delivered / broadcast.elapsed,
                Metric.PAUSE: beside_chat.pause * 1e3,
                Metric.MEMORY: server.usage().memory / 1e6,
                Metric.GENERATOR: generator / broadcast.delivered * 1e6,
            }

        yield measure


class _Broadcast:
    """Lets the user leave and come back until the time is over, and counts what that delivers.

    Delivered are the presence stanzas that reach the contacts and, as answers to probes, the user.
    """

    def __init__(self, party: _Party, *, chatting: bool) -> None:
        self._party = party
        self._everybody = {connection.fileno(): connection for connection in (party.user, *party.contacts)}
        self._chatting = chatting
        self._last_message = 0.0
        self._missing = self._missing_answers = 0
        self.delivered = 0
        self.elapsed = 0.0
        self.pause = 0.0
        """The longest time between two messages of the pair that chats meanwhile."""

    def run(self, seconds: float) -> None:
        """Come and go; the user is back at the end."""
        chatter = self._party.chat.receiver.fileno()
        with select.epoll() as poll:
            for number in (*self._everybody, chatter):
                poll.register(number, select.EPOLLIN)
            start = self._last_message = time.perf_counter()
            if self._chatting:
                self._party.chat.send(1)
            while self.elapsed < seconds:
                self._change(poll, available=False)
                self._chatting = self._chatting and time.perf_counter() < start + seconds
                self._change(poll, available=True)
                self.elapsed = time.perf_counter() - start

    def _change(self, poll: select.epoll, *, available: bool) -> None:
        """Send one presence and wait until everybody has seen it."""
        kind = b"" if available else b" type='unavailable'"
        self._party.user.send(b"presence", kind + b"><status>here</status>" + _END)
        self._missing = _CONTACTS
        self._missing_answers = _CONTACTS if available else 0
        heard = time.perf_counter()
        while self._missing > 0 or self._missing_answers > 0:
            for number, _ in poll.poll(1.0, 64):
                heard = time.perf_counter()
                self._hear(number, heard)
            if time.perf_counter() > heard + _SILENCE:
                raise TimeoutError(
                    f"{self._missing} contacts and {self._missing_answers} answers are missing"
                )

    def _hear(self, number: int, now: float) -> None:
        connection = self._everybody.get(number)
        if connection is None:
            if self._party.chat.receive():
                self.pause = max(self.pause, now - self._last_message)
                self._last_message = now
                if self._chatting:
                    self._party.chat.send(1)
            return
        count = connection.count(_END)
        self.delivered += count
        if connection is self._party.user:
            self._missing_answers -= count
        else:
            self._missing -= count


def _broadcast(party: _Party, seconds: float, *, chatting: bool = False) -> _Broadcast:
    broadcast = _Broadcast(party, chatting=chatting)
    broadcast.run(seconds)
    return broadcast


SCENARIOS = (
    Scenario(
        name="presence",
        promise=f"a user with {_CONTACTS:,} contacts, all available, comes and goes",
        measure=_presence,
        users=_CONTACTS + 3,
        contacts=_CONTACTS,
    ),
)
