"""A client made of one socket and ready-made octets, so that the generator is far cheaper than any server.

Nothing is parsed: the client looks for the few tokens it waits for and counts closing tags.
"""

import base64
import contextlib
import enum
import functools
import hashlib
import hmac
import os
import re
import socket
import ssl
import struct

PASSWORD = "a-password-for-benchmarks"  # accounts that live for minutes in a temporary directory
_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_TAG = 64  # octets within which an id is found again when a chunk ends in it
_PATIENCE = 30.0  # seconds that a step of the log-in may take


class Door(enum.Enum):
    """The transports that are compared."""

    TCP = "tcp"
    TLS = "tls"
    WEBSOCKET = "websocket"


class Connection:
    """One client connection: logs in with blocking calls, then sends and counts what it is told to."""

    def __init__(self, door: Door, port: int, domain: str, path: str = "/") -> None:
        self.domain = domain
        self.door = door
        self._buffer = self._tail = b""
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        match door:
            case Door.TLS:
                self._socket = _tls_context().wrap_socket(self._socket, server_hostname=domain)
            case Door.WEBSOCKET:
                self._upgrade(path)
            case Door.TCP:
                pass
        self.fileno = self._socket.fileno
        self.recv = self._socket.recv
        self.sendall = self._socket.sendall

    def log_in(self, user: str, mechanism: str = "SCRAM-SHA-1") -> None:
        """Authenticate, bind and open the session, as RFC 6120 and 6121 tell a client to."""
        self._open()
        if mechanism == "PLAIN":
            self._auth(mechanism, f"\0{user}\0{PASSWORD}")
        else:
            self._scram(user, mechanism)
        self._expect(b"<success")
        features = self._open()
        self.send(
            b"iq",
            b" type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
            b"<resource>bench</resource></bind></iq>",
        )
        self._expect(b"</jid>")
        if b"urn:ietf:params:xml:ns:xmpp-session" in features:
            self.send(
                b"iq", b" type='set' id='open'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
            )
            self._expect(b"id='open'", b'id="open"')

    def become_available(self) -> None:
        """Send presence and ask for the roster; when that is answered, the presence has taken effect."""
        self.send(b"presence", b"><status>here</status></presence>")
        self.send(b"iq", b" type='get' id='contacts'><query xmlns='jabber:iq:roster'/></iq>")
        self._expect(b"id='contacts'", b'id="contacts"')

    def request(self, rest: bytes, request_id: str) -> bytes:
        """Send an IQ request and give all that arrives until the end of its answer."""
        self.send(b"iq", rest)
        found, self._buffer = bytearray(self._buffer), b""
        answer = re.compile(rb"""id=['"]%b['"][^>]*(/>|>.*?</iq>)""" % request_id.encode(), re.DOTALL)
        seen = 0
        while (end := answer.search(found, seen)) is None:
            begin = found.find(request_id.encode(), seen)  # what is large comes before the answer
            seen = max(0, len(found) - _TAG) if begin < 0 else max(0, begin - _TAG)
            found += self._receive()
        self._buffer = bytes(found[end.end() :])
        return bytes(found[: end.end()])

    def unblock(self) -> None:
        """Let `count` return at once from now on: a readable TLS socket may hold no stanza at all."""
        self._socket.setblocking(False)

    def stanza(self, name: bytes, rest: bytes) -> bytes:
        """Give the octets of one stanza, framed as the transport wants them."""
        if self.door is Door.WEBSOCKET:
            return _frame(b"<" + name + b" xmlns='jabber:client'" + rest)
        return b"<" + name + rest

    def send(self, name: bytes, rest: bytes) -> None:
        """Send one stanza."""
        self.sendall(self.stanza(name, rest))

    def count(self, token: bytes) -> int:
        """Read what a readable connection has to give and count the tokens; the chunks may end anywhere."""
        try:
            data = self._tail + self.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return 0
        self._tail = b"" if data.endswith(token) else data[1 - len(token) :]
        return data.count(token)

    def close(self) -> None:
        """End the stream in order and close the socket without waiting for the answer."""
        closing = b"</stream:stream>"
        if self.door is Door.WEBSOCKET:
            closing = _frame(b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
        with contextlib.suppress(OSError):  # the server may have been faster
            self.sendall(closing)
        self._socket.close()

    def lose(self) -> None:
        """Break the connection off, as a network does that is gone."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _open(self) -> bytes:
        if self.door is Door.WEBSOCKET:
            header = f"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{self.domain}' version='1.0'/>"
            self.sendall(_frame(header.encode()))
        else:
            self.sendall(
                f"<?xml version='1.0'?><stream:stream to='{self.domain}' version='1.0' xmlns='jabber:client' "
                "xmlns:stream='http://etherx.jabber.org/streams'>".encode()
            )
        return self._expect(b"</stream:features>", b"</features>")

    def _auth(self, mechanism: str, message: str) -> None:
        text = base64.b64encode(message.encode()).decode()
        self._send_sasl(f"<auth xmlns='{_SASL}' mechanism='{mechanism}'>{text}</auth>")

    def _send_sasl(self, text: str) -> None:
        self.sendall(_frame(text.encode()) if self.door is Door.WEBSOCKET else text.encode())

    def _scram(self, user: str, mechanism: str) -> None:
        name = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        first = f"n={user},r={base64.b64encode(os.urandom(18)).decode()}"
        self._auth(mechanism, f"n,,{first}")
        answer = self._expect(b"</challenge>")
        found = re.search(rb"<challenge[^>]*>([^<]+)<", answer)
        assert found is not None
        challenge = base64.b64decode(found[1]).decode()
        fields = dict(part.split("=", 1) for part in challenge.split(","))
        client_key, stored_key = _scram_keys(name, fields["s"], int(fields["i"]))
        final = f"c=biws,r={fields['r']}"
        signature = hmac.digest(stored_key, f"{first},{challenge},{final}".encode(), name)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
        text = base64.b64encode(f"{final},p={proof}".encode()).decode()
        self._send_sasl(f"<response xmlns='{_SASL}'>{text}</response>")

    def _upgrade(self, path: str) -> None:
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {self.domain}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n".encode()
        )
        answer = self._expect(b"\r\n\r\n")
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            raise ConnectionError(f"the WebSocket was refused: {answer.decode(errors='replace')}")

    def _expect(self, *tokens: bytes) -> bytes:
        while True:
            for token in tokens:
                if token in self._buffer:
                    found, _, self._buffer = self._buffer.partition(token)
                    return found + token
            self._read()

    def _read(self) -> None:
        self._buffer += self._receive()

    def _receive(self) -> bytes:
        more = self._socket.recv(65536)
        if not more or b"<failure" in more or b"<stream:error" in more:
            raise ConnectionError(
                f"the server broke off: {(self._buffer + more)[-1000:].decode(errors='replace')}"
            )
        return more


def _frame(text: bytes) -> bytes:
    """Make a final text frame; masked with zeros (RFC 6455 §5.3), which leaves the text readable."""
    if len(text) < 126:
        return struct.pack("!BBI", 0x81, 0x80 | len(text), 0) + text
    return struct.pack("!BBHI", 0x81, 0x80 | 126, len(text), 0) + text


@functools.cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False  # the certificate was made for this run
    context.verify_mode = ssl.CERT_NONE
    return context


@functools.lru_cache(maxsize=20_000)
def _scram_keys(hash_name: str, salt: str, iterations: int) -> tuple[bytes, bytes]:
    """Derive client key and stored key (RFC 5802 §3) once per salt, as clients do that remember them."""
    salted = hashlib.pbkdf2_hmac(hash_name, PASSWORD.encode(), base64.b64decode(salt), iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    return client_key, hashlib.new(hash_name, client_key).digest()
