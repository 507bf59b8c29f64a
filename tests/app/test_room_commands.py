"""Rooms on the command line: a real server, asked by the command that people type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.server_process import ServerProcess
from tidings.app import commands
from tidings.app.completion import candidates

TEA, WARD = "tea@conference.localhost", "ward7@muclight.localhost"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Give a server with three accounts and a room of each door."""
    running = ServerProcess.start(tmp_path_factory.mktemp("rooms"))
    for name in ("alice", "bob", "carol"):
        run(running, "account", "register", "--user", f"{name}@localhost", "--password", "secret")
    run(running, "muc", "create", "--room", TEA, "--owner", "alice@localhost", "--nick", "Alice")
    making = ("--owner", "alice@localhost", "--id", "ward7", "--name", "Ward 7", "--members", "bob@localhost")
    run(running, "muc-light", "create", *making)
    yield running
    running.stop()


def run(server: ServerProcess, *words: str, code: int = 0) -> str:
    done = server.command(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if not code else done.stdout + done.stderr


def answer(server: ServerProcess, *words: str) -> Any:
    return json.loads(run(server, *words, "--json"))


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_lists_are_tables_for_people_and_json_for_programs(server: ServerProcess) -> None:
    [headings, *found] = rows(run(server, "muc-light", "members", "--room", WARD))
    assert headings == ["user", "affiliation"]
    assert found == [["alice@localhost", "owner"], ["bob@localhost", "member"]]
    items = answer(server, "muc-light", "members", "--room", WARD)["items"]
    assert items[1] == {"user": "bob@localhost", "affiliation": "member", "role": ""}


def test_pages_are_gone_through(server: ServerProcess) -> None:
    lines = run(
        server, "muc", "list", "--domain", "localhost", "--limit", "1", "--all", "--json"
    ).splitlines()
    assert [json.loads(line)["room"] for line in lines] == [TEA, WARD.replace("muclight", "conference")]


def test_a_switch_is_set_and_unset_and_the_rest_stays(server: ServerProcess) -> None:
    room = ("muc", "configure", "--room", TEA)
    first = answer(server, *room, "--members-only", "--name", "Tea room")
    assert (first["members_only"], first["public"]) == (True, True)
    second = answer(server, *room, "--no-public")
    assert (second["members_only"], second["public"], second["name"]) == (True, False, "Tea room")


def test_a_change_is_told_in_a_sentence(server: ServerProcess) -> None:
    words = (
        "muc",
        "set-affiliation",
        "--room",
        TEA,
        "--target",
        "carol@localhost",
        "--affiliation",
        "member",
    )
    assert run(server, *words) == f"What carol@localhost is to {TEA} now: member.\n"
    said = run(server, "muc-light", "send", "--room", WARD, "--sender", "bob@localhost", "--body", "hello")
    assert said.startswith("Sent, with the id ")
    [message, *_] = answer(server, "muc-light", "messages", "--room", WARD)["items"]
    assert (message["sender"], message["body"]) == (f"{WARD}/bob@localhost", "hello")


def test_a_refusal_is_a_sentence_and_a_word_for_programs(server: ServerProcess) -> None:
    missing = ("muc", "show", "--room", "nothing@conference.localhost")
    told = run(server, *missing, code=1)
    assert told == "tidings: there is no room nothing@conference.localhost\n"
    done = server.command(*missing, "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["reason"]) == ("not-found", "room_not_found")


def test_a_wrong_word_gets_the_nearest_right_one(server: ServerProcess) -> None:
    assert "did you mean `muc-light`?" in run(server, "muclight", "list", code=2)
    assert "did you mean `occupants`?" in run(server, "muc", "ocupants", code=2)
    assert "--affiliation" in run(server, "muc", "set-affiliation", "--help")


def test_completion_knows_the_operations() -> None:
    shown = [each[0] for each in candidates(commands.shipped(), ["muc", "set-"])]
    assert shown == ["set-affiliation", "set-role", "set-retention"]
    shown = [each[0] for each in candidates(commands.shipped(), ["muc", "set-role", "--role", ""])]
    assert shown == ["moderator", "participant", "visitor"]


def test_an_ended_room_is_gone_through_both_doors(server: ServerProcess) -> None:
    words = ("--owner", "alice@localhost", "--id", "gone", "--name", "Gone")
    run(server, "muc-light", "create", *words)
    room = "gone@conference.localhost"
    assert run(server, "muc", "destroy", "--room", room, "--yes") == f"{room} is no more.\n"
    assert "there is no room" in run(server, "muc-light", "show", "--room", "gone@muclight.localhost", code=1)
