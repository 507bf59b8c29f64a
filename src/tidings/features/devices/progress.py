"""Progress: how far the device of one session is in its account's archive; a value without effects.

Two positions matter. `upto`: all that is meant for the device up to here has been written to this session.
`cursor`: the client has acknowledged all up to here, so that no later session needs it. Between them lie
marks, which say how many stanzas must be acknowledged for the cursor to move where.

Invariants: neither position moves back; a mark is never given up but for one that asks for more, so the
cursor may lag and never leads; what is kept is bounded.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tidings.kernel.slots import Slot
from tidings.ports.ledger.batch import Direction
from tidings.wire.xmpp.negotiation.server_session import GENERATED

if TYPE_CHECKING:
    from collections.abc import Container

    from tidings.kernel.clock import Timer
    from tidings.kernel.session import Session
    from tidings.ports.ledger.reading import Archived
    from tidings.wire.xmpp.stanza import Stanza

MOST_MARKS: Final = 64
MOST_EARLY: Final = 4_096
"""So many messages that came to a session beyond its `upto` are remembered, lest they come again."""
MOST_HELD: Final = 100
"""So many live messages wait in memory while the last page is read."""
HELD_OCTETS: Final = 262_144
"""So large are they together."""
LOOK_EVERY: Final = 4
"""After so many live messages it is looked at whether a client that is connected takes them."""
SETTLED: Final = 10.0
"""Seconds after which a client that sends anything has what it was sent before, if it does not count."""


class Mark:
    """Once the client has `sent` stanzas, its device has the archive up to `position`.

    `moment` is when the last of them was written, in monotonic seconds.
    """

    __slots__ = ("moment", "position", "sent")

    def __init__(self, sent: int, position: int, moment: float) -> None:
        self.sent = sent
        self.position = position
        self.moment = moment


class Progress:
    """How far one session's device is; see the module."""

    __slots__ = (
        "_counted",
        "_held_octets",
        "_marks",
        "awaited",
        "away_since",
        "counts",
        "cursor",
        "device",
        "early",
        "first_missed",
        "has_pulled",
        "heard",
        "held",
        "is_current",
        "is_doubtful",
        "is_reading",
        "is_started",
        "live",
        "noted",
        "overflowed",
        "passed_by",
        "ping",
        "pulls",
        "run",
        "timer",
        "upto",
    )

    def __init__(self, device: str) -> None:
        self.device = device
        self.upto = 0
        self.cursor = 0
        self.noted = 0
        """The last cursor that was handed on to be stored."""
        self.away_since: int | None = None
        """When the device was here last, in microseconds since 1970; None while it is here."""
        self.early: set[int] = set()
        """What was written to this session beyond `upto`."""
        self._marks: deque[Mark] = deque()
        self._counted = 0
        self.counts = False
        """Whether the client counts what it gets (XEP-0198), so that nothing else acknowledges."""
        self.heard = 0
        """How many stanzas of the client had come when this was looked at last."""

        self.is_started = False
        """Whether the stored cursor has been read."""
        self.is_current = False
        """Whether live messages follow `upto` without a hole."""
        self.is_doubtful = False
        """Whether the archive may have messages that were not delivered."""
        self.pulls = False
        """Whether the device fetches what it missed by itself: it has done so in this session or before."""

        self.has_pulled = False
        """Whether it has fetched in this session, and that is noted."""
        self.passed_by: int | None = None
        """Where that is which came since the device has pulled, and which it was not sent."""

        self.live = 0
        """How many messages were sent live."""
        self.run: object | None = None
        """Stands for the replay that is under way."""
        self.is_reading = False
        self.first_missed: int | None = None
        self._held_octets = 0
        self.held: list[tuple[int, Stanza]] = []
        """The live messages that came while a page was read."""
        self.overflowed = False
        self.awaited: int | None = None
        """The replay goes on when so many stanzas are acknowledged."""
        self.ping: str | None = None
        """The id of the request whose answer acknowledges them."""
        self.timer: Timer | None = None

    @property
    def has_marks(self) -> bool:
        """Whether anything waits for an acknowledgement."""
        return bool(self._marks)

    # --- what was written

    def went(self, position: int, count: int, now: float) -> bool:
        """Note that all up to a position was written, as the session's first `count` stanzas.

        Tells whether something is new for who looks after cursors: one has moved, or is about to.
        """
        if position <= self.upto:
            return False
        self.upto = position
        if self.early:
            self.early.discard(position)
        marks = self._marks
        if not marks:
            if count <= self._counted:
                self.cursor = max(self.cursor, position)
            else:
                marks.append(Mark(count, position, now))
            return True
        last = marks[-1]
        if last.sent == count:
            last.position = position
        elif len(marks) >= MOST_MARKS:
            last.sent, last.position, last.moment = count, position, now
        else:
            marks.append(Mark(count, position, now))
        return False

    def passed(self, position: int) -> None:
        """Note that nothing up to a position is on its way to the device: what lies there is not for it."""
        if self.is_current and not self._marks and position > self.upto:
            self.upto = position
            self.cursor = max(self.cursor, position)

    def came_early(self, position: int) -> None:
        """Note that a message was written ahead of others that are missing still."""
        if position > self.upto:
            self.early.add(position)
            if len(self.early) > MOST_EARLY:
                self.early.remove(min(self.early))

    # --- what the client has

    def acknowledge(self, count: int) -> None:
        """The client has so many of the session's stanzas."""
        self._counted = max(self._counted, count)
        while self._marks and self._marks[0].sent <= self._counted:
            self.cursor = max(self.cursor, self._marks.popleft().position)

    def acknowledge_before(self, moment: float) -> None:
        """The client has what was written up to this moment."""
        while self._marks and self._marks[0].moment <= moment:
            mark = self._marks.popleft()
            self._counted = max(self._counted, mark.sent)
            self.cursor = max(self.cursor, mark.position)

    def acknowledge_all(self) -> None:
        """The client has everything that it was sent."""
        self.acknowledge_before(float("inf"))

    def heard_of(self, received: int, before: float) -> None:
        """So many stanzas of the client have come by now; if there are new ones, they came after `before`."""
        if received != self.heard:
            self.heard = received
            self.acknowledge_before(before - SETTLED)

    # --- replay

    def start_reading(self) -> None:
        """A page is about to be read: what is missed from now on may not be in it."""
        self.is_reading = True
        self.held = []
        self._held_octets = 0
        self.overflowed = False

    def missed(self, position: int, stanza: Stanza) -> None:
        """A live message was not sent, since the session is behind."""
        if self.first_missed is None:
            self.first_missed = position
        if not self.is_reading or self.overflowed:
            return
        self._held_octets += len(stanza.content)
        if len(self.held) >= MOST_HELD or self._held_octets > HELD_OCTETS:
            self.overflowed = True
            self.held = []
        else:
            self.held.append((position, stanza))

    def passes(self, position: int) -> None:
        """A message passes a device that has pulled: it is sent this, and what follows, when it is there."""
        self.is_current = False
        if self.passed_by is None:
            self.passed_by = position

    def turn_to_passed(self) -> None:
        """Let the replay begin with what has passed."""
        if self.passed_by is not None:
            self.first_missed, self.passed_by = self.passed_by, None
            self.upto = max(self.upto, self.first_missed - 1)

    def stop(self) -> None:
        """Whatever replay is under way is no longer."""
        self.run = None
        self.is_reading = False
        self.first_missed = None
        self.held = []
        self.overflowed = False
        self.awaited = None
        self.ping = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


RESOURCE: Final = "resource:"
"""What the key of a device begins with that is known by its resource."""

PROGRESS: Slot[Progress] = Slot("devices.progress", factory=lambda: Progress(""))
"""How far the device of a session is; made when the session is bound."""


def device_of(session: Session) -> str:
    """Give the key of a session's device: its user agent, else the resource that it chose.

    Clients whose resource was made for them are no devices; they share one key, the empty one.
    """
    client = session.client
    if client.device:
        return client.device
    return f"{RESOURCE}{session.jid.resource}" if client.chose_resource else ""


def is_meant_for(entry: Archived, resource: str, bound: Container[str] = ()) -> bool:
    """Tell whether an entry is a message for the device that has this resource.

    Received ones are, for all or for this resource; own sent ones come as carbons only. A resource that was
    made by the server never comes back: unless it is `bound` now, what was for it is for all.
    """
    if entry.direction is not Direction.RECEIVED:
        return False
    wanted = entry.resource
    return wanted in {"", resource} or (is_made_here(wanted) and wanted not in bound)


def is_made_here(resource: str) -> bool:
    """Tell whether a resource is one that this server makes for clients that name none."""
    return resource.rpartition("/")[2].startswith(GENERATED)
