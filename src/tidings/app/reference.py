"""Writes the reference pages from what the code declares: `python -m tidings.app.reference [--check]`.

It writes the table of commands, too, which the command line reads in place of the catalogue. With `--check`
nothing is written; the exit code is 1 when a file is not what it would be.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from tidings.app import (
    api_reference,
    arguments,
    command_parser,
    commands,
    complaint,
    direct_commands,
    exit_codes,
    hook_reference,
    layers,
    metric_reference,
    reload_parts,
    schema,
    share_reference,
    whereabouts,
)
from tidings.app.known_features import known_features
from tidings.app.reference_text import attribute_docs, cell
from tidings.operations.all import CATALOGUE
from tidings.operations.catalogue import Operation
from tidings.operations.context import Role
from tidings.operations.errors import CODES
from tidings.operations.values import Page, scalar_of, unwrapped

_DECLARING: Final = (
    "tidings.streams.negotiator",
    "tidings.gateways.tcp",
    "tidings.gateways.websocket",
    "tidings.gateways.bosh",
    "tidings.gateways.host_meta",
    "tidings.portable.xep0227",
)
"""Modules that say in `SPECS` what they implement; features say it themselves."""

_TABLE: Final = commands.TABLE.relative_to(Path(__file__).parents[3]).as_posix()
_NOTE: Final = "<!-- Made by `make gen` from the code; do not edit. -->"


def pages() -> dict[str, str]:
    """Make every page, by its file name in docs/reference."""
    makers: dict[str, Callable[[], Iterator[str]]] = {
        "api.md": api_reference.page,
        "command-line.md": _command_line,
        "configuration.md": _configuration,
        "hooks.md": hook_reference.page,
        "metrics.md": metric_reference.page,
        "operations.md": _operations,
        "shares.md": share_reference.page,
        "standards.md": _standards,
    }
    return {name: "\n".join([_NOTE, "", *make(), ""]) for name, make in makers.items()}


def files() -> dict[str, str]:
    """Make every file that is made from the code, by its path in the repository."""
    table = commands.write(map(arguments.command_of, CATALOGUE))
    return {**{f"docs/reference/{name}": text for name, text in pages().items()}, _TABLE: table}


def main(words: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Write or compare the files and give the exit code."""
    words = sys.argv[1:] if words is None else words
    root = root or Path(__file__).parents[3]
    stale = {
        name: text
        for name, text in files().items()
        if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != text
    }
    if "--check" in words:
        for name in stale:
            sys.stderr.write(f"{name} is not what the code declares; run: make gen\n")
        return 1 if stale else 0
    for name, text in stale.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return 0


def _configuration() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "No configuration is needed to start. Options are set, the later ones winning, by"
    yield ""
    yield "1. the defaults below;"
    yield "2. a profile (`--profile`);"
    variable, default = whereabouts.FILE_VARIABLE, whereabouts.DEFAULT_FILE
    yield f"3. a TOML file: `--config FILE`, else `{variable}`, else `{default}` in"
    yield "   the working directory (under a profile, that last one is not read);"
    yield "4. environment variables `TIDINGS_SECTION__OPTION`; lists are written with commas, dots and dashes"
    yield "   of a domain as underscores: `TIDINGS_HOST__EXAMPLE_ORG__AUTHENTICATION=anonymous`, for a domain"
    yield "   that a variable, the file or a flag names. Variables without a double underscore are not looked"
    yield "   at;"
    yield "5. flags: " + ", ".join(f"`{flag}` (`{option}`)" for option, flag in layers.FLAGS.items()) + "."
    yield ""
    yield "What is unknown or wrong is refused, with its line. `tidings check` looks at all of it without"
    yield "starting. Files named in a configuration file are relative to its directory."
    yield ""
    yield "An option with ↻ is taken over by `tidings server reload` and SIGHUP, without a restart; those of"
    yield "connections and sessions hold for the ones that begin after it. The others need a restart, and a"
    yield "reload names those of them that have changed."
    known = known_features()
    root = schema.build(known)
    taken = reload_parts.options_taken(known.everywhere)
    for name in [name for name in root.entries if name not in {"host", "features"}]:
        yield from _section(root.entries[name], name, taken)
    host = root.entries["host"]
    assert isinstance(host, schema.Table)
    yield from _section(host.every, 'host."example.org"', taken)
    yield ""
    yield "A domain that has such a section is served, whether or not `domains` in `[server]` names it."
    yield 'Options of a feature for one domain go to `[host."example.org".features.NAME]`.'
    shared = root.entries["features"]
    assert isinstance(shared, schema.Table)
    yield from _options(shared, "features", taken)
    yield ""
    yield "The features are " + ", ".join(f"`{name}`" for name in known.names) + "."
    for name, entry in sorted(shared.entries.items()):
        if isinstance(entry, schema.Table):
            yield from _section(entry, f"features.{name}", taken)


