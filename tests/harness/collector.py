"""A collector of traces as OpenTelemetry's protocol has it: takes spans over HTTP and shows them to tests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.harness.ports import HOST, free_port

PATIENCE = 20


class Event(NamedTuple):
    name: str
    time: int
    attributes: dict[str, Any]


class Span(NamedTuple):
    """One span as it came over the wire; times are nanoseconds since the epoch."""

    name: str
    id: bytes
    parent: bytes
    trace: bytes
    start: int
    end: int
    is_error: bool
    attributes: dict[str, Any]
    events: list[Event]
    service: str

    @property
    def steps(self) -> list[str]:
        return [event.name for event in self.events]

    def event(self, name: str) -> dict[str, Any]:
        [found] = [event for event in self.events if event.name == name]
        return found.attributes


class Collector:
    """Listens on a port of loopback; `is_broken` makes it answer that it cannot."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://{HOST}:{port}"
        self.is_broken = False
        self.requests = 0
        self.octets = b""
        self._spans: list[Span] = []
        self._news = threading.Condition()

    def take(self, path: str, body: bytes) -> int:
        with self._news:
            self.requests += 1
            self._news.notify_all()
            if self.is_broken:
                return 503
            assert path == "/v1/traces"
            self.octets += body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _attributes(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    self._spans += [_span(span, service) for span in scope.spans]
        return 200

    def spans(self, count: int) -> list[Span]:
        """Wait until so many spans have come, and give all that have."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._spans) >= count, PATIENCE), self._spans
            return list(self._spans)

    def wait_for_requests(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: self.requests >= count, PATIENCE)


@contextlib.contextmanager
def collecting(port: int | None = None) -> Iterator[Collector]:
    """Run a collector."""
    port = free_port() if port is None else port
    collector = Collector(port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(collector.take(self.path, body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _span(span: Any, service: str) -> Span:
    return Span(
        name=span.name,
        id=span.span_id,
        parent=span.parent_span_id,
        trace=span.trace_id,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        events=[Event(each.name, each.time_unix_nano, _attributes(each.attributes)) for each in span.events],
        service=service,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
