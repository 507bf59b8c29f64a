"""`tidings top`: a view that renews itself on a terminal, lines elsewhere, a word where no server runs."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.bare_client import BareClient
from tests.harness.server_process import ServerProcess, tidings_command
from tidings.app.top import block, one_line


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess.start(
        tmp_path_factory.mktemp("top"), environment={"TIDINGS_SERVER__MECHANISMS": "SCRAM-SHA-1,PLAIN"}
    )
    server.register("alice", "secret")
    yield server
    server.stop()


def test_once_it_tells_all_in_some_lines(served: ServerProcess) -> None:
    alice = BareClient(served)
    alice.log_in("alice", "secret")
    done = served.command("top", "--once")
    alice.close()
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line and line[0] != " ")
    assert lines["sessions"] == "1"
    assert "MB writer" in lines["memory"]
    assert "slowest readers" in done.stdout


def test_programs_get_json(served: ServerProcess) -> None:
    answer = json.loads(served.command("top", "--once", "--json").stdout)
    assert answer["writer_memory_octets"] > 0
    assert answer["bugs"] == 0


@contextlib.contextmanager
def running(server: ServerProcess, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until Ctrl-C, which it has to hear whoever runs the tests."""
    words = ["top", "--interval", "1", "--data-dir", str(server.directory / "data")]
    process = subprocess.Popen(
        ["env", "--default-signal=INT", tidings_command(), *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
    )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_elsewhere_it_writes_one_line_each_time_until_it_is_told_to_end(served: ServerProcess) -> None:
    with running(served, subprocess.PIPE) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline().decode(), process.stdout.readline().decode()
    process.stdout.close()
    assert "messages in 0.0/s" in first
    assert first[:8] < second[:8]


def test_on_a_terminal_it_shows_a_view(served: ServerProcess) -> None:
    ours, theirs = pty.openpty()
    with running(served, theirs):
        os.close(theirs)
        shown = b""
        while b"slowest readers" not in shown:
            assert select.select([ours], [], [], 20)[0], shown
            shown += os.read(ours, 65536)
    os.close(ours)
    assert b"busiest accounts" in shown
    assert b"\x1b[?1049h" in shown  # the terminal's other screen, so that what stood there comes back


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [tidings_command(), "top", "--once", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "no server is running" in done.stderr


@pytest.mark.parametrize("interval", ["0", "31", "soon"])
def test_an_interval_that_is_none_is_wrong_usage(served: ServerProcess, interval: str) -> None:
    done = served.command("top", "--interval", interval)
    assert done.returncode == 2
    assert "--interval is a number of seconds from 1 to 30" in done.stderr


def test_numbers_are_written_as_people_read_them() -> None:
    answer = {
        "sessions": 3,
        "connections": 4,
        "messages_received": 12.34,
        "stanzas_received": 20,
        "stanzas_sent": 40,
        "logins": 1,
        "login_failures": 0.5,
        "transactions": 10,
        "transaction_milliseconds": 1.26,
        "ledger_queue": 0,
        "ledger_trouble": "",
        "waiting_octets": 900,
        "waiting_limit_octets": 512_000_000,
        "memory_octets": 96_400_000,
        "writer_memory_octets": 0,
        "cpu": 0.25,
        "writer_cpu": 0.1,
        "bugs": 0,
        "busiest": [{"user": "a\x1b[2J@localhost", "received": 1.0, "sent": 2.0}],
        "slowest": [],
    }
    line = one_line(answer)
    assert "messages in 12.3/s" in line
    assert "transactions 10.0/s, 1.3 ms each" in line
    assert "for clients 900 B of 512.0 MB" in line
    assert "cpu 25% + 10% writer" in line
    assert "\x1b" not in "".join(block(answer))
    assert "trouble" not in line
    troubled = {**answer, "ledger_trouble": "the disk is full"}
    assert one_line(troubled).endswith("trouble the disk is full")
    assert any("the disk is full" in each for each in block(troubled))
