"""Writes the page of `tidings.api`: the names that features of others may stand on."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tidings import api
from tidings.app.reference_text import attribute_docs, cell, first_sentence

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Features": (
        "tidings.kernel.current",
        "tidings.kernel.feature",
        "tidings.kernel.slots",
        "tidings.kernel.host",
        "tidings.kernel.iq",
    ),
    "Entities and sessions": (
        *("tidings.kernel.entity", "tidings.kernel.account", "tidings.kernel.session"),
        *("tidings.kernel.audience", "tidings.kernel.cluster"),
        "tidings.base.jid",
    ),
    "What an event allows": ("tidings.kernel.hooks", "tidings.kernel.maybe_awaitable"),
    "Events": ("tidings.kernel.events",),
    "Stanzas": ("tidings.wire",),
    "Sending": ("tidings.messages",),
    "What is kept": ("tidings.ports.documents", "tidings.base.shares"),
    "Operations": ("tidings.operations",),
    "Time and tasks": ("tidings.kernel.clock", "tidings.kernel.job", "tidings.kernel.supervisor"),
    "Errors": ("tidings.base.errors",),
}
"""The headings of the page, each with the modules whose names stand under it."""

_HIDDEN: Final = frozenset({"STAGES", "MAY_AWAIT"})


def page() -> Iterator[str]:
    """Give the lines of the page."""
    yield "# tidings.api"
    yield ""
    yield "A feature in a package of its own stands on these names and on no other of Tidings:"
    yield "`from tidings.api import Feature`. They stay as they are until a new major version; before release"
    yield "1.0 one may change with a word in the release notes."
    yield "[How to write a feature](../how-to/write-a-feature.md) shows them at work, and [hooks](hooks.md)"
    yield "tells what each event carries."
    homes = {name: _home(name) for name in api.__all__}
    for title, modules in GROUPS.items():
        yield ""
        yield f"## {title}"
        yield ""
        yield "| name | what it is | it has |"
        yield "|---|---|---|"
        for name in api.__all__:
            if homes[name].startswith(modules):
                yield f"| `{name}` | {cell(_text(name, homes[name]))} | {cell(_parts(name))} |"


def _home(name: str) -> str:
    """Give the module that declares a name: a class says it itself, of a constant the sources do."""
    thing = getattr(api, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return str(thing.__module__)
    imports = (each for each in ast.parse(inspect.getsource(api)).body if isinstance(each, ast.ImportFrom))
    return next(str(each.module) for each in imports if name in {alias.name for alias in each.names})


def _text(name: str, home: str) -> str:
    thing = getattr(api, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return first_sentence(inspect.getdoc(thing) or "")
    return first_sentence(attribute_docs(importlib.import_module(home))[name])


def _parts(name: str) -> str:
    """List the public parts of a class; those of an event stand on a page of their own."""
    thing: Any = getattr(api, name)
    if not inspect.isclass(thing) or thing.__module__ == "tidings.kernel.events":
        return ""
    parts = api.PROMISED.get(name)
    if parts is None:
        own = [each for each in vars(thing) if not each.startswith("_") and each not in _HIDDEN]
        fields = thing.__struct_fields__ if issubclass(thing, msgspec.Struct) else ()
        parts = tuple(dict.fromkeys((*(each for each in fields if not each.startswith("_")), *own)))
    return ", ".join(f"`{each}`" for each in parts)
