"""Operations on sessions: who is connected, and ending it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec
import structlog
from msgspec import Meta

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.features.client_versions import ANSWERED, ClientVersions
from tidings.kernel.host import Host
from tidings.kernel.session import Session
from tidings.kernel.session_log import printable
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context, Role
from tidings.operations.errors import OperationError
from tidings.operations.values import Domain, Moment, Page, Reason, SessionAddress, moment_of
from tidings.wire.xmpp.payloads.caps import Capabilities

log = structlog.get_logger("tidings.operations")

MOST = 10_000
"""The most sessions that one page lists."""


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions."""

    domain: Annotated[Domain | None, Meta(description="Domain to look at; without it, all of them.")] = None
    user: Annotated[
        SessionAddress | None,
        Meta(description="Account, or with /resource one session, to look at; without it, all of them."),
    ] = None


class ListSessions(Which, frozen=True, kw_only=True):
    """Whose sessions, and how many of them."""

    after: Annotated[
        str | None, Meta(description="Begin behind this session: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most sessions to list.")] = 1000
    versions: Annotated[
        bool,
        Meta(description="Ask the clients that were not asked yet which software they are; takes seconds."),
    ] = False


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One session; `priority` is null while it is not available.

    `waiting` is one without a connection, which waits for its client since `waits_since`. `idle_seconds` is
    how long nothing has come from the client, white space apart, to some seconds. `client` is the name and
    version that it gave when it was asked (XEP-0092), else what its presence says it is (XEP-0115). Stanzas
    are counted since the session began.
    """

    session: SessionAddress
    state: Literal["connected", "waiting"]
    idle_seconds: int
    client: str
    address: str
    transport: str
    secure: bool
    priority: int | None
    since: Moment
    waits_since: Moment | None
    stanzas_received: int
    stanzas_sent: int


class SessionCount(msgspec.Struct, frozen=True, kw_only=True):
    """A number of sessions."""

    count: int


@operation(
    "session",
    "list",
    roles=EVERYBODY,
    subjects=("domain", "user"),
    without_subject="own",
    changes=False,
    needs_server=True,
)
async def list_sessions(context: Context, request: ListSessions) -> Page[SessionInfo]:
    """List who is connected, from where and how, the oldest session first.

    A client is asked for its version only where that is wanted, and once in a session.
    """
    places = [(_place(session), session) for session in _chosen(context, request)]
    found = sorted((each for each in places if each[0] > (request.after or "")), key=lambda each: each[0])
    page = found[: request.limit]
    if request.versions:
        await _ask_for_versions([session for _, session in page])
    items = tuple(_describe(context, session) for _, session in page)
    return Page(items=items, next=page[-1][0] if len(found) > len(page) else None)


@operation(
    "session",
    "count",
    roles=EVERYBODY,
    subjects=("domain", "user"),
    without_subject="own",
    changes=False,
    needs_server=True,
)
async def count(context: Context, request: Which) -> SessionCount:
    """Count the sessions."""
    return SessionCount(count=sum(1 for _ in _chosen(context, request)))


class Kick(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions to end, and why."""

    user: Annotated[
        SessionAddress,
        Meta(description="Address of an account, or with /resource that of one of its sessions."),
    ]
    reason: Annotated[Reason | None, Meta(description="Why; its owner is told.")] = None


class Kicked(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were ended."""

    sessions_ended: int


@operation("session", "kick", roles=EVERYBODY, subjects=("user",), changes=True, needs_server=True)
async def kick(context: Context, request: Kick) -> Kicked:
    """End the sessions of an account, or one of them; it may log in again."""
    by = context.caller.name
    error = StreamError("policy-violation", request.reason or "ended by an administrator", by=by)
    ended = await context.end_sessions(request.user, error)
    if not ended:
        raise OperationError("not-found", f"{request.user} is not connected")
    if context.caller.role is not Role.USER:  # who ends his own does not fill the log
        _tell_kicked(request.user, error, ended)
    return Kicked(sessions_ended=ended)


def _tell_kicked(who: Jid, error: StreamError, ended: int) -> None:
    names = {"session": who.text} if who.resource else {}
    log.info("kicked", account=who.bare.text, **names, reason=error.text, by=error.by, sessions=ended)


def _chosen(context: Context, request: Which) -> Iterator[Session]:
    user = request.user or context.caller.account
    if user is None:
        yield from context.sessions(context.domains_for(request.domain))
    elif request.domain in {None, user.domain}:
        yield from context.sessions_of(user)


def _place(session: Session) -> str:
    """Give what orders sessions by their beginning, and names one of them."""
    return f"{round(session.since * 1_000):016d} {session.jid}"


def _describe(context: Context, session: Session) -> SessionInfo:
    flow = session.flow
    return SessionInfo(
        session=session.jid,
        state="waiting" if session.detached else "connected",
        idle_seconds=_idle_seconds(context, session),
        client=_client_of(session),
        address=session.address,
        transport=session.transport,
        secure=session.secure,
        priority=session.priority,
        since=moment_of(session.since),
        waits_since=moment_of(flow.waits_since) if session.detached else None,
        stanzas_received=flow.received,
        stanzas_sent=flow.sent,
    )


def _idle_seconds(context: Context, session: Session) -> int:
    """Tell how long nothing has come."""
    clock = context.clock
    if session.link is None:
        return max(int(clock.now() - session.flow.waits_since), 0)
    since = session.link.rests_since
    return 0 if since is None else int(clock.monotonic() - since)


async def _ask_for_versions(sessions: Iterable[Session]) -> None:
    """Let the clients of all domains be asked at once."""
    by_host: dict[Host, list[Session]] = {}
    for session in sessions:
        by_host.setdefault(session.host, []).append(session)
    asking = [(host.feature(ClientVersions), of_host) for host, of_host in by_host.items()]
    await asyncio.gather(*(asked.ask(of_host) for asked, of_host in asking if asked is not None))


def _client_of(session: Session) -> str:
    """Give the name and version that a client has told, or what its presence calls its software."""
    told = session[ANSWERED]
    if told is not None and told.name:
        return printable(f"{told.name} {told.version}".strip())
    presence = session.presence
    element = None if presence is None else presence.decode(*Capabilities.TAG)
    node = "" if element is None else element.get("node") or ""
    return printable(node)


OPERATIONS = (list_sessions, count, kick)
