"""The command `tidings`: serves, checks, and speaks every operation of the catalogue.

Exit codes: 0 done, or the answer is yes; 1 refused, failed, or the answer is no; 2 the command or the
configuration is wrong; 3 the server or the database cannot be reached.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import getpass
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from tidings.base.errors import BackendError, TidingsError

if TYPE_CHECKING:
    from tidings.app.options import Config
    from tidings.operations.catalogue import Catalogue, Operation

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3

EXIT_CODES: Final = {
    OK: "done; for a question, the answer is yes",
    REFUSED: "refused or failed; for a question, the answer is no",
    USAGE: "the command line or the configuration is wrong",
    UNREACHABLE: "the server or the database cannot be reached, or the operation needs a running server",
}
"""What each exit code of the command means."""

DIRECT: Final = {
    "serve": "start the server",
    "check": "look for mistakes in configuration, certificates, ports, database and data directory",
    "backup": "write all data into one file, beside a running server; `backup verify FILE` reads one",
    "restore": "put a backup into an empty database, while no server runs on it",
    "migrate": "move all data to another database, while no server runs",
}
"""The commands that are no operations."""


class Flag(NamedTuple):
    """An option of the command line that is no field of an operation."""

    name: str
    metavar: str
    """What stands for its value; empty for a switch."""
    help: str
    repeats: bool = False


_CONFIG_FLAGS: Final = (
    Flag("--config", "FILE", "configuration file (default: TIDINGS_CONFIG, else ./tidings.toml if any)"),
    Flag("--data-dir", "DIRECTORY", "data directory (default: ./data)"),
)
_JSON_FLAG: Final = Flag("--json", "", "print the answer as JSON, for programs")

SERVE_FLAGS: Final = (
    *_CONFIG_FLAGS,
    Flag(
        "--domain",
        "DOMAIN",
        "domain to serve, in place of `domains` in [server]; may be repeated",
        repeats=True,
    ),
    Flag(
        "--admin",
        "USER:PASSWORD",
        "administrator to create when missing, in place of `create_admins` in [server]; may be repeated",
        repeats=True,
    ),
    Flag("--log-level", "LEVEL", "debug, info, warning or error"),
    Flag("--profile", "NAME", "begin with a shipped configuration: interop (loopback only, for test suites)"),
    Flag("--auth", "HOW", "accounts, anonymous, or any: every name and password is right (loopback only)"),
    Flag("--reset-when-empty", "", "wipe all storage when the last session ends (loopback only)"),
)
"""The options of `tidings serve`."""

CHECK_FLAGS: Final = (
    *_CONFIG_FLAGS,
    Flag("--profile", "NAME", "check this shipped configuration"),
    _JSON_FLAG,
)
"""The options of `tidings check`."""

BACKUP_FLAGS: Final = (_JSON_FLAG, *_CONFIG_FLAGS)
"""The options of `tidings backup` and `tidings restore`."""

_TO_FLAG: Final = Flag("--to", "URL", "the database to move to, which is empty; as `url` of [database]")

MIGRATE_FLAGS: Final = (_TO_FLAG, *BACKUP_FLAGS)
"""The options of `tidings migrate`."""

DIRECT_FLAGS: Final = {
    "serve": SERVE_FLAGS,
    "check": CHECK_FLAGS,
    "backup": BACKUP_FLAGS,
    "restore": BACKUP_FLAGS,
    "migrate": MIGRATE_FLAGS,
}
"""The options of the commands that are no operations."""

OPERATION_FLAGS: Final = (_JSON_FLAG, *_CONFIG_FLAGS)
"""The options that every operation has beside its fields."""

_EXAMPLES: Final = """examples:
  tidings serve                                          start with what the defaults give
  tidings check --config /etc/tidings.toml               say what is wrong and how to mend it
  tidings account register --user alice@localhost        make an account (asks for the password)
  tidings session list --json                            who is connected, for programs

