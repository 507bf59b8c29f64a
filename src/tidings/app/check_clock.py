"""What `tidings check` finds out about the clock, without asking anybody on the network."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from tidings.app.finding import Finding

WRITTEN: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""When there was nothing of this version yet: no clock that is right says less."""

_TIMEX_OCTETS: Final = 1024
"""More than the kernel's `struct timex` has; nothing but the state is read from what the call gives back."""
_TIME_ERROR: Final = 5
"""What adjtimex(2) answers where nothing keeps the clock right."""


def clock(now: datetime, *, is_kept: bool | None = None) -> Iterator[Finding]:
    """Tell whether the clock can be believed; `is_kept` is whether something corrects it, None if unknown."""
    subject = "clock"
    mend = (
        "times of messages, certificates and tokens hang on it: let chrony, systemd-timesyncd or ntpd keep it"
    )
    if now < WRITTEN:
        text = f"the clock of this machine says {now:%Y-%m-%d}, when there was no such version of Tidings"
        yield Finding(status="fail", subject=subject, text=text, mend=mend)
    elif is_kept is False:
        text = "as far as the kernel knows, nothing keeps the clock of this machine right"
        yield Finding(status="warn", subject=subject, text=text, mend=mend)
    elif is_kept:
        yield Finding(
            status="ok", subject=subject, text=f"{now:%Y-%m-%d %H:%M} UTC, kept right by a time service"
        )
    else:
        yield Finding(
            status="ok", subject=subject, text=f"{now:%Y-%m-%d %H:%M} UTC; the kernel does not tell more"
        )


def is_kept_right() -> bool | None:
    """Ask the kernel whether a time service corrects the clock; None where it does not tell."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
    except (OSError, AttributeError):  # another system than Linux
        return None
    return None if state < 0 else state != _TIME_ERROR
