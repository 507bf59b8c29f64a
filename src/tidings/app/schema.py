"""The tree of all options: what may stand where, said in words that an administrator reads.

Made from the option structs; reading a configuration, its error messages and the reference page are three
walks over this one tree.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tidings.app import options
from tidings.app.known_features import FeatureSelection, KnownFeatures

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})

_ITEM = re.compile(r"\$\[(\d+)\]\.?(\w*)")
"""Which one of a list msgspec means, and which option in it."""
_MISSING = re.compile(r"Object missing required field `(\w+)`")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One option."""

    name: str
    annotation: Any
    kind: inspect.Type
    description: str
    default: Any
    is_path: bool
    is_secret: bool = False
    """Whether its value may hold a password, so that no message shows it."""
    item: Table | None = None
    """The section that each entry of a list of sections is."""

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        return describe(self.kind)

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that are allowed, where there is a fixed set of them."""
        return tuple(value for value in _choices(self.kind) if isinstance(value, str))

    def convert(self, value: object) -> object:
        """Turn a value of a TOML file into the option's; raises `ValueError` saying what was expected."""
        try:
            return msgspec.convert(value, self.annotation)
        except msgspec.ValidationError as error:
            raise ValueError(_wrong(self, value, error)) from None

    def parse(self, text: str) -> object:
        """Turn the text of an environment variable into what a TOML file would hold."""
        return _parse(self.kind, text)


@dataclass(frozen=True, slots=True)
class Table:
    """A section: options and further sections by name; `every` is what any other name leads to."""

    title: str = ""
    struct: type[msgspec.Struct] | None = None
    entries: dict[str, Leaf | Table] = field(default_factory=dict)
    every: Table | None = None
    is_open: bool = False
    """Whether what stands in it is not looked at."""

    def step(self, name: str) -> Leaf | Table | None:
        """What stands below this name, if anything may."""
        return self.entries.get(name, self.every)

    def leaves(self) -> Iterator[Leaf]:
        """The options of this section, without those of sections in it."""
        return (entry for entry in self.entries.values() if isinstance(entry, Leaf))


def build(known: KnownFeatures | None) -> Table:
    """Make the tree for a server with these features; None leaves the options of features unread.

    Where an extension cannot be loaded, sections that may be its own are not looked at.
    """
    features = replace(
        _table(FeatureSelection),
        every=Table(is_open=True) if known is not None and known.problems else None,
        is_open=known is None,
    )
    features.entries.update(
        (name, _table(struct)) for name, struct in (known.options if known else {}).items()
    )
    host = _table(options.HostOptions)
    host.entries["features"] = features
    root = Table(title="The whole configuration.")
    for section in msgspec.structs.fields(options.Config):
        if isinstance(section.type, type) and issubclass(section.type, msgspec.Struct):
            root.entries[section.name] = _table(section.type)
    root.entries["host"] = Table(title="One section for each domain.", every=host)
    root.entries["features"] = features
    return root