def _section(entry: schema.Leaf | schema.Table | None, name: str, taken: frozenset[str]) -> Iterator[str]:
    """Give the options of a section, and the sections in it."""
    assert isinstance(entry, schema.Table)
    yield from _options(entry, name, taken)
    for leaf in entry.leaves():
        if leaf.item is not None:
            yield from _section(leaf.item, f"[{name}.{leaf.name}]", taken)
    for inner, table in entry.entries.items():
        if isinstance(table, schema.Table) and inner != "features":
            yield from _section(table, f"{name}.{inner}", taken)


def _options(entry: schema.Table, name: str, taken: frozenset[str]) -> Iterator[str]:
    yield ""
    yield f"## `[{name}]`"
    yield ""
    yield entry.title
    leaves = list(entry.leaves())
    if leaves:
        yield ""
        yield "| option | what it is | default |"
        yield "|---|---|---|"
        told = attribute_docs(entry.struct) if entry.struct else {}
        for leaf in leaves:
            description = cell(leaf.description or told.get(leaf.name, ""))
            section = name.replace('"example.org"', "*").strip("[]")
            live = " ↻" if {f"{section}.{leaf.name}", section} & taken else ""
            yield f"| `{leaf.name}`{live} | {description} {_kind(leaf)} | {_default(leaf)} |"


def _kind(leaf: schema.Leaf) -> str:
    if leaf.item is not None:
        return "*One section for each, below.*"
    words = leaf.expected.partition(", such as")[0]
    return f"*{cell(words[:1].upper() + words[1:])}.*"


def _default(leaf: schema.Leaf) -> str:
    if leaf.default is msgspec.NODEFAULT:
        return "must be given"
    return "" if leaf.default is None else f"`{schema.show(leaf.default)}`"


def _operations() -> Iterator[str]:
    yield "# Operations"
    yield ""
    yield "Everything that can be done to a running system, by category. Every door speaks them: the"
    yield "[command line](command-line.md) and the ad-hoc commands of service administration today."
    yield ""
    yield "Who may call an operation is enforced in one place, before it does anything. An **operator** may"
    yield "use the data directory, and may call all of them. A **domain administrator** acts for the accounts"
    yield "of the domain, a **user** for the own account, a **service** within its scopes (`account`,"
    yield "`account:read` for what changes nothing, or `account:list`). *About* names the fields that say for"
    yield "whom a request is; the caller must be allowed to act for every one of them."
    yield ""
    yield "| type | what it is |"
    yield "|---|---|"
    yield "| `AccountAddress` | the bare address of an account, such as `alice@example.org` |"
    yield "| `SessionAddress` | an account, or with `/resource` one of its sessions |"
    yield "| `Address` | any address, of this server or of another one |"
    yield "| `Domain` | the name of a domain |"
    yield "| `Moment` | a time in UTC by ISO 8601, such as `2026-01-31T12:00:00Z` |"
    yield ""
    yield "An operation that is refused has changed nothing and says why with one of these codes:"
    yield ""
    yield "| code | meaning |"
    yield "|---|---|"
    for code, meaning in CODES.items():
        yield f"| `{code}` | {meaning} |"
    for category, operations in CATALOGUE.categories().items():
        yield ""
        yield f"## {category}"
        for operation in operations:
            yield from _operation(operation)


def _operation(operation: Operation) -> Iterator[str]:
    yield ""
    yield f"### {operation.category} {operation.name}"
    yield ""
    yield " ".join([operation.promise, *operation.details.split()])
    yield ""
    yield "- who: " + ", ".join(f"{role.value}" for role in Role if role in operation.roles)
    yield f"- about: {_subjects(operation)}"
    yield f"- changes something: {'yes' if operation.changes else 'no'}"
    yield f"- needs the running server: {'yes' if operation.needs_server else 'no'}"
    yield "- errors: " + ", ".join(f"`{code}`" for code in operation.errors)
    fields = list(arguments.of(operation.request))
    if fields:
        yield ""
        yield "| field | type | what it is | default |"
        yield "|---|---|---|---|"
        described = inspect.type_info(operation.request)
        assert isinstance(described, inspect.StructType)
        for field, argument in zip(described.fields, fields, strict=True):
            default = "must be given" if field.required else _shown(field.default)
            told = cell(argument.description)
            yield f"| `{argument.field}` | {_type(field.type)} | {told} | {default} |"
    yield ""
    yield ("Answers, as a stream: " if operation.is_stream else "Answer: ") + _answer(operation.response)


def _type(kind: inspect.Type) -> str:
    inner = unwrapped(kind)
    if isinstance(inner, inspect.VarTupleType):
        return f"{_type(inner.item_type)}, several"
    scalar = scalar_of(kind)
    if scalar is not None:
        return f"`{scalar.value}`"
    match inner:
        case inspect.BoolType():
            return "yes or no"
        case inspect.IntType():
            return "number"
        case inspect.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
    return "text"