exit codes: 0 done or yes, 1 refused or no, 2 usage or configuration, 3 server or database unreachable"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    word = arguments[0] if arguments else ""
    try:
        if word in DIRECT:
            given = direct_parser(word).parse_args(arguments[1:])
            return _COMMANDS[word](given)
        return _operate(arguments)
    except TidingsError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, such as `head`
        sys.stderr.close()
        return OK


def direct_parser(word: str) -> argparse.ArgumentParser:
    """Make the parser of a command that is no operation."""
    parsers = {
        "serve": _serve_parser,
        "check": _check_parser,
        "backup": _backup_parser,
        "restore": _restore_parser,
        "migrate": _migrate_parser,
    }
    return parsers[word]()


def catalogue_parser(catalogue: Catalogue) -> argparse.ArgumentParser:
    """Make the parser of all operations."""
    parser = _Parser(
        prog="tidings",
        description="A messaging server for applications.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    words = parser.add_subparsers(title="commands", metavar="COMMAND", dest="category", required=True)
    for word, text in DIRECT.items():
        words.add_parser(word, help=text, add_help=False)
    for category, operations in catalogue.categories().items():
        names = ", ".join(operation.name for operation in operations)
        described = words.add_parser(
            category,
            help=names,
            description=f"Operations on: {category}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verbs = described.add_subparsers(
            title="operations", metavar="OPERATION", dest="operation", required=True
        )
        for operation in operations:
            add_operation(verbs, operation)
    return parser


def add_operation(verbs: Any, operation: Operation) -> None:  # noqa: ANN401  # argparse keeps its type to itself
    """Add one operation with an option for each field of its request."""
    from tidings.app import arguments  # noqa: PLC0415  # `serve` starts faster without

    many = "\n\nIt prints one JSON object a line." if operation.is_stream else ""
    note = "\n\nIt needs the running server." if operation.needs_server else ""
    question = (
        f"\n\nThe exit code is 1 when the answer is no ({operation.answer})." if operation.answer else ""
    )
    parser = verbs.add_parser(
        operation.name,
        help=operation.promise,
        description=f"{operation.promise}\n{operation.details}".rstrip() + many + note + question,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for argument in arguments.of(operation.request):
        parser.add_argument(argument.flag, **argument.settings)
    where = parser.add_argument_group("where and how")
    _add_flags(where, OPERATION_FLAGS)


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest right word after a wrong one."""

    def error(self, message: str) -> NoReturn:
        wrong, _, choices = message.partition("invalid choice: ")[2].partition(" (choose from ")
        near = difflib.get_close_matches(
            wrong.strip("'"), [choice.strip(" '") for choice in choices.rstrip(")").split(",")], n=1
        )
        if wrong and near:
            message = f"there is no {wrong}; did you mean `{near[0]}`?"
        elif wrong:
            message = f"there is no {wrong}; there are: {choices.rstrip(')')}"
        self.exit(USAGE, f"{self.prog}: {message}\nMore: {self.prog} --help\n")


def _serve_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidings serve",
        description="Start the server. No configuration is needed: "
        "the data goes to ./data, the domain is localhost.",
        epilog="Every other option is set in the configuration file or by an environment variable: "
        "see docs/reference/configuration.md.",
    )
    _add_flags(parser, SERVE_FLAGS)
    return parser


def _check_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidings check",
        description="Look for what would keep the server from working, and say how to mend it.",
        epilog="The exit code is 1 when something fails, 0 when there are warnings at most.",
    )
    _add_flags(parser, CHECK_FLAGS)
    return parser


def _backup_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidings backup",
        description="Write everything that the server keeps into one file, as it is at this moment. "
        "The server may run meanwhile.",
        epilog="`tidings backup verify FILE` reads a backup to its end and tells whether it is whole.",
    )
    parser.add_argument(
        "what", nargs="?", choices=("verify",), metavar="verify", help="read a backup, write none"
    )
    parser.add_argument("file", metavar="FILE", help="the backup; it must not exist yet, unless it is read")
    _add_flags(parser, BACKUP_FLAGS)
    return parser


def _restore_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidings restore",
        description="Put a backup into an empty database. The server must not run.",
        epilog="The database may be of another kind than the one that was backed up.",
    )
    parser.add_argument("file", metavar="FILE", help="the backup")
    _add_flags(parser, BACKUP_FLAGS)
    return parser


def _migrate_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidings migrate",
        description="Move everything that the server keeps to another database, of the same kind or not. "
        "The server must not run.",
        epilog="The former database stays as it is; name the new one in the configuration afterwards.",
    )
    parser.add_argument(_TO_FLAG.name, metavar=_TO_FLAG.metavar, help=_TO_FLAG.help, required=True)
    _add_flags(parser, BACKUP_FLAGS)
    return parser


def _add_flags(parser: Any, flags: Sequence[Flag]) -> None:  # noqa: ANN401  # a parser or a group of one
    for flag in flags:
        if not flag.metavar:
            parser.add_argument(flag.name, action="store_true", help=flag.help)
        else:
            action = "append" if flag.repeats else "store"
            parser.add_argument(flag.name, action=action, metavar=flag.metavar, help=flag.help)


def _serve(given: argparse.Namespace) -> int:
    gc.disable()  # nothing that loading makes is garbage; `serve` switches it on again
    from tidings.app import signals  # noqa: PLC0415  # the other commands start faster without

    signals.ignore_until_serving()
    from tidings.app import server  # noqa: PLC0415

    return int(server.run(lambda: _load(given, with_features=True)))


def _check(given: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415  # not every command needs it

    from tidings.app import check, presentation  # noqa: PLC0415
    from tidings.app.mistakes import ConfigError  # noqa: PLC0415

    try:
        config = _load(given, with_features=True)
        findings = [check.configuration_read(config), *check.extensions_loaded(config)]
        findings += asyncio.run(check.examine(config))
    except ConfigError as error:
        findings = check.configuration_mistakes(error)
    if given.json:
        presentation.print_json(findings)
    else:
        presentation.print_findings(findings)
    return REFUSED if any(finding.status == "fail" for finding in findings) else OK


def _backup(given: argparse.Namespace) -> int:
    from tidings.app import backup_command  # noqa: PLC0415  # not every command needs it

    config = None if given.what else _load(given, with_features=False)
    backup_command.backup(config, given.file, as_json=given.json)
    return OK


def _restore(given: argparse.Namespace) -> int:
    from tidings.app import backup_command  # noqa: PLC0415  # not every command needs it

    backup_command.restore(_load(given, with_features=False), given.file, as_json=given.json)
    return OK


def _migrate(given: argparse.Namespace) -> int:
    from tidings.app import backup_command  # noqa: PLC0415  # not every command needs it

    backup_command.migrate(_load(given, with_features=False), given.to, as_json=given.json)
    return OK


_COMMANDS: Final = {
    "serve": _serve,
    "check": _check,
    "backup": _backup,
    "restore": _restore,
    "migrate": _migrate,
}


def _operate(arguments: Sequence[str]) -> int:
    from tidings.app import arguments as request_arguments  # noqa: PLC0415  # `serve` starts faster without
    from tidings.app import presentation, reach  # noqa: PLC0415

    catalogue = _catalogue(arguments)
    parser = catalogue_parser(catalogue)
    if not arguments:
        parser.print_help()
        return USAGE
    given = parser.parse_args(arguments)
    operation = catalogue.get(given.category, given.operation)
    values = request_arguments.collect(operation, vars(given), _ask)
    config = _load(given, with_features=False)
    if operation.is_stream:
        for answer in reach.stream(config, operation, values, _tell):
            presentation.print_line(answer)
        return OK
    result = reach.call(config, operation, values, _tell)
    if given.json:
        presentation.print_json(result)
    else:
        presentation.print_result(operation, result)
    return REFUSED if operation.answer and not result[operation.answer] else OK


def _tell(what: str) -> None:
    """Say why the answer has to wait."""
    print(f"tidings: {what}", file=sys.stderr, flush=True)  # noqa: T201  # for the person who typed the command


def _catalogue(arguments: Sequence[str]) -> Catalogue:
    """Give the operations there are, with those of the extensions that the configuration names.

    What is wrong with the configuration is told once the command is understood; at once only where the
    command may be that of an extension.
    """
    from tidings.app import config  # noqa: PLC0415  # `serve` starts faster without
    from tidings.app.mistakes import ConfigError, Mistake  # noqa: PLC0415
    from tidings.operations.all import CATALOGUE, catalogue_of  # noqa: PLC0415

    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--config")
    is_own = not arguments or arguments[0].startswith("-") or arguments[0] in CATALOGUE.categories()
    try:
        names = config.extensions_named(finder.parse_known_args(arguments)[0].config)
    except argparse.ArgumentError:  # told by the parser of the command
        return CATALOGUE
    except ConfigError:
        if is_own:
            return CATALOGUE
        raise
    if not names:
        return CATALOGUE
    from tidings.app.extensions import load  # noqa: PLC0415  # hardly any server has extensions

    extensions, problems = load(names)
    if problems and not is_own:
        raise ConfigError(Mistake("", f"`extensions` in [server]: {reason}") for reason in problems.values())
    return catalogue_of(feature for extension in extensions for feature in extension.features)


def _ask(prompt: str) -> str:
    """Read a secret without showing it, or the first line of what is piped in."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{prompt}: ")
    return sys.stdin.readline().rstrip("\n")


def _load(given: argparse.Namespace, *, with_features: bool) -> Config:
    from tidings.app import config, known_features  # noqa: PLC0415  # only once the command line is right

    flags, profile = flags_of(vars(given)), getattr(given, "profile", None) or ""
    known = None
    if with_features:
        names = config.extensions_named(given.config, None, flags, profile=profile)
        known = known_features.known_features(names)
    return config.load(given.config, None, flags, known, profile=profile)


def flags_of(given: Mapping[str, Any]) -> dict[str, object]:
    """Turn flags of the command line into options; flags that were not given are left out.

    `domain` is a flag of `serve` only: operations have a field of that name, which is a single text.
    """
    domains = given.get("domain")
    options = {
        "server.data_dir": given.get("data_dir"),
        "server.domains": domains if isinstance(domains, list) else None,
        "server.authentication": given.get("auth"),
        "server.create_admins": given.get("admin"),
        "server.reset_when_empty": given.get("reset_when_empty") or None,
        "log.level": given.get("log_level"),
    }
    return {name: value for name, value in options.items() if value is not None}


def _complain(error: TidingsError) -> int:
    from tidings.app.mistakes import ConfigError  # noqa: PLC0415  # only when something is wrong
    from tidings.operations.errors import OperationError  # noqa: PLC0415

    if isinstance(error, ConfigError):
        print("tidings: the configuration cannot be used:", file=sys.stderr)  # noqa: T201  # the command's voice
        for mistake in error.mistakes:
            print(f"  {mistake}", file=sys.stderr)  # noqa: T201
        return USAGE
    print(f"tidings: {error}", file=sys.stderr)  # noqa: T201
    if isinstance(error, BackendError):
        return UNREACHABLE
    if isinstance(error, OperationError) and error.code == "unavailable":
        return UNREACHABLE
    return REFUSED


def _version() -> str:
    import importlib.metadata  # noqa: PLC0415  # hardly ever asked

    return f"tidings {importlib.metadata.version('tidings')}"


if __name__ == "__main__":
    sys.exit(main())
