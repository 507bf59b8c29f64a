"""Audience: which sessions of an account something is for, under a name that all nodes know.

A session is known on its own node alone. Whoever has something for "my other devices that have asked for it"
names the audience, and each node asks its own sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec


class Audience(msgspec.Struct, frozen=True, eq=False):
    """Which sessions of an account something is for; a feature lists its own in `Feature.audiences`."""

    name: str
    """Unique on a host: the feature's name, a dot, and a word."""
    wants: Callable[[Any], bool]
    """Tells of a session whether it belongs to it."""


AVAILABLE: Final = Audience("available", lambda session: session.priority is not None)
"""The sessions that have sent available presence, of any priority."""
