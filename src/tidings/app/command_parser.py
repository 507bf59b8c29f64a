"""Parsers of the command line: what may be typed, its help, and the nearest right word after a wrong one.

Only the parser that a command needs is made: that of all commands, of one category, or of one operation.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from tidings.app.commands import ON, Argument, Command
from tidings.base.errors import TidingsError
from tidings.operations.errors import OperationError


class Flag(NamedTuple):
    """An option of the command line that is no field of an operation."""

    name: str
    metavar: str
    """What stands for its value; empty for a switch."""
    help: str
    repeats: bool = False
    is_required: bool = False
    short: str = ""
    """What may be typed in its place, with one dash; empty for nothing."""

    @property
    def names(self) -> tuple[str, ...]:
        """Give what may be typed."""
        return (self.short, self.name) if self.short else (self.name,)


CONFIG_FLAGS: Final = (
    Flag("--config", "FILE", "configuration file (default: TIDINGS_CONFIG, else ./tidings.toml if any)"),
    Flag("--data-dir", "DIRECTORY", "data directory (default: ./data)"),
)
JSON_FLAG: Final = Flag("--json", "", "print the answer as JSON, for programs")

QUIET_FLAG: Final = Flag("--quiet", "", "print what was asked for and errors, nothing else", short="-q")
ALL_FLAG: Final = Flag("--all", "", "give all pages, one after another; with --json, one JSON object a line")
REPORT_FLAG: Final = Flag(
    "--report", "FILE", "write what became of every line, and links of invitations, into this new file"
)
YES_FLAG: Final = Flag("--yes", "", "do it without asking first, on a terminal, too")

OPERATION_FLAGS: Final = (JSON_FLAG, QUIET_FLAG, *CONFIG_FLAGS)
"""The options that every operation has beside its fields."""

_PLAIN: Final = {
    re.compile(r"argument (.+): invalid int value: (.+)"): "{} must be a whole number, not {}",
    re.compile(r"argument (.+): expected one argument"): "{} needs a value",
    re.compile(r"argument (.+): ignored explicit argument (.+)"): "{} takes no value, and was given {}",
    re.compile(r"the following arguments are required: (.+)"): "missing: {}",
    re.compile(r"unrecognized arguments: (.+)"): "{}: there is no place for this",
    re.compile(r"ambiguous option: (.+) could match (.+)"): "{} may mean several: {}",
}
"""What Python's reader of command lines says, and what people understand."""

_EXAMPLES: Final = """examples:
  tidings serve                                          start with what the defaults give
  tidings check --config /etc/tidings.toml               say what is wrong and how to mend it
  tidings account register --user alice@localhost        make an account (asks for the password)
  tidings session list --json                            who is connected, for programs

exit codes: 0 done or yes, 1 refused or no, 2 usage or configuration, 3 server or database unreachable"""


class Help(argparse.RawDescriptionHelpFormatter):
    """Lays out help: words stay whole, and each command stands in one column with the others."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Fold a text, but not within a word that has a hyphen, such as that of a command."""
        import textwrap  # noqa: PLC0415  # only for help

        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _iter_indented_subactions(self, action: argparse.Action) -> Generator[argparse.Action, None, None]:
        """Give the commands that can be chosen, not further to the right than what stands above them.

        Python's own reckons their column as if they stood there, and breaks the line after longer ones.
        """
        for each in super()._iter_indented_subactions(action):
            self._dedent()
            yield each
            self._indent()


class HasSummary(Protocol):
    """What is listed beside a word."""

    @property
    def summary(self) -> str:
        """What the command is for."""
        ...


class UsageError(TidingsError):
    """The command line is wrong; `program` says where, and may have help."""

    def __init__(self, text: str, *, program: str = "tidings", has_help: bool = False) -> None:
        super().__init__(text)
        self.program = program
        self.has_help = has_help


