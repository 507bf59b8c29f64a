"""BufferedLink: where a session waits for its client, from binding until the client knows of it."""

from __future__ import annotations

from tidings.base.errors import StreamError
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Link


class BufferedLink:
    """Stands in for a connection whose client does not know yet that it has a session: what comes is kept."""

    __slots__ = ("_connection", "_most_octets", "_octets", "kept")

    def __init__(self, connection: Link, most_octets: int) -> None:
        self._connection = connection
        self._most_octets = most_octets
        self._octets = 0
        self.kept: list[Outgoing] = []

    @property
    def rests_since(self) -> float | None:
        """Since when nothing has come to the connection."""
        return self._connection.rests_since

    def send(self, out: Outgoing) -> None:
        """Keep a stanza until the session is established."""
        self.kept.append(out)
        self._octets += out.octets
        if self._octets > self._most_octets:
            self.kept.clear()
            self._connection.close(StreamError("resource-constraint", "too much is waiting to be read"))

    def send_nonza(self, raw: bytes) -> None:
        """Do nothing: who does not know of its session has asked it nothing."""

    def request_ack(self) -> None:
        """Do nothing: it has been sent nothing yet."""

    def backlog(self) -> int:
        """Count what is kept."""
        return self._octets

    def has_room(self) -> bool:
        """Tell that there is room: who does not know of its session has asked it nothing."""
        return True

    def close(self, error: StreamError | None) -> None:
        """Close the connection."""
        self._connection.close(error)

    def abort(self) -> None:
        """End the connection at once."""
        self._connection.abort()

    def pause(self) -> None:
        """Do nothing: nobody reads stanzas yet."""

    def resume(self) -> None:
        """Do nothing: nobody reads stanzas yet."""