def _shown(default: object) -> str:
    return "" if default in (None, ()) else f"`{schema.show(default)}`"


def _subjects(operation: Operation) -> str:
    """Say whom a request is about, and what it means where it names nobody."""
    named = [
        f"`{each}`" if isinstance(each, str) else "the sender of the stanza" for each in operation.subjects
    ]
    told = " and ".join(named)
    if operation.without_subject == "own":
        return f"{told}; without, what the caller may see" if told else "what the caller may see"
    return told or "the server as a whole: only for those who may act for all its domains"


def _answer(response: Any) -> str:  # noqa: ANN401  # a struct or a page of something
    if get_origin(response) is Page:
        (item,) = get_args(response)
        fields = getattr(item, "__struct_fields__", ())
        each = f" (each: {', '.join(f'`{field}`' for field in fields)})" if fields else ""
        return f"`items`{each}, `next`. " + " ".join((Page.__doc__ or "").split())
    hints = get_type_hints(response)
    parts = []
    for name in response.__struct_fields__:
        item = next(
            (one for one in getattr(hints[name], "__args__", ()) if hasattr(one, "__struct_fields__")), None
        )
        inner = f" (each: {', '.join(f'`{field}`' for field in item.__struct_fields__)})" if item else ""
        parts.append(f"`{name}`{inner}")
    return ", ".join(parts) + ". " + " ".join((response.__doc__ or "").split())


def _command_line() -> Iterator[str]:
    yield "# Command line"
    yield ""
    yield "`tidings COMMAND --help` tells the same as this page."
    yield ""
    yield "| exit code | meaning |"
    yield "|---|---|"
    for code, meaning in exit_codes.EXIT_CODES.items():
        yield f"| {code} | {meaning} |"
    yield ""
    yield "With `--json`, what went wrong is told on standard output, too, with one of these codes:"
    yield ""
    yield "| `error.code` | meaning |"
    yield "|---|---|"
    for name, meaning in complaint.ERROR_CODES.items():
        yield f"| `{name}` | {meaning} |"
    yield ""
    yield "Where there is a word for what exactly is wrong, `error.reason` has it, such as `room_not_found`."
    for word, direct in direct_commands.DIRECT.items():
        yield ""
        yield f"## tidings {word}"
        yield ""
        text = direct.summary
        yield f"{text[:1].upper()}{text[1:]}."
        yield ""
        if direct.flags:
            yield from _flags(direct.flags)
        else:
            yield direct.epilog
    yield ""
    yield "## Operations"
    yield ""
    yield "Each [operation](operations.md) is a command. It goes to the running server through the admin"
    yield "socket in the data directory, which only the server's own user can open, or, when no server runs,"
    yield "to the database. Every one of them has these options, too:"
    yield ""
    yield from _flags(command_parser.OPERATION_FLAGS)
    for operation in CATALOGUE:
        yield ""
        yield f"### tidings {operation.category} {operation.name}"
        yield ""
        yield " ".join([operation.promise, *operation.details.split()])
        fields = list(arguments.of(operation.request))
        if fields:
            yield ""
            yield "| option | what it is |"
            yield "|---|---|"
            for argument in fields:
                must = "" if argument.is_required else " *Optional.*"
                if argument.is_secret:
                    must = " *Asked for when missing or `-`.*"
                yield f"| `{argument.flag}` | {cell(argument.description)}{must} |"
        if operation.irreversible:
            yield ""
            yield "On a terminal it asks first, unless it is given `--yes`."
        if operation.answer:
            yield ""
            yield f"The exit code is 1 when `{operation.answer}` is false."


def _flags(flags: Iterable[command_parser.Flag]) -> Iterator[str]:
    yield "| option | what it is |"
    yield "|---|---|"
    for flag in flags:
        typed = ", ".join(f"`{f'{name} {flag.metavar}'.rstrip()}`" for name in flag.names)
        yield f"| {typed} | {cell(flag.help)} |"


def _standards() -> Iterator[str]:
    yield "# Supported standards"
    yield ""
    yield "What each feature and each door says that it implements; what it leaves out stands at the top of"
    yield "its file."
    yield ""
    yield "| document | version | where | note |"
    yield "|---|---|---|---|"
    declared = [
        (feature.__module__, spec) for feature in known_features().everywhere for spec in feature.specs()
    ]
    for module in _DECLARING:
        declared += [(module, spec) for spec in importlib.import_module(module).SPECS]
    rows = {(spec.document, spec.version, _title(module), spec.note) for module, spec in declared}
    for document, version, title, note in sorted(rows):
        yield f"| {document} | {version} | {cell(title)} | {cell(note)} |"


def _title(module: str) -> str:
    """Give what the docstring of a feature's module begins with: its name, before the colon."""
    text = importlib.import_module(module).__doc__ or module
    return text.strip().partition("\n")[0].partition(":")[0].rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