class Parser(argparse.ArgumentParser):
    """A parser that names the nearest right word after a wrong one."""

    def parse_args(self, args: Sequence[str], namespace: None = None) -> argparse.Namespace:  # type: ignore[override]  # all that is used here
        """Read the words; raises `UsageError`, and ends the process after help."""
        self._refuse_unknown(args)
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, which says what is wrong."""
        wrong, _, choices = message.partition("invalid choice: ")[2].partition(" (choose from ")
        if wrong:
            message = _told(wrong, [choice.strip(" '") for choice in choices.rstrip(")").split(",")])
        else:
            message = _in_plain_words(message)
        raise UsageError(message, program=self.prog, has_help=True)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Name the first flag that there is not; before the parser says what is missing for want of it."""
        known = list(self._option_string_actions)
        for word in words:
            flag = word.partition("=")[0]
            if word == "--":
                return
            if word.startswith("--") and " " not in flag and not any(each.startswith(flag) for each in known):
                self.error(_told(flag, [each for each in known if each.startswith("--")]))


def in_order(words: Sequence[str]) -> list[str]:
    """Give the words as parsers take them: `help X` as `X --help`, options before a command behind it."""
    if words[:1] == ["help"]:
        return [*words[1:], "--help"]
    values = {name: bool(flag.metavar) for flag in OPERATION_FLAGS for name in flag.names}
    first = 0
    while first < len(words):
        flag, is_whole, _ = words[first].partition("=")
        if flag not in values:
            break
        first += 2 if values[flag] and not is_whole else 1
    return [*words[first:], *words[:first]] if first < len(words) else [*words]


def choose(commands: Sequence[Command], words: Sequence[str], direct: Mapping[str, HasSummary]) -> Command:
    """Give the operation that is typed; raises `UsageError`, and ends the process after help.

    `direct` names the commands that are no operations.
    """
    category = vars(root(commands, direct).parse_args(words[:1]))["category"]
    of_category = [command for command in commands if command.category == category]
    name = vars(_category(category, of_category).parse_args(words[1:2]))["operation"]
    return next(command for command in of_category if command.name == name)


