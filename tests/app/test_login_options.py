"""What clients are offered to log in with, as the configuration says for each domain."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess

OPTIONS = """
[host."old.example"]
sasl2 = false

[host."new.example"]
sasl = false

[host."guests.example"]
authentication = "anonymous"
"""
REGISTER = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"

SLOWLY = """
[limits]
logins_per_second = 1

[host."guests.example"]
authentication = "anonymous"
"""
ANONYMOUS = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"


def header(domain: str) -> str:
    return (
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        f"to='{domain}' version='1.0'>"
    )


def say(client: socket.socket, text: str, until: bytes) -> bytes:
    heard = b""
    client.sendall(text.encode())
    while until not in heard and (piece := client.recv(65_536)):
        heard += piece
    return heard


def features(server: ServerProcess, domain: str) -> bytes:
    with socket.create_connection((HOST, server.tcp_port), timeout=20) as client:
        return say(client, header(domain), b"</stream:features>")


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
        for domain, is_offered in (("localhost", True), ("guests.example", False)):  # XEP-0077 §3.1
            with socket.create_connection((HOST, server.tcp_port), timeout=20) as client:
                heard = say(client, header(domain) + REGISTER, b"</iq>")
            assert (b"http://jabber.org/features/iq-register" in heard) is is_offered
            assert (b"<username" in heard) is is_offered
            assert (b"service-unavailable" in heard) is not is_offered
    finally:
        server.stop()


def test_who_comes_faster_than_log_ins_are_let_in_waits_or_is_told_when_to_come(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path, extra_configuration=SLOWLY)
    try:
        with contextlib.ExitStack() as stack:
            let_in: list[socket.socket] = []
            for _ in range(40):
                guest = stack.enter_context(socket.create_connection((HOST, server.tcp_port), timeout=20))
                heard = say(guest, header("guests.example"), b"</stream:")
                if b"<resource-constraint" in heard:
                    break
                say(guest, ANONYMOUS, b"<success")
                say(guest, header("guests.example"), b"</stream:features>")
                guest.sendall(BIND.encode())
                let_in.append(guest)
            assert b"<retry-after" in heard
            assert 10 <= len(let_in) < 40
            assert b"<jid>" in say(let_in[0], "", b"</iq>")
            assert b"<jid>" in say(let_in[1], "", b"</iq>")
    finally:
        server.stop()
