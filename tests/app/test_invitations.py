"""Invitations on a server that runs: made by a command, used in a client."""

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.harness.server_process import ServerProcess

HOST = "127.0.0.1"
OPTIONS = """
[http]
public_url = "https://chat.example.org"

[host."example.org".features.registration]
open = false
"""
HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "to='example.org' version='1.0'>"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path_factory.mktemp("invitations"), extra_configuration=OPTIONS)
    yield running
    running.stop()


def run(server: ServerProcess, *arguments: str) -> dict[str, str]:
    done = server.command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def say(client: socket.socket, text: str, until: bytes) -> bytes:
    heard = b""
    client.sendall(text.encode())
    while until not in heard and (piece := client.recv(65_536)):
        heard += piece
    return heard


def test_somebody_registers_by_a_link_on_a_server_that_is_closed(server: ServerProcess) -> None:
    created = run(server, "invitation", "create", "--domain", "example.org", "--name", "juliet")
    token = created["uri"].partition("preauth=")[2]
    with socket.create_connection((HOST, server.tcp_port), timeout=20) as client:
        features = say(client, HEADER, b"</stream:features>")
        assert b"urn:xmpp:ibr-token:0" in features
        register = (
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'>"
            "<username>juliet</username><password>secret</password></query></iq>"
        )
        assert b"not-allowed" in say(client, register, b"</iq>")
        shown = f"<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>"
        assert b"error" not in say(client, shown, b"id")
        assert b"error" not in say(client, register, b"id")
    assert run(server, "account", "check", "--user", "juliet@example.org")["exists"]
    assert token not in server.log


def test_the_address_of_its_page_shows_an_invitation_until_it_is_revoked(server: ServerProcess) -> None:
    created = run(server, "invitation", "create", "--domain", "example.org")
    path = created["landing_url"].removeprefix("https://chat.example.org")
    address = f"http://{HOST}:{server.http_port}{path}"
    with urllib.request.urlopen(address, timeout=20) as response:
        assert created["uri"] in response.read().decode()
    run(server, "invitation", "revoke", "--domain", "example.org", "--id", created["id"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address, timeout=20)
    assert refused.value.code == 404
    refused.value.close()
    assert path.rpartition("/")[2] not in server.log


def test_a_token_that_was_shown_before_the_stream_is_encrypted_is_forgotten(server: ServerProcess) -> None:
    """Whoever is in between could have shown his own, and become a contact of whoever registers."""
    token = run(server, "invitation", "create", "--domain", "example.org")["uri"].partition("preauth=")[2]
    preauth = f"<iq type='set' id='p'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>"
    form = "<iq type='get' id='f'><query xmlns='jabber:iq:register'/></iq>"
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((HOST, server.tcp_port), timeout=20) as plain:
        say(plain, HEADER, b"</stream:features>")
        assert b"error" not in say(plain, preauth, b"id")
        assert b"<username" in say(plain, form, b"</iq>")
        say(plain, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b"<proceed")
        with trusting.wrap_socket(plain, server_hostname="example.org") as encrypted:
            say(encrypted, HEADER, b"</stream:features>")
            assert b"not-allowed" in say(encrypted, form, b"</iq>")
            assert b"error" not in say(encrypted, preauth, b"id")
            assert b"<username" in say(encrypted, form, b"</iq>")
