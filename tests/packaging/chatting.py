"""Somebody who chats with himself over TLS until he is told to stop.

He runs in the network of a container, with the code of the tests. At the end of his standard input he prints
how many messages came back, and fails where one did not or the connection was cut.
"""

from __future__ import annotations

import base64
import select
import socket
import ssl
import sys
from typing import Final

HOST: Final = "127.0.0.1"
HEADER: Final = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
    "to='localhost'>"
)


class Chatter:
    """A client that waits for everything that it asks for."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = (
            False,
            ssl.CERT_NONE,
        )  # the certificate is not its concern
        self._channel = context.wrap_socket(socket.create_connection((HOST, port), 30), server_hostname=HOST)
        self._heard = ""

    def say(self, text: str, until: str) -> None:
        """Say this, and read until that comes."""
        self._channel.sendall(text.encode())
        while until not in self._heard:
            block = self._channel.recv(65_536)
            if not block:
                sys.exit(f"the server closed the stream after {self._heard!r}")
            self._heard += block.decode()
        self._heard = self._heard.partition(until)[2]

    def log_in(self, name: str, password: str) -> None:
        """Log in, and be there."""
        proof = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self.say(HEADER, "</stream:features>")
        auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"
        self.say(auth, "<success")
        self.say(HEADER, "</stream:features>")
        self.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
        self.say("<presence/>", "<presence")


def main() -> None:
    """Chat until the standard input ends."""
    port, name, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    chatter = Chatter(port)
    chatter.log_in(name, password)
    sys.stdout.write("here\n")
    sys.stdout.flush()
    count = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        count += 1
        message = (
            f"<message type='chat' to='{name}@localhost' id='m{count}'><body>number {count}</body></message>"
        )
        chatter.say(message, f"<body>number {count}</body>")
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()
