"""Reloading options: what users and administrators notice of each kind, while nobody is cut."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess

HEADER = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' "
    "version='1.0'>"
)
COMMAND = (
    "<iq type='set' id='c' to='{domain}'><command xmlns='http://jabber.org/protocol/commands' "
    "action='execute' node='http://jabber.org/protocol/admin#get-online-users-num'/></iq>"
)
VCARD = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><NOTE>{note}</NOTE></vCard></iq>"


class Client:
    """A client on plain TCP of this machine, that has logged in where it has a name."""

    def __init__(self, server: ServerProcess, name: str = "") -> None:
        self._socket = socket.create_connection((HOST, server.tcp_port), timeout=20)
        self.features = self.ask(HEADER, "</stream:")  # features, or an error and the end
        self.bound = ""
        if name:
            secret = base64.b64encode(f"\0{name}\0{name}".encode()).decode()
            sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
            self.ask(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{secret}</auth>", "<success")
            self.ask(HEADER, "</stream:features>")
            bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
            self.bound = self.ask(bind, "</iq>")

    def ask(self, text: str, until: str) -> str:
        """Send this and give what came; less than what was waited for where the server closed the stream."""
        heard = b""
        self._socket.sendall(text.encode())
        while until.encode() not in heard and (piece := self._socket.recv(65_536)):
            heard += piece
        return heard.decode()

    def is_served(self) -> bool:
        """Tell whether the server answers a ping."""
        ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
        return "type='result'" in self.ask(ping, 'id="p"').replace('"', "'")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess.start(tmp_path)
    for name in ("alice", "bob"):
        server.register(name, name)
    yield server
    server.stop_troubled()


Connect = Callable[..., Client]


@pytest.fixture
def connect(server: ServerProcess) -> Iterator[Connect]:
    """Makes clients, which are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "") -> Client:
            client = Client(server, name)
            stack.callback(client.close)
            return client

        yield make


