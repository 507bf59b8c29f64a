"""Answers as people see them."""

from tidings.app import commands
from tidings.app.presentation import print_result


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
        "2026-01-01T00:00:00Z  accepted    both sides keep it",
        "                      not copied  alice@localhost/desk got no copy",
        "",
        "What cannot be told:",
        "- which sessions were sent it",
    ]
