"""Rooms: a large one, one that many belong to and few are online in, joins, and a thousand small ones."""

import contextlib
import select
import time
from collections.abc import Callable, Iterator

from benchmarks.connection import Connection
from benchmarks.history import LARGE_ROOM, LIGHT_ROOM
from benchmarks.rooms import (
    Joins,
    Speaker,
    conference,
    count_until,
    join_all,
    joining,
    leaving,
    logged_in,
    nick_of,
    speak,
)
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Archive, History, Server

_OCCUPANTS = 500
_SPEAKERS = 10
_ONLINE = 50
_HALL = 1_000
_AT_ONCE = 2_000
_ROOMS, _MEMBERS, _USERS = 1_000, 10, 100
_UNDER_WAY = 10
_WARM_UP = 1.0
_PRESENCE_END = b"</presence>"


@contextlib.contextmanager
def _large(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    address = conference(server, "hall")
    with logged_in(server, range(_OCCUPANTS)) as connections:
        join_all((each, joining(address, nick_of(user))) for user, each in enumerate(connections))
        yield _speaking(server, connections, [address], seconds, per_copy=True)


@contextlib.contextmanager
def _light(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    address = f"{LIGHT_ROOM}@muclight.{server.domain}"
    with logged_in(server, range(_ONLINE)) as connections:
        yield _speaking(server, connections, [address], seconds, per_copy=False)


def _speaking(
    server: Server, connections: list[Connection], addresses: list[str], seconds: float, *, per_copy: bool
) -> Callable[[], Figures]:
    """Let some speak in a room in which all are; the CPU is that of one copy or of one message."""
    speakers = [
        Speaker.in_rooms(each, addresses, f"s{number}") for number, each in enumerate(connections[:_SPEAKERS])
    ]
    speak(speakers, connections, len(connections), _WARM_UP, under_way=1)

    def measure() -> Figures:
        before = server.usage()
        spoken = speak(speakers, connections, len(connections), seconds, under_way=1)
        used = server.usage() - before
        count = spoken.copies if per_copy else spoken.messages
        return {
            Metric.CPU: used.cpu / count * 1e6,
            Metric.RATE: spoken.messages / spoken.seconds,
            Metric.DELIVERIES: spoken.copies / spoken.seconds,
            Metric.P50: spoken.latency(0.5) * 1e3,
            Metric.P99: spoken.latency(0.99) * 1e3,
            Metric.MEMORY: server.usage().memory / 1e6,
            Metric.GENERATOR: spoken.generator_cpu / count * 1e6,
        }

    return measure


@contextlib.contextmanager
def _join(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    address = conference(server, "hall")
    with logged_in(server, range(_HALL + 1)) as connections:
        *occupants, newcomer = connections
        join_all((each, joining(address, nick_of(user))) for user, each in enumerate(occupants))
        newcomer.unblock()

        def measure() -> Figures:
            cpu = wall = 0.0
            times = 0
            with select.epoll() as poll:
                for connection in connections:
                    poll.register(connection.fileno(), select.EPOLLIN)
                end = time.perf_counter() + seconds
                while time.perf_counter() < end:
                    before, start = server.usage(), time.perf_counter()
                    newcomer.send(b"presence", joining(address, "newcomer"))
                    # The newcomer sees everybody and himself, and everybody sees the newcomer.
                    count_until(poll, connections, _PRESENCE_END, 2 * _HALL + 1)
                    wall += time.perf_counter() - start
                    cpu += (server.usage() - before).cpu
                    times += 1
                    newcomer.send(b"presence", leaving(address, "newcomer"))
                    count_until(poll, connections, _PRESENCE_END, _HALL + 1)
            return {
                Metric.JOIN_CPU: cpu / times * 1e3,
                Metric.JOIN: wall / times * 1e3,
                Metric.RATE: times / seconds,
                Metric.MEMORY: server.usage().memory / 1e6,
            }

        yield measure


@contextlib.contextmanager
def _joins(server: Server, _seconds: float) -> Iterator[Callable[[], Figures]]:
    address = conference(server, LARGE_ROOM)

    def measure() -> Figures:
        server.stop()
        server.start()
        with logged_in(server, range(_AT_ONCE)) as connections, select.epoll() as poll:
            for connection in connections:
                connection.unblock()
                poll.register(connection.fileno(), select.EPOLLIN)
            joins = Joins(connections)
            joins.drain(poll)
            before, start = server.usage(), time.perf_counter()
            server.begin_turns()
            for user, connection in enumerate(connections):
                connection.send(b"presence", joining(address, nick_of(user)))
            joins.wait(poll, _AT_ONCE)
            elapsed = time.perf_counter() - start
            joins.drain(poll)
            turn = server.longest_turn()
            used = server.usage() - before
            return {
                Metric.TURN: turn * 1e3,
                Metric.TURN_LOST: _lost_turn(server, connections, poll) * 1e3,
                Metric.JOIN_CPU: used.cpu / _AT_ONCE * 1e3,
                Metric.ALL_IN: elapsed,
                Metric.MEMORY: server.usage().memory / 1e6,
            }

    yield measure


def _lost_turn(server: Server, connections: list[Connection], poll: select.epoll) -> float:
    """Lose all connections but the first, and give the longest turn until that has seen everybody go."""
    first, *others = connections
    for connection in others:
        poll.unregister(connection.fileno())
    server.begin_turns()
    for connection in others:
        connection.lose()
    count_until(poll, [first], _PRESENCE_END, len(others))
    return server.longest_turn()


@contextlib.contextmanager
def _durable(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    rooms = {
        conference(server, f"room{number}"): [(number + 7 * place) % _USERS for place in range(_MEMBERS)]
        for number in range(_ROOMS)
    }
    with logged_in(server, range(_USERS)) as connections:
        join_all(
            (connections[user], joining(address, nick_of(user)))
            for address, users in rooms.items()
            for user in users
        )
        speakers = [
            Speaker.in_rooms(
                connections[user], [room for room, users in rooms.items() if user in users], f"s{user}"
            )
            for user in range(0, _USERS, 2)
        ]
        speak(speakers, connections, _MEMBERS, 2 * _WARM_UP, _UNDER_WAY)

        def measure() -> Figures:
            before = server.usage()
            spoken = speak(speakers, connections, _MEMBERS, seconds, _UNDER_WAY)
            used = server.usage() - before
            return {
                Metric.THROUGHPUT: spoken.messages / spoken.seconds,
                Metric.DELIVERIES: spoken.copies / spoken.seconds,
                Metric.CPU: used.cpu / spoken.copies * 1e6,
                Metric.P50: spoken.latency(0.5) * 1e3,
                Metric.P99: spoken.latency(0.99) * 1e3,
                Metric.MEMORY: server.usage().memory / 1e6,
                Metric.GENERATOR: spoken.generator_cpu / spoken.copies * 1e6,
            }

        yield measure


SCENARIOS = (
    Scenario(
        "room-500",
        f"a room of {_OCCUPANTS} occupants with archive, {_SPEAKERS} speak at a time; CPU of a copy",
        _large,
        users=_OCCUPANTS,
        archive=Archive.EMBEDDED,
    ),
    *(
        Scenario(
            f"light-room-{members}",
            f"a MUC Light room of {members:,} members, {_ONLINE} of them online; CPU of a message",
            _light,
            users=_ONLINE,
            archive=Archive.EMBEDDED,
            history=history,
        )
        for members, history in ((50, History.SMALL_LIGHT_ROOM), (10_000, History.LARGE_LIGHT_ROOM))
    ),
    Scenario(
        "room-join",
        f"somebody enters a room of {_HALL:,} occupants, and leaves it, again and again",
        _join,
        users=_HALL + 1,
        archive=Archive.EMBEDDED,
    ),
    Scenario(
        "room-joins",
        f"{_AT_ONCE:,} enter one room at once after a restart, and lose their connections at once",
        _joins,
        users=_AT_ONCE,
        archive=Archive.EMBEDDED,
        history=History.LARGE_ROOM,
        measures_turns=True,
        once=True,
    ),
    Scenario(
        "rooms-durable",
        f"{_ROOMS:,} rooms with {_MEMBERS} occupants each, 50 speak with {_UNDER_WAY} messages under way",
        _durable,
        users=_USERS,
        archive=Archive.EMBEDDED,
    ),
)
