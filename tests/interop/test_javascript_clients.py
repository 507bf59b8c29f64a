"""@xmpp/client and strophe.js live the common story: log in, roster, presence, messages, disconnect."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account

type_of_perform = Callable[[str, str], list[dict[str, Any]]]
SPOKEN = "Wherefore art thou? <&> ☎ 🦦"
STRONG = {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}


def test_xmppjs_over_starttls(
    perform: type_of_perform, server: ServerProcess, alice: Account, bob: Account
) -> None:
    events = perform("xmppjs.js", f"xmpp://localhost:{server.tcp_port}")
    check_modern_login(events, alice, bob)
    check_story(events, bob)


def test_xmppjs_over_direct_tls(
    perform: type_of_perform, server: ServerProcess, alice: Account, bob: Account
) -> None:
    events = perform("xmppjs.js", f"xmpps://localhost:{server.tls_port}")
    check_modern_login(events, alice, bob)
    check_story(events, bob)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_xmppjs_over_websocket(
    scheme: str, perform: type_of_perform, server: ServerProcess, alice: Account, bob: Account
) -> None:
    port = server.https_port if scheme == "wss" else server.http_port
    events = perform("xmppjs.js", f"{scheme}://localhost:{port}/xmpp-websocket")
    check_modern_login(events, alice, bob)
    check_story(events, bob)


@pytest.mark.parametrize("scheme", ["xmpp", "xmpps", "ws", "wss"])
def test_xmppjs_resumes(scheme: str, perform: type_of_perform, server: ServerProcess) -> None:
    """The connection is cut: the session goes on, nothing is lost and nothing comes twice."""
    services = {
        "xmpp": f"xmpp://localhost:{server.tcp_port}",
        "xmpps": f"xmpps://localhost:{server.tls_port}",
        "ws": f"ws://localhost:{server.http_port}/xmpp-websocket",
        "wss": f"wss://localhost:{server.https_port}/xmpp-websocket",
    }
    events = perform("xmppjs-resume.js", services[scheme])
    story = [event for event in events if event["event"] not in {"logged in", "disconnected", "client error"}]
    assert story == [
        {"event": "management", "who": "alice", "enabled": True, "resumable": True},
        {"event": "message", "who": "alice", "body": "before", "archived": True},
        {"event": "resumed", "who": "alice", "sameAddress": True},
        {"event": "message", "who": "alice", "body": "while you were away", "archived": True},
        {"event": "message", "who": "alice", "body": "after", "archived": True},
        {"event": "message", "who": "bob", "body": "with the last breath", "archived": True},
        {"event": "message", "who": "bob", "body": "after", "archived": True},
        {"event": "left over", "alice": [], "bob": []},
        {"event": "acknowledged", "who": "alice"},
    ]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_strophe_over_bosh(
    scheme: str, perform: type_of_perform, server: ServerProcess, alice: Account, bob: Account
) -> None:
    port = server.https_port if scheme == "https" else server.http_port
    events = perform("strophe.js", f"{scheme}://localhost:{port}/http-bind")
    check_plain_login(events, alice, bob)
    check_story(events, bob)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_strophe_over_websocket(
    scheme: str, perform: type_of_perform, server: ServerProcess, alice: Account, bob: Account
) -> None:
    port = server.https_port if scheme == "wss" else server.http_port
    events = perform("strophe.js", f"{scheme}://localhost:{port}/xmpp-websocket")
    check_plain_login(events, alice, bob)
    check_story(events, bob)


def check_plain_login(events: list[dict[str, Any]], alice: Account, bob: Account) -> None:
    """Both logged in with SCRAM and were bound to a resource."""
    logins = [event for event in events if event["event"] == "logged in"]
    assert [login["bare"] for login in logins] == [alice.bare, bob.bare]
    assert all(login["resource"] for login in logins)
    assert {login["mechanism"] for login in logins} <= STRONG


def check_modern_login(events: list[dict[str, Any]], alice: Account, bob: Account) -> None:
    """First SASL2 with SCRAM, Bind 2 and a request for a token; then, with the token, FAST."""
    first, second, *later = (event for event in events if event["event"] == "logged in")
    assert [first["bare"], second["bare"]] == [alice.bare, bob.bare]
    for login in (first, second):
        assert login["secure"]
        assert login["door"] == "sasl2", "the client did not use SASL2"
        assert login["mechanism"] in STRONG
        assert login["bind2"], "the client did not bind inline"
        assert login["bound"], "the server did not bind inline"
        assert login["asksToken"], "FAST was not offered"
        assert login["getsToken"], "the server gave no token"
        assert login["resource"]
    (token,) = (event for event in events if event["event"] == "token")
    assert token == {"event": "token", "mechanism": "HT-SHA-256-NONE", "lasts": True}
    (again,) = later
    assert again["bare"] == alice.bare
    assert again["mechanism"] == "HT-SHA-256-NONE", "the second log-in did not use the token"
    assert again["bound"]


def check_story(events: list[dict[str, Any]], bob: Account) -> None:
    """Everything after the log-in, told by both clients in the same words."""
    story = [event for event in events if event["event"] not in {"logged in", "token", "disconnected"}]
    assert story[:6] == [
        {"event": "roster", "who": "alice", "items": []},
        {"event": "presence", "who": "alice", "of": "bob"},
        {
            "event": "roster",
            "who": "alice",
            "items": [{"jid": bob.bare, "name": "Bob", "subscription": "to"}],
        },
        {"event": "message", "who": "bob", "body": SPOKEN, "intact": True},
        {"event": "message", "who": "alice", "body": "Here"},
        {"event": "absence", "who": "alice", "of": "bob"},
    ]
    farewells = [event["who"] for event in events if event["event"] == "disconnected"]
    assert farewells[:2] == ["bob", "alice"]
