"""Personal eventing: news for many subscribers, and the last items of many contacts at log-in."""

import base64
import contextlib
import hashlib
import re
import select
import time
from collections.abc import Callable, Iterator

from benchmarks.connection import Connection
from benchmarks.history import NODES
from benchmarks.rooms import END, count_until, logged_in
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import History, Server, Service, user_name

_SUBSCRIBERS = 500
_CONTACTS = 1_000
_NODE = "urn:example:mood"
_PUBSUB = "http://jabber.org/protocol/pubsub"
_INFO = "http://jabber.org/protocol/disco#info"
_CLIENT = "http://bench.example"
_QUESTION = re.compile(rb"<iq[^>]*>\s*<query[^>]*disco#info[^>]*>")
_TAIL = 1_024


@contextlib.contextmanager
def _publish(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    with logged_in(server, range(_SUBSCRIBERS + 1)) as connections, select.epoll() as poll:
        publisher, *subscribers = connections
        publisher.request(_publication(), "publish")
        for user, connection in enumerate(subscribers, 1):
            answer = connection.request(_subscription(server, user), "subscribe")
            if b"type='error'" in answer or b'type="error"' in answer:
                raise RuntimeError(f"a subscription was refused: {answer.decode(errors='replace')}")
            connection.unblock()
            poll.register(connection.fileno(), select.EPOLLIN)
        _drain(poll, subscribers)
        _spread(publisher, poll, subscribers, 1.0)

        def measure() -> Figures:
            before, generator_before = server.usage(), time.process_time()
            start = time.perf_counter()
            latencies = _spread(publisher, poll, subscribers, seconds)
            elapsed = time.perf_counter() - start
            used, generator = server.usage() - before, time.process_time() - generator_before
            copies = len(latencies) * _SUBSCRIBERS
            latencies.sort()
            return {
                Metric.CPU: used.cpu / copies * 1e6,
                Metric.RATE: len(latencies) / elapsed,
                Metric.DELIVERIES: copies / elapsed,
                Metric.P50: latencies[len(latencies) // 2] * 1e3,
                Metric.P99: latencies[len(latencies) * 99 // 100] * 1e3,
                Metric.MEMORY: server.usage().memory / 1e6,
                Metric.GENERATOR: generator / copies * 1e6,
            }

        yield measure


def _spread(
    publisher: Connection, poll: select.epoll, subscribers: list[Connection], seconds: float
) -> list[float]:
    """Publish again and again, each time until everybody has heard of it; gives how long that took."""
    latencies, end = [], time.perf_counter() + seconds
    while not latencies or time.perf_counter() < end:
        begun = time.perf_counter()
        publisher.request(_publication(), "publish")
        count_until(poll, subscribers, END, _SUBSCRIBERS)
        latencies.append(time.perf_counter() - begun)
    return latencies


def _publication() -> bytes:
    return (
        f" type='set' id='publish'><pubsub xmlns='{_PUBSUB}'><publish node='{_NODE}'><item id='current'>"
        "<mood xmlns='http://jabber.org/protocol/mood'><happy/><text>Shall we meet tonight?</text></mood>"
        "</item></publish></pubsub></iq>"
    ).encode()


def _subscription(server: Server, user: int) -> bytes:
    jid = f"{user_name(user)}@{server.domain}"
    owner = f"{user_name(0)}@{server.domain}"
    return (
        f" type='set' id='subscribe' to='{owner}'><pubsub xmlns='{_PUBSUB}'>"
        f"<subscribe node='{_NODE}' jid='{jid}'/></pubsub></iq>"
    ).encode()


def _drain(poll: select.epoll, connections: list[Connection]) -> None:
    """Take what is still under way, such as the last item for new subscribers."""
    by_number = {connection.fileno(): connection for connection in connections}
    while ready := poll.poll(0.5, 64):
        for number, _ in ready:
            by_number[number].count(END)


@contextlib.contextmanager
def _log_in(server: Server, _seconds: float) -> Iterator[Callable[[], Figures]]:
    def measure() -> Figures:
        connection = server.log_in(0)
        before, start = server.usage(), time.perf_counter()
        server.begin_turns()
        _hear_last_items(connection, _CONTACTS * len(NODES))
        elapsed, used = time.perf_counter() - start, server.usage() - before
        turn = server.longest_turn()
        connection.close()
        return {
            Metric.TURN: turn * 1e3,
            Metric.LOGIN_CPU: used.cpu * 1e6,
            Metric.CPU: used.cpu / (_CONTACTS * len(NODES)) * 1e6,
            Metric.ALL_IN: elapsed,
            Metric.MEMORY: server.usage().memory / 1e6,
        }

    yield measure


def _hear_last_items(connection: Connection, wanted: int) -> None:
    """Become available with an interest in all nodes, say what that is when asked, and take all items."""
    features = sorted([_INFO, *(f"{node}+notify" for node in NODES)])
    text = "client/pc//bench<" + "".join(f"{each}<" for each in features)
    version = base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()
    caps = f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='{_CLIENT}' ver='{version}'/>"
    connection.send(b"presence", f">{caps}</presence>".encode())
    data = b""
    while wanted > 0:
        data += connection.recv(1 << 18)
        wanted -= data.count(END)
        asked = _QUESTION.search(data)
        if asked is not None:
            connection.send(b"iq", _answer(asked[0], features))
        end = max(data.rfind(END) + len(END) if END in data else 0, asked.end() if asked else 0)
        data = data[max(end, len(data) - _TAIL) :]


def _answer(question: bytes, features: list[str]) -> bytes:
    """Say what the client can do, as an answer to the request that begins so."""
    request_id, sender, node = (
        re.search(rb"%b=['\"]([^'\"]*)" % name, question) for name in (b" id", b" from", b" node")
    )
    assert request_id is not None
    to = b" to='" + sender[1] + b"'" if sender is not None else b""
    at = b" node='" + node[1] + b"'" if node is not None else b""
    listed = "".join(f"<feature var='{each}'/>" for each in features)
    return (
        b" type='result' id='"
        + request_id[1]
        + b"'"
        + to
        + b"><query xmlns='"
        + _INFO.encode()
        + b"'"
        + at
        + b"><identity category='client' type='pc' name='bench'/>"
        + listed.encode()
        + b"</query></iq>"
    )


SCENARIOS = (
    Scenario(
        "pep-publish",
        f"somebody publishes to {_SUBSCRIBERS} subscribers of a node of his account; CPU of a copy",
        _publish,
        users=_SUBSCRIBERS + 1,
        contacts=_SUBSCRIBERS,
        services=frozenset({Service.NODES}),
    ),
    Scenario(
        "pep-login",
        f"somebody logs in who wants to hear of {len(NODES)} nodes of each of {_CONTACTS:,} contacts",
        _log_in,
        users=_CONTACTS + 1,
        contacts=_CONTACTS,
        history=History.PERSONAL_NODES,
        services=frozenset({Service.NODES}),
        measures_turns=True,
    ),
)
