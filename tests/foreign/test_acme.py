"""A real ACME authority looks at a running server, issues its certificates, and renews them under load."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.harness.bare_client import BareClient
from tests.harness.pebble import Pebble
from tests.harness.ports import HOST, free_ports
from tests.harness.server_process import ServerProcess

DOMAIN = "chat.example.org"
WEB = "www.chat.example.org"
_SECONDS = 60


def until(condition: Callable[[], object], server: ServerProcess) -> None:
    """Wait until this is true."""
    end = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < end, server.log_tail()
        time.sleep(0.1)


@contextlib.contextmanager
def served(
    folder: Path, challenge: str, door: str = "https", validity: int = 3_600, http_port: int = 0
) -> Iterator[tuple[ServerProcess, Pebble]]:
    """Run an authority, and a server that knows it, whose `door` is where the authority looks by TLS."""
    place = folder / "pebble"
    place.mkdir()
    # The server's ports are not known before it starts, and the authority must know them.
    server = ServerProcess.start(folder, extra_configuration=f'[host."{DOMAIN}"]\n')
    ports = {"https": server.https_port, "tls": server.tls_port}
    try:
        with Pebble(place, http_port or server.http_port, ports[door], validity).running() as authority:
            configuration = folder / "tidings.toml"
            configuration.write_text(
                configuration.read_text()
                + f'certificate_names = ["{WEB}"]\n'
                + f'[acme]\nenabled = true\naccept_terms = true\ndirectory = "{authority.directory}"\n'
                + f'challenge = "{challenge}"\nauthority = "{authority.authority}"\n'
            )
            done = server.command("server", "reload")
            assert done.returncode == 0, done.stdout + done.stderr
            yield server, authority
    except BaseException:
        server.kill()
        raise
    server.stop()


def shown(server: ServerProcess, port: int, name: str = DOMAIN) -> x509.Certificate:
    """Give the certificate that a client of this port is shown under a name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((HOST, port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=name) as channel,
    ):
        return x509.load_der_x509_certificate(channel.getpeercert(binary_form=True) or b"")


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


def ping(client: BareClient, number: int) -> None:
    client.say(f"<iq type='get' id='ping-{number}'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert "result" in client.hear(f"ping-{number}")


@pytest.mark.parametrize(
    ("challenge", "door"), [("http-01", "https"), ("tls-alpn-01", "https"), ("tls-alpn-01", "tls")]
)
def test_a_domain_without_a_certificate_gets_one(tmp_path: Path, challenge: str, door: str) -> None:
    with served(tmp_path, challenge, door) as (server, authority):
        until(lambda: '"event": "certificate_issued"' in server.log, server)
        root = tmp_path / "root.pem"
        root.write_text(authority.root())
        trusted = ssl.create_default_context(cafile=str(root))
        for port in (server.tls_port, server.https_port):
            until(lambda: names(shown(server, port)) == {DOMAIN, WEB}, server)  # noqa: B023
            with (
                socket.create_connection((HOST, port), timeout=10) as raw,
                trusted.wrap_socket(raw, server_hostname=DOMAIN) as channel,
            ):
                assert channel.version()
        kept = tmp_path / "data/certificates" / DOMAIN
        assert (kept / "privkey.pem").stat().st_mode & 0o777 == 0o600
        # It is there after a start, too, and nothing is ordered again.
        server.stop()
        server.start_again()
        assert names(shown(server, server.tls_port)) == {DOMAIN, WEB}
        assert server.log.count('"event": "certificate_ordered"') == 1


def test_a_certificate_is_renewed_under_load_and_no_client_is_cut(tmp_path: Path) -> None:
    with served(tmp_path, "http-01", validity=30) as (server, _):
        until(lambda: '"event": "certificate_issued"' in server.log, server)
        until(lambda: names(shown(server, server.tls_port)) == {DOMAIN, WEB}, server)
        first = shown(server, server.tls_port)
        server.register("alice", "secret")
        client = BareClient(server)
        client.log_in("alice", "secret")
        pings = itertools.count()
        end = time.monotonic() + _SECONDS
        while shown(server, server.tls_port) == first:
            ping(client, next(pings))
            assert time.monotonic() < end, server.log_tail()
        second = shown(server, server.tls_port)
        assert second.not_valid_after_utc > first.not_valid_after_utc
        assert second.public_key() != first.public_key()
        ping(client, next(pings))
        client.close()


def test_an_authority_that_cannot_see_us_is_asked_again_when_somebody_says_so(tmp_path: Path) -> None:
    [nobody] = free_ports(1)
    with served(tmp_path, "http-01", http_port=nobody) as (server, _):
        until(lambda: '"event": "certificate_not_issued"' in server.log, server)
        done = server.command("certificate", "list", "--domain", DOMAIN, "--json")
        [told] = json.loads(done.stdout)["items"]
        assert told["source"] == "configuration"
        assert " was not found to be served here: " in told["problem"]
        done = server.command("certificate", "renew", "--domain", DOMAIN)
        assert done.returncode == 1
        assert "was not found to be served here" in done.stdout + done.stderr
        configuration = tmp_path / "tidings.toml"
        configuration.write_text(configuration.read_text().replace('"http-01"', '"tls-alpn-01"'))
        assert server.command("server", "reload").returncode == 0
        done = server.command("certificate", "renew", "--domain", DOMAIN, "--json")
        assert json.loads(done.stdout)["source"] == "ordered", done.stdout + done.stderr
        assert names(shown(server, server.tls_port)) == {DOMAIN, WEB}
