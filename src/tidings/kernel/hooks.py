"""Hooks: who listens to which event of a host, in which order, and what each kind of event allows.

An event's base class is its contract:

- `Decision`: handlers refuse, drop or rewrite, and may be awaited, each within its time limit. Where one
  fails, the decision passes or is refused, as that handler has declared.
- `Guard`: handlers refuse or drop; they are plain functions that read only what is loaded. A bug refuses.
- `Question`: handlers write answers into the event, and may be awaited.
- `Work`: handlers do their part of something, may refuse it, and may be awaited.
- `Fact`: handlers react, and may be awaited; nobody can stop it or keep it from the others.

A handler refuses by raising `StanzaError`, and drops by raising `Dropped`. After a bug in a handler of a
question, of work or of a fact the next one runs. The loader refuses what does not fit before the server
starts: stages that the event does not have, and coroutines where nothing is awaited.
"""

from __future__ import annotations

import asyncio
import enum
import graphlib
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec
import structlog

from tidings.base.errors import StanzaError, TidingsError
from tidings.kernel.clock import Clock
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.supervisor import Supervisor

log = structlog.get_logger("tidings.hooks")

Handler = Callable[[Any], MaybeAwaitable]

DECIDED_WITHIN: Final = 5.0
"""Seconds that a handler of a decision has, unless it says otherwise."""


class Stage(enum.IntEnum):
    """When a handler of work or of a fact runs; stages run in this order."""

    STORE = enum.auto()
    DELIVER = enum.auto()
    COPY = enum.auto()
    OBSERVE = enum.auto()


class OnFailure(enum.Enum):
    """What becomes of a decision whose handler fails or does not answer in time."""

    PASS = "passes"  # noqa: S105  # a word
    REFUSE = "is refused"


class Decision(msgspec.Struct):
    """May this go on, and in which form? Asked before guards; handlers may wait for others, such as webhooks.

    What a handler writes into the event takes effect.
    """

    STAGES: ClassVar[tuple[Stage, ...]] = ()
    """The stages that its handlers can name; where there are none, they run in the order of loading."""
    MAY_AWAIT: ClassVar[bool] = True
    """Whether its handlers may be coroutines."""


class Guard(msgspec.Struct, frozen=True, gc=False):
    """May this pass? Asked between loading and the commit, where nothing is awaited.

    It cannot be written to: what has to be rewritten is rewritten when it is decided.
    """

    STAGES: ClassVar[tuple[Stage, ...]] = ()
    MAY_AWAIT: ClassVar[bool] = False


class Question(msgspec.Struct):
    """Who has something to add? Handlers write into the event."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()
    MAY_AWAIT: ClassVar[bool] = True


class Work(msgspec.Struct):
    """Somebody has to do this: handlers do their part, stage after stage."""

    STAGES: ClassVar[tuple[Stage, ...]] = (Stage.STORE, Stage.DELIVER, Stage.OBSERVE)
    MAY_AWAIT: ClassVar[bool] = True


class Fact(msgspec.Struct):
    """Something has happened."""

    STAGES: ClassVar[tuple[Stage, ...]] = tuple(Stage)
    MAY_AWAIT: ClassVar[bool] = True


Event = Decision | Guard | Question | Work | Fact
"""Something that features can listen to."""


class Dropped(TidingsError):  # noqa: N818  # a decision, no error
    """The stanza is not to be delivered and not to be answered."""

    by = ""
    """Who dropped it, for logs and operators."""


class HookError(TidingsError):
    """A handler does not fit its event, or its order is ambiguous; the message names both."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A handler of an event, as a feature declares it."""

    event: type[Any]
    feature: str
    handler: Handler
    stage: Stage | None = None
    after: tuple[str, ...] = ()
    """Features whose handlers of the same stage run before."""
    first: bool = False
    """It runs before all others and in the same turn of the event loop as what the event tells of."""
    within: float = DECIDED_WITHIN
    on_failure: OnFailure = OnFailure.REFUSE

    @property
    def name(self) -> str:
        """The handler's name, for logs."""
        return getattr(self.handler, "__qualname__", "handler")

    @property
    def title(self) -> str:
        """The feature and the handler, for people: who refused, dropped or rewrote."""
        return f"{self.feature} ({self.name})"

    def check(self) -> None:
        """Raise `HookError` where it is not what the event's contract allows."""
        event, place = self.event, f"{self.feature}: {self.name} listens to {self.event.__name__}"
        if not issubclass(event, Decision | Guard | Question | Work | Fact):
            raise HookError(f"{place}, which is no event")
        if self.stage is not None and self.stage not in event.STAGES:
            stages = ", ".join(stage.name for stage in event.STAGES) or "none"
            raise HookError(f"{place} at {self.stage.name}; its stages: {stages}")
        is_coroutine = inspect.iscoroutinefunction(self.handler)
        if is_coroutine and not event.MAY_AWAIT:
            raise HookError(f"{place}, where nothing is awaited: it must be a plain function")
        if is_coroutine and self.first:
            raise HookError(f"{place} first, in the same turn: it must be a plain function")


