"""What a field of a request has to be, said to people who know no types."""

from __future__ import annotations

import enum
import json
import re
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import inspect

from tidings.base.jid import Jid

_SHOWN: Final = 40
"""Characters of a wrong value that are repeated to who gave it."""
_PLACE: Final = re.compile(r"\$\.(?P<field>\w+)(?P<rest>.*?)`?\Z")
_STEP: Final = re.compile(r"\[(?:\d+|\.\.\.)\]|\.(?P<name>\w+)")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")


def why_wrong(error: msgspec.ValidationError, arguments: object, request: type[msgspec.Struct]) -> str:
    """Say which field of a request is wrong, what it has to be, and what was given instead."""
    fields = _fields(inspect.type_info(request))
    found = _PLACE.search(str(error).partition(" - at ")[2])
    if missing := _MISSING.match(str(error)):
        within = "" if found is None else f"{found['field']}{found['rest']}."
        return f"`{within}{missing[1]}` is missing"
    names = ", ".join(f"`{name}`" for name in fields)
    if (unknown := _UNKNOWN.match(str(error))) and found is None:
        return f"`{unknown[1]}` is unknown; the fields are {names}"
    if found is None or found["field"] not in fields:
        return f"the request must be an object with the fields {names}"
    place = f"`{found['field']}{found['rest']}`"
    if error.__cause__ is not None:  # what reads addresses has said it
        return f"{place} is wrong: {error.__cause__}"
    kind = fields[found["field"]]
    if found["rest"]:
        return f"{place} must be {wanted(_at(kind, found['rest']))}"
    given = arguments.get(found["field"]) if isinstance(arguments, dict) else None
    return f"{place} must be {wanted(kind)}" + ("" if _is_secret(kind) else f", not {shown(given)}")


def wanted(kind: inspect.Type) -> str:  # one for each kind
    """Say in words which values a type has."""
    match kind:
        case inspect.Metadata(type=inner):
            return wanted(inner)
        case inspect.UnionType(types=types):
            return " or ".join(wanted(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return "a whole number" + _range(low, high)
        case inspect.FloatType(ge=low, le=high):
            return "a number" + _range(low, high)
        case inspect.StrType(min_length=low, max_length=high):
            return "a text" + (f"{_length(low, high)} characters" if low or high else "")
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case inspect.EnumType(cls=cls):
            return "one of " + ", ".join(f"`{_value(member)}`" for member in cls)
        case inspect.VarTupleType() | inspect.ListType():
            return "a list, and each of it " + wanted(_item(kind))
        case inspect.CustomType(cls=cls) if cls is Jid:
            return "an address"
        case inspect.DateTimeType():
            return f"a time with its zone, such as {datetime(2026, 1, 31, 12).isoformat()}Z"  # noqa: DTZ001
    return "an object"


def shown(value: object) -> str:
    """Write a value as a program gave it, the beginning of a long one."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _at(kind: inspect.Type, path: str) -> inspect.Type:
    """Give what stands at a path within something, such as `[0].name`."""
    for step in _STEP.finditer(path):
        kind = _item(kind) if step["name"] is None else _fields(kind).get(step["name"], kind)
    return kind


def _fields(kind: inspect.Type) -> dict[str, inspect.Type]:
    """Give the fields of an object."""
    match kind:
        case inspect.Metadata(type=inner):
            return _fields(inner)
        case inspect.UnionType(types=types):
            return {name: field for one in types for name, field in _fields(one).items()}
        case inspect.StructType(fields=fields):
            return {field.encode_name: field.type for field in fields}
    return {}


def _item(kind: inspect.Type) -> inspect.Type:
    """Give what each of a list is."""
    match kind:
        case inspect.Metadata(type=inner):
            return _item(inner)
        case inspect.UnionType(types=types):
            return next((_item(one) for one in types if not isinstance(one, inspect.NoneType)), kind)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return item
    return kind


def _is_secret(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.Metadata) and bool(
        (kind.extra or {}).get("secret") or _is_secret(kind.type)
    )


def _value(member: enum.Enum) -> Any:  # noqa: ANN401  # whatever the enum has
    return member.value


def _length(low: int | None, high: int | None) -> str:
    return f" of {low} to {high}" if low and high else _range(low, high)


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"
