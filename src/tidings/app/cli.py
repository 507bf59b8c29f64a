"""The command `tidings`: serves, checks, and speaks every operation of the catalogue.

Exit codes: 0 done, or the answer is yes; 1 refused, failed, or the answer is no; 2 the command or the
configuration is wrong; 3 the server or the database cannot be reached.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tidings.app import admin_client, command_parser, commands, whereabouts
from tidings.app.commands import Command
from tidings.app.complaint import complain, wants_json
from tidings.app.direct_commands import DIRECT
from tidings.app.exit_codes import OK, REFUSED, USAGE
from tidings.app.voice import say
from tidings.base.errors import TidingsError
from tidings.operations.errors import OperationError

if TYPE_CHECKING:
    from pathlib import Path

    from tidings.app.options import Config


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    arguments = command_parser.in_order(list(sys.argv[1:] if arguments is None else arguments))
    word = arguments[0] if arguments else ""
    is_completing = tuple(arguments[:2]) == ("completion", "candidates")
    try:
        if is_completing:  # words of others, which no parser reads
            return _candidates(arguments[2:])
        if word in DIRECT:
            return _COMMANDS[word](DIRECT[word].parser(word).parse_args(arguments[1:]))
        return _operate(arguments)
    except TidingsError as error:
        return complain(error, as_json=not is_completing and wants_json(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, such as `head`
        sys.stderr.close()
        return OK


def _serve(given: argparse.Namespace) -> int:
    gc.disable()  # nothing that loading makes is garbage; `serve` switches it on again
    from tidings.base.absent import absent  # noqa: PLC0415  # the other commands start faster without

    with absent("rich"):  # for tracebacks in colours that no log here has it takes 50 ms and 4 MB
        import structlog  # noqa: F401, PLC0415
    from tidings.app import signals  # noqa: PLC0415

    signals.ignore_until_serving()
    from tidings.app import server  # noqa: PLC0415

    return int(server.run(lambda: _load(given, with_features=True)))


def _check(given: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415  # not every command needs them

    import msgspec  # noqa: PLC0415

    from tidings.app import check, presentation  # noqa: PLC0415
    from tidings.app.mistakes import ConfigError  # noqa: PLC0415

    try:
        config = _load(given, with_features=True)
        findings = [check.configuration_read(config), *check.extensions_loaded(config)]
        findings += asyncio.run(check.examine(config, resolver=given.resolver or ""))
    except ConfigError as error:
        findings = check.configuration_mistakes(error)
    if given.json:
        presentation.print_json(msgspec.to_builtins(findings))
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


def _import(given: argparse.Namespace) -> int:
    from tidings.app import import_command  # noqa: PLC0415  # not every command needs it

    config = _load(given, with_features=False)
    whole = import_command.import_accounts(
        config,
        given.format,
        given.path,
        given.domain or "",
        is_dry=given.dry_run,
        reuses_names=given.reuse_names,
        as_json=given.json,
    )
    return OK if whole else REFUSED


def _export(given: argparse.Namespace) -> int:
    from tidings.app import import_command  # noqa: PLC0415  # not every command needs it

    command = next(each for each in commands.shipped() if (each.category, each.name) == ("server", "export"))
    values = {"keys": True} | ({} if given.domain is None else {"domain": given.domain})
    parts = (answer["text"] for answer in _answers(command, values, given))
    import_command.export_accounts(given.file, parts, as_json=given.json)
    return OK


def _top(given: argparse.Namespace) -> int:
    from tidings.app import top  # noqa: PLC0415  # not every command needs it

    seconds = top.seconds_of(given.interval, once=given.once)
    if seconds is None:
        wrong = f"--interval is a number of seconds from 1 to {top.LONGEST_SECONDS}, not {given.interval!r}"
        DIRECT["top"].parser("top").error(wrong)
    server = whereabouts.find(given.config, given.data_dir)
    path = server.admin_socket if server else _load(given, with_features=False).admin_socket
    top.run(path, seconds=seconds, once=given.once, as_json=given.json)
    return OK


def _shell(given: argparse.Namespace) -> int:
    from tidings.app.shell import Shell  # noqa: PLC0415  # not every command needs it

    flags = [
        word
        for flag, value in (("--config", given.config), ("--data-dir", given.data_dir))
        if value is not None
        for word in (flag, value)
    ]
    shell = Shell(main, _commands(["--help", *flags]), flags)
    return shell.type() if sys.stdin.isatty() else shell.read(keep_going=given.keep_going)


def _completion(given: argparse.Namespace) -> int:
    from tidings.app import completion  # noqa: PLC0415  # not every command needs it

    sys.stdout.write(completion.SCRIPTS[given.shell])
    return OK


def _candidates(words: Sequence[str]) -> int:
    """Print what the last word can become, a line each, with what it means."""
    from tidings.app import completion  # noqa: PLC0415  # not every command needs it

    found = completion.candidates(_commands(words), words)
    sys.stdout.writelines("\t".join(filter(None, each)) + "\n" for each in found)
    return OK


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "serve": _serve,
    "check": _check,
    "backup": _backup,
    "restore": _restore,
    "migrate": _migrate,
    "import": _import,
    "export": _export,
    "top": _top,
    "shell": _shell,
    "completion": _completion,
}
"""What carries out each command that is no operation."""


def _operate(arguments: Sequence[str]) -> int:
    known = _commands(arguments)
    if not arguments:
        command_parser.root(known, DIRECT).print_help()
        return USAGE
    command = command_parser.choose(known, arguments, DIRECT)
    given = command_parser.of_command(command).parse_args(arguments[2:])
    values = command_parser.collect(command, vars(given), _ask)
    can_wait = vars(given).get("dry_run") or vars(given).get("after_days")
    if command.irreversible and not given.yes and not can_wait and not _confirmed(command):
        return REFUSED
    try:
        if command.takes_file:
            return _import_accounts(command, values, given)
        if command.is_paged and given.all:
            return _show_all(command, values, given)
        return _show(command, _answers(command, values, given), given)
    except OperationError as error:
        told = command_parser.in_flags(command, error.text)
        raise OperationError(error.code, told, reason=error.reason) from error


def _show(command: Command, answers: Iterator[Any], given: argparse.Namespace) -> int:
    """Print the answers, and give the exit code."""
    from tidings.app import presentation  # noqa: PLC0415  # once the command line is right

    if command.is_stream:
        for answer in answers:
            presentation.print_part(answer)
        return OK
    [result] = answers
    if given.json:
        presentation.print_json(result)
    elif not given.quiet:
        presentation.print_result(command, result)
    elif not command.changes and not command.answer:
        presentation.print_result(command, result, with_notes=False)
    # A server that was started before an upgrade may not know the question yet.
    return REFUSED if command.answer and not result.get(command.answer, True) else OK


def _import_accounts(command: Command, values: dict[str, Any], given: argparse.Namespace) -> int:
    """Import accounts from a file, in parts."""
    from tidings.app import account_import  # noqa: PLC0415  # not every command needs it

    def ask(arguments: dict[str, Any]) -> dict[str, Any]:
        [answer] = _answers(command, arguments, given)
        found: dict[str, Any] = answer
        return found

    done = account_import.run(
        given.file, values, ask, report_file=given.report, as_json=given.json, is_quiet=given.quiet
    )
    return OK if done else REFUSED


def _show_all(command: Command, values: dict[str, Any], given: argparse.Namespace) -> int:
    """Print every page of a list, as each of them comes."""
    from tidings.app import presentation  # noqa: PLC0415  # once the command line is right

    while True:
        [page] = _answers(command, values, given)
        if given.json:
            for item in page["items"]:
                presentation.print_line(item)
        elif page["items"] or "after" not in values:
            presentation.print_result(command, {**page, "next": None}, with_notes=not given.quiet)
        if page["next"] is None:
            return OK
        values = {**values, "after": page["next"]}


def _commands(arguments: Sequence[str]) -> tuple[Command, ...]:
    """Give the commands there are: those of extensions only where one of them may be meant."""
    known = commands.shipped()
    if tuple(arguments[:2]) in {(command.category, command.name) for command in known}:
        return known
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--config")
    try:
        file = finder.parse_known_args(arguments)[0].config
    except argparse.ArgumentError:  # told by the parser of the command
        return known
    server = whereabouts.find(file, None)
    if server is not None and not server.has_extensions:
        return known
    from tidings.app import extended  # noqa: PLC0415  # hardly any server has extensions
    from tidings.app.arguments import command_of  # noqa: PLC0415

    categories = {command.category for command in known}
    is_own = not arguments or arguments[0].startswith("-") or arguments[0] in categories
    return tuple(map(command_of, extended.catalogue(file, is_own=is_own)))


def _answers(command: Command, values: dict[str, Any], given: argparse.Namespace) -> Iterator[Any]:
    """Ask the running server, else carry the command out on the database, for which all is loaded."""
    tell = (lambda _: None) if given.quiet else say
    server = whereabouts.find(given.config, given.data_dir)
    is_rollback = (command.category, command.name) == ("config", "rollback")
    if server is not None or is_rollback:
        socket = server.admin_socket if server is not None else _data_directory(given) / whereabouts.SOCKET
        asked = (socket, command.category, command.name, values, tell)
        with contextlib.suppress(admin_client.NotRunningError):
            if command.is_stream:
                yield from admin_client.stream(*asked)
            else:
                yield admin_client.call(*asked)
            return
    if is_rollback:
        from tidings.app import offline_rollback  # noqa: PLC0415  # hardly ever needed

        check = partial(_load, given, with_features=True)
        yield offline_rollback.roll_back(given.config, _data_directory(given), check)
        return
    from tidings.app import extended, reach  # noqa: PLC0415  # the running server knows better

    config = _load(given, with_features=False)
    operation = extended.catalogue(given.config, is_own=True).get(command.category, command.name)
    if command.is_stream:
        yield from reach.stream(config, operation, values, tell)
    else:
        yield reach.call(config, operation, values, tell)


def _data_directory(given: argparse.Namespace) -> Path:
    """Find the data directory of a configuration that may be damaged."""
    from tidings.app import offline_rollback  # noqa: PLC0415  # hardly ever needed

    return offline_rollback.data_directory_of(given.config, given.data_dir)


def _confirmed(command: Command) -> bool:
    """Ask on a terminal whether this is meant; scripts, which have none, mean what they say."""
    if not sys.stdin.isatty():
        return True
    consequences, _, _ = command.details.partition("\n\n")
    sys.stderr.write(f"{command.promise} {' '.join(consequences.split())}\nGo on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    say("nothing was changed")
    return False


def _ask(prompt: str) -> str:
    """Read a secret without showing it, or the first line of what is piped in."""
    if sys.stdin.isatty():
        import getpass  # noqa: PLC0415  # not for a pipe

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


if __name__ == "__main__":
    sys.exit(main())
