"""What a BOSH session gives: events for the stream, answers for the client."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto

from tidings.wire.xml.fragment import Fragment
from tidings.wire.xmpp.bosh.body import TerminalCondition


@dataclass(slots=True, frozen=True)
class Opened:
    """The client wants a stream to this domain."""

    to: str
    sender: str | None
    language: str | None
    version: str | None
    """The stream's version, `xmpp:version`."""


@dataclass(slots=True, frozen=True)
class Restarted:
    """The client begins its stream anew, as after authentication (XEP-0206 §5)."""

    to: str
    sender: str | None
    language: str | None


@dataclass(slots=True, frozen=True)
class Received:
    """The client sent this element."""

    payload: Fragment


class Ending(Enum):
    """Why a session ended without the server's wish."""

    CLIENT = auto()
    """The client said so (§13)."""
    SILENCE = auto()
    """No request came for too long (§10)."""
    VIOLATION = auto()
    """A request broke the rules of the session."""


@dataclass(slots=True, frozen=True)
class Closed:
    """The session has ended; nothing follows."""

    ending: Ending
    condition: TerminalCondition | None = None
    text: str = ""


Event = Opened | Restarted | Received | Closed


@dataclass(slots=True, frozen=True)
class Answer:
    """What one exchange is answered with."""

    exchange: Hashable
    body: bytes
    status: int
    content_type: str
