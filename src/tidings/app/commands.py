"""Commands: what the command line knows of an operation, which is its names, options and help.

Those of the operations that come with the server are read from a table that `make gen` writes from the
catalogue. So a command is understood, and asked of the running server, without the code that carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["text", "number", "switch", "choice", "list", "file"]

OFF: Final = str(False)
ON: Final = str(True)
"""The defaults of switches."""

TABLE: Final = Path(__file__).parent / "shipped" / "commands.json"
"""The table of the operations that come with the server, one a line."""


class Argument(NamedTuple):
    """One field of a request as an option, or as the word that stands without one (`flag` is its name)."""

    field: str
    flag: str
    kind: Kind
    description: str
    default: str = ""
    """What holds without it, for people; empty where nothing need be said."""
    is_secret: bool = False
    is_required: bool = False
    choices: tuple[str, ...] = ()

    @property
    def is_positional(self) -> bool:
        """Whether it stands without a flag."""
        return not self.flag.startswith("-")

    @property
    def has_opposite(self) -> bool:
        """Whether it can be switched off, too: what is off by itself need not be."""
        return self.kind == "switch" and self.default != OFF


class Command(NamedTuple):
    """An operation as it is typed."""

    category: str
    name: str
    promise: str
    details: str = ""
    changes: bool = False
    is_stream: bool = False
    needs_server: bool = False
    irreversible: bool = False
    """Whether people are asked before it is done."""
    answer: str = ""
    """The field of the result that is a yes or no, where the operation is a question."""
    arguments: tuple[Argument, ...] = ()

    @property
    def takes_file(self) -> bool:
        """Whether what it is about stands in a file."""
        return any(argument.kind == "file" for argument in self.arguments)

    @property
    def is_paged(self) -> bool:
        """Whether its answer is a page of a list, and the next one can be asked for."""
        return {"after", "limit"} <= {argument.field for argument in self.arguments}


def shipped() -> tuple[Command, ...]:
    """Give the commands that come with the server."""
    return read(TABLE.read_text(encoding="utf-8"))


def read(text: str) -> tuple[Command, ...]:
    """Read a table of commands."""
    return tuple(_command(line) for line in json.loads(text))


def write(commands: Iterable[Command]) -> str:
    """Write a table of commands: what is as it is by default is left out."""
    lines = []
    for command in commands:
        line = _given(command)
        if command.arguments:
            line["arguments"] = [_given(argument) for argument in command.arguments]
        lines.append(json.dumps(line, ensure_ascii=False))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _command(line: dict[str, Any]) -> Command:
    arguments = tuple(
        Argument(**{**each, "choices": tuple(each.get("choices", ()))}) for each in line.pop("arguments", ())
    )
    return Command(**line, arguments=arguments)


def _given(row: Command | Argument) -> dict[str, Any]:
    without = row._field_defaults
    return {
        name: value for name, value in row._asdict().items() if name not in without or value != without[name]
    }
