"""Writes the page of the hooks: every event, what its handlers may do, and who listens in which order."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from tidings.app.known_features import own_features, service_features
from tidings.app.reference_text import attribute_docs, cell
from tidings.kernel import events
from tidings.kernel.clock import SystemClock
from tidings.kernel.feature import Feature, ListensMark
from tidings.kernel.hooks import Decision, Fact, Guard, Hooks, Listener, Question, Work
from tidings.kernel.loader import in_order, listener_of, marks_of
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry

CONTRACTS: Final[dict[type[Any], tuple[str, str]]] = {
    Decision: (
        "refuse it (raise `StanzaError`), drop it without a word (raise `Dropped`), and write into the event",
        "passes, or is refused with `resource-constraint`, as the handler's `on_failure` says",
    ),
    Guard: (
        "refuse it (raise `StanzaError`) and drop it (raise `Dropped`), by what is loaded and nothing else",
        "is refused with `internal-server-error`",
    ),
    Question: ("write what they know into the event", "goes on to the next handler"),
    Work: ("do their part of it, and refuse it (raise `StanzaError`)", "goes on to the next handler"),
    Fact: ("react to it; what they raise is logged and stops nobody", "goes on to the next handler"),
}
"""By the base class of an event: what its handlers may do, and what happens after a bug in one of them."""


def catalogue() -> list[type[Any]]:
    """Give every event in the order in which the code declares them."""
    return [
        each
        for each in vars(events).values()
        if inspect.isclass(each) and each.__module__ == events.__name__ and issubclass(each, tuple(CONTRACTS))
    ]


def listeners(features: Iterable[type[Feature]]) -> Hooks:
    """Put together who listens to what, as on a host with these features."""
    telemetry = Telemetry()
    hooks = Hooks(Supervisor(telemetry), SystemClock())
    for feature in in_order(features):
        for attribute, mark in marks_of(feature):  # type: ignore[arg-type]  # a class can be hashed
            if isinstance(mark, ListensMark):
                hooks.listen(listener_of(feature.name(), mark, getattr(feature, attribute)))
    hooks.compile()
    return hooks


def page() -> Iterator[str]:
    """Give the lines of the page."""
    yield "# Hooks"
    yield ""
    yield "Features meet in events: one says what happens, others listen with `@listens(Event)`. The base of"
    yield "an event says what its handlers may do; what does not fit is refused before the server starts. See"
    yield "[how to write a feature](../how-to/write-a-feature.md)."
    yield ""
    yield "| base | its handlers may | may be awaited | stages | after a bug in a handler it |"
    yield "|---|---|---|---|---|"
    for base, (may, bug) in CONTRACTS.items():
        stages = ", ".join(stage.name for stage in base.STAGES) or "none"
        awaited = "yes" if base.MAY_AWAIT else "no"
        if base is Decision:
            awaited = "yes, within a time limit"
        yield f"| {base.__name__} | {may} | {awaited} | {stages} | {bug} |"
    yield ""
    yield "Handlers run in the order of the stages, `first=True` before all; within a stage by `after=`, else"
    yield "in the order in which features are loaded: Tidings' own, then those of extensions. A handler that"
    yield "names no stage runs at OBSERVE, where there are stages. Who listens is listed in this order, for a"
    yield "domain with all of Tidings' own features; then those of its services, where other events happen."
    hooks, services = listeners(own_features()), listeners(service_features())
    for event in catalogue():
        yield from _event(event, hooks.listeners(event), services.listeners(event))


def _event(
    event: type[Any], listening: tuple[Listener, ...], of_services: tuple[Listener, ...]
) -> Iterator[str]:
    base = next(each for each in CONTRACTS if issubclass(event, each))
    yield ""
    yield f"## {event.__name__}"
    yield ""
    yield f"*{base.__name__}.* " + inspect.cleandoc(event.__doc__ or "")
    yield ""
    yield "| field | type | what it is |"
    yield "|---|---|---|"
    for name, kind, text in _fields(event):
        yield f"| `{name}` | `{cell(kind)}` | {cell(text)} |"
    yield ""
    if not listening and not of_services:
        yield "None of Tidings' own features listens."
    for number, listener in enumerate(listening, 1):
        yield f"{number}. `{listener.feature}`: `{listener.name}`{_place(listener)}"
    if of_services:
        yield ""
        named = (f"`{each.feature}`: `{each.name}`{_place(each)}" for each in of_services)
        yield f"On services: {'; '.join(named)}."


def _fields(event: type[Any]) -> Iterator[tuple[str, str, str]]:
    """Give name, type and text of what an event carries; properties are told with the rest."""
    told = attribute_docs(event)
    for field in msgspec.structs.fields(event):
        if not field.name.startswith("_"):
            yield field.name, str(event.__annotations__[field.name]), told.get(field.name, "")
    for name, value in vars(event).items():
        if isinstance(value, property) and value.fget is not None:
            yield name, str(value.fget.__annotations__["return"]), inspect.getdoc(value) or ""


def _place(listener: Listener) -> str:
    """Say when it runs, where it says so itself."""
    if listener.first:
        return ", first"
    if listener.stage is not None:
        return f", {listener.stage.name}"
    return ""
