"""Reading what lasts: a page of an archive from anywhere in it, and a whole inbox."""

import contextlib
import functools
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator

from benchmarks.connection import Connection
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Archive, History, Server

_PAGE = 50
_CONVERSATIONS = 1_000
_SEED = 313
_WHOLE_INBOX = (
    b" type='set' id='whole-inbox'><inbox xmlns='erlang-solutions.com:xmpp:inbox:0' queryid='q'/></iq>"
)

Ask = Callable[[Connection], None]
"""Makes one request and waits for its last result."""


@contextlib.contextmanager
def _pages(server: Server, seconds: float, *, entries: int) -> Iterator[Callable[[], Figures]]:
    """Ask for pages in the middle of the archive, which is where a client scrolls."""
    chance = random.Random(_SEED)  # the same pages in every run
    with contextlib.closing(server.log_in(0)) as connection:
        epoch, last = _newest(connection)
        if last != entries:
            raise RuntimeError(f"the archive has {last} entries instead of {entries}")

        def ask(reader: Connection) -> None:
            after = f"{epoch}-{chance.randrange(1, entries - _PAGE)}"
            answer = _query(reader, f"<max>{_PAGE}</max><after>{after}</after>")
            _check(answer, _PAGE)

        yield functools.partial(_measure, server, connection, ask, seconds)


@contextlib.contextmanager
def _inbox(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    with contextlib.closing(server.log_in(0)) as connection:

        def ask(reader: Connection) -> None:
            _check(reader.request(_WHOLE_INBOX, "whole-inbox"), _CONVERSATIONS)

        yield functools.partial(_measure, server, connection, ask, seconds)


def _measure(server: Server, connection: Connection, ask: Ask, seconds: float) -> Figures:
    """Ask again and again for some seconds."""
    ask(connection)
    before, generator_before, start = server.usage(), time.process_time(), time.perf_counter()
    latencies: list[float] = []
    now = start
    while now < start + seconds:
        ask(connection)
        earlier, now = now, time.perf_counter()
        latencies.append(now - earlier)
    used = server.usage() - before
    latencies.sort()
    return {
        Metric.REQUEST: statistics.median(latencies) * 1e3,
        Metric.CPU: used.cpu / len(latencies) * 1e6,
        Metric.RATE: len(latencies) / (now - start),
        Metric.P99: latencies[len(latencies) * 99 // 100] * 1e3,
        Metric.MEMORY: server.usage().memory / 1e6,
        Metric.GENERATOR: (time.process_time() - generator_before) / len(latencies) * 1e6,
    }


def _newest(connection: Connection) -> tuple[str, int]:
    """Give epoch and position of the newest entry."""
    answer = _query(connection, "<max>1</max><before/>")
    found = re.search(rb"<last>([^<]+)-(\d+)</last>", answer)
    if found is None:
        raise RuntimeError(f"no archive: {answer[-300:]!r}")
    return found[1].decode(), int(found[2])


def _query(connection: Connection, page: str) -> bytes:
    text = f"<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>{page}</set></query>"
    return connection.request(f" type='set' id='page'>{text}</iq>".encode(), "page")


def _check(answer: bytes, expected: int) -> None:
    found = answer.count(b"</result>")
    if found != expected:
        raise RuntimeError(f"{found} results instead of {expected}: {answer[-300:]!r}")


SCENARIOS = (
    *(
        Scenario(
            f"mam-page-{history.name.lower()}",
            f"pages of {_PAGE} from anywhere in an archive of {entries:,}, one after another",
            functools.partial(_pages, entries=entries),
            users=1,
            archive=Archive.EMBEDDED,
            history=history,
        )
        for history, entries in ((History.THOUSAND, 1_000), (History.MILLION, 1_000_000))
    ),
    Scenario(
        "inbox",
        f"an inbox of {_CONVERSATIONS:,} conversations, all of it, again and again",
        _inbox,
        users=1,
        archive=Archive.EMBEDDED,
        history=History.CONVERSATIONS,
    ),
)
