"""StreamOutput: what a negotiator asks of the connection that it works for."""

from __future__ import annotations

from typing import Protocol

from tidings.kernel.session import Client, Link, Session
from tidings.streams.listener import Item
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.negotiation.values import StreamHeader


class StreamOutput(Link, Protocol):
    """What a negotiator asks of its connection: to be the link of a session, and what stands here.

    The connection's `close` calls `fail` and `end` in turn, whoever asked for it.
    """

    client: Client

    def send_opening(self, header: StreamHeader) -> None:
        """Write the opening of our stream."""
        ...

    def send_element(self, element: Element) -> None:
        """Write an element of the negotiation."""
        ...

    def start_tls(self) -> None:
        """Send what has been written in plain text, then begin the handshake."""
        ...

    def logged_in(self) -> None:
        """Apply the larger limits that hold after log-in."""
        ...

    def established(self, session: Session, lang: str | None, kept: list[bytes], rest: list[Item]) -> None:
        """Go on without the negotiator: there is a session.

        `lang` is the stream's language, `kept` what the session was sent before its client knew of it, `rest`
        what has arrived behind the negotiation.
        """
        ...
