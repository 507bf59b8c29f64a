"""Lists on narrow terminals: columns are left out from the right, and people are told which."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.harness.server_process import ServerProcess, tidings_command

NAMES = ("alice", "bob", "carol", "dave")
COLUMNS = ("user", "created", "sessions", "administrator", "banned", "password", "entries", "octets")


class Shown(NamedTuple):
    """What somebody sees."""

    lines: list[str]
    notes: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess.start(tmp_path_factory.mktemp("terminals"))
    for name in NAMES:
        done = server.command("account", "register", "--user", f"{name}@localhost", "--password", "secret")
        assert done.returncode == 0, done.stderr
    yield server
    server.stop()


def on_terminal(server: ServerProcess, width: int, *words: str) -> Shown:
    """Run a command whose answer goes to a terminal of this width, and its notes elsewhere."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [tidings_command(), *words, "--data-dir", str(server.directory / "data")],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "TERM": "dumb"},
    )
    os.close(theirs)
    try:
        lines = read_all(ours).splitlines()
        _, notes = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert process.returncode == 0, notes
    return Shown(lines, notes)


def read_all(terminal: int) -> str:
    """Give what is written to a terminal until nobody has it open any more."""
    shown = b""
    while select.select([terminal], [], [], 20)[0]:
        try:
            shown += os.read(terminal, 65_536)
        except OSError:  # closed at the other end
            return shown.decode()
    raise AssertionError(shown)


@pytest.mark.parametrize(("width", "count"), [(80, 5), (100, 7), (160, 8)])
def test_columns_are_left_out_from_the_right_and_named(served: ServerProcess, width: int, count: int) -> None:
    lines, notes = on_terminal(served, width, "account", "list")
    assert tuple(lines[0].split()) == COLUMNS[:count]
    assert [line.split()[0] for line in lines[1:]] == [f"{name}@localhost" for name in NAMES]
    assert max(map(len, lines)) <= width
    left_out = ", ".join(COLUMNS[count:])
    assert notes == (f"Not shown for want of room: {left_out}; --json has all.\n" if left_out else "")


def test_where_too_few_columns_would_be_left_rows_become_records(served: ServerProcess) -> None:
    lines, notes = on_terminal(served, 60, "account", "list")
    assert [line.split()[0] for line in lines[: len(COLUMNS)]] == list(COLUMNS)
    assert [line.split()[1] for line in lines if line.startswith("user")] == [
        f"{name}@localhost" for name in NAMES
    ]
    assert notes == ""


def test_a_short_list_has_all_there_is(served: ServerProcess) -> None:
    lines, notes = on_terminal(served, 80, "account", "list", "--limit", "3")
    assert [line.split()[0] for line in lines[: len(COLUMNS)]] == list(COLUMNS)
    assert notes == "There are more: --after carol@localhost\n"


def test_quiet_says_nothing_of_it(served: ServerProcess) -> None:
    lines, notes = on_terminal(served, 80, "account", "list", "--quiet")
    assert (tuple(lines[0].split()), notes) == (COLUMNS[:5], "")


def test_programs_and_files_get_everything(served: ServerProcess) -> None:
    lines, notes = on_terminal(served, 80, "account", "list", "--json")
    assert set(COLUMNS) <= json.loads("\n".join(lines))["items"][0].keys()
    piped = served.command("account", "list")
    assert (tuple(piped.stdout.splitlines()[0].split()), piped.stderr, notes) == (COLUMNS, "", "")
