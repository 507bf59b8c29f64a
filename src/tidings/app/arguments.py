"""Turns the fields of a request into options of the command line, and back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from tidings.operations.catalogue import Operation
from tidings.operations.errors import OperationError
from tidings.operations.values import unwrapped


class Argument(NamedTuple):
    """One field of a request as an option, or as the word that stands without one (`flag` is its name)."""

    field: str
    flag: str
    is_secret: bool
    is_required: bool
    description: str
    settings: dict[str, Any]
    """What `add_argument` is told."""


def of(request: type[msgspec.Struct]) -> Iterator[Argument]:
    """Give an option for each field of a request."""
    described = inspect.type_info(request)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        yield _argument(field)


def collect(operation: Operation, given: Mapping[str, Any], ask: Callable[[str], str]) -> dict[str, Any]:
    """Gather the values of a request; a secret that is missing, or is `-`, is asked for."""
    values: dict[str, Any] = {}
    for argument in of(operation.request):
        value = given.get(argument.field)
        if argument.is_secret and value in {None, "-"}:
            value = ask(argument.field.capitalize())
            chooses = operation.name in {"register", "change-password"} and sys.stdin.isatty()
            if chooses and ask(f"{argument.field.capitalize()}, again") != value:
                raise OperationError("invalid", "the two passwords are not the same; nothing was changed")
        if value is not None:
            values[argument.field] = value
    return values


def _argument(field: inspect.Field) -> Argument:
    outer, description, is_secret, is_positional = field.type, "", False, False
    while isinstance(outer, inspect.Metadata):
        description = description or str((outer.extra_json_schema or {}).get("description", ""))
        is_secret = is_secret or bool((outer.extra or {}).get("secret"))
        is_positional = is_positional or bool((outer.extra or {}).get("positional"))
        outer = outer.type
    required = field.required and not is_secret
    settings: dict[str, Any] = {"help": _help(description, field, is_secret=is_secret), "dest": field.name}
    match unwrapped(field.type):
        case inspect.VarTupleType():
            settings |= {"action": "append", "metavar": field.name.rstrip("s").upper()}
        case inspect.BoolType():
            settings["action"] = argparse.BooleanOptionalAction
        case inspect.IntType():
            settings |= {"type": int, "metavar": "NUMBER"}
        case inspect.LiteralType(values=values):
            settings["choices"] = sorted(str(value) for value in values)
        case _:
            settings["metavar"] = field.name.upper()
    if is_positional:
        del settings["dest"]
        return Argument(field.name, field.name, is_secret, required, description, settings)
    settings["required"] = required
    flag = "--" + field.encode_name.replace("_", "-")
    return Argument(field.name, flag, is_secret, required, description, settings)


def _help(description: str, field: inspect.Field, *, is_secret: bool) -> str:
    text = description[:1].lower() + description[1:].rstrip(".")
    if is_secret:
        return f"{text}; without it or with `-` it is asked for, or read from standard input".replace(
            "%", "%%"
        )
    if field.default not in {msgspec.NODEFAULT, "", None, ()}:
        text += f" (default: {field.default})"
    return text.replace("%", "%%")
