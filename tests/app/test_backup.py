"""`tidings backup` and `tidings restore` as they are typed, beside a running server and without one."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, tidings_command


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    folder = tmp_path / "server"
    folder.mkdir()
    running = ServerProcess.start(folder)
    try:
        running.register("alice", "secret")
        done = running.command("stanza", "send-message", "--to", "alice@localhost", "--body", "keep this")
        assert not done.returncode, done.stderr
        yield running
    finally:
        running.stop()


def tidings(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command, without a terminal."""
    return subprocess.run([tidings_command(), *arguments], capture_output=True, text=True, check=False)


def test_a_backup_of_a_running_server_is_restored_elsewhere(server: ServerProcess, tmp_path: Path) -> None:
    file, data = tmp_path / "tidings.backup", tmp_path / "restored" / "data"
    done = server.command("backup", str(file))
    assert not done.returncode, done.stderr
    assert re.fullmatch(rf"{file} is written: accounts: 1, messages: 1, made .*\.\n", done.stdout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("tidings.*")] == ["tidings.backup"]

    assert "is whole" in tidings("backup", "verify", file).stdout
    done = tidings("restore", file, "--data-dir", data, "--json")
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout)["tables"]["messages"]["rows"] == 1
    secret = data / "secret"
    assert secret.read_bytes() == (server.directory / "data" / "secret").read_bytes()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600

    folder = data.parent
    again = ServerProcess.start(folder)
    try:
        assert again.command("account", "count").stdout == "1\n"
        done = again.command("account", "check-password", "--user", "alice@localhost", input="secret\n")
        assert not done.returncode, done.stderr
    finally:
        again.stop()


def test_nothing_is_restored_over_a_running_server(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "tidings.backup"
    server.command("backup", str(file))
    done = server.command("restore", str(file))
    assert done.returncode == 3
    assert "the server that runs on" in done.stderr
    assert server.command("account", "count").stdout == "1\n"


def test_a_server_moves_to_another_database(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server = ServerProcess.start(folder)
    server.register("alice", "secret")
    url = f"sqlite:///{tmp_path}/other.sqlite"
    done = server.command("migrate", "--to", url)
    assert done.returncode == 3
    assert "the server that runs on" in done.stderr
    server.stop()
    done = server.command("migrate", "--to", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"the SQLite database {tmp_path}/other.sqlite has everything now: accounts: 1,"
    )
    configuration = folder / "tidings.toml"
    configuration.write_text(f'{configuration.read_text()}\n[database]\nurl = "{url}"\n')
    server.start_again()
    try:
        assert server.command("account", "count").stdout == "1\n"
    finally:
        server.stop()


def test_what_is_wrong_is_said(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "tidings.backup"
    server.command("backup", str(file))
    done = server.command("backup", str(file))
    assert (done.returncode, done.stderr) == (
        1,
        f"tidings: {file} exists already: choose another name, or move it away\n",
    )
    done = tidings("backup", tmp_path / "other.backup", "--data-dir", tmp_path / "nothing")
    assert done.returncode == 1
    assert "there is no data" in done.stderr
    assert not (tmp_path / "nothing").exists()
    done = tidings("restore", tmp_path / "other.backup", "--data-dir", tmp_path / "nothing")
    assert (done.returncode, done.stderr) == (1, f"tidings: there is no backup {tmp_path}/other.backup\n")
    done = tidings("backup", "verify", server.directory / "data" / "secret")
    assert done.returncode == 1
    assert "is no whole backup" in done.stderr
    (tmp_path / "other" / "data").mkdir(parents=True)
    (tmp_path / "other" / "data" / "secret").write_bytes(b"x" * 32)
    done = tidings("restore", file, "--data-dir", tmp_path / "other" / "data")
    assert done.returncode == 1
    assert "another server's" in done.stderr
