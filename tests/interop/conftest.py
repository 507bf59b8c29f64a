"""One server for all foreign clients, fresh accounts for every story, a way to run the JavaScript ones."""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.server_process import ServerProcess

HERE = Path(__file__).parent
NODE_SECONDS = 60


@dataclass(frozen=True)
class Account:
    """An account that exists."""

    username: str
    password: str
    domain: str

    @property
    def bare(self) -> str:
        return f"{self.username}@{self.domain}"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path_factory.mktemp("interop"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def next_number() -> Callable[[], int]:
    counter = itertools.count(1)
    return lambda: next(counter)


@pytest.fixture
def alice(server: ServerProcess, next_number: Callable[[], int]) -> Account:
    return make_account(server, f"alice{next_number()}")


@pytest.fixture
def bob(server: ServerProcess, next_number: Callable[[], int]) -> Account:
    return make_account(server, f"bob{next_number()}")


def make_account(server: ServerProcess, name: str) -> Account:
    account = Account(name, f"secret of {name}", server.domain)
    server.register(account.username, account.password)
    return account


def befriend(server: ServerProcess, one: Account, other: Account) -> None:
    """Let two people be contacts, who see each other's presence."""
    done = server.command(
        *("roster", "add", "--user", one.bare, "--contact", other.bare),
        *("--subscription", "both", "--both-sides"),
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def profanity() -> str:
    command = shutil.which("profanity")
    if command is None:
        pytest.skip("profanity is missing: run tests/install.sh")
    return command


@pytest.fixture
def perform(
    server: ServerProcess, alice: Account, bob: Account
) -> Callable[[str, str], list[dict[str, Any]]]:
    """Run a script of this folder against an address and give the events it printed."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").is_dir():
        pytest.skip("node or its packages are missing: run tests/install.sh")

    def run(script: str, service: str) -> list[dict[str, Any]]:
        setting = {
            "service": service,
            "domain": server.domain,
            "alice": {"username": alice.username, "password": alice.password},
            "bob": {"username": bob.username, "password": bob.password},
        }
        done = subprocess.run(
            [node, HERE / script, json.dumps(setting)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=NODE_SECONDS,
            check=False,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(server.authority)},
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not events or events[-1] != {"event": "end"}:
            reason = events[-1].get("reason", "") if events else ""
            told = "\n".join(map(str, events))
            pytest.fail(
                f"{script} at {service} came to exit code {done.returncode}\n{told}\n{reason}\n"
                f"{done.stdout if not events else ''}{done.stderr}\nserver:\n{server.log_tail()}",
                pytrace=False,
            )
        return events[:-1]

    return run
