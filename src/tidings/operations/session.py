"""Operations on sessions: who is connected, and ending it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.clock import format_utc
from tidings.base.errors import StreamError
from tidings.kernel.session import Session
from tidings.operations.catalogue import Permission, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError

MOST = 10_000
"""The most sessions that one answer lists."""


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions."""

    domain: Annotated[str, Meta(description="Domain to look at; without it, all of them.")] = ""
    user: Annotated[str, Meta(description="Account to look at; without it, all of them.")] = ""


class ListSessions(Which, frozen=True, kw_only=True):
    """Whose sessions, and how many of them."""

    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most sessions to list.")] = 1000


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One session; `priority` is empty while it is not available, `since` is in UTC."""

    session: str
    address: str
    transport: str
    secure: bool
    priority: int | None
    since: str


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, the oldest first."""

    sessions: tuple[SessionInfo, ...]


class SessionCount(msgspec.Struct, frozen=True, kw_only=True):
    """A number of sessions."""

    count: int


@operation("session", "list", permission=Permission.ADMIN, errors=("invalid", "not-found"), needs_server=True)
async def list_sessions(context: Context, request: ListSessions) -> Sessions:
    """List who is connected, from where and how."""
    found = sorted(_chosen(context, request), key=lambda session: session.since)
    return Sessions(sessions=tuple(_describe(session) for session in found[: request.limit]))


@operation(
    "session", "count", permission=Permission.ADMIN, errors=("invalid", "not-found"), needs_server=True
)
async def count(context: Context, request: Which) -> SessionCount:
    """Count the sessions."""
    return SessionCount(count=sum(1 for _ in _chosen(context, request)))


class Kick(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions to end, and why."""

    user: Annotated[
        str, Meta(description="Address of an account, or with /resource that of one of its sessions.")
    ]
    reason: Annotated[str, Meta(max_length=1000, description="Why; its owner is told.")] = ""


class Kicked(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were ended."""

    sessions_ended: int


@operation("session", "kick", permission=Permission.ADMIN, errors=("invalid", "not-found"), needs_server=True)
async def kick(context: Context, request: Kick) -> Kicked:
    """End the sessions of an account, or one of them; it may log in again."""
    jid = context.address(request.user)
    ended = context.end_sessions(
        jid, StreamError("policy-violation", request.reason or "ended by an administrator")
    )
    if not ended:
        raise OperationError("not-found", f"{jid} is not connected")
    return Kicked(sessions_ended=ended)


def _chosen(context: Context, request: Which) -> Iterator[Session]:
    domains = context.domains_for(request.domain)
    if not request.user:
        yield from context.sessions(domains)
        return
    jid = context.address(request.user)
    if jid.domain in domains:
        yield from context.sessions_of(jid)


def _describe(session: Session) -> SessionInfo:
    return SessionInfo(
        session=str(session.jid),
        address=session.address,
        transport=session.transport,
        secure=session.secure,
        priority=session.priority,
        since=format_utc(session.since),
    )


OPERATIONS = (list_sessions, count, kick)
