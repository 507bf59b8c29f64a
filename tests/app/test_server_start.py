"""The start of the server: nobody connects too early, what it waits for is told, and it ends when told to."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.harness.ports import HOST, free_ports, has_listener
from tests.harness.server_process import ServerProcess, tidings_command
from tidings.adapters.file_lock import FileLock
from tidings.adapters.sql.engine import connect_database
from tidings.adapters.sql.migrate import known_revision


@pytest.fixture
def silent_database() -> Iterator[str]:
    """The URL of a database that accepts connections and says nothing."""
    with socket.create_server((HOST, 0)) as listening:
        yield f"postgresql://somebody:secret@{HOST}:{listening.getsockname()[1]}/tidings"


@pytest.fixture
def held(tmp_path: Path) -> FileLock:
    """The lock of a database that another process writes."""
    (tmp_path / "data").mkdir(mode=0o700)
    lock = FileLock(tmp_path / "data/tidings.sqlite-writer")
    assert lock.take()
    return lock


def end(server: ServerProcess) -> None:
    server.process.kill()
    server.process.wait()


def has_ended_in_time(server: ServerProcess, number: signal.Signals) -> bool:
    begin = time.monotonic()
    server.process.send_signal(number)
    return server.process.wait(20) == 0 and time.monotonic() - begin < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_server_tells_whom_it_waits_for_and_ends_when_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    first = ServerProcess.start(tmp_path)
    (tmp_path / "second").mkdir()
    second = ServerProcess.launch(
        tmp_path / "second", environment={"TIDINGS_SERVER__DATA_DIR": str(tmp_path / "data")}
    )
    try:
        second.wait_for(f"the server that runs on {tmp_path}/data (process {first.process.pid})")
        assert not any(map(has_listener, second.ports))
        assert has_ended_in_time(second, number)
        assert first.command("account", "count").returncode == 0
    finally:
        end(second)
        first.stop()


def test_a_second_server_takes_over_when_the_first_has_ended(tmp_path: Path) -> None:
    first = ServerProcess.start(tmp_path)
    (tmp_path / "second").mkdir()
    second = ServerProcess.launch(
        tmp_path / "second", environment={"TIDINGS_SERVER__DATA_DIR": str(tmp_path / "data")}
    )
    try:
        second.wait_for("start_waits")
        first.stop()
        second.wait_until_ready()
        assert all(map(has_listener, second.ports))
    finally:
        second.stop()


def test_a_port_that_is_taken_is_told_before_anything_is_waited_for(tmp_path: Path, held: FileLock) -> None:
    [port] = free_ports(1)
    with socket.create_server((HOST, port)):
        server = ServerProcess.launch(tmp_path, environment={"TIDINGS_LISTEN__TCP__PORT": str(port)})
        assert server.process.wait(20) == 1
    assert f"127.0.0.1:{port} is taken by" in server.log
    held.close()


def test_a_start_that_waits_for_its_database_takes_no_connection_and_then_serves(
    tmp_path: Path, held: FileLock
) -> None:
    server = ServerProcess.launch(tmp_path)
    try:
        server.wait_for("which uses")
        assert not any(map(has_listener, server.ports))
        held.close()
        server.wait_until_ready()
        assert all(map(has_listener, server.ports))
    finally:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_waits_for_a_silent_database_says_so_and_ends_when_told(
    tmp_path: Path, silent_database: str, number: signal.Signals
) -> None:
    server = ServerProcess.launch(tmp_path, environment={"TIDINGS_DATABASE__URL": silent_database})
    try:
        server.wait_for('"waits_for": "the database (postgresql://somebody@')
        assert has_ended_in_time(server, number)
        assert "secret" not in server.log
    finally:
        end(server)


@contextlib.contextmanager
def count_accounts(folder: Path) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """Run a command on the data of a server, and give what it writes to both of its outputs."""
    with subprocess.Popen(
        [tidings_command(), "account", "count", "--data-dir", str(folder / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        yield command, command.stdout, command.stderr


def test_a_command_that_is_typed_while_the_server_starts_is_told_so_and_then_answered(
    tmp_path: Path, held: FileLock
) -> None:
    server = ServerProcess.launch(tmp_path)
    try:
        server.wait_for("which uses")
        with count_accounts(tmp_path) as (command, stdout, stderr):
            told = stderr.readline()
            assert told.startswith("tidings: the server is starting; it waits for process ")
            held.close()
            assert stdout.read() == "0\n"
            assert command.wait(20) == 0
    finally:
        server.stop()


def test_a_command_is_told_why_the_server_did_not_start(tmp_path: Path, held: FileLock) -> None:
    server = ServerProcess.launch(tmp_path)
    try:
        server.wait_for("which uses")
        with count_accounts(tmp_path) as (command, _, stderr):
            stderr.readline()
            server.process.send_signal(signal.SIGTERM)
            assert "the server was stopped before it had started" in stderr.read()
            assert command.wait(20) == 3
    finally:
        end(server)
        held.close()


def test_a_command_waits_for_another_one_that_uses_the_database(tmp_path: Path, held: FileLock) -> None:
    with count_accounts(tmp_path) as (command, stdout, stderr):
        assert "which uses" in stderr.readline()
        held.close()
        assert stdout.read() == "0\n"
        assert command.wait(20) == 0


async def test_an_upgrade_of_the_database_is_told_in_the_log_before_the_server_is_ready(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    database = connect_database(f"sqlite:///{tmp_path}/data/tidings.sqlite")
    await database.migrate("0008")
    await database.close()
    server = ServerProcess.start(tmp_path)
    server.register("alice", "secret")
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    [told] = [line for line in lines if line["event"] == "database_upgrade"]
    assert (told["since"], told["to"]) == ("0008", known_revision())
    assert "backup" in told["advice"]
    assert not (tmp_path / "data/tidings.sqlite-wal").exists()  # a copy of the file has everything now
