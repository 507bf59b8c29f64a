"""Tells what went wrong: a sentence for people, with `--json` a code for programs beside it.

The sentence goes to standard error. With `--json`, `{"error": {"code": …, "text": …}}` is a line of standard
output, where the answer would be. It has a `reason`, too, where there is a word for what exactly is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tidings.app.admin_client import UnreachableError
from tidings.app.command_parser import JSON_FLAG, UsageError
from tidings.app.exit_codes import REFUSED, UNREACHABLE, USAGE
from tidings.app.voice import PROGRAM, say
from tidings.base.errors import BackendError, TidingsError
from tidings.operations.errors import CODES, OperationError

ERROR_CODES: Final[Mapping[str, str]] = {
    **{str(code): meaning for code, meaning in CODES.items()},
    "usage": "the command line is wrong",
    "configuration": "the configuration cannot be used",
    "unreachable": "the server or the database cannot be reached, or the operation needs a running server",
    "failed": "the command failed for another reason, which the text tells",
}
"""Every code that programs read, and what it means."""


def complain(error: TidingsError, *, as_json: bool) -> int:
    """Say what went wrong, and give the exit code."""
    code, exit_code = _codes_of(error)
    if as_json:
        from tidings.app import presentation  # noqa: PLC0415  # most commands go well

        told = {"code": code, "text": str(error)}
        if isinstance(error, OperationError) and error.reason:
            told["reason"] = error.reason
        presentation.print_line({"error": told})
    say(*_sentence_of(error))
    return exit_code


def wants_json(words: Sequence[str]) -> bool:
    """Tell whether `--json`, which may be cut short, is among the words; they need not be right otherwise."""
    options = words[: words.index("--")] if "--" in words else words
    return any(len(word) > len("--") and JSON_FLAG.name.startswith(word) for word in options)


def _codes_of(error: TidingsError) -> tuple[str, int]:
    """Give the code that programs read, and the exit code."""
    from tidings.app.mistakes import ConfigError  # noqa: PLC0415  # only when something is wrong

    if isinstance(error, OperationError):
        return error.code, UNREACHABLE if error.code == "unavailable" else REFUSED
    if isinstance(error, UsageError):
        return "usage", USAGE
    if isinstance(error, ConfigError):
        return "configuration", USAGE
    if isinstance(error, BackendError | UnreachableError):
        return "unreachable", UNREACHABLE
    return "failed", REFUSED


def _sentence_of(error: TidingsError) -> tuple[str, str]:
    """Give what went wrong, and which program says it."""
    from tidings.app.mistakes import ConfigError  # noqa: PLC0415  # only when something is wrong

    if isinstance(error, ConfigError):
        mistakes = (f"\n  {mistake}" for mistake in error.mistakes)
        return "the configuration cannot be used:" + "".join(mistakes), PROGRAM
    if isinstance(error, UsageError):
        more = f"\nMore: {error.program} --help" if error.has_help else ""
        return f"{error}{more}", error.program
    return str(error), PROGRAM
