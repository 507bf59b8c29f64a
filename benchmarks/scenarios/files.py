"""Files over HTTP: up and down, one after another."""

import contextlib
import html
import http.client
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.connection import Connection, Door
from benchmarks.rooms import logged_in
from benchmarks.scenarios.base import Figures, Metric, Scenario
from benchmarks.servers.base import Server, Service

_OCTETS = bytes(range(256)) * (8 * 4_096)
_MEGABYTES = len(_OCTETS) / 1e6
_PATIENCE = 60
_READ = 1 << 20


class _Slot(NamedTuple):
    """Where a file goes, with what, and where it can be had."""

    put: str
    get: str
    headers: dict[str, str]


@contextlib.contextmanager
def _upload(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    with logged_in(server, range(1)) as (connection,):

        def once() -> None:
            slot = _slot(server, connection)
            _ask(server, "PUT", slot.put, slot.headers)

        once()
        yield lambda: _measured(server, once, seconds)


@contextlib.contextmanager
def _download(server: Server, seconds: float) -> Iterator[Callable[[], Figures]]:
    with logged_in(server, range(1)) as (connection,):
        slot = _slot(server, connection)
        _ask(server, "PUT", slot.put, slot.headers)

        def once() -> None:
            _ask(server, "GET", slot.get, {})

        once()
        yield lambda: _measured(server, once, seconds)


def _measured(server: Server, once: Callable[[], None], seconds: float) -> Figures:
    before, generator_before, start = server.usage(), time.process_time(), time.perf_counter()
    times = 0
    while not times or time.perf_counter() < start + seconds:
        once()
        times += 1
    elapsed = time.perf_counter() - start
    used, generator = server.usage() - before, time.process_time() - generator_before
    octets = times * _MEGABYTES
    return {
        Metric.OCTET_CPU: used.cpu / octets * 1e3,
        Metric.OCTETS: octets / elapsed,
        Metric.MEMORY: server.usage().memory / 1e6,
        Metric.GENERATOR: generator / octets * 1e6,
    }


def _slot(server: Server, connection: Connection) -> _Slot:
    answer = connection.request(
        f" type='get' id='slot' to='upload.{server.domain}'><request xmlns='urn:xmpp:http:upload:0' "
        f"filename='film.mkv' size='{len(_OCTETS)}' content-type='video/x-matroska'/></iq>".encode(),
        "slot",
    ).decode()
    addresses = re.findall(r"<(?:put|get)\b[^>]*\burl=['\"]([^'\"]+)", answer)
    if len(addresses) != 2:
        raise RuntimeError(f"there is no slot: {answer}")
    put, get = (html.unescape(each) for each in addresses)
    headers = dict(re.findall(r"<header\b[^>]*\bname=['\"]([^'\"]+)['\"][^>]*>([^<]*)<", answer))
    return _Slot(put, get, {name: html.unescape(value) for name, value in headers.items()})


def _ask(server: Server, method: str, url: str, headers: dict[str, str]) -> None:
    """Send or take a file over a connection of its own, as clients do."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    port = server.ports[Door.WEBSOCKET]  # that of HTTP
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)) as client:
        sent = {"Host": parts.netloc, "Connection": "close", **headers}
        if method == "PUT":
            sent["Content-Type"] = "video/x-matroska"
        client.request(method, path, _OCTETS if method == "PUT" else None, sent)
        answer = client.getresponse()
        taken = 0
        while piece := answer.read(_READ):
            taken += len(piece)
        if answer.status not in {200, 201} or (method == "GET" and taken != len(_OCTETS)):
            raise RuntimeError(f"{method} of a file was answered with {answer.status}, {taken} octets")


SCENARIOS = (
    Scenario(
        "upload",
        f"files of {_MEGABYTES:.0f} MB are uploaded one after another, each in a request of its own",
        _upload,
        users=1,
        services=frozenset({Service.FILES}),
    ),
    Scenario(
        "download",
        f"a file of {_MEGABYTES:.0f} MB is downloaded again and again",
        _download,
        users=1,
        services=frozenset({Service.FILES}),
    ),
)
