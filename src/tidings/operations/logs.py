"""Operations on the log of the running server: the levels of loggers, and tracing of a user or an address."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.network import parse_address
from tidings.kernel.log_levels import ALL, LONGEST, MOST_TRACES, LogLevels
from tidings.operations.catalogue import OPERATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AUDITED, Moment, Page, SessionAddress, moment_of

_CONFIGURED: Final = "configured"
_MOST_MINUTES: Final = int(LONGEST // 60)


class LevelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which logger, and what it is to write."""

    level: Annotated[
        Literal["debug", "info", "warning", "error", "configured"],
        Meta(description="The least severe lines to write; `configured`: what holds without this."),
    ]
    logger: Annotated[
        str,
        Meta(
            description="Name of the logger, as `log show` has it; `tidings`: all without a level.",
            extra=AUDITED,
        ),
    ] = ALL


class LoggerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a logger writes."""

    logger: str
    level: str


class ShowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


class LogInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A logger with its level, or who is traced and until when; `set` tells that an operation has set it."""

    name: str
    level: str
    set: bool
    until: Moment | None = None


class TraceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to trace, and for how long."""

    user: Annotated[
        SessionAddress | None, Meta(description="Account, or with /resource one session, to trace.")
    ] = None
    address: Annotated[
        str | None, Meta(description="Network address to trace, such as 192.0.2.7.", extra=AUDITED)
    ] = None
    minutes: Annotated[int, Meta(ge=0, le=_MOST_MINUTES, description="For how long; 0 ends the tracing.")] = (
        10
    )


class TraceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who is traced, and until when; null: no longer."""

    traced: str
    until: Moment | None


@operation("log", "level", roles=OPERATORS, changes=True, errors=("invalid", "not-found"), needs_server=True)
async def set_level(context: Context, request: LevelRequest) -> LoggerInfo:
    """Set from which level on a logger writes, until the server ends.

    It holds on the node that answers. `debug` for all costs a busy server much; tracing one user costs less.
    """
    logs, logger = _logs(context), request.logger
    if logger != ALL and logger not in logs.names():
        raise OperationError("not-found", f"there is no logger {logger}: `log show` lists them")
    logs.set_level(logger, None if request.level == _CONFIGURED else request.level)
    return LoggerInfo(logger=logger, level=logs.level_of(logger))


@operation("log", "show", roles=OPERATORS, changes=False, needs_server=True)
async def show(context: Context, request: ShowRequest) -> Page[LogInfo]:
    """List the loggers with their levels, and who is traced."""
    del request
    logs = _logs(context)
    loggers = [
        LogInfo(name=name, level=logs.level_of(name), set=logs.has_own(name)) for name in (ALL, *logs.names())
    ]
    traced = [
        LogInfo(name=trace.subject, level="debug", set=True, until=moment_of(trace.ends))
        for trace in logs.traces
    ]
    return Page(items=(*loggers, *traced))


@operation("log", "trace", roles=OPERATORS, changes=True, errors=("invalid", "conflict"), needs_server=True)
async def trace(context: Context, request: TraceRequest) -> TraceInfo:
    """Write every line that names a user, one of his sessions or an address, whatever its level, for a time.

    It holds on the node that answers, and makes each message cost a little more meanwhile.
    """
    logs, subject = _logs(context), _subject(request)
    if not request.minutes:
        logs.stop_trace(subject)
        return TraceInfo(traced=subject, until=None)
    # A socket that takes both kinds of calls has another text for the address of an IPv4 client.
    mapped = () if request.address is None or ":" in subject else (f"::ffff:{subject}",)
    traced = logs.trace(subject, request.minutes * 60, also=mapped)
    if traced is None:
        raise OperationError("conflict", f"{MOST_TRACES} are traced already: end one with --minutes 0")
    return TraceInfo(traced=subject, until=moment_of(traced.ends))


def _subject(request: TraceRequest) -> str:
    """Give whom lines are to name."""
    if (request.user is None) == (request.address is None):
        raise OperationError("invalid", "say either whose lines or from which address")
    if request.user is not None:
        return request.user.text
    address = parse_address(request.address or "")
    if address is None:
        raise OperationError("invalid", f"{request.address!r} is no network address")
    return str(address)


def _logs(context: Context) -> LogLevels:
    if context.live is None:
        raise OperationError("unavailable", "there is no log without a running server")
    return context.live.logs


OPERATIONS = (show, set_level, trace)
