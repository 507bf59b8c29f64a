"""Flow: what is counted between a session and its client, in both directions, and what may be sent again.

Any protocol that acknowledges may hold a window: XEP-0198, a JSON protocol with acks, a client that polls.
The counts outlive connections.

Invariants:
- `handled` never passes over a stanza that is not dealt with, and never `received`;
- what is in the window was sent and not acknowledged, oldest first.
"""

from __future__ import annotations

from tidings.kernel.clock import Timer
from tidings.kernel.outgoing import Outgoing
from tidings.wire.xmpp.acks import MODULUS, SentWindow


class Flow:
    """The counts and the window of one session."""

    __slots__ = (
        "counted_from",
        "expiry",
        "handled",
        "received",
        "resume_seconds",
        "sent",
        "stop_counting",
        "stream_key",
        "waits_since",
        "window",
    )

    def __init__(self) -> None:
        self.received = 0
        """How many stanzas of the client have come, since it was bound."""
        self.handled = 0
        """How many stanzas of the client are dealt with, since it was bound."""
        self.sent = 0
        """How many stanzas the client has been sent, since it was bound."""
        self.window: SentWindow[Outgoing] | None = None
        """What was sent and is not acknowledged; None while nothing is counted."""
        self.counted_from = 0
        """How many stanzas of the client had come when counting began."""
        self.stream_key: bytes | None = None
        """What the ledger calls its stream, if that can be resumed."""
        self.resume_seconds = 0
        """How long it waits for its client once the connection is lost; 0: it does not."""
        self.expiry: Timer | None = None
        """Ends it when it has waited so long; set while it is detached."""
        self.waits_since = 0.0
        """When its connection was lost, in seconds since the epoch, while it is detached."""
        self.stop_counting = False
        """Whether it ended before its client was told of an error: from there on nothing is handled."""

    @property
    def can_resume(self) -> bool:
        """Whether it goes on when its connection is lost."""
        return self.window is not None and self.resume_seconds > 0

    @property
    def h(self) -> int:
        """How many stanzas of the client are dealt with since counting began: XEP-0198's `h`."""
        return max(self.handled - self.counted_from, 0) % MODULUS

    def count(self, window: SentWindow[Outgoing]) -> None:
        """Count stanzas from here on, in both directions."""
        self.window = window
        self.counted_from = self.received

    def drop_window(self) -> None:
        """Count no more what is sent: what was not acknowledged is not sent again."""
        window, self.window = self.window, None
        if window is not None:
            window.clear()

    def dealt_with(self, count: int) -> None:
        """Note that so many more stanzas of the client are dealt with."""
        if not self.stop_counting:
            self.handled += count

    def stop_expiry(self) -> None:
        """Let it wait for its client no longer: that is back, or the session has ended."""
        if self.expiry is not None:
            self.expiry.cancel()
            self.expiry = None
