"""Structured logs: event name first, one line an event; never a message body, password or token."""

from __future__ import annotations

import contextlib
import logging
import sys

import structlog

from tidings.app.options import LogOptions
from tidings.app.tables import is_coloured


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


def configure_logs(options: LogOptions) -> None:
    """Write events of this level and above to standard error, as text for people or JSON for machines."""
    as_text = options.format == "text" or (options.format == "auto" and sys.stderr.isatty())
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if as_text:
        render = structlog.dev.ConsoleRenderer(
            colors=is_coloured(sys.stderr), exception_formatter=structlog.dev.plain_traceback
        )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not as_text:
        # Never with local variables: they hold messages and passwords.
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(transform))
    structlog.configure(
        processors=[*processors, render],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[options.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(StandardError()),  # type: ignore[arg-type]  # all it needs
        cache_logger_on_first_use=True,
    )
    # The event loop and the HTTP library warn through the standard library.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
