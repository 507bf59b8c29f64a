"""`tidings shell`: lines are commands, quoted as in a shell; failures are told, passwords not remembered."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, tidings_command


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess.start(tmp_path_factory.mktemp("shell"))
    yield server
    server.stop()


def run(server: ServerProcess, lines: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return server.command("shell", *flags, input=lines)


def test_lines_are_run_one_after_another_in_one_process(served: ServerProcess) -> None:
    done = run(
        served,
        "# accounts of the play\n"
        "account register --user romeo@localhost\n"
        "the password, which is asked for\n"
        '\ntidings account ban --user romeo@localhost --reason "two words"  # as in the manual\n'
        "account check --user romeo@localhost\n"
        "exit\n"
        "account remove --user romeo@localhost\n",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "The account romeo@localhost has been made." in done.stdout
    assert "two words" in done.stdout
    password = "the password, which is asked for"
    asked = served.command("account", "check-password", "--user", "romeo@localhost", input=f"{password}\n")
    assert asked.returncode == 0


def test_the_first_line_that_fails_ends_it_and_gives_its_exit_code(served: ServerProcess) -> None:
    lines = "account count\naccount check --user nobody@localhost\nsession count\n"
    done = run(served, lines)
    assert done.returncode == 1
    assert done.stderr == "tidings: line 2 failed with the exit code 1: account check\n"
    assert len(done.stdout.splitlines()) < len(run(served, lines, "--keep-going").stdout.splitlines())


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("account lst", 2, "did you mean `list`?"),
        ("account count --domian localhost", 2, "did you mean `--domain`?"),
        ("account 'count", 2, "no closing quotation"),
        ("serve", 2, "`serve` cannot be run in the shell"),
        ("account check --user x@y@z", 1, "is not an address"),
    ],
)
def test_what_goes_wrong_is_told_and_one_can_go_on(
    served: ServerProcess, line: str, code: int, told: str
) -> None:
    done = run(served, f"{line}\nserver status\n", "--keep-going")
    assert done.returncode == code
    assert told in done.stderr
    assert "healthy" in done.stdout


def test_programs_read_the_errors_of_every_line(served: ServerProcess) -> None:
    lines = (
        "account ban --user nobody@localhost --json\n"
        "account lst --json\n"
        "serve --json\n"
        "account 'count --json\n"
        "account ban --user nobody@localhost\n"
        "account count --json\n"
    )
    done = run(served, lines, "--keep-going")
    decoder, shown, answers = json.JSONDecoder(), done.stdout, []
    while shown := shown.lstrip():
        answer, end = decoder.raw_decode(shown)
        answers.append(answer)
        shown = shown[end:]
    codes = [answer["error"]["code"] for answer in answers if "error" in answer]
    assert codes == ["not-found", "usage", "usage", "usage"]
    assert "count" in answers[-1]
    assert done.stderr.count("tidings: there is no account nobody@localhost") == 2


def test_help_lists_the_commands_and_the_options_of_one(served: ServerProcess) -> None:
    done = run(served, "help\nhelp account ban\n")
    assert done.returncode == 0
    assert "change-password" in done.stdout
    assert "--reason" in done.stdout


WITH_TERMINAL = ("setsid", "--ctty", "env", "--default-signal=INT")
"""What lets a command hear Ctrl-C on its own terminal, whoever runs the tests."""


class Terminal:
    """Somebody who types into the shell and reads what it shows."""

    def __init__(self, server: ServerProcess, home: Path) -> None:
        self._shown = ""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*WITH_TERMINAL, tidings_command(), "shell", "--data-dir", str(server.directory / "data")],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "TERM": "dumb"},
        )
        os.close(theirs)
        self.read_until("tidings> ")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, mark: str) -> str:
        while mark not in self._shown:
            assert select.select([self._ours], [], [], 20)[0], self._shown
            self._shown += os.read(self._ours, 65536).decode()
        found, _, self._shown = self._shown.partition(mark)
        return found + mark

    def end(self) -> int:
        self.type("\x04")  # Ctrl-D
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._ours)


def test_on_a_terminal_words_are_completed_failures_shown_and_lines_remembered(
    served: ServerProcess, tmp_path: Path
) -> None:
    terminal = Terminal(served, tmp_path)
    terminal.type("account cou\t")
    terminal.read_until("account count ")
    terminal.type("--js\t\n")
    assert '"count"' in terminal.read_until("tidings> ")
    terminal.type("account check --user nobody@localhost\n")
    assert "(exit code 1)" in terminal.read_until("tidings> ")
    terminal.type("account register --user secretive@localhost --password wonderland\n")
    terminal.read_until("has been made")
    terminal.read_until("tidings> ")
    terminal.type("account count --x\x03")  # Ctrl-C gives up a line
    terminal.read_until("tidings> ")
    assert terminal.end() == 0
    history = tmp_path / "tidings/history"
    assert history.read_text().splitlines() == [
        "account count --json ",
        "account check --user nobody@localhost",
    ]
    assert history.stat().st_mode & 0o077 == 0
    again = Terminal(served, tmp_path)
    again.type("\x10\n")  # Ctrl-P, the line before
    assert "account check --user nobody@localhost" in again.read_until("(exit code 1)")
    again.read_until("tidings> ")  # what is typed before, the terminal reads itself
    assert again.end() == 0
