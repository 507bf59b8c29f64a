"""The systemd units: systemd understands them, and they leave a server no more than it needs."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, tidings_command

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging/systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in {".service", ".timer"})
INSTALLED = "/usr/lib/tidings/bin/"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed: run tests/install.sh as root"
)


def sections(unit: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd keep their case
    parser.read(FOLDER / unit)
    return parser


@needs_systemd
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """They are copied to where their programs are, since these are not installed here."""
    for name in ("tidings", "dated-backup"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    for unit in UNITS:
        text = (FOLDER / unit).read_text()
        (tmp_path / unit).write_text(text.replace(INSTALLED, f"{tmp_path}/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "system call list" not in line]
    assert (done.returncode, told) == (0, []), done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.endswith(".service")])
def test_a_service_is_hardly_exposed(unit: str) -> None:
    """2.0 is far inside of what systemd calls "OK", which ends at 5."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", FOLDER / unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"Overall exposure level for {unit}: [01]\.\d OK", done.stdout)


def test_the_commands_of_the_units_are_understood(tmp_path: Path) -> None:
    """What starts the server and what reloads it, as the unit says, on a server's own files."""
    service = sections("tidings.service")["Service"]
    reload = service["ExecReload"].removeprefix(f"{INSTALLED}tidings ").split()
    assert service["ExecStart"].removeprefix(f"{INSTALLED}tidings ").split()[0] == "serve"
    server = ServerProcess.start(tmp_path)
    try:
        done = server.command(*reload[: reload.index("--config")])
        assert (done.returncode, done.stdout.split("\n")[0]) == (0, "complete  yes")
    finally:
        server.stop()


def run_dated_backup(
    server: ServerProcess, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    variables = {
        "TIDINGS_COMMAND": str(tidings_command()),
        "TIDINGS_CONFIG": str(server.directory / "tidings.toml"),
    }
    return subprocess.run(
        [FOLDER / "dated-backup", folder],
        env=os.environ | variables | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_backup_of_every_night_takes_the_place_of_old_ones(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    names = {"tidings-old.backup": 16, "tidings-recent.backup": 3, "before-upgrade-old.backup": 99}
    for name, days in names.items():
        (folder / name).touch()
        then = time.time() - days * 86_400
        os.utime(folder / name, (then, then))
    server = ServerProcess.start(tmp_path)
    try:
        server.register("alice", "wonderland")
        done = run_dated_backup(server, folder)
        assert done.returncode == 0, done.stderr
        assert "accounts: 1" in done.stdout
        kept = {path.name for path in folder.iterdir()}
        assert kept >= {"tidings-recent.backup", "before-upgrade-old.backup"}
        assert "tidings-old.backup" not in kept
        assert len(kept) == 3
    finally:
        server.stop()


def test_a_backup_that_fails_removes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "tidings-old.backup").touch()
    os.utime(folder / "tidings-old.backup", (0, 0))
    server = ServerProcess.start(tmp_path)
    try:
        assert run_dated_backup(server, folder, TIDINGS_CONFIG=str(tmp_path / "nothing")).returncode != 0
        assert [path.name for path in folder.iterdir()] == ["tidings-old.backup"]
    finally:
        server.stop()
