"""LogLevels: which lines the log has, by the level of each logger, or since somebody is traced.

A line below the level of its logger costs a call of an empty function. While somebody is traced, every line
is looked at, and those that name him are written, whatever the level; so tracing costs a busy server
something, and ends by itself.

Invariants:
- a logger's own level goes before that of all (`ALL`), which is the configured one until it is set;
- nothing of this is stored: after a restart the configuration holds;
- at most `MOST_TRACES` are traced, each for `LONGEST` seconds at most.
"""

from __future__ import annotations

import functools
import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import structlog
from structlog.typing import FilteringBoundLogger

from tidings.kernel.clock import Clock, Timer

ALL: Final = "tidings"
"""The name that stands for all loggers without a level of their own."""
LEVELS: Final = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
MOST_TRACES: Final = 10
LONGEST: Final = 86_400.0
"""Seconds that somebody may be traced."""

_Everything: Final[Any] = structlog.make_filtering_bound_logger(logging.NOTSET)
_Proxy: Final = type(structlog.get_logger())


class Trace(NamedTuple):
    """Somebody whose lines are written whatever their level."""

    subject: str
    """An account, a session or a network address."""
    ends: float
    """In seconds since the epoch."""
    names: frozenset[str]
    """How lines may call him."""
    timer: Timer


class LogLevels:
    """The levels of all loggers, and who is traced."""

    def __init__(self, clock: Clock, level: str = "info") -> None:
        """Begin with the configured level."""
        self._clock = clock
        self._configured = level
        self._own: dict[str, str] = {}
        self._traces: dict[str, Trace] = {}
        self._traced: frozenset[str] = frozenset()
        """The names of all who are traced."""
        self._loggers = weakref.WeakValueDictionary[int, FilteringBoundLogger]()
        self._watchers: list[Callable[[bool], object]] = []

    # --- for structlog

    def make(self, logger: Any, processors: Any, context: Any) -> FilteringBoundLogger:  # noqa: ANN401  # structlog's
        """Make what structlog calls a bound logger, for `logger`, which has a `name`."""
        bound: FilteringBoundLogger = _Everything(logger, processors, context)
        self._loggers[id(bound)] = bound
        self._fit(bound)
        return bound

    def _fit(self, bound: FilteringBoundLogger) -> None:
        """Put something cheap in the place of the methods whose lines are not written."""
        least = LEVELS[self.level_of(_name_of(bound))]
        own = vars(bound)
        for name, level in LEVELS.items():
            if level >= least:
                own.pop(name, None)
            elif self._traced:
                own[name] = functools.partial(self._write_traced, bound, name)
            else:
                own[name] = _write_nothing

    def _write_traced(
        self, bound: FilteringBoundLogger, name: str, event: str, *arguments: object, **told: object
    ) -> None:
        if self._is_traced(told.values()):
            getattr(type(bound), name)(bound, event, *arguments, **told)

    def _is_traced(self, values: Iterable[object]) -> bool:
        """Tell whether one of these values is, or has in it, somebody who is traced; or a session of his."""
        traced = self._traced
        for value in values:
            if isinstance(value, str):
                if value in traced or value.partition("/")[0] in traced:
                    return True
            elif isinstance(value, (tuple, list, Mapping)) and self._is_traced(value):
                return True
        return False

    # --- levels

    def names(self) -> list[str]:
        """Give the names of all loggers of the modules that are loaded."""
        proxies: list[Any] = [vars(module).get("log") for module in list(sys.modules.values())]
        named = {proxy._logger_factory_args[0] for proxy in proxies if type(proxy) is _Proxy}  # noqa: SLF001
        return sorted(named - {ALL})

    def level_of(self, logger: str) -> str:
        """Give the level that holds for a logger, or for `ALL`."""
        return self._own.get(logger) or self._own.get(ALL) or self._configured

    def has_own(self, logger: str) -> bool:
        """Tell whether its level was set while the server runs."""
        return logger in self._own

    def set_level(self, logger: str, level: str | None) -> None:
        """Set the level of a logger, or of `ALL`; None: what holds without that."""
        if level is None:
            self._own.pop(logger, None)
        else:
            self._own[logger] = level
        self._changed()

    def configure(self, level: str) -> bool:
        """Take over what the configuration says now; tell whether that is another level."""
        before, self._configured = self._configured, level
        self._changed()
        return before != level

    # --- traces

    @property
    def traces(self) -> list[Trace]:
        """Who is traced, the one whose time ends first at the beginning."""
        return sorted(self._traces.values(), key=lambda trace: trace.ends)

    def trace(self, subject: str, seconds: float, *, also: Iterable[str] = ()) -> Trace | None:
        """Trace somebody for so long from now; None if so many others are traced that he is not.

        `subject` is an account, a session or a network address; lines may call it what `also` says, too.
        """
        seconds = min(seconds, LONGEST)
        if subject not in self._traces and len(self._traces) >= MOST_TRACES:
            return None
        self.stop_trace(subject)
        timer = self._clock.call_later(seconds, functools.partial(self.stop_trace, subject))
        trace = self._traces[subject] = Trace(
            subject, self._clock.now() + seconds, frozenset((subject, *also)), timer
        )
        self._changed()
        return trace

    def stop_trace(self, subject: str) -> bool:
        """Trace somebody no longer; tell whether he was traced."""
        trace = self._traces.pop(subject, None)
        if trace is None:
            return False
        trace.timer.cancel()
        self._changed()
        return True

    # --- whoever makes debug lines at a cost

    def watch(self, watcher: Callable[[bool], object]) -> None:
        """Tell now, and at each change, whether there may be debug lines that are written."""
        self._watchers.append(watcher)
        watcher(self._writes_debug)

    @property
    def _writes_debug(self) -> bool:
        return bool(self._traces) or "debug" in {self.level_of(ALL), *self._own.values()}

    def _changed(self) -> None:
        self._traced = frozenset().union(*(trace.names for trace in self._traces.values()))
        for bound in list(self._loggers.values()):
            self._fit(bound)
        for watcher in self._watchers:
            watcher(self._writes_debug)


def _name_of(bound: Any) -> str:  # noqa: ANN401  # structlog types what it wraps as anything
    return getattr(bound._logger, "name", "")  # noqa: SLF001


def _write_nothing(event: str, *arguments: object, **told: object) -> None:
    """Take the place of a method whose lines are not written."""