def describe(kind: inspect.Type) -> str:
    """Say in words which values a type has."""
    match kind:
        case inspect.Metadata(type=inner):
            return describe(inner)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return "a whole number" + _range(low, high)
        case inspect.FloatType(ge=low, le=high):
            return "a number" + _range(low, high)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"`{show(value)}`" for value in sorted(values, key=str))
        case inspect.StrType():
            return "a text in quotes"
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"a list of {_plural(item)}"
        case inspect.UnionType(types=types):
            return " or ".join(describe(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.StructType() | inspect.DictType():
            return "a section"
    return "another value"


def show(value: object) -> str:
    """Write a value as it would stand in a TOML file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "a section"
    return str(value)


def _table(struct: type[msgspec.Struct]) -> Table:
    table = Table(title=_first_line(struct), struct=struct)
    kinds = _kinds(struct)
    for known in msgspec.structs.fields(struct):
        if known.name in {"features", "disabled"} and struct is options.HostOptions:
            continue
        if isinstance(known.type, type) and issubclass(known.type, msgspec.Struct):
            table.entries[known.name] = _table(known.type)
        else:
            table.entries[known.name] = _leaf(known, kinds[known.name])
    return table


@cache
def _kinds(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    """Give the types of a section's options by name; the tree is made more than once at a start."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return {field.name: field.type for field in described.fields}


def _leaf(known: msgspec.structs.FieldInfo, kind: inspect.Type) -> Leaf:
    description, is_path, is_secret = "", False, False
    while isinstance(kind, inspect.Metadata):
        description = description or str((kind.extra_json_schema or {}).get("description", ""))
        is_path = is_path or bool((kind.extra or {}).get("path"))
        is_secret = is_secret or bool((kind.extra or {}).get("secret"))
        kind = kind.type
    default = known.default
    if known.default_factory is not msgspec.NODEFAULT:
        default = known.default_factory()
    item = None
    if isinstance(kind, inspect.VarTupleType | inspect.ListType) and isinstance(
        kind.item_type, inspect.StructType
    ):
        item = _table(kind.item_type.cls)
    return Leaf(known.name, known.type, kind, description, default, is_path, is_secret, item)


def _first_line(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").strip().partition("\n")[0]


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return "" if high is None else f" of at most {high}"


def _plural(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(type=inner):
            return _plural(inner)
        case inspect.StrType():
            return 'texts, such as ["one", "two"]'
        case inspect.IntType():
            return "whole numbers, such as [1, 2]"
        case inspect.StructType():
            return "sections"
    return f"values, each {describe(kind)}"


def _choices(kind: inspect.Type) -> tuple[object, ...]:
    match kind:
        case inspect.Metadata(type=inner):
            return _choices(inner)
        case inspect.LiteralType(values=values):
            return tuple(values)
        case inspect.UnionType(types=types):
            return tuple(value for one in types for value in _choices(one))
    return ()


def _wrong(leaf: Leaf, value: object, error: msgspec.ValidationError) -> str:
    if isinstance(value, list | tuple) and (found := _ITEM.search(str(error).partition(" - at ")[2])):
        return f"must be {leaf.expected}; {_wrong_item(leaf, value, int(found[1]), found[2], str(error))}"
    return f"must be {leaf.expected}" + ("" if leaf.is_secret else f", not {show(value)}")


def _wrong_item(leaf: Leaf, values: Sequence[object], position: int, inside: str, reason: str) -> str:
    """Say what is wrong with one of a list."""
    if missing := _MISSING.match(reason):
        return f"number {position + 1} has no `{missing[1]}`"
    entry = leaf.item.entries.get(inside) if leaf.item is not None else None
    if isinstance(entry, Leaf):
        return f"`{inside}` of number {position + 1} must be {entry.expected}"
    item = values[position]
    if leaf.is_secret:
        return f"number {position + 1} is something else"
    near = (
        difflib.get_close_matches(item.upper(), _item_choices(leaf.kind), n=1)
        if isinstance(item, str)
        else []
    )
    return f"{show(item)} is something else" + (f"; did you mean `{show(near[0])}`?" if near else "")


def _item_choices(kind: inspect.Type) -> list[str]:
    """Give the texts that each of a list may be, where there is a fixed set of them."""
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return [value for value in _choices(kind.item_type) if isinstance(value, str)]
    return []


def _parse(kind: inspect.Type, text: str) -> object:
    match kind:
        case inspect.Metadata(type=inner):
            return _parse(inner, text)
        case inspect.BoolType():
            word = text.strip().lower()
            return word in _YES if word in _YES | _NO else text
        case inspect.IntType():
            return _number(int, text)
        case inspect.FloatType():
            return _number(float, text)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            if text.strip().startswith("["):
                try:
                    return tomllib.loads(f"value = {text}")["value"]
                except tomllib.TOMLDecodeError:
                    return text
            return [_parse(item, part.strip()) for part in text.split(",") if part.strip()]
        case inspect.UnionType(types=types):
            return next((_parse(one, text) for one in types if not isinstance(one, inspect.NoneType)), text)
    return text


def _number(kind: type[int | float], text: str) -> object:
    try:
        return kind(text.replace("_", ""))
    except ValueError:
        return text
