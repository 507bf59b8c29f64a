"""Tables fit the terminal, and have colours only there."""

import io

import pytest

from tidings.app import tables
from tidings.app.tables import BOLD, Cell

ROWS = [
    [Cell("session", BOLD), Cell("reason", BOLD)],
    [Cell("alice@example.org/a-phone-with-a-long-name"), Cell("the server restarts at noon")],
    [Cell("bob@example.org"), Cell("")],
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_table_that_fits_is_left_as_it_is():
    assert list(tables.lines(ROWS, None, coloured=False)) == [
        "session                                     reason",
        "alice@example.org/a-phone-with-a-long-name  the server restarts at noon",
        "bob@example.org",
    ]
    assert list(tables.lines(ROWS, 71, coloured=False)) == list(tables.lines(ROWS, None, coloured=False))


@pytest.mark.parametrize("width", range(20, 80))
def test_a_table_is_folded_to_the_width_and_loses_nothing(width):
    shown = list(tables.lines(ROWS, width, coloured=False))
    assert max(map(len, shown)) <= width
    everything = "".join(cell.text for row in ROWS for cell in row)
    assert sorted("".join(shown).replace(" ", "")) == sorted(everything.replace(" ", ""))


def test_words_stay_whole_where_they_can():
    assert list(tables.lines([[Cell("one"), Cell("of two words")]], 13, coloured=False)) == [
        "one  of two",
        "     words",
    ]


@pytest.mark.parametrize(
    "link", ["https://chat.example.org/reset/localhost/mfwgsy3f", "xmpp:a@b?register;preauth=c"]
)
def test_a_link_stays_whole_so_that_it_can_be_copied(link):
    rows = [[Cell("url", BOLD), Cell(link)], [Cell("about", BOLD), Cell("what is said of it, in words")]]
    shown = list(tables.lines(rows, 20, coloured=False))
    assert shown[0] == f"url    {link}"
    assert max(map(len, shown[1:])) <= 20


def test_wide_characters_take_two_columns():
    rows = [[Cell("東京"), Cell("a")], [Cell("e\u0301x"), Cell("b")]]
    assert list(tables.lines(rows, None, coloured=False)) == ["東京  a", "e\u0301x    b"]


def test_what_a_terminal_would_obey_is_shown_as_text():
    [line] = tables.lines([[Cell("a\x1b[2Jb\x9bc\td")]], None, coloured=False)
    assert line == "a\\x1b[2Jb\\x9bc\\td"


def test_a_table_that_is_too_wide_becomes_records():
    headings = ("session", "since", "reason")
    rows = [
        ("alice@example.org/phone", "2026-01-01 01:00:00+01:00", "noon"),
        ("bob@example.org/desk", "2026-01-02 01:00:00+01:00", ""),
    ]
    assert list(tables.headed_lines(headings, rows, 60, coloured=False)) == [
        "session                  since                      reason",
        "alice@example.org/phone  2026-01-01 01:00:00+01:00  noon",
        "bob@example.org/desk     2026-01-02 01:00:00+01:00",
    ]
    assert list(tables.headed_lines(headings, rows, 50, coloured=False)) == [
        "session  alice@example.org/phone",
        "since    2026-01-01 01:00:00+01:00",
        "reason   noon",
        "",
        "session  bob@example.org/desk",
        "since    2026-01-02 01:00:00+01:00",
    ]


def test_colours_do_not_move_columns():
    plain = list(tables.lines(ROWS, 40, coloured=False))
    coloured = list(tables.lines(ROWS, 40, coloured=True))
    assert coloured[0].startswith("\x1b[1msession\x1b[0m")
    assert [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in coloured] == plain


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)  # fmt: skip
def test_only_a_terminal_that_wants_them_gets_colours(monkeypatch, variables, expected):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tables.is_coloured(Terminal()) is expected
    assert not tables.is_coloured(io.StringIO())


def test_a_terminal_gets_a_table_of_its_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    screen, file = Terminal(), io.StringIO()
    for stream in (screen, file):
        monkeypatch.setattr("sys.stdout", stream)
        tables.print_table(ROWS)
    assert max(map(len, screen.getvalue().splitlines())) <= 30
    assert "alice@example.org/a-phone-with-a-long-name  the server restarts at noon" in file.getvalue()


HEADINGS = ("user", "created", "sessions", "banned", "password")
ACCOUNTS = [
    (f"account{number}@example.org", "2026-01-01 01:00:00+01:00", "0", "no", "yes") for number in range(4)
]


@pytest.mark.parametrize(("width", "count"), [(None, 5), (75, 5), (74, 4), (65, 4), (64, 5), (20, 5)])
def test_columns_are_left_out_only_where_four_are_left(width, count):
    assert tables.columns_shown(HEADINGS, ACCOUNTS, width) == count


def test_a_list_of_few_rows_keeps_all_columns():
    assert tables.columns_shown(HEADINGS, ACCOUNTS, 65) == 4
    assert tables.columns_shown(HEADINGS, ACCOUNTS[:3], 65) == 5
