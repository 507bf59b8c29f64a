"""Hooks: who listens to which event of a host, in which order; a bug in one does not spread."""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from tidings.base.errors import StanzaError, TidingsError
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.supervisor import Supervisor

log = structlog.get_logger("tidings.hooks")

Handler = Callable[[Any], MaybeAwaitable]


class Stage(enum.IntEnum):
    """When a handler of an event runs; stages run in this order."""

    GUARD = enum.auto()
    """May this pass? Raises StanzaError to refuse. Plain functions that read only what is loaded."""
    REWRITE = enum.auto()
    STORE = enum.auto()
    DELIVER = enum.auto()
    COPY = enum.auto()
    OBSERVE = enum.auto()


class AmbiguousHooksError(TidingsError):
    """Handlers of one stage name each other in a circle, or name a feature that has none there."""


class Hooks:
    """The handlers of one host, by event."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._listeners: dict[type[Any], list[tuple[Stage, str, tuple[str, ...], Handler]]] = {}
        self._compiled: dict[type[Any], tuple[tuple[Stage, Handler], ...]] = {}

    def listen(
        self, event: type[Any], stage: Stage, name: str, handler: Handler, after: tuple[str, ...] = ()
    ) -> None:
        """Add a handler; takes effect with `compile`."""
        self._listeners.setdefault(event, []).append((stage, name, after, handler))

    def compile(self) -> None:
        """Fix the order: by stage, `after`, then as features were loaded; raises `AmbiguousHooksError`."""
        for event, listeners in self._listeners.items():
            ordered: list[tuple[Stage, Handler]] = []
            for stage in Stage:
                entries = [entry for entry in listeners if entry[0] is stage]
                ordered += [(stage, handler) for handler in _in_order(event, stage, entries)]
            self._compiled[event] = tuple(ordered)

    def has(self, event: type[Any]) -> bool:
        """Tell whether anybody listens, so that a hot path need not make the event."""
        return event in self._compiled

    def run(self, event: object) -> MaybeAwaitable:
        """Call the handlers in order, and await those that must be.

        StanzaError, StreamError and Dropped go to the caller. A bug in a GUARD refuses; elsewhere the next
        handler runs.
        """
        handlers = self._compiled.get(type(event))
        if handlers is None:
            return None
        for position, (stage, handler) in enumerate(handlers):
            try:
                wait = handler(event)
            except TidingsError:
                raise
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._caught(stage, handler, error)
                continue
            if wait is not None:
                return self._rest(wait, handlers, position, event)
        return None

    def tell(self, event: object) -> MaybeAwaitable:
        """Call all handlers of what has happened: none can refuse it or keep it from the others."""
        handlers = self._compiled.get(type(event), ())
        for position, (_, handler) in enumerate(handlers):
            try:
                wait = handler(event)
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._failed(handler, error)
                continue
            if wait is not None:
                return self._tell_rest(wait, handlers[position:], event)
        return None

    async def _tell_rest(
        self, wait: Awaitable[None], handlers: tuple[tuple[Stage, Handler], ...], event: object
    ) -> None:
        pending: MaybeAwaitable = wait
        for position, (_, handler) in enumerate(handlers):
            try:
                if position:
                    pending = handler(event)
                if pending is not None:
                    await pending
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._failed(handler, error)

    def _failed(self, handler: Handler, error: Exception) -> None:
        """Log what a handler could not do, and count it where it is a bug."""
        if isinstance(error, TidingsError):
            log.error("handler_failed", handler=_name(handler), reason=str(error))
        else:
            self._supervisor.report(_name(handler), error)

    def guard(self, event: object) -> None:
        """Call the handlers of an event that has guards only: `run` for the hot path."""
        for stage, handler in self._compiled.get(type(event), ()):
            try:
                handler(event)
            except TidingsError:
                raise
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._caught(stage, handler, error)

    async def _rest(
        self, wait: Awaitable[None], handlers: tuple[tuple[Stage, Handler], ...], position: int, event: object
    ) -> None:
        pending: MaybeAwaitable = wait
        for at in range(position, len(handlers)):
            stage, handler = handlers[at]
            try:
                if at > position:
                    pending = handler(event)
                if pending is not None:
                    await pending
            except TidingsError:
                raise
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._caught(stage, handler, error)

    def _caught(self, stage: Stage, handler: Handler, error: Exception) -> None:
        self._supervisor.report(_name(handler), error)
        if stage is Stage.GUARD:
            raise StanzaError("internal-server-error") from error


def _name(handler: Handler) -> str:
    return getattr(handler, "__qualname__", "handler")


def _in_order(
    event: type[Any], stage: Stage, entries: list[tuple[Stage, str, tuple[str, ...], Handler]]
) -> list[Handler]:
    names = {name for _, name, _, _ in entries}
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for number, (_, name, after, _) in enumerate(entries):
        sorter.add(number)
        for wanted in after:
            if wanted not in names:
                raise AmbiguousHooksError(
                    f"{name} listens to {event.__name__} at {stage.name} after {wanted}, which does not"
                )
            for other, entry in enumerate(entries):
                if entry[1] == wanted:
                    sorter.add(number, other)
    try:
        order = list(sorter.static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(entries[number][1] for number in error.args[1])
        raise AmbiguousHooksError(f"{event.__name__} at {stage.name}: {circle}") from None
    return [entries[number][3] for number in order]
