"""What clients are offered to log in with, as the configuration says for each domain."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.harness.server_process import HOST, ServerProcess

OPTIONS = """
[host."old.example"]
sasl2 = false

[host."new.example"]
sasl = false
"""


def features(server: ServerProcess, domain: str) -> bytes:
    header = (
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        f"to='{domain}' version='1.0'>"
    )
    heard = b""
    with socket.create_connection((HOST, server.tcp_port), timeout=20) as client:
        client.sendall(header.encode())
        while b"</stream:features>" not in heard:
            heard += client.recv(65_536)
    return heard


def test_each_domain_offers_what_its_options_say(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path, extra_configuration=OPTIONS)
    try:
        both, old, new = (features(server, name) for name in ("localhost", "old.example", "new.example"))
        assert b"urn:ietf:params:xml:ns:xmpp-sasl" in both
        assert b"urn:xmpp:sasl:2" in both
        assert b"urn:ietf:params:xml:ns:xmpp-sasl" in old
        assert b"urn:xmpp:sasl:2" not in old
        assert b"urn:ietf:params:xml:ns:xmpp-sasl" not in new
        assert b"urn:xmpp:sasl:2" in new
    finally:
        server.stop()
