"""Memory: how much of it the machine lends to the server."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from tidings.kernel.outbound import DEFAULT_OCTETS

_GROUP: Final = Path("/sys/fs/cgroup/memory.max")
_SHARE: Final = 4


def available(group: Path = _GROUP) -> int | None:
    """Give the octets of memory that there are, for the machine or for its control group; None if unknown."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):  # no such name on this system
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # no such file, or `max`
        found.append(int(group.read_text()))
    return min((octets for octets in found if octets > 0), default=None)


def outbound_share(group: Path = _GROUP) -> int:
    """Give how much of it may hold what waits for clients."""
    octets = available(group)
    return DEFAULT_OCTETS if octets is None else min(DEFAULT_OCTETS, octets // _SHARE)
