"""The accounts that the configuration makes: the rules for them are those for all accounts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.harness.server_process import ServerProcess


def run(server: ServerProcess, *arguments: str) -> str:
    done = server.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_address_under_legal_hold_is_not_given_away_at_the_start(tmp_path: Path) -> None:
    alice = "alice@localhost"
    server = ServerProcess.start(tmp_path, environment={"TIDINGS_SERVER__CREATE_ADMINS": f"{alice}:pw"})
    try:
        run(server, "stanza", "send-message", "--to", alice, "--body", "for the first alice")
        run(server, "retention", "hold", "--user", alice)
        run(server, "account", "remove", "--user", alice)
        server.kill()
        server.start_again()
        checked = json.loads(server.command("account", "check", "--user", alice, "--json").stdout)
        assert not checked["exists"]
    finally:
        server.stop()
