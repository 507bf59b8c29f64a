"""What an operator may choose about BOSH."""

from __future__ import annotations

import msgspec


class BoshOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The terms that a connection manager offers; times are in seconds."""

    wait: int = 60
    """The longest that a request is held unanswered; a client may ask for less."""
    hold: int = 2
    """The most requests held at a time; a client may ask for fewer, and most ask for 1."""
    inactivity: int = 60
    """A session without a request for so long has ended."""
    polling_inactivity: int = 120
    """The same for a client that polls, which is without a request most of the time."""
    polling: int = 2
    """The shortest time between two empty requests; 0 allows any."""
    max_pause: int = 120
    """The longest pause that a client may announce, as while a browser changes pages; 0 allows none."""
    repeats: int = 16
    """How often one request may be sent again."""
    answer_bytes: int = 1_048_576
    """An answer is full at this size; what is left goes with the next one."""
