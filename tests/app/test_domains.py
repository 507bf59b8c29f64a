"""A domain that is added to a running server: all doors, its certificate, and what a restart leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogs.raw_client import TRANSPORTS, RawClient
from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess, make_certificate

DOMAIN = "example.test"
PASSWORD = "correct horse"


class Beside:
    """The same server, for clients of the domain that was added."""

    domain = DOMAIN

    def __init__(self, server: ServerProcess, authority: Path) -> None:
        self._server = server
        self.authority = authority

    def __getattr__(self, name: str) -> object:
        return getattr(self._server, name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a domain and an account that were added while it ran."""
    directory = tmp_path_factory.mktemp("domains")
    running = ServerProcess.start(directory)
    own = directory / "data" / "certificates" / DOMAIN
    own.mkdir(parents=True)
    made = tmp_path_factory.mktemp("certificate")
    make_certificate(made, DOMAIN)
    (made / "localhost.crt").rename(own / "fullchain.pem")
    (made / "localhost.key").rename(own / "privkey.pem")
    run(running, "domain", "add", "--domain", DOMAIN, "--administrator", f"boss@{DOMAIN}")
    run(running, "account", "register", "--user", f"alice@{DOMAIN}", "--password", PASSWORD)
    yield running
    running.stop()


@pytest.fixture
def beside(server: ServerProcess, tmp_path: Path) -> Beside:
    """What clients trust: the server's certificate for its web doors, that of the domain for the others."""
    both = tmp_path / "both.crt"
    own = server.directory / "data" / "certificates" / DOMAIN / "fullchain.pem"
    both.write_bytes(server.authority.read_bytes() + own.read_bytes())
    return Beside(server, both)


def run(server: ServerProcess, *arguments: str) -> str:
    done = server.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def client(beside: Beside, transport: str) -> RawClient:
    trace: list[str] = []
    return RawClient(TRANSPORTS[transport](beside, trace), trace)  # type: ignore[arg-type]  # it acts as one


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_people_log_in_by_every_door(beside: Beside, transport: str) -> None:
    alice = client(beside, transport)
    await alice.log_in("alice", PASSWORD, "phone")
    await alice.send(f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert (await alice.receive()).get("type") == "result"
    await alice.close()


async def test_a_disabled_domain_sends_them_away(server: ServerProcess, beside: Beside) -> None:
    alice = client(beside, "starttls")
    await alice.log_in("alice", PASSWORD, "phone")
    told = run(server, "domain", "disable", "--domain", DOMAIN)
    assert told == f"Nobody can log in to {DOMAIN}; sessions ended: 1.\n"
    with pytest.raises((StreamEnd, AssertionError), match="host-gone"):
        await alice.receive()
    await alice.abort()
    refused = client(beside, "starttls")
    with pytest.raises((StreamEnd, AssertionError), match="host-unknown"):
        await refused.log_in("alice", PASSWORD, "phone")
    await refused.abort()
    run(server, "domain", "enable", "--domain", DOMAIN)
    again = client(beside, "starttls")
    await again.log_in("alice", PASSWORD, "phone")
    await again.close()


async def test_a_restart_changes_nothing(server: ServerProcess, beside: Beside) -> None:
    server.kill()
    server.start_again()
    alice = client(beside, "tls")
    await alice.log_in("alice", PASSWORD, "phone")
    await alice.close()


def test_what_is_removed_is_gone(server: ServerProcess) -> None:
    run(server, "domain", "add", "--domain", "gone.test")
    for number in range(5):
        run(server, "account", "register", "--user", f"u{number}@gone.test", "--password", "x")
    run(server, "domain", "remove", "--domain", "gone.test")
    server.kill()
    server.start_again()
    deadline = time.monotonic() + 20
    while any(item["domain"] == "gone.test" for item in listed(server)):
        assert time.monotonic() < deadline
    run(server, "domain", "add", "--domain", "gone.test")
    assert run(server, "account", "count", "--domain", "gone.test") == "0\n"


def listed(server: ServerProcess) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(run(server, "domain", "list", "--json"))["items"]
    return found
