"""The service manager's side of sd_notify(3): a socket of the test's own, and what it hears there."""

from __future__ import annotations

import select
import socket

PATIENCE = 30


class Manager:
    """The socket of a service manager, made by the test."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def variables(self, **others: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, **others}

    def next(self) -> dict[str, str]:
        """Give the next message as its assignments."""
        self._socket.settimeout(PATIENCE)
        return dict(line.split("=", 1) for line in self._socket.recv(65_536).decode().split("\n"))

    def next_with(self, name: str) -> dict[str, str]:
        """Give the next message that assigns this; what comes before is ignored."""
        while name not in (message := self.next()):
            pass
        return message

    def has_message(self) -> bool:
        return self.hears_within(0)

    def hears_within(self, seconds: float) -> bool:
        """Tell whether a message comes in this time."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def drain(self) -> None:
        while self.has_message():
            self._socket.recv(65_536)

    def close(self) -> None:
        self._socket.close()