def reload(server: ServerProcess, more: str, *, instead_of: str = "") -> dict:
    """Change the file, let the server read it, and give what it says."""
    file = server.directory / "tidings.toml"
    text = file.read_text()
    if instead_of:
        assert instead_of in text
        file.write_text(text.replace(instead_of, more))
    else:
        file.write_text(f"{text}\n{more}\n")
    done = server.command("server", "reload", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["complete"]
    return answer


def test_a_new_limit_holds_for_new_clients_and_cuts_nobody(server: ServerProcess, connect: Connect) -> None:
    before = connect("alice")
    answer = reload(server, "[limits]\nstanza_bytes = 20000")
    assert answer["done"][-1] == "[limits] stanza_bytes: 262144 → 20000"
    assert answer["needs_restart"] == []
    large = f"<iq type='get' id='l' to='localhost'><ping xmlns='urn:xmpp:ping' a='{'a' * 50_000}'/></iq>"
    assert "id='l'" in before.ask(large, 'id="l"').replace('"', "'")
    after = connect("bob")
    assert "policy-violation" in after.ask(large, "</stream:stream>")
    assert before.is_served()


def test_a_connection_too_many_is_refused_after_a_reload(server: ServerProcess, connect: Connect) -> None:
    first = connect("alice")
    reload(server, "[limits]\nconnections = 1")
    with socket.create_connection((HOST, server.tcp_port), timeout=20) as second:
        second.sendall(HEADER.encode())
        with contextlib.suppress(ConnectionResetError):
            assert second.recv(4096) == b""
    assert first.is_served()
    reload(server, "connections = 9", instead_of="connections = 1")
    assert connect("bob").is_served()


def test_a_session_too_many_of_an_account_is_refused_after_a_reload(
    server: ServerProcess, connect: Connect
) -> None:
    first = connect("alice")
    reload(server, "[limits]\nsessions_per_account = 1")
    assert "resource-constraint" in connect("alice").bound
    assert first.is_served()


def test_who_is_an_administrator_now_may_do_it_on_the_stream_that_he_has(
    server: ServerProcess, connect: Connect
) -> None:
    alice, bob = connect("alice"), connect("bob")
    ask = COMMAND.format(domain="localhost")
    assert "type='error'" in alice.ask(ask, "</iq>").replace('"', "'")
    answer = reload(
        server,
        '[server]\nadmins = ["alice@localhost"]\n',
        instead_of="[server]\n",
    )
    assert answer["done"][-1] == '[server] admins: [] → ["alice@localhost"]'
    assert "completed" in alice.ask(ask, "</iq>")
    reload(server, '[host."localhost"]\nadmins = ["bob"]')
    assert "completed" in bob.ask(ask, "</iq>")
    reload(server, "[server]\n", instead_of='[server]\nadmins = ["alice@localhost"]\n')
    assert "type='error'" in alice.ask(ask, "</iq>").replace('"', "'")
    assert "completed" in bob.ask(ask, "</iq>")


def test_a_domain_that_was_added_keeps_its_own_administrators(server: ServerProcess) -> None:
    named = ("--domain", "b.example", "--administrators", "bob@localhost")
    assert server.command("domain", "add", *named).returncode == 0

    def administrators() -> list[str]:
        listed = json.loads(server.command("domain", "list", "--json").stdout)["items"]
        return next(each["administrators"] for each in listed if each["domain"] == "b.example")

    reload(server, '[server]\nadmins = ["alice@localhost"]\n', instead_of="[server]\n")
    assert administrators() == ["bob@localhost", "alice@localhost"]
    reload(server, "[server]\n", instead_of='[server]\nadmins = ["alice@localhost"]\n')
    assert administrators() == ["bob@localhost"]


def test_an_administrator_to_create_is_made_by_a_reload(server: ServerProcess, connect: Connect) -> None:
    answer = reload(server, '[server]\ncreate_admins = ["carol:carol"]\n', instead_of="[server]\n")
    assert answer["done"][-1] == "[server] create_admins"
    assert "completed" in connect("carol").ask(COMMAND.format(domain="localhost"), "</iq>")


def test_options_of_features_hold_for_who_is_connected_too(server: ServerProcess, connect: Connect) -> None:
    alice = connect("alice")
    note = "x" * 2_000
    assert "iq-register" in connect().features
    answer = reload(server, "open = false", instead_of="open = true")
    assert answer["done"][-1] == "[features.registration] open: true → false"
    assert "ibr-token" in connect().features
    reload(server, "open = false\ninvitations = false", instead_of="open = false")
    assert "iq-register" not in connect().features
    reload(server, '[host."localhost".features.vcard]\nmax_bytes = 1024')
    assert "policy-violation" in alice.ask(VCARD.format(note=note), "</iq>")
    assert alice.is_served()
    answer = reload(server, "[features.archive]\nmax_octets = 123456")
    assert answer["needs_restart"] == ["[features.archive] max_octets"]


def test_what_clients_log_in_with_follows_the_configuration(server: ServerProcess, connect: Connect) -> None:
    alice = connect("alice")
    assert "urn:xmpp:sasl:2" in connect().features
    reload(server, '[server]\nmechanisms = ["SCRAM-SHA-256"]\nsasl2 = false\n', instead_of="[server]\n")
    features = connect().features
    assert "urn:xmpp:sasl:2" not in features
    assert "<mechanism>SCRAM-SHA-256</mechanism>" in features
    assert "PLAIN" not in features
    reload(server, '[host."localhost"]\nsee_other_host = "other.example"')
    assert "other.example" in connect().features
    reload(server, "", instead_of='see_other_host = "other.example"')
    reload(server, '[tls]\nrequired = "always"\n', instead_of="[tls]\n")
    features = connect().features
    assert "<required/>" in features
    assert "<mechanism>" not in features
    assert alice.is_served()


def test_an_old_version_of_tls_can_be_shut_out(server: ServerProcess) -> None:
    context = ssl.create_default_context(cafile=str(server.authority))
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def version() -> str | None:
        with (
            socket.create_connection((HOST, server.tls_port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as channel,
        ):
            return channel.version()

    assert version() == "TLSv1.2"
    reload(server, '[tls]\nminimum_version = "1.3"\n', instead_of="[tls]\n")
    with pytest.raises(ssl.SSLError):
        version()
    reload(server, '[tls]\nminimum_version = "1.2"\n', instead_of='[tls]\nminimum_version = "1.3"\n')
    assert version() == "TLSv1.2"


def test_the_lines_of_the_log_change_their_format(server: ServerProcess) -> None:
    before = len(server.log)
    reload(server, 'format = "text"', instead_of='format = "json"')
    lines = server.log[before:].splitlines()
    [told] = [line for line in lines if " reloaded " in line]
    assert not told.startswith("{")
    reload(server, 'format = "json"', instead_of='format = "text"')
    told = [line for line in server.log.splitlines() if "reloaded" in line]
    assert '"event": "reloaded"' in told[-1]


def test_the_figures_are_for_the_networks_of_now(server: ServerProcess) -> None:
    url = f"http://{HOST}:{server.http_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200
    reload(server, '[metrics]\nnetworks = ["192.0.2.0/24"]')
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url, timeout=10)


def test_a_mistake_beside_good_changes_changes_nothing(server: ServerProcess, connect: Connect) -> None:
    file = server.directory / "tidings.toml"
    text = file.read_text()
    file.write_text(text.replace("open = true", "open = false") + "\n[limits]\nconnections = -1\n")
    done = server.command("server", "reload", "--json")
    assert done.returncode == 1
    assert "everything stays as it is" in done.stderr
    assert "iq-register" in connect().features
    assert '"event": "reload_failed"' in server.log
    file.write_text(text)
