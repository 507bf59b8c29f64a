"""Server: the hosts and the sessions of one running process."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import structlog

from tidings.base.errors import StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.account import Account, admit, dismiss, sessions_of
from tidings.kernel.clock import Clock
from tidings.kernel.directory import Directory
from tidings.kernel.events import SessionBound, SessionDetached, SessionEnded, SessionResumed
from tidings.kernel.flushing import Flushing
from tidings.kernel.hooks import Fact
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.outbound import DEFAULT_OCTETS, Backlogged, OutboundBudget
from tidings.kernel.resting import Resting
from tidings.kernel.session import Client, InboundQueue, Link, Session
from tidings.kernel.session_figures import SessionFigures
from tidings.kernel.session_log import SessionLog
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.time_slice import TimeSlice
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element

log = structlog.get_logger("tidings.server")

_TAKEN: Final = StreamError("conflict", "another client has taken this resource")
_BEGUN_ANEW: Final = StreamError("conflict", "this client has begun another session")
_NOT_BEGUN: Final = StreamError("internal-server-error", "it could not begin")
_NOT_BACK: Final = "the client did not come back"
_GOES_ON: Final = StreamError("conflict", "the session goes on elsewhere")


class Closable(Backlogged, Protocol):
    """A connection, as far as the end of the server is concerned."""

    def close(self, error: StreamError | None) -> None:
        """Say why, and end it."""
        ...


class Worker(Protocol):
    """Work that the server does by itself, beside its hosts."""

    async def start(self) -> None:
        """Begin."""
        ...

    def wind_down(self) -> None:
        """Begin nothing new; what is under way comes to its end."""
        ...

    async def stop(self) -> None:
        """End in order, when that has ended."""
        ...


class Server:
    """What all doors share."""

    def __init__(
        self,
        clock: Clock,
        hosts: dict[str, Host],
        make_inbound: Callable[[Session], InboundQueue],
        sessions: SessionManager,
        supervisor: Supervisor,
        telemetry: Telemetry,
        ledger: Ledger | None = None,
        *,
        sessions_per_account: int = 50,
        outbound_octets: int = DEFAULT_OCTETS,
        accounts_in_memory: int = 10_000,
    ) -> None:
        self.clock = clock
        self.started = clock.now()
        self.hosts = hosts
        """The virtual hosts by domain."""
        self.telemetry = telemetry
        self.supervisor = supervisor
        self.session_log = SessionLog(clock)
        self._make_inbound = make_inbound
        self._manager = sessions
        sessions.expel = self.expel
        self.resting = Resting(clock)
        self.arriving = TimeSlice(clock.monotonic)
        """When what comes on connections is read."""
        self.leaving = TimeSlice(clock.monotonic)
        """When sessions end whose connections are lost."""
        self.flushing = Flushing(clock.monotonic, supervisor)
        """When what was written on connections goes out."""
        self.connections: set[Closable] = set()
        """Every open connection, with or without a session."""
        self.outbound = OutboundBudget(outbound_octets, self.sessions, lambda: self.connections)
        """What waits for all clients together."""
        self.workers: list[Worker] = []
        """What runs from the start to the end; it begins in this order and ends in the other."""
        self.draining = False
        self._sessions_per_account = sessions_per_account
        self.accounts_in_memory = accounts_in_memory
        """How many accounts without a session each host keeps in memory."""
        self._end_session = self._end_later  # one bound method for all sessions
        self._count = 0
        self._emptied: asyncio.Future[None] | None = None
        if ledger is not None:
            self.telemetry.watch_ledger(ledger.state)
            ledger.state.on_trouble = _tell_of_trouble
            ledger.state.on_recovery = _tell_of_recovery
        self.figures = SessionFigures(hosts, telemetry)
        """What a scrape shows of sessions."""
        self.telemetry.gauge(
            "outbound_bytes",
            "Bytes that wait for clients: unread, or not acknowledged",
            lambda: self.outbound.octets,
        )
        self.telemetry.gauge(
            "outbound_limit_bytes",
            "Bytes that may wait for all clients together",
            lambda: self.outbound.limit,
        )
        self.telemetry.total(
            "backlogs_dropped",
            "Sessions that ended since too much waited for all clients together",
            lambda: self.outbound.ended,
        )
        self.telemetry.gauge(
            "uptime_seconds", "How long the server has run", lambda: clock.now() - self.started
        )
        self.telemetry.gauge("connections", "Open connections", lambda: len(self.connections))

    def use_limits(self, *, sessions_per_account: int, outbound_octets: int, accounts_in_memory: int) -> None:
        """Hold to other limits from now on; sessions that an account has already may stay."""
        self._sessions_per_account = sessions_per_account
        self.accounts_in_memory = accounts_in_memory
        for host in self.hosts.values():
            host.directory.use_limit(accounts_in_memory)
        self.outbound.limit = outbound_octets
        if self.outbound.octets > outbound_octets:
            self.outbound.exceeded()

    def sessions(self) -> Iterator[Session]:
        """Go through all sessions of all hosts."""
        for host in self.hosts.values():
            yield from sessions_of(host)

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return self._count

    def problems(self) -> list[str]:
        """Tell what keeps the server from taking clients, one line each; nothing when it is ready."""
        return ["the server is stopping"] if self.draining else []

    async def start(self) -> None:
        """Begin what the server and the features of all hosts do by themselves."""
        for worker in self.workers:
            await worker.start()
        for host in self.hosts.values():
            for feature in host.features:
                await feature.start()

    async def open_session(
        self,
        host: Host,
        jid: Jid,
        client: Client,
        link: Link,
        inline: tuple[Element, ...] = (),
        *,
        is_bind2: bool = False,
    ) -> tuple[Session, list[Element]]:
        """Bind a resource of an account that has proved who it is; give the answers to inline requests, too.

        A session that holds the resource is closed with `conflict` (RFC 6120 §7.7.2.2); so may be the new one
        before this returns, and then it is `ended`. So are, with Bind 2, earlier sessions of the same device
        (XEP-0386 §3.2). Where the account has as many sessions as it may have, the oldest that waits for its
        client makes room. Raises `StanzaError` `resource-constraint` when none
        does, `not-authorized` when the account has been removed, `StreamError` `host-gone` when the domain
        takes no log-ins any more, and `BackendError`.
        """
        account = await self._account(host, jid.bare, client)
        if not host.takes_logins:
            raise StreamError("host-gone", f"{host.domain} is not served here any more")
        # Where this is the only node nothing is awaited from here until the session has its resource: two who
        # want the same one at the same time come one after the other. Else the later claim has it.
        device = client.device if is_bind2 else None
        before = self._in_the_way(account, jid.resource, device)
        claim = await self._manager.claim(account, jid.resource)
        account = host.directory.get(account.jid) or account
        if not self._manager.is_claimed(jid, claim):
            raise StanzaError("conflict", _TAKEN.text)
        before += [each for each in _replaced(account, jid.resource, device) if each not in before]
        ending = [
            self.expel(each, _TAKEN if each.jid == jid else _BEGUN_ANEW) for each in before if not each.ended
        ]
        if device:
            self._manager.end_device_elsewhere(account, device, _BEGUN_ANEW)
        session = Session(jid, account, host, client, link)
        session.claim = claim
        session.inbound = self._make_inbound(session)
        session.end = self._end_session
        admit(session)
        self._count += 1
        self.session_log.bound(session)
        event = SessionBound(session, inline, is_bind2)
        try:
            for wait in ending:
                await until_done(wait)
            wait = host.hooks.run(event)
            if wait is not None:
                await wait
        except BaseException:
            self._end_later(session, _NOT_BEGUN)
            raise
        return session, event.answers

    def _in_the_way(self, account: Account, resource: str, device: str | None) -> list[Session]:
        """Give the sessions of this node that have to end for another; raises StanzaError if none may."""
        before = _replaced(account, resource, device)
        bound = len(account.sessions) + len(account.elsewhere)
        if not before and bound >= self._sessions_per_account and resource not in account.elsewhere:
            before = [session for session in account.sessions.values() if session.detached][:1]
            if not before:
                raise StanzaError(
                    "resource-constraint", f"an account may have {self._sessions_per_account} sessions"
                )
        return before

    async def _account(self, host: Host, jid: Jid, client: Client) -> Account:
        """Give the account that somebody has logged in to."""
        directory: Directory[Account] = host.directory
        account = await directory.load(jid)
        if client.anonymous:
            account.exists = True
        elif not account.exists:
            directory.forget(jid)  # made a moment ago, behind the directory's back
            account = await directory.load(jid)
            if not account.exists:
                raise StanzaError("not-authorized", "the account has been removed")
        return directory.get(jid) or account

    def expel(self, session: Session, error: StreamError) -> MaybeAwaitable:
        """End a session now, before its stream has had its goodbye."""
        link, session.link = session.link, None
        wait = self.end_session(session, error)
        if link is not None:
            link.close(error)
        return wait

    def _end_later(self, session: Session, reason: StreamError | None) -> None:
        """End a session soon, when whoever goes through the sessions at this moment is done."""
        self.supervisor.start("session_end", self._end(session, reason))

    async def _end(self, session: Session, reason: StreamError | None) -> None:
        if not self.draining:
            await until_done(self.leaving.turn())
        await until_done(self.end_session(session, reason))

    def abandon(self, session: Session, reason: StreamError | None, *, is_lost: bool = False) -> None:
        """Part a session from its connection: it ends, unless that is lost and its client may come back.

        Nobody waits for what that takes.
        """
        session.link = None
        if is_lost and session.can_resume and not self.draining:
            self._await_client(session, reason)
            return
        wait = self.end_session(session, reason)
        if wait is not None:
            self.supervisor.start("session_end", until_done(wait))

    def release(self, session: Session) -> None:
        """Take a session that can be resumed from the connection that it may still have."""
        link, session.link = session.link, None
        if link is not None:
            self._await_client(session, _GOES_ON)
            link.close(_GOES_ON)

    def resume(self, session: Session, client: Client, link: Link) -> None:
        """Let a detached session go on over another connection."""
        session.flow.stop_expiry()
        session.attach(client, link)
        self.session_log.resumed(session)
        self._tell(session.host, SessionResumed(session))

    def _await_client(self, session: Session, reason: StreamError | None) -> None:
        """Keep a session without a connection for as long as it was agreed."""
        self.session_log.detached(session, reason)
        session.flow.waits_since = self.clock.now()
        overdue = functools.partial(self._overdue, session)
        session.flow.expiry = self.clock.call_later(session.flow.resume_seconds, overdue)
        self._tell(session.host, SessionDetached(session))

    def _overdue(self, session: Session) -> None:
        """End a session whose client has not come back, unless it does while others end before it."""
        expiry = session.flow.expiry

        def end() -> None:
            if session.flow.expiry is expiry:
                wait = self.end_session(session, StreamError("connection-timeout", _NOT_BACK))
                if wait is not None:
                    self.supervisor.start("session_end", until_done(wait))

        self.leaving.do(end)

    def _tell(self, host: Host, event: Fact) -> None:
        wait = host.hooks.tell(event)
        if wait is not None:
            self.supervisor.start("session", until_done(wait))

    def end_session(self, session: Session, reason: StreamError | None) -> MaybeAwaitable:
        """Take a session out of everything; a second call does nothing."""
        if session.ended:
            return None
        session.ended = True
        dismiss(session)
        self._manager.release(session)
        self._count -= 1
        self.figures.ended(session)
        session.flow.stop_expiry()
        self.session_log.ended(session, reason)
        wait = session.host.hooks.tell(SessionEnded(session, reason))
        session.flow.drop_window()
        del session.inbound  # which knows the session: neither is to wait for the garbage collector
        session.priority = None
        session.presence = None
        return wait

    async def stop(self, seconds: float) -> None:
        """End in order: tell every client, let what is under way finish for so long, then end the rest.

        What features have to say before comes first, and takes half of the time at most.
        """
        self.draining = True
        end = self.clock.monotonic() + seconds
        log.info("draining", connections=len(self.connections), seconds=seconds)
        await self._say_goodbye(seconds / 2)
        error = StreamError("system-shutdown", "the server is stopping")
        for connection in list(self.connections):
            connection.close(error)
        if self.connections and seconds > 0:
            await self._connections_gone(seconds)
        for connection in list(self.connections):
            connection.abort()
        for session in list(self.sessions()):  # those without a connection
            self._end_later(session, error)
        for worker in self.workers:
            worker.wind_down()
        await self.supervisor.finish(max(end - self.clock.monotonic(), 0))
        for host in self.hosts.values():
            for feature in reversed(host.features):
                await self.supervisor.start("feature_stop", feature.stop())
        for worker in reversed(self.workers):
            await self.supervisor.start("worker_stop", worker.stop())

    async def _say_goodbye(self, seconds: float) -> None:
        """Let every feature say goodbye to clients that are connected still, for so long at most."""
        saying = self.supervisor.start("goodbye", self._goodbyes())
        timer = self.clock.call_later(seconds, saying.cancel)
        await asyncio.wait((saying,))
        timer.cancel()
        if saying.cancelled():
            log.warning("goodbye_cut", seconds=seconds, effect="not every client knows why its stream ends")

    async def _goodbyes(self) -> None:
        for host in list(self.hosts.values()):
            for feature in host.features:
                await feature.say_goodbye()

    def left(self, connection: Closable) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._wake()

    async def _connections_gone(self, seconds: float) -> None:
        """Wait until every connection has ended, at most so long."""
        self._emptied = asyncio.get_running_loop().create_future()
        timer = self.clock.call_later(seconds, self._wake)
        await self._emptied
        timer.cancel()

    def _wake(self) -> None:
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)


def _replaced(account: Account, resource: str, device: str | None) -> list[Session]:
    """Give the sessions of this node that a new one takes the place of."""
    return [
        session
        for name, session in account.sessions.items()
        if name == resource or (device and session.client.device == device)
    ]


def _tell_of_trouble(reason: str) -> None:
    log.error("ledger_unreachable", reason=reason, effect="messages wait, then get resource-constraint")


def _tell_of_recovery(seconds: float) -> None:
    log.warning("ledger_back", seconds=round(seconds, 1))