class Hooks:
    """The handlers of one host, by event."""

    def __init__(self, supervisor: Supervisor, clock: Clock) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._listeners: dict[type[Any], list[Listener]] = {}
        self._compiled: dict[type[Any], tuple[Listener, ...]] = {}
        self._handlers: dict[type[Any], tuple[Handler, ...]] = {}  # the same, for the hot path

    def listen(self, listener: Listener) -> None:
        """Add a handler; takes effect with `compile`. Raises `HookError`."""
        listener.check()
        self._listeners.setdefault(listener.event, []).append(listener)

    def compile(self) -> None:
        """Fix the order: `first`, then by stage, `after`, and as features were loaded; raises `HookError`."""
        for event, listeners in self._listeners.items():
            ordered = _in_order(event, "first", [each for each in listeners if each.first])
            others = [each for each in listeners if not each.first]
            for stage in event.STAGES or (None,):
                at = [each for each in others if _stage_of(event, each) is stage]
                ordered += _in_order(event, stage.name if stage is not None else "no stage", at)
            self._compiled[event] = tuple(ordered)
            self._handlers[event] = tuple(each.handler for each in ordered)

    def has(self, event: type[Any]) -> bool:
        """Tell whether anybody listens, so that a hot path need not make the event."""
        return event in self._compiled

    def listeners(self, event: type[Any]) -> tuple[Listener, ...]:
        """Give the handlers of an event in the order in which they run."""
        return self._compiled.get(event, ())

    # --- one method for each contract

    def guard(self, event: Guard) -> None:
        """Ask the guards; raises the StanzaError of the one that refuses, or `Dropped`."""
        position = 0
        try:
            for handler in self._handlers.get(type(event), ()):
                if handler(event) is not None:
                    raise TypeError("a guard cannot be awaited")
                position += 1  # enumerate makes a tuple for each, on every message's way
        except TidingsError as error:
            _name(error, self._compiled[type(event)][position])
            raise
        except Exception as error:
            listener = self._compiled[type(event)][position]
            self._supervisor.report(listener.name, error)
            raise StanzaError("internal-server-error", by=f"a bug in {listener.title}") from error

    def decide(self, event: Decision, asked: Callable[[Listener], None] | None = None) -> MaybeAwaitable:
        """Ask everybody who has a say, in order; what they write into the event is their answer.

        `asked` is called when somebody has answered. Raises StanzaError or `Dropped`, at once or when
        awaited.
        """
        return self._ask(event, self._failed_decision, asked)

    def run(self, event: Question | Work) -> MaybeAwaitable:
        """Call the handlers in order, and await those that must be; TidingsErrors go to the caller."""
        return self._ask(event, self._failed)

    def tell(self, event: Fact) -> MaybeAwaitable:
        """Call all handlers of what has happened: none can refuse it or keep it from the others."""
        position = 0
        for handler in self._handlers.get(type(event), ()):
            try:
                wait = handler(event)
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._told(self._compiled[type(event)][position], error)
                wait = None
            if wait is not None:
                return self._tell_rest(wait, self._compiled[type(event)][position:], event)
            position += 1  # noqa: SIM113  # enumerate makes a tuple for each, on every message's way
        return None

    async def _tell_rest(self, wait: Awaitable[None], listeners: Sequence[Listener], event: Fact) -> None:
        pending: MaybeAwaitable = wait
        for position, listener in enumerate(listeners):
            try:
                if position:
                    pending = listener.handler(event)
                if pending is not None:
                    await pending
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                self._told(listener, error)

    def _told(self, listener: Listener, error: Exception) -> None:
        """Log what a handler could not do, and count it where it is a bug."""
        if isinstance(error, TidingsError):
            log.error("handler_failed", handler=listener.name, reason=str(error))
        else:
            self._supervisor.report(listener.name, error)

    def _ask(
        self,
        event: Event,
        failed: Callable[[Listener, Exception], None],
        asked: Callable[[Listener], None] | None = None,
    ) -> MaybeAwaitable:
        listeners = self._compiled.get(type(event), ())
        for position, listener in enumerate(listeners):
            try:
                wait = listener.handler(event)
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                failed(listener, error)
                continue
            if wait is not None:
                return self._ask_rest(wait, listeners[position:], event, failed, asked)
            if asked is not None:
                asked(listener)
        return None

    async def _ask_rest(
        self,
        wait: Awaitable[None],
        listeners: Sequence[Listener],
        event: Event,
        failed: Callable[[Listener, Exception], None],
        asked: Callable[[Listener], None] | None = None,
    ) -> None:
        pending: MaybeAwaitable = wait
        for position, listener in enumerate(listeners):
            try:
                if position:
                    pending = listener.handler(event)
                if pending is not None:
                    await self._in_time(listener, pending)
            except Exception as error:  # noqa: BLE001  # the hook loop is where a handler's bug ends
                failed(listener, error)
                continue
            if asked is not None:
                asked(listener)

    async def _in_time(self, listener: Listener, pending: Awaitable[None]) -> None:
        """Await a handler; one of a decision has a time limit, which the clock of the server measures."""
        if not issubclass(listener.event, Decision):
            await pending
            return
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            timer = self._clock.call_later(listener.within, lambda: limit.reschedule(loop.time()))
            try:
                await pending
            finally:
                timer.cancel()

    def _failed(self, listener: Listener, error: Exception) -> None:
        if isinstance(error, TidingsError):
            raise error
        self._supervisor.report(listener.name, error)

    def _failed_decision(self, listener: Listener, error: Exception) -> None:
        """A refusal is an answer; what else goes wrong passes or refuses, as the handler wants it."""
        if isinstance(error, StanzaError | Dropped):
            _name(error, listener)
            raise error
        if isinstance(error, TidingsError | TimeoutError):
            reason = str(error) or f"no answer within {listener.within:g} s"
            log.error(
                "decision_failed", handler=listener.name, reason=reason, outcome=listener.on_failure.value
            )
        else:
            self._supervisor.report(listener.name, error)
        if listener.on_failure is OnFailure.REFUSE:
            raise StanzaError(
                "resource-constraint",
                "what has to decide about this does not answer; try again later",
                by=f"{listener.title}, which failed",
            ) from error


def _name(error: Exception, listener: Listener) -> None:
    """Note who refuses or drops, where the error does not say it itself."""
    if isinstance(error, StanzaError | Dropped):
        error.by = listener.title


def _stage_of(event: type[Any], listener: Listener) -> Stage | None:
    """Give the stage of a handler; one that names none observes, where there are stages."""
    return Stage.OBSERVE if listener.stage is None and event.STAGES else listener.stage


def _in_order(event: type[Any], place: str, listeners: list[Listener]) -> list[Listener]:
    names = {listener.feature for listener in listeners}
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for number, listener in enumerate(listeners):
        sorter.add(number)
        for wanted in listener.after:
            if wanted not in names:
                raise HookError(
                    f"{listener.feature} listens to {event.__name__} ({place}) after {wanted}, which does not"
                )
            for other, entry in enumerate(listeners):
                if entry.feature == wanted:
                    sorter.add(number, other)
    try:
        order = list(sorter.static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(listeners[number].feature for number in error.args[1])
        raise HookError(f"{event.__name__} ({place}): {circle}") from None
    return [listeners[number] for number in order]
