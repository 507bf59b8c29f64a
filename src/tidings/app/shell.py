"""`tidings shell`: several commands in one process, typed with completion and history, or read from a file.

Each line is what would stand behind `tidings`, quoted as in a shell; `#` begins a remark. A command that
fails shows its exit code; where lines are read from a file, the first one that fails ends it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tidings.app import completion
from tidings.app.command_parser import CONFIG_FLAGS, UsageError, root
from tidings.app.commands import Command
from tidings.app.complaint import complain, wants_json
from tidings.app.direct_commands import DIRECT
from tidings.app.exit_codes import OK

PROMPT: Final = "tidings> "
INTERRUPTED: Final = 130

_ENDS: Final = frozenset({"exit", "quit"})
_HELP: Final = "help"
_NOT_HERE: Final = frozenset({"serve", "shell"})
_REMEMBERED: Final = 1_000
_HINT: Final = "Type `help` for the commands, Tab to complete, Ctrl-D to end.\n"


class Shell:
    """Runs commands one after another, all with the same configuration."""

    def __init__(
        self, run: Callable[[Sequence[str]], int], commands: Sequence[Command], flags: Sequence[str]
    ) -> None:
        """`run` carries out a command and gives its exit code; `flags` say where the server is."""
        self._run = run
        self._commands = commands
        self._flags = tuple(flags)

    def type(self) -> int:
        """Take lines from a terminal until Ctrl-D; the exit code is 0."""
        sys.stdout.write(_HINT)
        with _line_editing(self.candidates) as remember:
            while True:
                try:
                    line = input(PROMPT)
                except EOFError:
                    sys.stdout.write("\n")
                    return 0
                except KeyboardInterrupt:  # gives up the line that was begun
                    sys.stdout.write("\n")
                    continue
                if line.strip() and not self._has_secret(line):
                    remember(line)
                if line.strip() in _ENDS:
                    return 0
                code = self.line(line)
                if code:
                    sys.stderr.write(f"(exit code {code})\n")

    def read(self, *, keep_going: bool) -> int:
        """Run the lines of standard input; give the exit code of the first that failed, else 0."""
        first = number = 0
        # One after another: a command may read its password from the line that follows.
        while line := sys.stdin.readline():
            number += 1
            if line.strip() in _ENDS:
                break
            code = self.line(line)
            if code:
                first = first or code
                told = f"tidings: line {number} failed with the exit code {code}: {_command_of(line)}\n"
                sys.stderr.write(told)
                if not keep_going or code == INTERRUPTED:
                    break
            sys.stdout.flush()
        return first

    def line(self, line: str) -> int:
        """Run one line, and give its exit code; 0 where nothing stands on it."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            return complain(UsageError(str(error).lower()), as_json=wants_json(line.split()))
        if words[:1] == ["tidings"]:  # as it stands in a manual
            words = words[1:]
        if not words:
            return 0
        if words[0] in _NOT_HERE:
            wrong = UsageError(f"`{words[0]}` cannot be run in the shell")
            return complain(wrong, as_json=wants_json(words))
        if words[0] == _HELP:
            return self._help(words[1:])
        try:
            return self._run([*words, *self._flags_for(words)])
        except SystemExit:  # after help
            return OK

    def candidates(self, line: str, last: str) -> list[str]:
        """Give what the last word of a line can become."""
        try:
            before = shlex.split(line[: len(line) - len(last)])
        except ValueError:  # inside quotes
            return []
        if before[:1] == ["tidings"]:
            before = before[1:]
        found = completion.candidates(self._commands, [*before, last])
        own = [word for word in (_HELP, *sorted(_ENDS)) if not before and word.startswith(last)]
        return [each.text for each in found if each.text not in {completion.FILES, *_NOT_HERE}] + own

    def _help(self, words: Sequence[str]) -> int:
        if not words:
            root(self._commands, DIRECT).print_help()
            return 0
        with contextlib.suppress(SystemExit):
            self._run([*words, "--help"])
        return 0

    def _flags_for(self, words: Sequence[str]) -> tuple[str, ...]:
        """Give where the server is, to those commands that take it and were not told."""
        if not self._flags or any(word.partition("=")[0] in _WHERE for word in words):
            return ()
        direct = DIRECT.get(words[0])
        return self._flags if direct is None or set(CONFIG_FLAGS) <= set(direct.flags) else ()

    def _has_secret(self, line: str) -> bool:
        """Tell whether a line has a password, which is not to be remembered; flags may be cut short."""
        arguments = (argument for command in self._commands for argument in command.arguments)
        secret = {argument.flag for argument in arguments if argument.is_secret}
        words = (word.strip("\"'").partition("=")[0] for word in line.split())
        flags = [word for word in words if word.startswith("--") and word != "--"]
        return any(each.startswith(flag) for flag in flags for each in secret)


_WHERE: Final = frozenset(flag.name for flag in CONFIG_FLAGS)


@contextlib.contextmanager
def _line_editing(candidates: Callable[[str, str], list[str]]) -> Iterator[Callable[[str], None]]:
    """Let lines be edited and completed, and remember them from one shell to the next.

    Gives what remembers a line. Where Python comes without readline, lines are typed as they are.
    """
    try:
        import readline  # noqa: PLC0415  # not in every build of Python
    except ImportError:
        yield lambda _: None
        return
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if not state:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            found[:] = [f"{each} " for each in candidates(line, text)]
        return found[state] if state < len(found) else None

    history = _history_file()
    before = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    readline.set_auto_history(False)
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    try:
        yield readline.add_history
    finally:
        readline.set_completer(before[0])
        readline.set_completer_delims(before[1])
        readline.set_history_length(_REMEMBERED)
        with contextlib.suppress(OSError):  # a home that is not to be written: nothing is remembered
            history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            history.touch(mode=0o600)
            readline.write_history_file(history)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state else Path(os.environ.get("HOME", ".")) / ".local/state"
    return base / "tidings/history"


def _command_of(line: str) -> str:
    """Name the command of a line, without its options, which may be secret."""
    return " ".join(word for word in line.split()[:2] if not word.startswith("-"))
