"""Requests of a BOSH session, from their arrival until their answers can be forgotten; § are of XEP-0124."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum, auto

from tidings.wire.xmpp.bosh.body import Body


class Arrival(Enum):
    """How the rid of a request stands to those that came before (§14)."""

    NEXT = auto()
    EARLY = auto()
    """Inside the window, but one before it has not come yet."""
    PENDING = auto()
    """A repeat of one that is not answered."""
    ANSWERED = auto()
    """A repeat of one whose answer is still known."""
    OUTSIDE = auto()


@dataclass(slots=True)
class Request:
    """A request that is not answered yet."""

    rid: int
    body: Body
    exchange: Hashable | None
    """None when the connection it came on is gone."""
    arrived: float
    repeats: int = field(default=0)

    @property
    def is_pause(self) -> bool:
        """Whether it asks for a longer silence (§10)."""
        return "pause" in self.body.attributes

    @property
    def extra(self) -> int:
        """§11: one more request than agreed may come to pause or to end the session."""
        return int(self.is_pause or self.body.is_final)


@dataclass(slots=True)
class SentAnswer:
    """An answer that may be asked for again."""

    body: bytes
    at: float
    repeats: int = field(default=0)
