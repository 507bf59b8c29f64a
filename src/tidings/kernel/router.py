"""The router: every stanza's way from its sender to whom it is for.

A message of a local session goes load → guard → rewrite → append → ack → deliver → copy → observe; the steps
stand in this order in `submit_messages` and `_accept`. Store first, then deliver: nobody sees a message that
could still vanish.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

import structlog

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel import delivery
from tidings.kernel.account import Account
from tidings.kernel.delivery import Undelivered
from tidings.kernel.events import (
    Dropped,
    MessageAccepted,
    MessageDelivered,
    PresenceArrived,
    PresenceSent,
    StanzaIn,
    StanzaOut,
)
from tidings.kernel.feature import At
from tidings.kernel.host import Host
from tidings.kernel.requests import Requests
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.wait import Wait, until_done
from tidings.ports.ledger import Append, Ledger, Receipt
from tidings.wire.xmpp.stanza import KINDS, Stanza

if TYPE_CHECKING:
    from tidings.kernel.session import Session

log = structlog.get_logger("tidings.router")

_MESSAGE_KINDS = KINDS["message"]
_UNANSWERED = {("iq", "result"), ("iq", "error"), ("message", "error"), ("presence", "error")}
_BACKEND_TEXT = "the server cannot store this now; try again later"


class Service(Protocol):
    """Something that answers for a domain and is no virtual host: a component, another server, rooms."""

    def route(self, stanza: Stanza) -> Wait:
        """Take a stanza whose sender is verified."""
        ...


class Way:
    """A message and where it goes: bare address, virtual host if it is one, account if that is loaded."""

    __slots__ = ("account", "host", "message", "recipient")

    def __init__(self, message: Stanza, recipient: Jid, host: Host | None, account: Account | None) -> None:
        self.message = message
        self.recipient = recipient
        self.host = host
        self.account = account

    @property
    def is_unloaded(self) -> bool:
        """Whether the recipient is an account of this server that is not in memory."""
        return self.account is None and self.host is not None and bool(self.recipient.local)

    async def load(self) -> None:
        """Bring the recipient into memory if it is an account of this server. Raises `BackendError`."""
        if self.host is not None and self.recipient.local:
            self.account = await self.host.directory.load(self.recipient)

    def refresh(self) -> None:
        """Take the account that is in memory now, where there is one: what was loaded may be out of date."""
        if self.account is not None and self.host is not None:
            self.account = self.host.directory.get(self.recipient) or self.account


class Router:
    """Routes between sessions, accounts, hosts and services."""

    def __init__(self, ledger: Ledger, supervisor: Supervisor, telemetry: Telemetry) -> None:
        self._ledger = ledger
        self._supervisor = supervisor
        self._telemetry = telemetry
        self.hosts: dict[str, Host] = {}
        self.services: dict[str, Service] = {}
        self.elsewhere: Service | None = None
        """Takes what is for domains that are neither hosts nor services."""
        self._requests = Requests(self)

    # --- what a local session submits

    def submit(self, session: Session, stanza: Stanza) -> Wait:
        """Take a presence or iq of a local session, `from` stamped. Answers errors; raises nothing."""
        self._telemetry.stanzas_in[stanza.name] += 1
        try:
            self._check(stanza)
            hooks = session.host.hooks
            if stanza.name == "presence":
                if stanza.to is not None and hooks.has(StanzaOut):
                    hooks.run(StanzaOut(session, stanza))
                return self._caught(stanza, hooks.run(PresenceSent(session, stanza)))
            if stanza.to is None or stanza.to == session.jid.bare:
                return self._requests.ask(session.host, At.SELF, session.account, stanza, session)
            if stanza.to != session.host.jid and hooks.has(StanzaOut):
                hooks.run(StanzaOut(session, stanza))
            return self._caught(stanza, self.route(stanza, session))
        except (StanzaError, BackendError) as error:
            return self.refuse(stanza, self.refusal(error))
        except StreamError as error:
            session.close(error)
            return None
        except Dropped:
            return None

    def submit_messages(self, session: Session, messages: list[Stanza]) -> Wait:
        """Take messages of a local session that arrived together, stamped. Answers errors; raises nothing."""
        self._telemetry.stanzas_in["message"] += len(messages)
        ways = [self._way(message) for message in messages]
        if any(way.is_unloaded for way in ways):
            return self._load_and_submit(session, ways)
        return self._submit_loaded(session, ways)

    async def _load_and_submit(self, session: Session, ways: list[Way]) -> None:
        """load: what guard needs of the recipients."""
        try:
            for way in ways:
                await way.load()
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            refusal = self.refusal(error, "load")
            for way in ways:
                self.refuse(way.message, refusal)
            return
        for way in ways:
            way.refresh()
        await until_done(self._submit_loaded(session, ways))

    def _submit_loaded(self, session: Session, ways: list[Way]) -> Wait:
        """guard, rewrite, append: from here on nothing is awaited but the commit."""
        accepted: list[Way] = []
        batch: list[Append] = []
        hooks = session.host.hooks
        guards_sending = hooks.has(StanzaOut)
        for way in ways:
            message = way.message
            try:
                if message.kind not in _MESSAGE_KINDS:
                    raise StanzaError("bad-request", f"a message cannot be of type {message.kind!r}")
                if guards_sending:
                    hooks.guard(StanzaOut(session, message))
                account = way.account
                if account is not None:
                    assert way.host is not None
                    way.host.hooks.guard(StanzaIn(account, message))
            except (StanzaError, BackendError) as error:
                self.refuse(message, self.refusal(error))
                continue
            except Dropped:
                continue
            accepted.append(way)
            batch.append(Append(message, session.jid, way.recipient))
        if not accepted:
            return None
        try:
            receipt = self._ledger.commit(tuple(batch))
        except Exception as error:  # noqa: BLE001  # where a ledger's bug ends
            self._refuse_all(accepted, error)
            return None
        if type(receipt) is Receipt:
            return self._accept(session, accepted)
        return self._accept_later(receipt, session, accepted)  # type: ignore[arg-type]  # Receipt is final

    async def _accept_later(self, receipt: Awaitable[Receipt], session: Session, ways: list[Way]) -> None:
        try:
            await receipt
        except Exception as error:  # noqa: BLE001  # where a ledger's bug ends
            self._refuse_all(ways, error)
            return
        for way in ways:
            # Nobody is in memory for good: what was loaded before the commit may have been dropped since, and
            # then it has no session.
            way.refresh()
        await until_done(self._accept(session, ways))

    def _refuse_all(self, ways: list[Way], error: Exception) -> None:
        """Nothing of the batch is accepted: say so to the sender."""
        if isinstance(error, BackendError):
            log.error("commit_failed", messages=len(ways), reason=str(error))
            refusal = StanzaError("resource-constraint", _BACKEND_TEXT)
        else:
            self._supervisor.report("commit", error)
            refusal = StanzaError("internal-server-error")
        for way in ways:
            self.refuse(way.message, refusal)

    def _accept(self, session: Session, ways: list[Way]) -> Wait:
        """ack, deliver, copy, observe: the messages are durable."""
        waits: list[Awaitable[None]] = []
        hooks = session.host.hooks
        is_copied = hooks.has(MessageAccepted)
        for way in ways:
            try:
                wait = self._deliver(way)
            except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not its batch
                self._supervisor.report("deliver", error)
                wait = None
            if wait is not None:
                waits.append(wait)
            if is_copied:
                wait = hooks.tell(MessageAccepted(session, way.message))
                if wait is not None:
                    waits.append(wait)
        return self._all(waits) if waits else None

    async def _all(self, waits: list[Awaitable[None]]) -> None:
        for wait in waits:
            try:
                await wait
            except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not its batch
                self._supervisor.report("deliver", error)

    def _deliver(self, way: Way) -> Wait:
        """Hand a message that has passed all guards to sessions, a service or the domain."""
        message, host, account = way.message, way.host, way.account
        if host is None:
            return self._pass_on(message, way.recipient)
        if account is None:
            return self._to_domain(message)
        sessions = delivery.recipients(message, account)
        for session in sessions:
            session.send(message)
        if not sessions and delivery.outcome(message.kind) is Undelivered.REFUSE:
            return self.refuse(message, StanzaError("service-unavailable"))
        if host.hooks.has(MessageDelivered):
            return host.hooks.tell(MessageDelivered(account, message, sessions))
        return None

    def _way(self, message: Stanza) -> Way:
        """Find out where a message goes: without an address, to the sender's own account (§10.3.1)."""
        to = message.to if message.to is not None else message.sender
        assert to is not None
        recipient = to.bare
        host = self.hosts.get(recipient.domain)
        account = None if host is None or not recipient.local else host.directory.get(recipient)
        return Way(message, recipient, host, account)

    # --- what anybody else sends

    def route(self, stanza: Stanza, session: Session | None = None) -> Wait:
        """Take a stanza to its address; its `from` is verified. Answers errors.

        `session` is the sender's where it is local.
        """
        to = stanza.to
        if to is None:
            return None
        host = self.hosts.get(to.domain)
        if host is None:
            return self._pass_on(stanza, to)
        if not to.local:
            return self._to_domain(stanza, session)
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

    def _arrive(self, host: Host, account: Account, stanza: Stanza, session: Session | None) -> Wait:
        """A stanza reaches a local account that is in memory."""
        try:
            if host.hooks.has(StanzaIn):
                host.hooks.run(StanzaIn(account, stanza))
            if stanza.name == "message":
                return self._deliver(Way(stanza, account.jid, host, account))
            if stanza.name == "presence":
                return self._caught(stanza, host.hooks.run(PresenceArrived(account, stanza)))
            assert stanza.to is not None
            if not stanza.to.resource:
                at = At.SELF if session is not None and session.account is account else At.ACCOUNT
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

    def _to_domain(self, stanza: Stanza, session: Session | None = None) -> Wait:
        """RFC 6121 §8.3 and §8.4: the server itself answers requests; nobody reads its messages."""
        assert stanza.to is not None
        host = self.hosts[stanza.to.domain]
        if stanza.name == "iq" and not stanza.to.resource:
            return self._requests.ask(host, At.SERVER, None, stanza, session)
        if stanza.name == "presence":
            return None
        return self.refuse(stanza, StanzaError("service-unavailable"))

    def _pass_on(self, stanza: Stanza, to: Jid) -> Wait:
        service = self.services.get(to.domain, self.elsewhere)
        if service is None:
            return self.refuse(
                stanza, StanzaError("remote-server-not-found", f"{to.domain} is not served here")
            )
        return service.route(stanza)

    # --- errors

    def refuse(self, stanza: Stanza, error: StanzaError) -> Wait:
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
            return StanzaError("resource-constraint", _BACKEND_TEXT)
        self._supervisor.report(place, error, **details)
        return StanzaError("internal-server-error")

    def _return(self, error: Stanza) -> Wait:
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

    def _caught(self, stanza: Stanza, wait: Wait) -> Wait:
        return None if wait is None else self._catch(stanza, wait)

    async def _catch(self, stanza: Stanza, wait: Awaitable[None]) -> None:
        try:
            await wait
        except Dropped:
            pass
        except Exception as error:  # noqa: BLE001  # where a handler's bug ends
            await until_done(self.refuse(stanza, self.refusal(error, stanza.name)))
