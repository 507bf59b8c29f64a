"""Removing accounts on a real server: later, with a way back, and names that rest; also without a server."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess

HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' "
    "version='1.0'>"
)
REGISTER = (
    "<iq type='set' id='r' to='localhost'><query xmlns='jabber:iq:register'><username>bob</username>"
    "<password>new</password></query></iq>"
)


class Client:
    """A client on plain TCP of this machine, with all that it has heard."""

    def __init__(self, server: ServerProcess) -> None:
        self._socket = socket.create_connection((HOST, server.tcp_port), timeout=20)
        self.ask(HEADER, "</stream:features>")

    def log_in(self, name: str) -> str:
        """Try to log in with the name as the password, and give the answer."""
        secret = base64.b64encode(f"\0{name}\0{name}".encode()).decode()
        sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
        answer = self.ask(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{secret}</auth>", "/>")
        if "<success" not in answer:
            return answer
        self.ask(HEADER, "</stream:features>")
        self.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
        return "logged in"

    def ask(self, text: str, until: str) -> str:
        """Send this and give what came; less than what was waited for where the server closed the stream."""
        heard = b""
        self._socket.sendall(text.encode())
        while until.encode() not in heard and (piece := self._socket.recv(65_536)):
            heard += piece
        return heard.decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess.start(tmp_path)
    server.register("bob", "bob")
    yield server
    server.stop_troubled()


def log_in(server: ServerProcess, name: str) -> str:
    client = Client(server)
    answer = client.log_in(name)
    client.close()
    return answer


def run(server: ServerProcess, *arguments: str) -> str:
    done = server.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(server: ServerProcess, *arguments: str) -> Any:
    return json.loads(run(server, *arguments, "--json"))


def refused(server: ServerProcess, *arguments: str) -> str:
    done = server.command(*arguments)
    assert done.returncode == 1, done.stdout
    return done.stderr


def let_names_rest(server: ServerProcess) -> None:
    """Change the configuration and let the server read it."""
    file = server.directory / "tidings.toml"
    text = file.read_text()
    assert "[server]\n" in text
    file.write_text(text.replace("[server]\n", "[server]\nname_rest_days = 30\n"))
    assert shown(server, "server", "reload")["done"][-1] == "[server] name_rest_days: 0 → 30"


BOB = ("--user", "bob@localhost")


def test_an_account_is_removed_later_and_given_back(server: ServerProcess) -> None:
    connected = Client(server)
    assert connected.log_in("bob") == "logged in"
    told = run(server, "account", "remove", *BOB, "--after-days", "30")
    found = re.fullmatch(
        r"The account bob@localhost is disabled, and goes at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d); "
        r"sessions ended: 1\.\n",
        told,
    )
    assert found is not None, told
    ended = connected.ask("", "</stream:stream>")
    connected.close()
    assert "the account will be removed at " in ended
    assert "account-disabled" in log_in(server, "bob")

    [listed] = shown(server, "account", "list", "--leaving")["items"]
    assert listed["user"] == "bob@localhost"
    assert listed["removal"] == shown(server, "account", "check", *BOB)["removal"]
    assert found[1] in run(server, "account", "list")
    server.kill()
    server.start_again()
    assert "account-disabled" in log_in(server, "bob")

    told = run(server, "account", "restore", *BOB)
    assert told == "bob@localhost is not to be removed any more, and has all it had.\n"
    assert log_in(server, "bob") == "logged in"
    assert "bob@localhost is not to be removed" in refused(server, "account", "restore", *BOB)
    run(server, "account", "remove", *BOB, "--yes")
    assert "there is no account bob@localhost" in refused(server, "account", "restore", *BOB)


def test_a_name_rests_where_that_is_configured_and_who_takes_it_anyway_is_told_of(
    server: ServerProcess,
) -> None:
    let_names_rest(server)
    run(server, "account", "remove", *BOB, "--yes")
    server.kill()
    server.start_again()
    client = Client(server)
    assert "<conflict" in client.ask(REGISTER, "</iq>")
    client.close()
    register = ("account", "register", *BOB, "--password", "bob")
    assert "its name rests until" in (told := refused(server, *register))
    assert "`--reuse-name` takes it anyway" in told
    assert "was removed or renamed at" in refused(server, "account", "restore", *BOB)
    run(server, *register, "--reuse-name")
    assert log_in(server, "bob") == "logged in"
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    audited = [
        (line["outcome"], line["arguments"])
        for line in lines
        if line.get("operation") == "account register" and "bob@localhost" in line.get("subjects", ())
    ]
    assert audited[-2:] == [("conflict", {"reuse_name": False}), ("done", {"reuse_name": True})]


def test_a_name_rests_also_while_no_server_runs(server: ServerProcess, tmp_path: Path) -> None:
    let_names_rest(server)
    file = str(tmp_path / "accounts.xml")
    run(server, "export", file)
    server.stop()
    run(server, "account", "remove", *BOB, "--yes")
    assert "its name rests until" in refused(server, "account", "register", *BOB, "--password", "bob")
    done = server.command("import", "xep-0227", file)
    assert done.returncode == 1
    assert "Imported accounts: 0, messages: 0." in done.stdout
    assert "--reuse-names takes it anyway" in done.stdout
    assert "Imported accounts: 1" in run(server, "import", "xep-0227", file, "--reuse-names")
    server.start_again()
    assert log_in(server, "bob") == "logged in"
