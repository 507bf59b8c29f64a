"""Room limits: how large rooms get, and how fast things happen in them; each limit is an option.

XEP-0045 leaves to servers what they take (§7.2.9, §13.4). What is too much is refused, with an error that
says which limit it is and, for what is too fast, when to try again (docs/specs/retry.md).
"""

from __future__ import annotations

from tidings.features.rooms.limit_options import RoomLimitsOptions
from tidings.features.rooms.limiting import limits_of
from tidings.kernel.current import Current
from tidings.kernel.feature import Feature
from tidings.kernel.host import Host


class RoomLimits(Feature):
    """Gives the rooms of a host the limits that are configured; without it they have the usual ones."""

    Options = RoomLimitsOptions

    def __init__(self, host: Host, options: Current[RoomLimitsOptions]) -> None:
        limits_of(host).current = options
