"""Answers as people see them."""

import time

import msgspec
import pytest

from tidings.app import commands
from tidings.app.presentation import print_result
from tidings.operations.values import Moment


@pytest.fixture(autouse=True)
def in_paris(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def command(category, name):
    return next(each for each in commands.shipped() if (each.category, each.name) == (category, name))


def test_a_story_is_printed_a_step_a_line_and_ends_with_what_is_unknown(capsys):
    story = {
        "trace": None,
        "sender": "alice@localhost/phone",
        "recipient": "bob@localhost",
        "stanza_id": "m1",
        "source": "ledger",
        "steps": [
            {"time": "2026-01-01T00:00:00Z", "step": "accepted", "text": "both sides keep it"},
            {"time": None, "step": "not copied", "text": "alice@localhost/desk got no copy"},
        ],
        "unknown": ["which sessions were sent it"],
    }
    print_result(command("explain", "message"), story)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "sender     alice@localhost/phone",
        "recipient  bob@localhost",
        "stanza id  m1",
        "source     ledger",
        "",
        "2026-01-01 01:00:00+01:00  accepted    both sides keep it",
        "                           not copied  alice@localhost/desk got no copy",
        "",
        "What cannot be told:",
        "- which sessions were sent it",
    ]


def shown(capsys, category, name, result, **how):
    print_result(command(category, name), result, **how)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_times_are_those_of_the_clock_on_the_wall_with_their_zone(capsys):
    account = {"user": "a@localhost", "exists": True, "created": "2026-07-01T12:00:00Z", "banned": False}
    assert shown(capsys, "account", "check", account) == [
        "user     a@localhost",
        "exists   yes",
        "created  2026-07-01 14:00:00+02:00",
        "banned   no",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (94_321, "1 d 2 h"),
        (86_400 * 400, "400 d 0 h"),
    ],
)
def test_how_long_the_server_has_run_is_told_in_units(capsys, seconds, told):
    assert shown(capsys, "server", "status", {"running": True, "uptime_seconds": seconds}) == [
        "running  yes",
        f"uptime   {told}",
    ]


@pytest.mark.parametrize(
    ("octets", "told"),
    [(999, "999 B"), (1_000, "1.0 kB"), (87_200_000, "87.2 MB"), (5_000_000_000_000_000, "5000.0 TB")],
)
def test_the_size_of_an_archive_is_told_in_units(capsys, octets, told):
    assert shown(capsys, "archive", "size", {"entries": 9_000, "octets": octets}) == [
        "entries  9000",
        f"octets   {told}",
    ]


def test_a_time_as_it_is_shown_can_be_given_to_an_option():
    as_shown = msgspec.convert("2026-07-01 14:00:00+02:00", Moment)
    assert as_shown == msgspec.convert("2026-07-01T12:00:00Z", Moment)


def test_changes_are_shown_as_tables_without_what_is_not_there(capsys):
    entry = {
        "id": "0k3f9-1",
        "conversation": "bob@localhost",
        "sent": True,
        "kind": "message",
        "target": None,
    }
    page = {
        "entries": [{**entry, "time": "2026-01-01T00:00:00Z", "message": None}],
        "erased": [],
        "conversations": [{"conversation": "bob@localhost", "gone": False, "unread": 0, "last": None}],
        "cursor": "abc",
        "complete": True,
    }
    assert shown(capsys, "archive", "sync", page) == [
        "cursor    abc",
        "complete  yes",
        "",
        "entries:",
        "id       conversation   sent  kind     time",
        "0k3f9-1  bob@localhost  yes   message  2026-01-01 01:00:00+01:00",
        "",
        "conversations:",
        "conversation   gone  unread",
        "bob@localhost  no    0",
    ]


def test_a_hold_is_told_in_a_sentence(capsys):
    whole = {"user": "a@localhost", "id": None}
    [line] = shown(capsys, "retention", "hold", whole)
    assert line.startswith("The whole archive of a@localhost, with what it gets, is kept against trimming")
    [line] = shown(capsys, "retention", "release", {"user": "a@localhost", "id": "0k3f9-1"})
    assert line == "Message 0k3f9-1 of a@localhost is held no longer."


def test_several_sentences_stand_below_each_other(capsys):
    result = {"complete": True, "done": ["a certificate was read", "another one, too"], "problems": []}
    assert shown(capsys, "server", "reload", result) == [
        "complete  yes",
        "done      a certificate was read",
        "          another one, too",
    ]


def test_whatever_an_extension_answers_is_shown_in_words(capsys):
    answer = {"things": [{"name": "a", "of": [{"x": 1}], "nothing": None}], "either": {"is_big": True}}
    print_result(commands.Command("acme", "look", "Look."), answer)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "either  is big yes",
        "",
        "things:",
        "name  of",
        "a     x 1",
    ]


@pytest.mark.parametrize(("name", "is_told"), [("list", True), ("dead-letters", False)])
def test_why_letters_are_dead_is_shown_however_narrow_the_terminal_is(capsys, monkeypatch, name, is_told):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    row = {"follower": "a" * 20, "id": "b" * 20, "since": "c" * 20, "tries": 3, "reason": "no such queue"}
    print_result(command("followers", name), {"items": [row] * 4, "next": None})
    shown = capsys.readouterr()
    assert ("no such queue" in shown.out) is not is_told
    assert shown.err == ("Not shown for want of room: reason; --json has all.\n" if is_told else "")
