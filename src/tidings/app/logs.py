"""Structured logs: event name first, one line an event; never a message body, password or token."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from typing import Any, Final, NamedTuple

import structlog

from tidings.app.options import LogOptions
from tidings.app.tables import is_coloured
from tidings.kernel.clock import Clock
from tidings.kernel.log_levels import LogLevels

_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""What the journal calls our levels (sd-daemon(3))."""


def _is_journal() -> bool:
    """Tell whether standard error is the journal, as systemd says that it was (systemd.exec(5))."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class StandardError:
    """Standard error while it takes what is written: a terminal that closed or a full disk ends nothing."""

    def write(self, text: str) -> None:
        """Write, or lose the text."""
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Let it out, or lose it."""
        with contextlib.suppress(OSError):
            sys.stderr.flush()


class Output:
    """Writes the lines of one logger, which are text already; the journal is told how severe each is."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._print = structlog.PrintLogger(StandardError()).msg  # type: ignore[arg-type]  # all it needs
        if _is_journal():
            for level, priority in _PRIORITIES.items():
                setattr(self, level, functools.partial(self._tell_journal, f"<{priority}>"))

    def msg(self, line: str) -> None:
        """Write a line, of whatever level."""
        self._print(line)

    debug = info = warning = error = critical = msg

    def _tell_journal(self, priority: str, line: str) -> None:
        """Write what may be several lines, each of which is an entry of the journal."""
        self._print("\n".join(priority + each for each in line.split("\n")))


class LineFormat:
    """Writes events as text for people or as JSON for machines; that can change while the server runs."""

    def __init__(self, name: str) -> None:
        self._steps: tuple[structlog.typing.Processor, ...] = ()
        self.use(name)

    def use(self, name: str) -> None:
        """Write the lines from now on in this format: `text`, `json`, or as suits standard error (`auto`)."""
        if name == "text" or (name == "auto" and sys.stderr.isatty()):
            colours = is_coloured(sys.stderr)
            traceback = structlog.dev.plain_traceback
            self._steps = (structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=traceback),)
        else:
            # Never with local variables: they hold messages and passwords.
            transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            exceptions = structlog.processors.ExceptionRenderer(transform)
            self._steps = (exceptions, structlog.processors.JSONRenderer())

    def __call__(self, logger: Output, method: str, event: structlog.typing.EventDict) -> Any:  # noqa: ANN401  # structlog's
        """Give the line of an event."""
        line: Any = event
        for step in self._steps:
            line = step(logger, method, line)
        return line


class Logs(NamedTuple):
    """What of the log changes while the server runs."""

    levels: LogLevels
    format: LineFormat


def configure_logs(options: LogOptions, clock: Clock) -> Logs:
    """Write events of this level and above to standard error, as text for people or JSON for machines."""
    levels = LogLevels(clock, options.level)
    lines = LineFormat(options.format)
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*processors, lines],
        wrapper_class=levels.make,  # type: ignore[arg-type]  # all that structlog does with it is to call it
        logger_factory=Output,
        cache_logger_on_first_use=True,
    )
    # The event loop and the HTTP library warn through the standard library.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    return Logs(levels, lines)


def _add_logger_name(
    logger: Output, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Name the logger, whose level can be set."""
    event["logger"] = logger.name
    return event
