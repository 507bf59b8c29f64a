"""Server: the hosts, the router and the sessions of one running process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.events import SessionBound, SessionEnded
from tidings.kernel.host import Host
from tidings.kernel.resting import Resting
from tidings.kernel.router import Router
from tidings.kernel.session import Client, Link, Session
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.wait import Wait
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element

log = structlog.get_logger("tidings.server")


class Closable(Protocol):
    """A connection, as far as the end of the server is concerned."""

    def close(self, error: StreamError | None) -> None:
        """Say why, and end it."""
        ...


class Server:
    """What all doors share."""

    def __init__(self, ledger: Ledger, clock: Clock, *, sessions_per_account: int = 50) -> None:
        self.clock = clock
        self.started = clock.now()
        self.telemetry = Telemetry()
        self.supervisor = Supervisor(self.telemetry)
        self.resting = Resting(clock)
        self.router = Router(ledger, self.supervisor, self.telemetry)
        self.connections: set[Closable] = set()
        """Every open connection, with or without a session."""
        self.when_empty: Callable[[], object] | None = None
        """Called when the last session has ended."""
        self.draining = False
        self._sessions_per_account = sessions_per_account
        self._count = 0
        self.telemetry.gauge("sessions", "Sessions", lambda: self._count)
        self.telemetry.gauge("connections", "Open connections", lambda: len(self.connections))

    @property
    def hosts(self) -> dict[str, Host]:
        """The virtual hosts by domain."""
        return self.router.hosts

    def sessions(self) -> Iterator[Session]:
        """Go through all sessions of all hosts."""
        for host in self.hosts.values():
            yield from host.directory.sessions()

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return self._count

    def problems(self) -> list[str]:
        """Tell what keeps the server from taking clients, one line each; nothing when it is ready."""
        return ["the server is stopping"] if self.draining else []

    async def start(self) -> None:
        """Begin what the features of all hosts do by themselves."""
        for host in self.hosts.values():
            for feature in host.features:
                await feature.start()

    async def open_session(
        self, host: Host, jid: Jid, client: Client, link: Link, inline: tuple[Element, ...] = ()
    ) -> tuple[Session, list[Element]]:
        """Bind a resource of an account that has proved who it is; give the answers to inline requests, too.

        A session that holds the resource is closed with `conflict` (RFC 6120 §7.7.2.2). Raises `StreamError`
        `resource-constraint` when the account has as many sessions as it may have, and `BackendError`.
        """
        account = await host.directory.load(jid.bare)
        account.exists = True
        before = account.sessions.get(jid.resource)
        if before is not None:
            before.close(StreamError("conflict", "another client has taken this resource"))
            await self._done(self.end_session(before, StreamError("conflict")))
        if len(account.sessions) >= self._sessions_per_account:
            raise StreamError(
                "resource-constraint", f"an account may have {self._sessions_per_account} sessions"
            )
        session = Session(jid, account, host, client, link)
        host.directory.admit(account, session)
        self._count += 1
        event = SessionBound(session, inline)
        await self._done(host.hooks.run(event))
        return session, event.answers

    def end_session(self, session: Session, reason: StreamError | None) -> Wait:
        """Take a session out of everything; a second call does nothing."""
        if session.ended:
            return None
        session.ended = True
        session.host.directory.dismiss(session)
        self._count -= 1
        wait = session.host.hooks.run(SessionEnded(session, reason))
        session.priority = None
        session.presence = None
        if not self._count and self.when_empty is not None:
            self.when_empty()
        return wait

    async def stop(self, seconds: float) -> None:
        """End in order: tell every client, let what is under way finish for so long, then end the rest."""
        self.draining = True
        log.info("draining", connections=len(self.connections), seconds=seconds)
        for connection in list(self.connections):
            connection.close(StreamError("system-shutdown", "the server is stopping"))
        await self.supervisor.finish(seconds)
        for host in self.hosts.values():
            for feature in reversed(host.features):
                await feature.stop()

    @staticmethod
    async def _done(wait: Wait) -> None:
        if wait is not None:
            await wait
