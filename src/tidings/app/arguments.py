"""Turns operations into commands: each field of a request becomes an option of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import inspect

from tidings.app.commands import Argument, Command, Kind
from tidings.operations.catalogue import Operation
from tidings.operations.values import fields_of, unwrapped


def command_of(operation: Operation) -> Command:
    """Give an operation as it is typed."""
    return Command(
        category=operation.category,
        name=operation.name,
        promise=operation.promise,
        details=operation.details,
        changes=operation.changes,
        is_stream=operation.is_stream,
        needs_server=operation.needs_server,
        irreversible=operation.irreversible,
        answer=operation.answer,
        arguments=tuple(of(operation.request)),
    )


def of(request: type[msgspec.Struct]) -> Iterator[Argument]:
    """Give an option for each field of a request."""
    for field in fields_of(request):
        yield _argument(field)


def _argument(field: inspect.Field) -> Argument:
    outer, description, is_secret, is_positional = field.type, "", False, False
    while isinstance(outer, inspect.Metadata):
        description = description or str((outer.extra_json_schema or {}).get("description", ""))
        is_secret = is_secret or bool((outer.extra or {}).get("secret"))
        is_positional = is_positional or bool((outer.extra or {}).get("positional"))
        outer = outer.type
    kind, choices = _kind(field.type)
    is_positional = is_positional or kind == "file"
    said = not is_secret and field.default not in {msgspec.NODEFAULT, "", None, ()}
    word = "file" if kind == "file" else field.name
    return Argument(
        field=field.name,
        flag=word if is_positional else "--" + field.encode_name.replace("_", "-"),
        kind=kind,
        description=description,
        default=str(field.default) if said else "",
        is_secret=is_secret,
        is_required=field.required and not is_secret,
        choices=choices,
    )


def _kind(declared: inspect.Type) -> tuple[Kind, tuple[str, ...]]:
    match unwrapped(declared):
        case inspect.VarTupleType(item_type=inspect.StructType()):
            return "file", ()
        case inspect.VarTupleType():
            return "list", ()
        case inspect.BoolType():
            return "switch", ()
        case inspect.IntType():
            return "number", ()
        case inspect.LiteralType(values=values):
            return "choice", tuple(sorted(str(value) for value in values))
    return "text", ()
