"""`tidings export` and `tidings import` as they are typed: from one server to another, with old passwords."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, tidings_command
from tidings.app.import_command import export_accounts
from tidings.base.errors import BackendError


def tidings(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command, without a terminal."""
    return subprocess.run([tidings_command(), *arguments], capture_output=True, text=True, check=False)


def test_accounts_move_from_one_server_to_another(tmp_path: Path) -> None:
    former, new, file = tmp_path / "former", tmp_path / "new", tmp_path / "accounts.xml"
    former.mkdir()
    new.mkdir()
    server = ServerProcess.start(former)
    try:
        server.register("alice", "secret")
        for text in ("one", "two"):
            server.command("stanza", "send-message", "--to", "alice@localhost", "--body", text)
        personal = server.command("account", "export-personal-data", "--user", "alice@localhost")
        done = server.command("export", str(file))
        assert not done.returncode, done.stderr
        assert done.stdout == f"{file} is written.\n"
        assert "File exists" in server.command("export", str(file)).stderr
        assert server.command("export", "-").stdout == file.read_text()
        refused = server.command("import", "xep-0227", str(file))
        assert refused.returncode == 3
        assert "the server that runs on" in refused.stderr
    finally:
        server.stop()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert personal.stdout.startswith("<?xml")
    assert "<body>two</body>" in personal.stdout
    assert "scram-credentials" in file.read_text()
    assert "scram-credentials" not in personal.stdout

    data = "--data-dir", new / "data"
    dry = tidings("import", "xep-0227", file, *data, "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "Would import accounts: 1, messages: 2.\n")
    done = tidings("import", "xep-0227", file, *data, "--json")
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout)["messages"] == 2
    again = tidings("import", "xep-0227", file, *data)
    assert "here already" in again.stdout

    server = ServerProcess.start(new)
    try:
        done = server.command("account", "check-password", "--user", "alice@localhost", input="secret\n")
        assert not done.returncode, done.stderr
        assert (
            json.loads(server.command("archive", "size", "--user", "alice@localhost", "--json").stdout)[
                "entries"
            ]
            == 2
        )
    finally:
        server.stop()


def test_a_part_of_an_export_is_not_left_behind(tmp_path: Path) -> None:
    def parts() -> Iterator[str]:
        yield "<server-data>"
        raise BackendError("the database does not answer")

    with pytest.raises(BackendError):
        export_accounts(str(tmp_path / "accounts.xml"), parts(), as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_imported_ends_with_an_error(tmp_path: Path) -> None:
    data = "--data-dir", tmp_path / "data"
    done = tidings("import", "xep-0227", tmp_path / "missing.xml", *data)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path}/missing.xml cannot be read: No such file or directory" in done.stderr

    file = tmp_path / "other.xml"
    file.write_text(
        "<server-data xmlns='urn:xmpp:pie:0'><host jid='a.example'><user name='b'/></host></server-data>"
    )
    done = tidings("import", "xep-0227", file, *data)
    assert done.returncode == 1
    assert "b@a.example: the domain a.example is not served here" in done.stdout


def test_who_runs_the_server_is_told_which_mechanisms_everybody_can_use(tmp_path: Path) -> None:
    keys = "<salt>TmFDbA==</salt><server-key>0pXWGK0GZJ6TR73AIUN3ITYtA1g=</server-key>"
    keys += "<stored-key>Q6qT/SbybblGCZz8e8eSfCJOQic=</stored-key><iter-count>4096</iter-count>"
    scram = (
        f"<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'>{keys}</scram-credentials>"
    )
    users = f"<user name='alice'>{scram}</user><user name='bob' password='secret'/>"
    file = tmp_path / "accounts.xml"
    file.write_text(f"<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>{users}</host></server-data>")
    for more in (["--dry-run"], []):
        done = tidings("import", "xep-0227", file, "--data-dir", tmp_path / "data", *more)
        assert not done.returncode, done.stdout + done.stderr
        assert "Not everybody has a key for SCRAM-SHA-512, SCRAM-SHA-256" in done.stdout
        assert 'mechanisms = ["SCRAM-SHA-1", "EXTERNAL", "PLAIN"]' in done.stdout
