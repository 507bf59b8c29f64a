"""StreamOutput: what a negotiator asks of the connection that it works for."""

from __future__ import annotations

from typing import Protocol

from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Client, Link, Session
from tidings.streams.listener import Item, StreamInput
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

    def established(
        self, stream: StreamInput, session: Session | None, kept: list[Outgoing], rest: list[Item]
    ) -> None:
        """Go on without the negotiator: what comes is for this input from now on.

        `session` is the client's, where it is one; `kept` is what that was sent before its client knew of it,
        `rest` what has arrived behind the negotiation.
        """
        ...
