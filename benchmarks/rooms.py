"""Rooms under load: connections that are occupants or members, and messages for all of them."""

import contextlib
import re
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.connection import Connection
from benchmarks.servers.base import Server, user_name

END = b"</message>"
_BODY = b"<body>Shall we meet at the usual place, a quarter past seven this evening?</body>"
_SELF = re.compile(rb"""<status[^>]*code=['"]110['"]""")
_SILENCE = 30.0  # seconds after which what does not arrive is given up
_QUIET = 0.3  # seconds without anything, by which a server is through


def conference(server: Server, room: str) -> str:
    """Give the address of a room by MUC."""
    return f"{room}@conference.{server.domain}"


def joining(address: str, nick: str) -> bytes:
    """Write what follows `<presence` to enter a room without its history."""
    muc = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"
    return f" to='{address}/{nick}'>{muc}</presence>".encode()


def leaving(address: str, nick: str) -> bytes:
    """Write what follows `<presence` to leave a room."""
    return f" type='unavailable' to='{address}/{nick}'/>".encode()


@contextlib.contextmanager
def logged_in(server: Server, users: Iterable[int], *, available: bool = True) -> Iterator[list[Connection]]:
    """Log these users in, one device each."""
    made: list[Connection] = []
    try:
        for number in users:
            made.append(server.log_in(number))
            if available:
                made[-1].become_available()
        yield made
    finally:
        for connection in made:
            connection.close()


class Joins:
    """Waits until connections see themselves in their rooms, and takes everything that arrives meanwhile."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = {connection.fileno(): connection for connection in connections}
        self._tails: dict[int, bytes] = dict.fromkeys(self._connections, b"")
        self.seen = dict.fromkeys(self._connections, 0)
        """How often each connection has seen itself come or go."""

    def wait(self, poll: select.epoll, wanted: int) -> None:
        """Return as soon as all connections together have seen themselves so often."""
        heard = time.perf_counter()
        while sum(self.seen.values()) < wanted:
            for number, _ in poll.poll(1.0, 64):
                self._hear(number)
                heard = time.perf_counter()
            if time.perf_counter() > heard + _SILENCE:
                raise TimeoutError(f"{wanted - sum(self.seen.values())} are not in their rooms")

    def drain(self, poll: select.epoll) -> None:
        """Take what is still under way."""
        while ready := poll.poll(_QUIET, 64):
            for number, _ in ready:
                self._hear(number)

    def _hear(self, number: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = self._tails[number] + self._connections[number].recv(1 << 20)
            found = [*_SELF.finditer(data)]
            self.seen[number] += len(found)
            self._tails[number] = data[max(len(data) - 64, found[-1].end() if found else 0) :]


def join_all(entering: Iterable[tuple[Connection, bytes]], at_once: int = 20) -> None:
    """Let connections enter rooms, a few at a time, and take everything that they are told."""
    waiting = deque(entering)
    connections = list(dict.fromkeys(connection for connection, _ in waiting))
    joins, sent = Joins(connections), 0
    with select.epoll() as poll:
        for connection in connections:
            connection.unblock()
            poll.register(connection.fileno(), select.EPOLLIN)
        while waiting:
            for _ in range(min(at_once, len(waiting))):
                connection, presence = waiting.popleft()
                connection.send(b"presence", presence)
                sent += 1
            joins.wait(poll, sent)
        joins.drain(poll)


def count_until(poll: select.epoll, connections: Iterable[Connection], token: bytes, wanted: int) -> None:
    """Return as soon as all connections together have got so many tokens."""
    by_number = {connection.fileno(): connection for connection in connections}
    heard = time.perf_counter()
    while wanted > 0:
        for number, _ in poll.poll(1.0, 64):
            wanted -= by_number[number].count(token)
            heard = time.perf_counter()
        if time.perf_counter() > heard + _SILENCE:
            raise TimeoutError(f"{wanted} of {token!r} are missing")


@dataclass(slots=True)
class Speaker:
    """Somebody who speaks in one room after another, and sees there what he has said."""

    connection: Connection
    messages: list[bytes]
    """One for each room."""
    sent: int = 0

    @classmethod
    def in_rooms(cls, connection: Connection, addresses: Iterable[str], tag: str) -> "Speaker":
        """Let somebody speak at these addresses; the tag marks the messages as the speaker's."""
        messages = []
        for address in addresses:
            rest = f" type='groupchat' id='{tag}' to='{address}'>".encode() + _BODY + END
            messages.append(connection.stanza(b"message", rest))
        return cls(connection, messages)

    def speak(self) -> None:
        """Send the next message."""
        self.connection.sendall(self.messages[self.sent % len(self.messages)])
        self.sent += 1


@dataclass(slots=True)
class Spoken:
    """What a stretch of speaking came to."""

    messages: int
    copies: int
    seconds: float
    generator_cpu: float
    latencies: list[float] = field(default_factory=list)

    def latency(self, share: float) -> float:
        """Give the time from sending to one's own copy that this share of the messages stays within."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def speak(
    speakers: Sequence[Speaker], listeners: Sequence[Connection], copies: int, seconds: float, under_way: int
) -> Spoken:
    """Keep so many messages of each speaker under way for some seconds; then let every last copy arrive.

    Each message arrives `copies` times, among the listeners, who include the speakers.
    """
    by_number = {speaker.connection.fileno(): speaker for speaker in speakers}
    own = {
        number: re.compile(rb"""[ ]id=['"]%b['"]""" % tag_of(speaker))
        for number, speaker in by_number.items()
    }
    tails = {connection.fileno(): b"" for connection in listeners}
    everybody = {connection.fileno(): connection for connection in listeners}
    begun: dict[int, deque[float]] = {number: deque() for number in by_number}
    latencies: list[float] = []
    sent = arrived = 0
    with select.epoll() as poll:
        for connection in listeners:
            connection.unblock()
            poll.register(connection.fileno(), select.EPOLLIN)
        generator_before, start = time.process_time(), time.perf_counter()
        for number, speaker in by_number.items():
            for _ in range(under_way):
                begun[number].append(time.perf_counter())
                speaker.speak()
                sent += 1
        heard = start
        while arrived < sent * copies:
            for number, _ in poll.poll(1.0, 64):
                heard = time.perf_counter()
                try:
                    data = tails[number] + everybody[number].recv(1 << 18)
                except BlockingIOError:
                    continue
                end = data.rfind(END) + len(END) if END in data else 0
                tails[number] = data[end:]
                arrived += data.count(END)
                if number in by_number:
                    for _ in own[number].finditer(data, 0, end):
                        latencies.append(heard - begun[number].popleft())
                        if heard < start + seconds:
                            begun[number].append(heard)
                            by_number[number].speak()
                            sent += 1
            if time.perf_counter() > heard + _SILENCE:
                raise TimeoutError(f"{sent * copies - arrived} copies of {sent} messages are missing")
        elapsed = time.perf_counter() - start
    return Spoken(sent, arrived, elapsed, time.process_time() - generator_before, latencies)


def tag_of(speaker: Speaker) -> bytes:
    """Give the id that marks what a speaker says."""
    found = re.search(rb" id='([^']+)'", speaker.messages[0])
    assert found is not None
    return found[1]


def nick_of(user: int) -> str:
    """Name an occupant like the account."""
    return user_name(user)
