"""Acks: what was sent on a stream and not yet acknowledged, counted as XEP-0198 1.6.3 §4 says.

`SentWindow` is a value that outlives connections; it neither sends, waits nor tells the time. Stanzas are
counted from the enable on, modulo 2 to the 32nd. What came in is counted where it is handled.

Invariants: `sent` is `acknowledged` plus the length of the queue, modulo 2 to the 32nd; what was acknowledged
never comes back; a window never holds more than its limits, but for a single item larger than the octets
allowed, which would else never be sent.
"""

import sys
from collections import deque
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from tidings.base.errors import StreamError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

T = TypeVar("T")
MODULUS: Final = 2**32


class WindowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a window may hold."""

    stanzas: int = 1_000
    octets: int = 4_194_304


class Tally(Protocol):
    """Counts what several windows hold together."""

    octets: int
    limit: int

    def exceeded(self) -> None:
        """Hear that it is more than the limit, which is no reason yet to send nothing more."""
        ...


class _Tally:
    """Counts for one window alone."""

    __slots__ = ("limit", "octets")

    def __init__(self) -> None:
        self.octets = 0
        self.limit = sys.maxsize

    def exceeded(self) -> None:
        """Do nothing: there is no limit."""


class HandledTooHigh(msgspec.Struct, frozen=True):
    """The peer acknowledges more than it was sent, or takes back what it has acknowledged (§6)."""

    handled: int
    sent: int
    acknowledged: int = 0
    """What it has acknowledged before."""

    def error(self) -> StreamError:
        """Return the error with which the stream is closed."""
        counts = {"h": str(self.handled), "send-count": str(self.sent)}
        payload = Element("handled-count-too-high", ns.SM, counts).to_bytes()
        text = f"You acknowledged {self.handled} stanzas, but I only sent you {self.sent} so far."
        if self.handled < self.acknowledged:
            text = f"You acknowledged {self.handled} stanzas, and {self.acknowledged} before that."
        return StreamError("undefined-condition", text, payload=payload)


class SentWindow(Generic[T]):
    """The stanzas sent and not acknowledged, oldest first, as items of the caller's choice."""

    __slots__ = (
        "_acknowledged",
        "_items",
        "_octets",
        "_requested",
        "_tally",
        "_unrequested_octets",
        "limits",
    )

    def __init__(
        self, limits: WindowLimits | None = None, *, acknowledged: int = 0, tally: Tally | None = None
    ) -> None:
        """Start empty; `acknowledged` is not 0 only where a session is taken over from elsewhere.

        `tally` counts what this window and others hold.
        """
        self.limits = limits or WindowLimits()
        """What it may hold from here on; what it holds already stays."""
        self._tally = tally or _Tally()
        self._items: deque[tuple[T, int]] = deque()
        self._octets = 0
        self._acknowledged = acknowledged
        self._requested = 0  # how many of the items were sent before the last request
        self._unrequested_octets = 0

    # --- sending

    def push(self, item: T, octets: int) -> bool:
        """Count a stanza that is about to be sent, or tell that the window has no room for it.

        One for which there is no room is not counted and must not be sent: the session can only end, and what
        its device lacks is after its cursor.
        """
        if not self.has_room(octets):
            return False
        self._items.append((item, octets))
        self._octets += octets
        self._unrequested_octets += octets
        tally = self._tally
        tally.octets += octets
        if tally.octets > tally.limit:
            tally.exceeded()
        return True

    def has_room(self, octets: int) -> bool:
        """Tell whether a stanza of this size could be sent now; an empty window has room for any."""
        if not self._items:
            return True
        return len(self._items) < self.limits.stanzas and self._octets + octets <= self.limits.octets

    def is_half_empty(self, octets: int = 0) -> bool:
        """Tell whether less than half of the room is taken, and a stanza of this size could be sent now."""
        if not self._items:
            return True
        limits = self.limits
        is_half = self._octets * 2 <= limits.octets and len(self._items) * 2 <= limits.stanzas
        return is_half and self.has_room(octets)

    # --- acknowledging

    def acknowledge(self, handled: int) -> tuple[T, ...] | HandledTooHigh:
        """Forget what the peer's `h` covers and return it, oldest first; the same `h` again covers nothing.

        An `h` that is not between the last one and what was sent changes nothing and gives the error.
        """
        count = (handled - self._acknowledged) % MODULUS
        if count > len(self._items):
            return HandledTooHigh(handled, self.sent, self._acknowledged)
        items = tuple(self._pop() for _ in range(count))
        self._acknowledged = handled
        return items

    def resume(self, handled: int) -> tuple[T, ...] | HandledTooHigh:
        """Acknowledge what a resumption says (§5), and forget requests: none of them will be answered.

        All of `unacknowledged` is to be sent again then.
        """
        items = self.acknowledge(handled)
        if not isinstance(items, HandledTooHigh):
            self._requested = 0
            self._unrequested_octets = self._octets
        return items

    # --- requesting

    def requested(self) -> None:
        """Note that an `<r/>` is sent now."""
        self._requested = len(self._items)
        self._unrequested_octets = 0

    @property
    def is_waiting(self) -> bool:
        """Tell whether a request covers stanzas that are not acknowledged yet."""
        return self._requested > 0

    @property
    def unrequested(self) -> int:
        """How many stanzas were sent since the last request."""
        return len(self._items) - self._requested

    @property
    def unrequested_octets(self) -> int:
        """How large they are together."""
        return self._unrequested_octets

    # --- what there is

    @property
    def unacknowledged(self) -> tuple[T, ...]:
        """All items, oldest first: what is sent again after a resumption."""
        return tuple(item for item, _ in self._items)

    @property
    def sent(self) -> int:
        """How many stanzas were sent, modulo 2 to the 32nd."""
        return (self._acknowledged + len(self._items)) % MODULUS

    @property
    def acknowledged(self) -> int:
        """The last `h` of the peer."""
        return self._acknowledged

    @property
    def octets(self) -> int:
        """The octets of all items together."""
        return self._octets

    def __len__(self) -> int:
        return len(self._items)

    def clear(self) -> None:
        """Forget everything that was not acknowledged, for good."""
        self._tally.octets -= self._octets
        self._items.clear()
        self._octets = self._requested = self._unrequested_octets = 0

    def _pop(self) -> T:
        item, octets = self._items.popleft()
        self._octets -= octets
        self._tally.octets -= octets
        if self._requested:
            self._requested -= 1
        else:
            self._unrequested_octets -= octets
        return item


class RequestRule(msgspec.Struct, frozen=True, kw_only=True):
    """When to ask for an ack: after so many stanzas or octets, and at the end of each burst.

    The two numbers should be well below the limits of the window, so that a healthy peer never fills it.
    """

    stanzas: int = 25
    octets: int = 262_144

    def wants_request(self, window: SentWindow[T], *, is_idle: bool) -> bool:
        """Tell whether an `<r/>` should go out now; `is_idle` says that nothing else is to be sent after it.

        A peer that has not answered the last request is not asked at the end of every burst, only when the
        numbers are reached again.
        """
        if window.unrequested == 0:
            return False
        if window.unrequested >= self.stanzas or window.unrequested_octets >= self.octets:
            return True
        return is_idle and not window.is_waiting
