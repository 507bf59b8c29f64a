"""Structured logs: event name first, one line an event; never a message body, password or token."""

from __future__ import annotations

import contextlib
import logging
import sys

import structlog

from tidings.app.options import LogOptions
from tidings.app.tables import is_coloured
from tidings.kernel.clock import Clock
from tidings.kernel.log_levels import LogLevels


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
    """Writes the lines of one logger, which are text already."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._print = structlog.PrintLogger(StandardError()).msg  # type: ignore[arg-type]  # all it needs

    def msg(self, line: str) -> None:
        """Write a line, of whatever level."""
        self._print(line)

    debug = info = warning = error = critical = msg


def configure_logs(options: LogOptions, clock: Clock) -> LogLevels:
    """Write events of this level and above to standard error, as text for people or JSON for machines.

    What it gives changes the levels later.
    """
    levels = LogLevels(clock, options.level)
    as_text = options.format == "text" or (options.format == "auto" and sys.stderr.isatty())
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if as_text:
        render = structlog.dev.ConsoleRenderer(
            colors=is_coloured(sys.stderr), exception_formatter=structlog.dev.plain_traceback
        )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        _add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not as_text:
        # Never with local variables: they hold messages and passwords.
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(transform))
    structlog.configure(
        processors=[*processors, render],
        wrapper_class=levels.make,  # type: ignore[arg-type]  # all that structlog does with it is to call it
        logger_factory=Output,
        cache_logger_on_first_use=True,
    )
    # The event loop and the HTTP library warn through the standard library.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    return levels


def _add_logger_name(
    logger: Output, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Name the logger, whose level can be set."""
    event["logger"] = logger.name
    return event
