"""Audit: one line in the log for every operation that changes something, and for everyone who may not.

A line says who has asked (`by`, with the user of the machine behind the admin socket, or the session and the
network address of an administrator), for which operation, about whom, with which arguments, and how it ended.

Invariants:
- nothing secret and nothing that people write to each other is told: of an argument that is free text only
  what is declared `audited`, such as the reason of a ban;
- whoever is refused, and a user who changes what is his own, fills no disk: ten lines a minute each;
- on the database alone nothing is told: there is no log, and who may open the database may do anything to it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import msgspec
import structlog
from msgspec import inspect

from tidings.base.clock import TimeSource
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.seldom_told import SeldomTold
from tidings.operations.context import Caller, Context, Role
from tidings.operations.errors import OperationError
from tidings.operations.values import fields_of, scalar_of, to_plain, unwrapped

log = structlog.get_logger("tidings.audit")

DONE: Final = "done"
EARLY: Final = "ended early"
FAILED: Final = "failed"

_MINUTE: Final = 60.0
_AT_ONCE: Final = 10
_MOST: Final = 300
_LISTED: Final = 20
_LONGEST: Final = 256
_EXPLAINED: Final = frozenset({"not-allowed", "unavailable"})
"""Refusals whose words have nothing of what the request has."""


class Asked(Protocol):
    """What the log tells of an operation, which the catalogue declares."""

    @property
    def category(self) -> str:
        """What it is about."""
        ...

    @property
    def name(self) -> str:
        """What it does."""
        ...

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        ...

    @property
    def subjects(self) -> Sequence[object]:
        """The names of the fields that say whom a request is about."""
        ...

    def subjects_of(self, request: msgspec.Struct) -> tuple[Jid, ...]:
        """Give whom a request is about; raises `StanzaError` where that cannot be read."""
        ...


class Attempt:
    """An operation that somebody asks for; its request is known once it could be read."""

    __slots__ = ("request",)

    def __init__(self, request: msgspec.Struct | None) -> None:
        self.request = request


def limit_of(clock: TimeSource) -> SeldomTold:
    """Make what keeps callers who are refused from filling the log of one server."""
    return SeldomTold(_MINUTE, clock.monotonic, at_once=_AT_ONCE, most=_MOST)


@contextmanager
def audited(context: Context, found: Asked, request: msgspec.Struct | None = None) -> Iterator[Attempt]:
    """Tell how an operation ended that runs inside; what it raises is raised on."""
    attempt = Attempt(request)
    outcome, reason = DONE, ""
    try:
        yield attempt
    except OperationError as error:
        outcome = error.code
        reason = error.text if error.code in _EXPLAINED else ""
        raise
    except (asyncio.CancelledError, GeneratorExit):
        outcome = EARLY
        raise
    except BaseException:
        outcome = FAILED
        raise
    finally:
        if context.live is not None and (found.changes or outcome == "not-allowed"):
            _tell(context.live.audit_limit, context.caller, found, attempt.request, outcome, reason)


def _tell(
    limit: SeldomTold,
    caller: Caller,
    found: Asked,
    request: msgspec.Struct | None,
    outcome: str,
    reason: str,
) -> None:
    is_limited = outcome == "not-allowed" or caller.role is Role.USER
    passed_over = limit.kept_quiet(caller.name) if is_limited else 0
    if passed_over is None:
        return
    told: dict[str, object] = {"operation": f"{found.category} {found.name}", "outcome": outcome}
    told |= _who(caller)
    if request is not None:
        told |= _what(found, request)
    if reason:
        told["reason"] = reason
    if passed_over:
        told["more"] = passed_over
    log.info("operation", **told)


def _who(caller: Caller) -> dict[str, object]:
    told: dict[str, object] = {"by": caller.name, "role": caller.role.value}
    if caller.uid is not None:
        told["uid"], told["process"] = caller.uid, caller.process
    if caller.session is not None:
        told["session"] = caller.session.text
    if caller.address:
        told["address"] = caller.address
    return told


def _what(found: Asked, request: msgspec.Struct) -> dict[str, object]:
    """Give whom a request is about, and its arguments as far as they may be told."""
    told: dict[str, object] = {}
    with suppress(StanzaError, OperationError):  # for which it was refused, and so is told
        if subjects := found.subjects_of(request):
            told["subjects"] = [jid.text for jid in subjects[:_LISTED]]
    arguments = {
        name: _short(getattr(request, name))
        for name in _told_fields(type(request))
        if name not in found.subjects and getattr(request, name) not in {None, ()}
    }
    if arguments:
        told["arguments"] = arguments
    return told


def _short(value: object) -> object:
    if isinstance(value, Jid):
        return value.text
    if isinstance(value, str):
        return value[:_LONGEST]
    return to_plain(value[:_LISTED] if isinstance(value, tuple) else value)


@functools.cache
def _told_fields(request: type[msgspec.Struct]) -> tuple[str, ...]:
    """Give the fields that may be told: addresses, numbers, choices, and texts that are declared so."""
    return tuple(field.name for field in fields_of(request) if _may_be_told(field.type))


def _may_be_told(kind: inspect.Type) -> bool:
    if scalar_of(kind) is not None:
        return True
    simple = (
        inspect.BoolType | inspect.IntType | inspect.FloatType | inspect.LiteralType | inspect.DateTimeType
    )
    return _is_audited(kind) or isinstance(unwrapped(kind), simple)


def _is_audited(kind: inspect.Type) -> bool:
    """Tell whether a type is declared to be told, in whatever layer of it."""
    match kind:
        case inspect.Metadata(type=inner):
            return bool((kind.extra or {}).get("audited")) or _is_audited(inner)
        case inspect.UnionType(types=types):
            return any(map(_is_audited, types))
    return False