def root(commands: Iterable[Command], direct: Mapping[str, HasSummary]) -> argparse.ArgumentParser:
    """Make the parser of the first word."""
    parser = Parser(
        prog="tidings",
        description="A messaging server for applications.",
        epilog=_EXAMPLES,
        formatter_class=Help,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    words = parser.add_subparsers(title="commands", metavar="COMMAND", dest="category", required=True)
    for word, each in direct.items():
        words.add_parser(word, help=each.summary, add_help=False)
    categories: dict[str, list[str]] = {}
    for command in commands:
        categories.setdefault(command.category, []).append(command.name)
    for category, names in categories.items():
        words.add_parser(category, help=", ".join(names), add_help=False)
    return parser


def of_command(command: Command) -> argparse.ArgumentParser:
    """Make the parser of an operation, with an option for each field of its request."""
    many = "\n\nIt prints one JSON object a line." if command.is_stream else ""
    note = "\n\nIt needs the running server." if command.needs_server else ""
    question = f"\n\nThe exit code is 1 when the answer is no ({command.answer})." if command.answer else ""
    parser = Parser(
        prog=f"tidings {command.category} {command.name}",
        description=f"{command.promise}\n{command.details}".rstrip() + many + note + question,
        formatter_class=Help,
    )
    for argument in command.arguments:
        _add(parser, argument)
    add_flags(parser.add_argument_group("where and how"), flags_of(command))
    return parser


def flags_of(command: Command) -> tuple[Flag, ...]:
    """Give the options of an operation that are no fields of its request."""
    flags = (YES_FLAG, *OPERATION_FLAGS) if command.irreversible else OPERATION_FLAGS
    if command.takes_file:
        return (REPORT_FLAG, *flags)
    return (ALL_FLAG, *flags) if command.is_paged else flags


def add_flags(parser: Any, flags: Sequence[Flag]) -> None:  # noqa: ANN401  # a parser or a group of one
    """Add options that are no fields of an operation."""
    for flag in flags:
        if not flag.metavar:
            parser.add_argument(*flag.names, action="store_true", help=flag.help)
        else:
            action = "append" if flag.repeats else "store"
            parser.add_argument(
                *flag.names, action=action, metavar=flag.metavar, required=flag.is_required, help=flag.help
            )


def collect(command: Command, given: Mapping[str, Any], ask: Callable[[str], str]) -> dict[str, Any]:
    """Gather the values of a request; a secret that is missing, or is `-`, is asked for."""
    values: dict[str, Any] = {}
    for argument in command.arguments:
        value = given.get(argument.field)
        if argument.is_secret and value in {None, "-"}:
            value = ask(argument.field.capitalize())
            chooses = command.name in {"register", "change-password"} and sys.stdin.isatty()
            if chooses and ask(f"{argument.field.capitalize()}, again") != value:
                raise OperationError("invalid", "the two passwords are not the same; nothing was changed")
        if value is not None:
            values[argument.field] = value
    return values


def in_flags(command: Command, text: str) -> str:
    """Write the fields that a message names as they are typed: `keep_days` as `--keep-days`."""
    for argument in command.arguments:
        text = re.sub(rf"`{argument.field}(?=[`.\[])", f"`{argument.flag}", text)
    return text


class _Version(argparse.Action):
    """Prints the version; to find it out takes time, so it is done only when it is asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import importlib.metadata  # noqa: PLC0415  # hardly ever asked

        parser.exit(message=f"tidings {importlib.metadata.version('tidings')}\n")


def _category(category: str, commands: Iterable[Command]) -> argparse.ArgumentParser:
    """Make the parser of the word after a category."""
    parser = Parser(
        prog=f"tidings {category}",
        description=f"Operations on: {category}.",
        formatter_class=Help,
    )
    verbs = parser.add_subparsers(title="operations", metavar="OPERATION", dest="operation", required=True)
    for command in commands:
        verbs.add_parser(command.name, help=command.promise.replace("%", "%%"), add_help=False)
    return parser


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    settings: dict[str, Any] = {"help": _help(argument)}
    match argument.kind:
        case "list":
            settings |= {"action": "append", "metavar": argument.field.rstrip("s").upper()}
        case "switch" if argument.has_opposite:
            settings["action"] = argparse.BooleanOptionalAction
        case "switch":
            settings |= {"action": "store_const", "const": True}
        case "number":
            settings |= {"type": int, "metavar": "NUMBER"}
        case "choice":
            settings["choices"] = argument.choices
        case "file":
            settings["metavar"] = "FILE"
        case "text":
            settings["metavar"] = argument.field.upper()
    if not argument.is_positional:
        settings |= {"dest": argument.field, "required": argument.is_required}
    parser.add_argument(argument.flag, **settings)


def _help(argument: Argument) -> str:
    text = argument.description[:1].lower() + argument.description[1:].rstrip(".")
    if argument.is_secret:
        text += "; without it or with `-` it is asked for, or read from standard input"
    elif argument.kind == "switch":
        text += " (without either: yes)" if argument.default == ON else ""
    elif argument.default:
        text += f" (default: {argument.default})"
    return text.replace("%", "%%")


def _in_plain_words(message: str) -> str:
    """Say what Python's reader of command lines means."""
    for pattern, words in _PLAIN.items():
        if found := pattern.match(message):
            return words.format(*found.groups())
    return message


def _told(wrong: str, choices: Sequence[str]) -> str:
    import difflib  # noqa: PLC0415  # only when something is wrong

    near = difflib.get_close_matches(wrong.strip("'"), choices, n=1)
    if near:
        return f"there is no {wrong}; did you mean `{near[0]}`?"
    return f"there is no {wrong}; there are: {', '.join(choices)}"
