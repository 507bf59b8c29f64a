"""The router: every stanza's way from its sender to whom it is for.

Presence and iq stanzas are routed here; messages go their way through the ledger in `messages.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

import structlog

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.events import (
    PresenceArrived,
    PresenceSent,
    StanzaArriving,
    StanzaSubmitted,
)
from tidings.kernel.feature import Addressee
from tidings.kernel.hooks import Dropped
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.messages.inbound import Inbound
from tidings.messages.pipeline import BACKEND_TEXT, Messages
from tidings.messages.requests import Requests
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp.stanza import KINDS, Stanza

if TYPE_CHECKING:
    from tidings.kernel.session import Session

log = structlog.get_logger("tidings.router")

_UNANSWERED = {("iq", "result"), ("iq", "error"), ("message", "error"), ("presence", "error")}


class Service(Protocol):
    """Something that answers for a domain and is no virtual host: a component, another server, rooms."""

    def route(self, stanza: Stanza) -> MaybeAwaitable:
        """Take a stanza whose sender is verified."""
        ...


class Router:
    """Routes between sessions, accounts, hosts and services."""

    def __init__(self, ledger: Ledger | None, supervisor: Supervisor, telemetry: Telemetry) -> None:
        self._ledger = ledger
        self._supervisor = supervisor
        self._telemetry = telemetry
        self.hosts: dict[str, Host] = {}
        self.services: dict[str, Service] = {}
        self.elsewhere: Service | None = None
        """Takes what is for domains that are neither hosts nor services."""
        self._requests = Requests(self)
        self._messages = Messages(self, ledger, supervisor, telemetry)
        self.submit_messages = self._messages.submit
        """Takes messages of a local session; see `Messages.submit`."""

    def inbound(self, session: Session) -> Inbound:
        """Make the queue of what a session's client sends."""
        return Inbound(session, self, self._supervisor)

    # --- what a local session submits

    def submit(self, session: Session, stanza: Stanza) -> MaybeAwaitable:
        """Take a presence or iq of a local session, `from` stamped. Answers errors; raises nothing."""
        self._telemetry.stanzas_in[stanza.name] += 1
        try:
            self._check(stanza)
            hooks = session.host.hooks
            if stanza.name == "presence":
                if stanza.to is not None and hooks.has(StanzaSubmitted):
                    hooks.guard(StanzaSubmitted(session, stanza))
                return self._caught(stanza, hooks.run(PresenceSent(session, stanza)))
            if stanza.to is None or stanza.to == session.jid.bare:
                return self._requests.ask(session.host, Addressee.SELF, session.account, stanza, session)
            if stanza.to != session.host.jid and hooks.has(StanzaSubmitted):
                hooks.guard(StanzaSubmitted(session, stanza))
            return self._caught(stanza, self.route(stanza, session))
        except (StanzaError, BackendError) as error:
            return self.refuse(stanza, self.refusal(error))
        except StreamError as error:
            session.close(error)
            return None
        except Dropped:
            return None

    # --- what anybody else sends

    def route(self, stanza: Stanza, session: Session | None = None) -> MaybeAwaitable:
        """Take a stanza to its address; its `from` is verified. Answers errors.

        `session` is the sender's where it is local.
        """
        to = stanza.to
        if to is None:
            return None
        host = self.hosts.get(to.domain)
        if host is None:
            return self.pass_on(stanza, to)
        if not to.local:
            return self.to_domain(stanza, session)
        account = host.directory.get(to.bare)
        if account is None:
            return self._load_and_arrive(host, stanza, session)
        return self._arrive(host, account, stanza, session)

    async def _load_and_arrive(self, host: Host, stanza: Stanza, session: Session | None) -> None:
        assert stanza.to is not None
        try:
            account = await host.directory.load(stanza.to.bare)
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            await until_done(self.refuse(stanza, self.refusal(error, "load")))
            return
        account = host.directory.get(account.jid) or account
        await until_done(self._arrive(host, account, stanza, session))

    def _arrive(
        self, host: Host, account: Account, stanza: Stanza, session: Session | None
    ) -> MaybeAwaitable:
        """A stanza reaches a local account that is in memory."""
        if stanza.name == "message":
            return self._messages.arrive(stanza, host, account)
        try:
            if host.hooks.has(StanzaArriving):
                host.hooks.guard(StanzaArriving(account, stanza))
            if stanza.name == "presence":
                return self._caught(stanza, host.hooks.run(PresenceArrived(account, stanza)))
            assert stanza.to is not None
            if not stanza.to.resource:
                at = (
                    Addressee.SELF
                    if session is not None and session.account is account
                    else Addressee.ACCOUNT
                )
                return self._requests.ask(host, at, account, stanza, session)
            target = account.sessions.get(stanza.to.resource)
            if target is None:
                raise StanzaError("service-unavailable")  # RFC 6121 §8.5.3.2.3
            target.send(stanza)
        except (StanzaError, BackendError) as error:
            return self.refuse(stanza, self.refusal(error))
        except Dropped:
            pass
        return None

    def to_domain(self, stanza: Stanza, session: Session | None = None) -> MaybeAwaitable:
        """RFC 6121 §8.3 and §8.4: the server itself answers requests; nobody reads its messages."""
        assert stanza.to is not None
        host = self.hosts[stanza.to.domain]
        if stanza.name == "iq" and not stanza.to.resource:
            return self._requests.ask(host, Addressee.SERVER, None, stanza, session)
        if stanza.name == "presence":
            return None
        return self.refuse(stanza, StanzaError("service-unavailable"))

    def pass_on(self, stanza: Stanza, to: Jid) -> MaybeAwaitable:
        """Hand a stanza to the service that answers for its domain."""
        service = self.services.get(to.domain, self.elsewhere)
        if service is None:
            return self.refuse(
                stanza, StanzaError("remote-server-not-found", f"{to.domain} is not served here")
            )
        return service.route(stanza)

    def has_way_to(self, domain: str) -> bool:
        """Tell whether somebody answers for a domain that is not served here."""
        return self.services.get(domain, self.elsewhere) is not None

    # --- errors

    def refuse(self, stanza: Stanza, error: StanzaError) -> MaybeAwaitable:
        """Answer a stanza with an error, unless it is one that must not be answered (RFC 6120 §8.3.1)."""
        if (stanza.name, stanza.kind) in _UNANSWERED or stanza.sender is None:
            return None
        self._telemetry.refused[error.condition] += 1
        return self._return(stanza.error(error))

    def refusal(self, error: Exception, place: str = "", **details: object) -> StanzaError:
        """Give the answer to a stanza whose handling raised this; a bug is reported with its place."""
        if isinstance(error, StanzaError):
            return error
        if isinstance(error, BackendError):
            log.error("backend_failed", reason=str(error))
            return StanzaError("resource-constraint", BACKEND_TEXT)
        self._supervisor.report(place, error, **details)
        return StanzaError("internal-server-error")

    def _return(self, error: Stanza) -> MaybeAwaitable:
        to = error.to
        assert to is not None
        host = self.hosts.get(to.domain)
        if host is None or not to.resource:
            return self.route(error)
        account = host.directory.get(to.bare)
        session = None if account is None else account.sessions.get(to.resource)
        if session is not None:
            session.send(error)
        return None

    def _check(self, stanza: Stanza) -> None:
        """RFC 6120 §8.2.3 and §8.3.3.1: what is no proper stanza is refused."""
        kind = stanza.kind
        if kind not in KINDS[stanza.name]:
            raise StanzaError("bad-request", f"a {stanza.name} cannot be of type {kind!r}")
        if stanza.name == "iq":
            if stanza.id is None:
                raise StanzaError("bad-request", "an iq needs an id")
            if kind in {"get", "set"} and len(stanza.index) != 1:
                raise StanzaError("bad-request", "a request has exactly one child")

    def _caught(self, stanza: Stanza, wait: MaybeAwaitable) -> MaybeAwaitable:
        return None if wait is None else self._catch(stanza, wait)

    async def _catch(self, stanza: Stanza, wait: Awaitable[None]) -> None:
        try:
            await wait
        except Dropped:
            pass
        except Exception as error:  # noqa: BLE001  # where a handler's bug ends
            await until_done(self.refuse(stanza, self.refusal(error, stanza.name)))
