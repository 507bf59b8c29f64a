"""The router: every stanza's way from its sender to whom it is for.

Presence and iq stanzas are routed here; messages go their way through the ledger in `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

import structlog

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.entity import Entity
from tidings.kernel.events import (
    MessageSubmitted,
    PresenceArrived,
    PresenceSent,
    StanzaArriving,
    StanzaSubmitted,
)
from tidings.kernel.feature import Addressee
from tidings.kernel.guests import Guests
from tidings.kernel.hooks import Dropped
from tidings.kernel.host import Host
from tidings.kernel.lanes import Lanes
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.owner_works import OwnerWorks
from tidings.kernel.pacing import Pacing
from tidings.kernel.seats import Seats
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.traces import Traces
from tidings.messages.elsewhere import Elsewhere
from tidings.messages.handover import Handover
from tidings.messages.inbound import Inbound
from tidings.messages.message_spans import MessageSpans
from tidings.messages.origin import Origin, Via
from tidings.messages.pipeline import Pipeline
from tidings.messages.refusals import BACKEND_TEXT
from tidings.messages.requests import Requests, check
from tidings.messages.submission import MessageKind, Outcome
from tidings.ports.bus import ForOwner, Handled
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp.payloads.arrival import without_forgeries
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.router")

_UNANSWERED = {("iq", "result"), ("iq", "error"), ("message", "error"), ("presence", "error")}


class Service(Protocol):
    """Something that answers for a domain and is no host: a component, or another server."""

    def route(self, stanza: Stanza) -> MaybeAwaitable:
        """Take a stanza whose sender is verified."""
        ...


class Router:
    """Routes between sessions, entities, hosts and services."""

    def __init__(
        self,
        ledger: Ledger | None,
        supervisor: Supervisor,
        telemetry: Telemetry,
        pacing: Pacing,
        traces: Traces | None = None,
    ) -> None:
        self._pacing = pacing
        self.traces = Traces() if traces is None else traces
        self._supervisor = supervisor
        self._telemetry = telemetry
        self.hosts: dict[str, Host] = {}
        self.services: dict[str, Service] = {}
        self.elsewhere: Service | None = None
        """Takes what is for domains that are neither hosts nor services."""
        self.works = OwnerWorks()
        """What is done with entities that live on one node, there."""
        self.seats: Seats | None = None
        """Knows on which nodes entities live that live on one alone; None where there is one node."""
        self.guests: Guests | None = None
        """The way to sessions of other nodes that are in entities of this; None where there is one node."""
        self._kinds: dict[str, MessageKind] = {}
        self._requests = Requests(self, pacing)
        self._pipeline = Pipeline(self, self._kinds, Elsewhere(self), ledger, supervisor, telemetry)

    def serve(self, host: Host, kind: MessageKind) -> None:
        """Route to a host from now on; `kind` is that of its entities."""
        self.hosts[host.domain] = host
        self._kinds[host.domain] = kind
        self._pipeline.may_decide |= host.hooks.has(MessageSubmitted)

    @property
    def handover(self) -> Handover | None:
        """The way of messages to sessions on other nodes; None where this is the only one."""
        return self._pipeline.handover

    def join(self, handover: Handover, seats: Seats, guests: Guests, lanes: Lanes) -> None:
        """Reach sessions and entities on other nodes from now on; to be called before anything is routed."""
        self._pipeline.join(handover, seats)
        self.seats, self.guests = seats, guests
        self.works.join(seats, lanes)

    def trace(self, spans: MessageSpans) -> None:
        """Tell of some messages to a collector from now on."""
        self._pipeline.spans = spans

    def withdraw(self, domain: str) -> Host | None:
        """Route no more to a host; what is for it goes where all other domains are."""
        self._kinds.pop(domain, None)
        return self.hosts.pop(domain, None)

    def inbound(self, session: Session) -> Inbound:
        """Make the queue of what a session's client sends."""
        origin = Origin(session.account.jid, session.host, Via.SESSION, session.account, session)
        return Inbound(session, origin, self, self._supervisor, self._pacing)

    # --- what is submitted

    def submit(
        self, origin: Origin, stanzas: Sequence[Stanza], numbers: Sequence[int] = ()
    ) -> MaybeAwaitable:
        """Take messages of one origin that arrived together, or one presence or iq of a local session.

        Their `from` is stamped or verified. Answers errors; raises nothing. `numbers` are those of messages
        on the origin's stream, where it counts.
        """
        if stanzas[0].name == "message":
            return self._pipeline.submit(origin, stanzas, numbers)
        session = origin.session
        assert session is not None
        return self._submit_other(session, stanzas[0])

    async def send(self, origin: Origin, messages: Sequence[Stanza]) -> list[Outcome]:
        """Take messages of one origin and give their outcomes, in their order."""
        return await self._pipeline.send(origin, messages)

    def origin_of(self, sender: Jid, via: Via) -> Origin:
        """Give the origin of what is sent in the name of a JID without a session."""
        bare = sender.bare
        return Origin(bare, self.hosts.get(bare.domain), via)

    def _submit_other(self, session: Session, stanza: Stanza) -> MaybeAwaitable:
        self._telemetry.stanzas_in[stanza.name] += 1
        account = session.account
        try:
            check(stanza)
            hooks = session.host.hooks
            if stanza.name == "presence":
                stanza = without_forgeries(stanza, account.jid)
                if stanza.to is not None and hooks.has(StanzaSubmitted):
                    hooks.guard(StanzaSubmitted(account, stanza))
                return self._caught(stanza, hooks.run(PresenceSent(session, stanza)))
            if stanza.to is None or stanza.to == account.jid:
                return self._requests.ask(session.host, Addressee.SELF, account, stanza, session)
            if stanza.to != session.host.jid and hooks.has(StanzaSubmitted):
                hooks.guard(StanzaSubmitted(account, stanza))
            return self._caught(stanza, self.route(stanza, session))
        except (StanzaError, BackendError) as error:
            self.refuse(stanza, self.refusal(error))
        except StreamError as error:
            session.close(error)
        except Dropped:
            pass
        return None

    # --- what anybody else sends

    def route(self, stanza: Stanza, session: Session | None = None) -> MaybeAwaitable:
        """Take a stanza to its address; its `from` is verified. Answers errors.

        `session` is the sender's where it is local.
        """
        to = stanza.to
        if to is None:
            return None
        if stanza.name == "message":
            assert stanza.sender is not None
            return self._pipeline.submit(self.origin_of(stanza.sender, Via.SERVER), (stanza,))
        if session is None:  # what a session sends was looked at before
            try:
                check(stanza)
            except StanzaError as error:
                self.refuse(stanza, error)
                return None
        host = self.hosts.get(to.domain)
        if host is None:
            return self.pass_on(stanza, to)
        if not to.local:
            return self._to_domain(host, stanza, session)
        seats = self.seats
        if seats is not None and host.domain in seats.doors and not self._is_ours(seats, host, stanza, to):
            return self._caught(stanza, self._to_owner(seats, host, stanza, session))
        return self._reach(host, stanza, to, session)

    def _reach(self, host: Host, stanza: Stanza, to: Jid, session: Session | None) -> MaybeAwaitable:
        """Take a presence or an iq to an entity that lives on every node, or on this one."""
        entity = host.directory.get(to.bare)
        if entity is None:
            return self._load_and_arrive(host, stanza, session)
        return self._arrive(host, entity, stanza, session)

    def _is_ours(self, seats: Seats, host: Host, stanza: Stanza, to: Jid) -> bool:
        """Tell whether this node may deal with a stanza for an entity that lives on one."""
        if stanza.name == "iq" and stanza.payload_tag in seats.answered_anywhere and to.is_bare:
            return True
        return seats.is_here(host.kind.address(to.bare))

    async def _to_owner(self, seats: Seats, host: Host, stanza: Stanza, session: Session | None) -> None:
        """Take a presence or an iq to the node where its entity lives; raises `StanzaError`."""
        assert stanza.to is not None
        entity = host.kind.address(stanza.to.bare)
        takes = stanza.kind in {"", "set"}  # who asks, or has gone, needs nobody to live there
        node = await seats.owner_of(entity, takes=takes)
        if node is None:
            await until_done(self._reach(host, stanza, stanza.to, session))
        else:
            await seats.pass_on(node, entity, ForOwner(stanza.to_bytes(), 0))

    async def take_passed(self, stanza: Stanza, item: ForOwner) -> Handled:
        """Deal with what another node passes on, and tell what became of it."""
        sender = stanza.sender
        assert sender is not None
        if stanza.name == "message":
            return await self._pipeline.take_passed(stanza, item)
        host = self.hosts.get(sender.domain)
        if host is not None:
            try:
                await host.directory.load(sender.bare)  # which is where it is known that he is elsewhere
            except BackendError as error:
                self.refuse(stanza, self.refusal(error))
                return Handled(item.pass_id)
        await until_done(self.route(stanza))
        return Handled(item.pass_id)

    async def _load_and_arrive(self, host: Host, stanza: Stanza, session: Session | None) -> None:
        assert stanza.to is not None
        try:
            entity = await host.directory.load(stanza.to.bare)
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            self.refuse(stanza, self.refusal(error, "load"))
            return
        entity = host.directory.get(entity.jid) or entity
        await until_done(self._arrive(host, entity, stanza, session))

    def _arrive(self, host: Host, entity: Entity, stanza: Stanza, session: Session | None) -> MaybeAwaitable:
        """A presence or iq reaches a local entity that is in memory."""
        try:
            if host.hooks.has(StanzaArriving):
                host.hooks.guard(StanzaArriving(entity, stanza))
            if stanza.name == "presence":
                stanza = without_forgeries(stanza, entity.jid)
                return self._caught(stanza, host.hooks.run(PresenceArrived(entity, stanza)))
            assert stanza.to is not None
            if stanza.to.resource:
                kind = self._kinds.get(host.domain)
                if kind is None:  # withdrawn while the entity was loaded
                    raise StanzaError("remote-server-not-found")
                return self._caught(stanza, kind.to_resource(entity, stanza))
            is_own = session is not None and session.account is entity
            at = Addressee.SELF if is_own else Addressee.ENTITY
            return self._requests.ask(host, at, entity, stanza, session)
        except (StanzaError, BackendError) as error:
            self.refuse(stanza, self.refusal(error))
        except Dropped:
            pass
        return None

    def _to_domain(self, host: Host, stanza: Stanza, session: Session | None) -> MaybeAwaitable:
        """RFC 6121 §8.3 and §8.4: the server itself answers requests."""
        assert stanza.to is not None
        if stanza.name == "presence":
            return None
        if not stanza.to.resource:
            return self._requests.ask(host, Addressee.SERVER, None, stanza, session)
        self.refuse(stanza, StanzaError("service-unavailable"))
        return None

    def has_way_to(self, domain: str) -> bool:
        """Tell whether somebody answers for a domain that is not served here."""
        return self.services.get(domain, self.elsewhere) is not None

    def pass_on(self, stanza: Stanza, to: Jid) -> MaybeAwaitable:
        """Hand a stanza to the service that answers for its domain."""
        service = self.services.get(to.domain, self.elsewhere)
        if service is None:
            self.refuse(stanza, StanzaError("remote-server-not-found", f"{to.domain} is not served here"))
            return None
        return service.route(stanza)

    # --- errors

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza with an error, unless it is one that must not be answered (RFC 6120 §8.3.1).

        Where the answer has a way to go, that is not waited for.
        """
        if (stanza.name, stanza.kind) in _UNANSWERED or stanza.sender is None:
            return
        self._telemetry.refused[error.condition] += 1
        wait = self._return(stanza.error(error))
        if wait is not None:
            self._supervisor.start("refusal", until_done(wait))

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
        """Take an error to whom it is for: it is the server's word, which no guard of an account stops."""
        to, sender = error.to, error.sender
        assert to is not None
        host = self.hosts.get(to.domain)
        if host is None:
            return self.pass_on(error, to)
        if not to.resource:
            if error.name != "message":
                return self.route(error)
            assert sender is not None  # whom the stanza was for
            return self._pipeline.submit(Origin(sender.bare, None, Via.SELF), (error,))
        entity = host.directory.get(to.bare)
        if entity is None:
            return None if self.seats is None else self._load_and_return(host, error)
        try:
            return self._kinds[host.domain].to_resource(entity, error)
        except StanzaError:
            return None  # it has gone, and an error is not answered with an error

    async def _load_and_return(self, host: Host, error: Stanza) -> None:
        """Take an error to a session that may be on another node."""
        assert error.to is not None
        try:
            entity = await host.directory.load(error.to.bare)
            await until_done(self._kinds[host.domain].to_resource(entity, error))
        except (StanzaError, BackendError):
            return  # it has gone, and an error is not answered with an error

    def _caught(self, stanza: Stanza, wait: MaybeAwaitable) -> MaybeAwaitable:
        return None if wait is None else self._catch(stanza, wait)

    async def _catch(self, stanza: Stanza, wait: Awaitable[None]) -> None:
        try:
            await wait
        except Dropped:
            pass
        except Exception as error:  # noqa: BLE001  # where a handler's bug ends
            self.refuse(stanza, self.refusal(error, stanza.name))
