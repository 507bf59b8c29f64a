"""A client that speaks bare XML to a server in another process, to look at it from outside."""

from __future__ import annotations

import base64
import socket

from tests.harness.ports import HOST
from tests.harness.server_process import DOMAIN, ServerProcess

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
    "to='{domain}'>"
)


class BareClient:
    """Says and hears what a test writes, over TCP without encryption."""

    def __init__(self, server: ServerProcess, domain: str = DOMAIN) -> None:
        self._socket = socket.create_connection((HOST, server.tcp_port), timeout=10)
        self._header = HEADER.format(domain=domain)
        self.say(self._header)

    def say(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def hear(self, mark: str) -> str:
        """Read until this comes, or the server closes the stream."""
        heard = ""
        while mark not in heard and (block := self._socket.recv(65536)):
            heard += block.decode()
        return heard

    def log_in(self, name: str, password: str) -> None:
        self.hear("</stream:features>")
        proof = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        self.say(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{proof}</auth>")
        self.hear("<success")
        self.say(self._header)
        self.hear("</stream:features>")
        self.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.hear("</iq>")

    def close(self) -> None:
        self._socket.close()
