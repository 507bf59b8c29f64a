"""Live markers: which markers were sent to members of rooms, so that no older one is sent behind them."""

from __future__ import annotations

from typing import Final

from tidings.base.jid import Jid
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.markers import MarkerKind
from tidings.wire.xmpp.stanza import Stanza

MOST: Final = 10_000
"""So many are remembered, those of who has marked something last."""


class LiveMarkers:
    """Numbers what is sent, and remembers the last number of each sender and kind."""

    def __init__(self) -> None:
        self.count = 0
        self._last: dict[tuple[Jid, MarkerKind], int] = {}

    def note(self, stanza: Stanza) -> None:
        """Note a stanza that is sent, if it is a marker; its sender is an address in a room."""
        for kind in MarkerKind:
            if stanza.sender is not None and stanza.has(ns.MARKERS, kind):
                self.count += 1
                self._last.pop((stanza.sender, kind), None)
                self._last[stanza.sender, kind] = self.count
                if len(self._last) > MOST:
                    del self._last[next(iter(self._last))]

    def were_sent(self, sender: Jid, kind: MarkerKind, *, after: int) -> bool:
        """Tell whether a sender's marker of a kind was sent since there were so many."""
        return self._last.get((sender, kind), 0) > after
