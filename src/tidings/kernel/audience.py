"""Audience: which sessions of an account something is for, under a name that all nodes know.

A session is known on its own node alone. Whoever has something for "my other devices that have asked for it"
names the audience, and each node asks its own sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec


class Audience(msgspec.Struct, frozen=True, eq=False):
    """Which sessions of an account something is for; a feature lists its own in `Feature.audiences`."""

    name: str
    """Unique on a host: the feature's name, a dot, and a word."""
    wants: Callable[[Any], bool]
    """Tells of a session whether it belongs to it."""
    wants_topic: Callable[..., bool] | None = None
    """Tells of a session whether it belongs to the part of it that a topic is for."""

    def about(self, topic: str) -> Audience:
        """Give the part of the audience that a topic is for; all nodes know it by its name."""
        assert self.wants_topic is not None
        return Audience(f"{self.name} {topic}", partial(self.wants_topic, topic=topic))


AVAILABLE: Final = Audience("available", lambda session: session.priority is not None)
"""The sessions that have sent available presence, of any priority."""
