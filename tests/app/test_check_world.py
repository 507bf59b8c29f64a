"""`tidings check` as a client of the running server: the certificate that is shown, and host-meta."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.dns import SRV, A, Records, address, service, serving
from tests.harness.ports import free_ports
from tests.harness.server_process import ServerProcess, make_certificate
from tidings.app import check_world, config
from tidings.app.finding import Finding
from tidings.app.options import Config

DOMAIN = "chat.example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for a domain of the Internet, with a certificate that clients trust who are told to."""
    directory = tmp_path_factory.mktemp("world")
    made = ServerProcess.start(directory, environment=environment(directory))
    yield made
    made.stop()


def environment(directory: Path, name: str = DOMAIN) -> dict[str, str]:
    certificates = directory / name
    certificates.mkdir(exist_ok=True)
    certificate = make_certificate(certificates, name)
    return {
        "TIDINGS_SERVER__DOMAINS": DOMAIN,
        "TIDINGS_TLS__CERTIFICATE": str(certificate),
        "TIDINGS_TLS__KEY": str(certificates / "localhost.key"),
    }


def configuration(server: ServerProcess) -> Config:
    certificates = server.directory / DOMAIN
    given = {
        "TIDINGS_SERVER__DOMAINS": DOMAIN,
        "TIDINGS_TLS__CERTIFICATE": str(certificates / "localhost.crt"),
        "TIDINGS_TLS__KEY": str(certificates / "localhost.key"),
    }
    return config.load(server.directory / "tidings.toml", given)


def records(server: ServerProcess) -> Records:
    return {
        (f"_xmpp-client._tcp.{DOMAIN}", SRV): [service(0, 0, server.tcp_port, f"host.{DOMAIN}")],
        (f"_xmpps-client._tcp.{DOMAIN}", SRV): [service(0, 0, server.tls_port, f"host.{DOMAIN}")],
        (f"host.{DOMAIN}", A): [address("127.0.0.1")],
        (DOMAIN, A): [address("127.0.0.1")],
    }


async def seen(server: ServerProcess, used: Config | None = None, https_port: int = 0) -> list[Finding]:
    async with serving(records(server)) as resolver:
        return await check_world.seen(
            used or configuration(server), 1, resolver, https_port=https_port or server.https_port
        )


async def test_what_clients_trust_is_in_order(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.directory / DOMAIN / "localhost.crt"))
    found = await seen(server)
    assert [each.status for each in found] == ["ok", "ok", "ok"], found
    direct, plain, web = (each.text for each in found)
    assert f"port {server.tls_port}, clients find a certificate that they can trust" in direct
    assert f"port {server.tcp_port}, clients find a certificate that they can trust" in plain
    assert web == f"{DOMAIN}: https://{DOMAIN}/.well-known/host-meta tells where WebSocket and BOSH are"


async def test_a_certificate_that_clients_refuse_is_told_with_the_reason(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    found = await seen(server)
    assert [each.status for each in found] == ["warn"] * 3
    assert all("refuse the certificate: it is self-signed" in each.text for each in found)


async def test_a_certificate_of_another_name_is_told(
    tmp_path: Path, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environment(tmp_path, "other.example.org")
    other = ServerProcess.start(tmp_path, environment=given)
    monkeypatch.setenv("SSL_CERT_FILE", given["TIDINGS_TLS__CERTIFICATE"])
    try:
        found = await seen(other, config.load(other.directory / "tidings.toml", given))
        assert [each.status for each in found] == ["warn"] * 3
        assert all(f"it does not name {DOMAIN}" in each.text for each in found)
        shown = await seen(other, configuration(server))
        assert all("another certificate is shown than" in each.text for each in shown[:2])
    finally:
        other.stop()


async def test_a_port_and_a_web_server_that_are_not_there_are_told(server: ServerProcess) -> None:
    nobody, web = free_ports(2)
    astray = dict(records(server))
    astray[f"_xmpps-client._tcp.{DOMAIN}", SRV] = [service(0, 0, nobody, f"host.{DOMAIN}")]
    async with serving(astray) as resolver:
        found = await check_world.seen(configuration(server), 1, resolver, https_port=web)
    texts = [each.text for each in found if each.status == "warn"]
    assert f"port {nobody}, there is no TLS to be had" in texts[0]
    assert texts[-1].endswith("/.well-known/host-meta cannot be had")


async def test_a_web_server_that_knows_nothing_of_it_is_told(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.directory / DOMAIN / "localhost.crt"))
    monkeypatch.setattr(check_world, "_HOST_META", "/.well-known/nothing")
    *_, web = await seen(server)
    assert web.status == "warn"
    assert web.text.endswith("has nothing about WebSocket and BOSH (status 404)")


async def test_nothing_is_connected_to_while_the_server_does_not_run(server: ServerProcess) -> None:
    async with serving({}) as resolver:
        [finding] = await check_world.seen(configuration(server), 0, resolver)
    assert (finding.status, finding.text) == ("ok", "not looked at, since the server does not run")
