"""The tracer port over OpenTelemetry: spans go in batches to a collector that speaks OTLP over HTTP.

The library keeps what is to be sent in a queue of bounded length and sends it in a thread of its own. What
finds no room there is lost, and so is what a collector does not take after some tries: messages are not held
up by who watches them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status, StatusCode

from tidings.base.clock import TimeSource
from tidings.ports.tracer import Attributes

log = structlog.get_logger("tidings.telemetry")

QUEUE: Final = 2_048
"""So many spans wait for the collector at most."""
_TRACES_PATH: Final = "/v1/traces"
_EXPORT_SECONDS: Final = 5.0  # for one batch, with all its tries
_CLOSE_SECONDS: Final = 2.0
_NANOSECONDS: Final = 1_000_000_000


class OtlpSpan:
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span, tracer: trace.Tracer, clock: TimeSource) -> None:
        self._span = span
        self._tracer = tracer
        self._clock = clock

    def note(self, event: str, attributes: Attributes) -> None:
        """Note that something has happened now."""
        self._span.add_event(event, attributes, _nanoseconds(self._clock.now()))

    def follow(self, name: str, since: float, attributes: Attributes) -> None:
        """Tell of a step that belongs to it."""
        context = trace.set_span_in_context(self._span)
        child = self._tracer.start_span(
            name, context, attributes=attributes, start_time=_nanoseconds(since), record_exception=False
        )
        child.end(_nanoseconds(self._clock.now()))

    def end(self, error: str = "") -> None:
        """It is over now."""
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(_nanoseconds(self._clock.now()))


class OtlpTracer:
    """Sends spans to a collector."""

    def __init__(self, endpoint: str, clock: TimeSource, *, patience: float = _EXPORT_SECONDS) -> None:
        """`endpoint` is the address of the collector, below which the path for traces is.

        A batch that it has not taken after `patience` seconds is lost.
        """
        # The library would tell of each batch that fails; TellingOnce tells of the first.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter: SpanExporter = OTLPSpanExporter(endpoint.rstrip("/") + _TRACES_PATH, timeout=patience)
        self._provider = TracerProvider(
            sampler=sampling.ALWAYS_ON,  # who begins a span has chosen it
            resource=Resource.create({"service.name": "tidings", "service.version": version("tidings")}),
            shutdown_on_exit=False,
        )
        processor = BatchSpanProcessor(TellingOnce(self._exporter, endpoint), max_queue_size=QUEUE)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("tidings")
        self._clock = clock

    def begin(self, name: str, attributes: Attributes) -> OtlpSpan:
        """Begin a span, of a trace of its own."""
        span = self._tracer.start_span(
            name,
            trace.set_span_in_context(trace.INVALID_SPAN),
            trace.SpanKind.SERVER,
            attributes,
            start_time=_nanoseconds(self._clock.now()),
            record_exception=False,
        )
        return OtlpSpan(span, self._tracer, self._clock)

    async def close(self) -> None:
        """Send what is over, unless the collector takes too long for that."""
        closing = threading.Thread(target=self._provider.shutdown, name="close telemetry", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSE_SECONDS)
        if closing.is_alive():
            self._exporter.shutdown()  # ends its pause before the next attempt; what is still queued is lost
            await asyncio.to_thread(closing.join, _CLOSE_SECONDS)


class TellingOnce(SpanExporter):
    """Hands batches to the collector, and tells the log when that begins to fail and when it works again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._is_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; called in the library's thread."""
        result = self._exporter.export(spans)
        is_down = result is not SpanExportResult.SUCCESS
        if is_down and not self._is_down:
            log.warning("collector_unreachable", endpoint=self._endpoint, lost="traces until it answers")
        elif self._is_down and not is_down:
            log.info("collector_reached", endpoint=self._endpoint)
        self._is_down = is_down
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return self._exporter.force_flush(timeout_millis)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
