"""Message traces: what sends them to a collector, where the configuration names one."""

from __future__ import annotations

from tidings.app.telemetry_options import TelemetryOptions
from tidings.base.clock import TimeSource
from tidings.messages.message_spans import MessageSpans


def open_spans(options: TelemetryOptions, clock: TimeSource) -> MessageSpans | None:
    """Make what chooses messages and sends their traces; None where no collector is named."""
    if not options.otlp_endpoint:
        return None
    from tidings.adapters.otlp import OtlpTracer  # noqa: PLC0415  # an extra, and slow to load

    tracer = OtlpTracer(options.otlp_endpoint, clock)
    return MessageSpans(tracer, clock, options.sample_ratio, options.addresses)
