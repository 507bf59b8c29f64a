"""What an operator may choose about BOSH."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class BoshOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The terms that a connection manager offers; times are in seconds."""

    wait: Annotated[
        int,
        Meta(ge=1, description="The longest that a request is held; a client may ask for less."),
    ] = 60
    hold: Annotated[
        int,
        Meta(
            ge=1,
            description="The most requests held at a time; a client may ask for fewer, and most ask for 1.",
        ),
    ] = 2
    inactivity: Annotated[
        int,
        Meta(ge=5, description="A session without a request for so long has ended."),
    ] = 60
    polling_inactivity: Annotated[
        int,
        Meta(
            ge=5, description="The same for a client that polls, which is without a request most of the time."
        ),
    ] = 120
    polling: Annotated[
        int,
        Meta(ge=0, description="The shortest time between two empty requests; 0 allows any."),
    ] = 2
    max_pause: Annotated[
        int,
        Meta(
            ge=0,
            description="The longest pause that a client may announce; 0 allows none.",
        ),
    ] = 120
    repeats: Annotated[
        int,
        Meta(ge=1, description="How often one request may be sent again."),
    ] = 16
    answer_bytes: Annotated[
        int,
        Meta(ge=10000, description="An answer is full at this size; what is left goes with the next one."),
    ] = 1_048_576
