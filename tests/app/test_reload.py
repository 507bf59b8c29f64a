"""Reloading: new certificates without a restart, and every other change told."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess, make_certificate
from tidings.adapters.file_lock import FileLock
from tidings.app import certificate_maker, certificates, config, tls_contexts
from tidings.app.differences import differences
from tidings.app.known_features import KnownFeatures
from tidings.app.options import Config
from tidings.features.registration import Registration

HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost'"
    b" version='1.0'>"
)


@pytest.fixture
def server(tmp_path: Path):
    server = ServerProcess.start(tmp_path)
    yield server
    server.stop_troubled()


def on_disk(server: ServerProcess) -> bytes:
    return ssl.PEM_cert_to_DER_cert(server.authority.read_text())


def shown(
    server: ServerProcess, name: str | None = "localhost", *, starttls: bool = False, port: int = 0
) -> bytes | None:
    """Give the certificate that the server shows in a new handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = port or (server.tcp_port if starttls else server.tls_port)
    with socket.create_connection((HOST, port), timeout=10) as raw:
        if starttls:
            raw.sendall(HEADER + b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            heard = b""
            while b"<proceed" not in heard:
                heard += raw.recv(4096)
        with context.wrap_socket(raw, server_hostname=name) as channel:
            return channel.getpeercert(binary_form=True)


def features(server: ServerProcess) -> bytes:
    """Give the stream features that a new connection over TLS is shown."""
    context = ssl.create_default_context(cafile=str(server.authority))
    heard = b""
    with (
        socket.create_connection((HOST, server.tls_port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as channel,
    ):
        channel.sendall(HEADER)
        while b"</stream:features>" not in heard:
            heard += channel.recv(65_536)
    return heard


def reload(server: ServerProcess, *arguments: str) -> tuple[int, dict]:
    done = server.command("server", "reload", "--json", *arguments)
    return done.returncode, json.loads(done.stdout or "{}")


def test_signals_that_mean_nothing_are_harmless(server: ServerProcess) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        server.process.send_signal(number)
        server.wait_for(f'"signal": "{number.name}", "event": "signal_ignored"')
    assert shown(server)


def test_a_hang_up_shows_the_new_certificate_and_disturbs_nobody(server: ServerProcess) -> None:
    old = on_disk(server)
    with socket.create_connection((HOST, server.tcp_port), timeout=10) as connected:
        make_certificate(server.directory, "localhost")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for('"event": "reloaded"')
        assert old != on_disk(server) == shown(server) == shown(server, None) == shown(server, starttls=True)
        assert shown(server, port=server.https_port) == on_disk(server)
        connected.sendall(HEADER)
        assert b"<stream:stream" in connected.recv(4096)


def test_channel_binding_goes_on_with_a_new_certificate(server: ServerProcess) -> None:
    assert b"tls-server-end-point" in features(server)
    make_certificate(server.directory, "localhost")
    assert reload(server)[0] == 0
    assert b"tls-server-end-point" in features(server)


def test_a_reload_says_what_it_did(server: ServerProcess) -> None:
    make_certificate(server.directory, "localhost")
    code, answer = reload(server)
    assert (code, answer["complete"]) == (0, True)
    assert answer["done"] == ["certificates: 1 read anew (localhost), 0 unchanged"]
    assert shown(server) == on_disk(server)
    assert reload(server)[1]["done"] == ["certificates: 0 read anew, 1 unchanged"]


def test_a_certificate_that_cannot_be_used_leaves_the_old_one(server: ServerProcess) -> None:
    old = on_disk(server)
    server.authority.write_text("nothing")
    code, answer = reload(server)
    assert code == 1
    [problem] = answer["problems"]
    assert problem.startswith(f"{server.authority} holds no certificate in PEM form")
    assert problem.endswith("the old certificate is used for localhost)")
    assert shown(server) == old
    assert '"event": "reload_failed"' in server.log
    make_certificate(server.directory, "localhost")
    assert reload(server)[0] == 0
    assert old != shown(server) == on_disk(server)


def test_a_reload_names_the_options_that_need_a_restart(server: ServerProcess) -> None:
    file = server.directory / "tidings.toml"
    text = file.read_text()
    file.write_text(text + "\n[ledger]\nwait_seconds = 7\n")
    code, answer = reload(server)
    assert code == 0
    assert answer["needs_restart"] == ["[ledger] wait_seconds"]
    assert reload(server)[1]["needs_restart"] == ["[ledger] wait_seconds"]
    file.write_text(text)
    assert reload(server)[1]["needs_restart"] == []


def test_a_reload_changes_the_level_of_the_log(server: ServerProcess) -> None:
    file = server.directory / "tidings.toml"
    text = file.read_text()
    assert 'level = "debug"' in text
    file.write_text(text.replace('level = "debug"', 'level = "warning"'))
    code, answer = reload(server)
    assert (code, answer["needs_restart"], answer["done"][-1]) == (0, [], '[log] level: "debug" → "warning"')
    before = server.log
    file.write_text(text)
    assert reload(server)[1]["done"][-1] == '[log] level: "warning" → "debug"'
    assert '"event": "reloaded"' in server.log[len(before) :]
    assert server.log[len(before) :].count('"event": "reloaded"') == 1


def test_a_certificate_may_move_to_another_file(server: ServerProcess) -> None:
    (server.directory / "new").mkdir()
    made = make_certificate(server.directory / "new", "localhost")
    file = server.directory / "tidings.toml"
    file.write_text(file.read_text().replace("/localhost.", "/new/localhost."))
    code, answer = reload(server)
    assert (code, answer["needs_restart"]) == (0, [])
    assert shown(server) == ssl.PEM_cert_to_DER_cert(made.read_text())


def test_a_configuration_that_cannot_be_used_changes_nothing(server: ServerProcess) -> None:
    make_certificate(server.directory, "localhost")
    old = shown(server)
    file = server.directory / "tidings.toml"
    text = file.read_text()
    file.write_text(text + "\n[limits]\nlogin_secs = 7\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for('"event": "reload_failed"')
    assert "unknown option `login_secs` in [limits]" in server.log
    assert shown(server) == old != on_disk(server)
    file.write_text(text)


def test_a_hang_up_while_the_server_starts_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    held = FileLock(tmp_path / "data/server.lock")
    assert held.take()
    server = ServerProcess.launch(tmp_path)
    try:
        server.wait_for("start_waits")
        server.process.send_signal(signal.SIGHUP)
        held.close()
        server.wait_for('"event": "reloaded"')
    finally:
        server.stop()


async def test_many_certificates_are_read_beside_the_loop(tmp_path: Path) -> None:
    """Whoever is served meanwhile has a turn after every few certificates."""
    text = "".join(
        f'[host."d{number}.example"]\ncertificate = "{number}.crt"\nkey = "{number}.key"\n'
        for number in range(60)
    )
    (tmp_path / "tidings.toml").write_text(text)
    found = config.load(tmp_path / "tidings.toml", {}, {"server.data_dir": str(tmp_path)})
    certificate, key = certificate_maker.self_signed(["*.example"], datetime.now(UTC))
    for number in range(60):
        (tmp_path / f"{number}.crt").write_bytes(certificate)
        (tmp_path / f"{number}.key").write_bytes(key)
    served = tls_contexts.load(found)
    known: list[bytes] = []
    served.listen(lambda _, der: known.append(der))
    new, new_key = certificate_maker.self_signed(["*.example"], datetime.now(UTC))
    for number in range(60):
        (tmp_path / f"{number}.crt").write_bytes(new)
        (tmp_path / f"{number}.key").write_bytes(new_key)
    most, before = 0, len(known)
    read_anew = await served.read(certificates.pairs_of(found))
    task = asyncio.ensure_future(served.use(read_anew))
    while not task.done():
        await asyncio.sleep(0)
        most, before = max(most, len(known) - before), len(known)
    assert len(read_anew.changed) == 60
    assert 0 < most <= 20


def read(tmp_path: Path, text: str) -> Config:
    (tmp_path / "tidings.toml").write_text(text)
    known = KnownFeatures((Registration,))
    return config.load(tmp_path / "tidings.toml", {}, None, known)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[limits]\nlogin_seconds = 9\n", [("limits", "login_seconds")]),
        ("[listen.tcp]\nport = 9\n", [("listen", "tcp", "port")]),
        ('[server]\nadmins = ["a@b.example"]\n', [("server", "admins")]),
        ('[server]\nauthentication = "anonymous"\n', [("server", "authentication")]),
        ("[features.registration]\nopen = true\n", [("features", "registration", "open")]),
        ('[features]\ndisabled = ["registration"]\n', [("features", "disabled")]),
        ('[host."localhost"]\nadmins = ["a"]\n', [("host", "localhost", "admins")]),
        ('[host."localhost".features.registration]\nopen = true\n',
         [("host", "localhost", "features", "registration", "open")]),
        ('[host."new.example"]\n', [("host", "new.example")]),
    ],
)  # fmt: skip
def test_a_change_is_named_once_and_where_it_was_made(tmp_path: Path, text, expected) -> None:
    assert differences(read(tmp_path, ""), read(tmp_path, text)) == expected
