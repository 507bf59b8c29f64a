"""Valid payloads to begin with: what the codecs write for random values, and the stanzas of the plays."""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import pkgutil
import random
import types
import typing
from pathlib import Path
from typing import Any

import msgspec

from tests.harness.dialog import Play
from tidings.base.errors import TidingsError
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns, payloads
from tidings.wire.xmpp.stanza import Stanza

PEOPLE = ("alice", "bob", "carol")
ADDRESSES = (
    *(f"{name}@localhost" for name in PEOPLE),
    *(f"{name}@localhost/fuzz" for name in PEOPLE),
    *("localhost", "localhost/x", "nobody@localhost", "alice@localhost/gone", "nowhere.example"),
    *("juliet@nowhere.example/balcony", "conference.localhost", "room@conference.localhost/nick", "xn--a"),
)
TEXTS = (
    "",
    "a",
    "0",
    "1",
    "-1",
    "true",
    "hello",
    "é€😀",
    "2026-11-30T00:00:00Z",
    "x" * 300,
    "a@b@c",
    "<&>\"'",
)
_PLAYS = Path(__file__).parents[1] / "dialogs"


@functools.cache
def codecs() -> list[type[Any]]:
    """Find everything among the payloads that writes an element."""
    found = []
    for module in pkgutil.iter_modules(payloads.__path__, payloads.__name__ + "."):
        values = vars(importlib.import_module(module.name)).values()
        own = [value for value in values if getattr(value, "__module__", "") == module.name]
        found += [value for value in own if isinstance(value, type) and _writes_alone(value)]
    return found


@functools.cache
def played() -> list[Element]:
    """Find every stanza that somebody sends in a play."""
    found = []
    for path in sorted(_PLAYS.glob("*.play")):
        for direction in Play.read(path).directions:
            if direction.what == "sends":
                block = decode(f"<block>{direction.text}</block>".encode(), ns.CLIENT)
                found += [child for child in block.children if child.name in {"iq", "message", "presence"}]
    return found


def written(chance: random.Random) -> Element:
    """Write a payload of one of the codecs."""
    while True:
        try:
            element = make(chance.choice(codecs()), chance).encode()
            element.to_bytes()
        except (TidingsError, ArithmeticError, ValueError, TypeError, AttributeError, OSError):
            continue  # values that do not go together
        if isinstance(element, Element):
            return element


def make(wanted: Any, chance: random.Random, depth: int = 0) -> Any:
    """Make a random value of a type as the codecs declare them."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Annotated:
        return make(arguments[0], chance, depth)
    if origin is typing.Literal:
        return chance.choice(arguments)
    if origin in {types.UnionType, typing.Union}:
        return make(chance.choice(arguments), chance, depth)
    if origin in {tuple, list, frozenset, set}:
        if origin is tuple and arguments[-1] is not Ellipsis:
            return tuple(make(each, chance, depth + 1) for each in arguments)
        return origin(make(arguments[0], chance, depth + 1) for _ in range(chance.choice((0, 1, 1, 2, 5))))
    if origin is dict or str(origin).endswith("Mapping'>"):
        return {make(arguments[0], chance, depth): make(arguments[1], chance, depth) for _ in range(2)}
    if wanted is None or wanted is type(None):
        return None
    if wanted is Jid:
        return Jid(chance.choice(ADDRESSES))
    if wanted is Element:
        return chance.choice(played()) if depth > 2 else written(chance)
    if wanted is Stanza:
        return Stanza.received(FrameParser(XmlLimits()).parse(chance.choice(played()).to_bytes()))
    if isinstance(wanted, type):
        return _plain(wanted, chance, depth)
    raise TypeError(f"nobody knows how to make {wanted}")


def _plain(wanted: type[Any], chance: random.Random, depth: int) -> Any:
    if issubclass(wanted, enum.Enum):
        return chance.choice(list(wanted))
    if issubclass(wanted, msgspec.Struct):
        hints = typing.get_type_hints(wanted, include_extras=False)
        names = [
            name for name in wanted.__struct_fields__ if chance.random() < 0.6 or name in _required(wanted)
        ]
        return wanted(**{name: make(hints[name], chance, depth + 1) for name in names})
    if issubclass(wanted, tuple):
        return wanted(*(make(hint, chance, depth + 1) for hint in typing.get_type_hints(wanted).values()))
    simple: dict[type[Any], Any] = {
        bool: chance.random() < 0.5,
        int: chance.choice((0, 1, 2, 50, -1, 2**31, 2**63, 1_700_000_000_000_000)),
        float: chance.choice((0.0, 1.5, -1.0, 1e18)),
        str: chance.choice(TEXTS),
        bytes: chance.randbytes(chance.choice((0, 1, 20))),
    }
    return simple[wanted]


def _writes_alone(value: type[Any]) -> bool:
    return (
        issubclass(value, msgspec.Struct)
        and hasattr(value, "encode")
        and len(inspect.signature(value.encode).parameters) == 1
    )


def _required(wanted: type[Any]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(wanted) if field.required}
