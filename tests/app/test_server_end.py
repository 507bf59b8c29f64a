"""The start and the end of the server as a process: what it says, and that it waits for nobody for long."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, tidings_command
from tidings.app.logs import StandardError

HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost'"
    b" version='1.0'>"
)


def hear(client: socket.socket, what: bytes) -> bytes:
    heard = b""
    while what not in heard:
        data = client.recv(65_536)
        assert data, heard
        heard += data
    return heard


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clients_are_told_and_the_process_ends_in_time(tmp_path: Path, number: signal.Signals) -> None:
    server = ServerProcess.start(tmp_path)
    try:
        with (
            socket.create_connection((server.host, server.tcp_port), timeout=20) as polite,
            socket.create_connection((server.host, server.tcp_port), timeout=20) as deaf,
        ):
            polite.sendall(HEADER)
            hear(polite, b"</stream:features>")
            deaf.sendall(HEADER)  # reads nothing, closes nothing
            begin = time.monotonic()
            server.process.send_signal(number)
            assert b"<system-shutdown" in hear(polite, b"</stream:stream>")
            polite.close()
            assert server.process.wait(20) == 0
            assert time.monotonic() - begin < 15
    finally:
        server.stop()


def test_a_secret_that_everybody_may_read_is_told_at_start(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path)
    try:
        assert "permissions" not in server.log
        [secret] = tmp_path.rglob("secret")
        secret.chmod(0o644)
        server.kill()
        server.start_again()
        assert "permissions" in server.log
        assert f"chmod 600 {secret}" in server.log
    finally:
        server.stop()


def test_the_server_ends_in_order_with_the_terminal_that_it_was_started_on(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        **{f"TIDINGS_LISTEN__{name}__PORT": "0" for name in ("TCP", "TLS", "HTTP", "HTTPS")},
    }
    server = subprocess.Popen(
        [tidings_command(), "serve"],
        cwd=tmp_path,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"started" not in shown:
        shown += os.read(ours, 4096)
    os.close(ours)
    server.send_signal(signal.SIGHUP)
    assert server.wait(20) == 0
    assert not (tmp_path / "data/admin.sock").exists()


def test_a_log_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with pytest.raises(OSError, match="No space left"):
            print("a line", file=sys.stderr, flush=True)  # noqa: T201  # as the log does
        print("a line", file=StandardError(), flush=True)
        monkeypatch.undo()
        with contextlib.suppress(OSError):  # what was lost is tried once more at the end
            full.close()
