"""What was sent and what came of it: the truth that the server's archives are held against."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from tests.faults.rooms import room_at


class Fate(enum.Enum):
    """What its sender knows of a message."""

    UNKNOWN = "sent, no answer yet"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "answered with an error"


@dataclass(slots=True)
class Sent:
    """One message; a marker when it has a target."""

    id: str
    sender: str
    device: str
    recipient: str
    """A bare JID; of a room the one by MUC, whatever door the sender comes by."""
    number: int
    """Its place among the messages of its device."""
    target: str = ""
    """The message up to which the sender has read, in a room by its archive id."""
    fate: Fate = Fate.UNKNOWN
    attempts: int = 0
    was_refused: bool = False
    """An error came at some time: its place in the order is not the first one any more."""

    @property
    def archives(self) -> tuple[str, ...]:
        """Whose archives it belongs into: the room's, or those of both people."""
        return (self.recipient,) if room_at(self.recipient) else (self.sender, self.recipient)


@dataclass(slots=True)
class Book:
    """Every message of a run by its id, and all that went against the rules."""

    sent: dict[str, Sent] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def complain(self, text: str) -> None:
        """Note that a promise was broken."""
        self.violations.append(text)

    def count(self, fate: Fate) -> int:
        """Count the messages of a fate."""
        return sum(each.fate is fate for each in self.sent.values())
