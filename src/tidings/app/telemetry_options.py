"""The options of traces that go to a collector."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class TelemetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Traces of messages for a collector that speaks OpenTelemetry's protocol (OTLP) over HTTP.

    Of some messages each step is told with its time, without anything of their content. Needs the Python
    packages of `tidings[otel]`.
    """

    otlp_endpoint: Annotated[
        str,
        Meta(
            description="Address of the collector, such as `http://127.0.0.1:4318`; traces go to "
            "`/v1/traces` below it. Empty: none are made."
        ),
    ] = ""
    sample_ratio: Annotated[
        float,
        Meta(description="Which part of all messages is traced: 0.01 is one in a hundred.", ge=0.0, le=1.0),
    ] = 0.01
    addresses: Annotated[
        Literal["none", "domains", "full"],
        Meta(
            description="How much of the addresses of sender and recipient is told: nothing, their domains, "
            "or all, with the names of devices."
        ),
    ] = "none"
