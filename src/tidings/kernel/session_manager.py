"""Session manager: who is bound where, and the way to sessions, on this node and on others.

What an account has on other nodes stands in `Account.elsewhere`; it is read when the account comes into
memory, and anew whenever another node has changed it. On a server of one node that is nothing, and nobody is
asked.

Invariants:
- a session is claimed before it is admitted, and admitted only while its claim is the last of this node;
- of two sessions that claim one resource the earlier ends, whichever nodes they are on: whoever claims asks
  the other node to end it, and a node that sees its claim taken ends its session by itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import structlog

from tidings.base.errors import BackendError, StanzaError, StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.account import NOWHERE, Account
from tidings.kernel.audience import Audience
from tidings.kernel.cluster import Cluster
from tidings.kernel.events import PresenceWanted
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.routing import Routing
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.ports.bus import EndSessions, Item, ShowPresence, ToDevices, ToResource
from tidings.ports.sessions import Bound, BoundSession, SessionRegistry
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.sessions")

T = TypeVar("T")

MOST_HEARD: Final = 1_000
"""So many sessions of other nodes are remembered that were heard from last."""

TAKEN: Final = "another client has taken this resource"


class SessionManager:
    """Knows the sessions of all nodes, and reaches them."""

    def __init__(
        self, registry: SessionRegistry, cluster: Cluster, routing: Routing, supervisor: Supervisor
    ) -> None:
        self.is_alone = registry.is_alone
        """Whether the sessions of this node are all there are."""
        self.node = registry.node
        self._registry = registry
        self._cluster = cluster
        self._routing = routing
        self._supervisor = supervisor
        self._claims: dict[Jid, str] = {}
        self._heard_from: OrderedDict[Jid, str] = OrderedDict()
        self.when_claimed: Callable[[Account], Awaitable[None]] | None = None
        """Awaited before the first session of an account on this node is admitted."""
        self.watchers: list[Callable[[Jid], object]] = []
        """Called with an address of which other nodes have changed what is bound there."""
        self.expel: Callable[[Session, StreamError], MaybeAwaitable] | None = None
        """Ends a session at once; set by the server."""
        if not self.is_alone:
            registry.on_change = self._changed
            cluster.takes(ToResource, self._take_for_resource, self._return_from_resource)
            cluster.takes(ToDevices, self._take_for_devices)
            cluster.takes(ShowPresence, self._take_presence_wanted)
            cluster.takes(EndSessions, self._take_end, self._return_end)

    def serve(self, host: Host) -> None:
        """Find out where else the accounts of a host are."""
        if not self.is_alone:
            host.directory.locate = self._locate

    # --- binding

    async def claim(self, account: Account, resource: str) -> str:
        """Claim a resource, and have whoever holds it on another node end; gives the claim.

        Nothing is awaited on a server of one node. Raises `BackendError`.
        """
        if self.is_alone:
            return ""
        jid, claim = account.jid.with_resource(resource), token(9)
        self._claims[jid] = claim
        try:
            await self._claim(account, resource, claim)
        except BaseException:
            self._release(jid, claim)
            raise
        return claim

    async def _claim(self, account: Account, resource: str, claim: str) -> None:
        before = await answered(self._registry.claim(account.jid, resource, BoundSession(self.node, claim)))
        if before is not None and before.node != self.node:
            question = EndSessions(account.jid.text, "conflict", TAKEN, resource, before.id)
            await self._cluster.call(before.node, question)
        if self.when_claimed is not None:
            await self.when_claimed(account)

    def is_claimed(self, jid: Jid, claim: str) -> bool:
        """Tell whether nobody has taken a resource from this claim."""
        return self.is_alone or self._claims.get(jid) == claim

    def release(self, session: Session) -> None:
        """Free the resource of a session that has ended."""
        if not self.is_alone:
            self._release(session.jid, session.claim)

    def _release(self, jid: Jid, claim: str) -> None:
        if self._claims.get(jid) == claim:
            del self._claims[jid]
        self._when_known(self._registry.release(jid.bare, jid.resource, claim))

    def set_priority(self, session: Session, priority: int | None) -> None:
        """Note the priority of a session's presence; None: it is not available."""
        session.priority = priority
        if not self.is_alone and not session.ended:
            bound = BoundSession(self.node, session.claim, priority)
            self._when_known(self._registry.update(session.account.jid, session.jid.resource, bound))

    def _when_known(self, answer: bool | Awaitable[bool]) -> None:
        if not isinstance(answer, bool):
            self._supervisor.start("sessions", until_told(answer))

    # --- to sessions

    def to_devices(
        self, account: Account, audience: Audience, stanza: Stanza, skip: Session | None = None
    ) -> None:
        """Send a stanza to the devices of an account that belong to an audience, on whatever node.

        Without `to` it is addressed to each session. `skip` is the one that knows already.
        """
        send_here(account, audience, stanza, skip)
        if account.elsewhere:
            self.hand_over(account, ToDevices(account.jid.text, audience.name, stanza.to_bytes()))

    def has_devices(self, account: Account, audience: Audience, skip: Session | None = None) -> bool:
        """Tell whether there may be anybody in an audience; other nodes know it only of theirs."""
        if account.elsewhere:
            return True
        return any(each is not skip and audience.wants(each) for each in account.sessions.values())

    def to_resource(self, account: Account, stanza: Stanza) -> bool:
        """Send an iq or a presence to the session of its full address; tell whether there is one."""
        assert stanza.to is not None
        session = account.sessions.get(stanza.to.resource)
        if session is not None:
            session.send(stanza)
            return True
        node = self.node_of(account, stanza.to)
        if not node:
            return False
        self._cluster.hand_over(node, ToResource(stanza.to_bytes()))
        return True

    def node_of(self, account: Account, session: Jid) -> str:
        """Tell on which other node a session is, as far as is known; empty where it is on none."""
        bound = account.elsewhere.get(session.resource)
        return self._heard_from.get(session, "") if bound is None else bound.node

    def hear(self, session: Jid, node: str) -> None:
        """Note that a session has just sent something from another node, which may know of it earlier."""
        self._heard_from[session] = node
        self._heard_from.move_to_end(session)
        if len(self._heard_from) > MOST_HEARD:
            self._heard_from.popitem(last=False)

    def hand_over(self, account: Account, item: Item) -> None:
        """Hand an item to every other node that has sessions of an account."""
        for node in account.nodes_elsewhere:
            self._cluster.hand_over(node, item)

    def end_sessions(
        self, account: Account, error: StreamError, *, resource: str = "", keep: Session | None = None
    ) -> int:
        """End the sessions of an account, or one of them, on whatever node; tell how many there were."""
        here = _of(account.sessions, resource)
        elsewhere = _of(account.elsewhere, resource)
        for session in here:
            if session is not keep:
                session.close(error)
        for node in {bound.node for bound in elsewhere}:
            item = EndSessions(account.jid.text, error.condition, error.text, resource, by=error.by)
            self._cluster.hand_over(node, item)
        return sum(session is not keep for session in here) + len(elsewhere)

    def end_device_elsewhere(self, account: Account, device: str, error: StreamError) -> None:
        """End the sessions that a device has on other nodes now, not one that it begins there later."""
        for resource, bound in account.elsewhere.items():
            item = EndSessions(account.jid.text, error.condition, error.text, resource, bound.id, device)
            self._cluster.hand_over(bound.node, item)

    def may_be_connected(self, jid: Jid) -> bool:
        """Tell of an account that may not be in memory whether a session of it may be there."""
        host = self._routing.hosts.get(jid.domain)
        account = None if host is None else host.directory.get(jid.bare)
        if account is not None:
            return not isinstance(account, Account) or account.is_connected
        if self.is_alone:
            return False
        bound = self._registry.of(jid.bare)
        if isinstance(bound, Mapping):
            return bool(bound)
        self._supervisor.start("sessions", until_told(bound))  # so that it is known the next time
        return True

    async def nodes_of(self, jid: Jid) -> frozenset[str]:
        """Give the nodes that have sessions of an account, in memory here or not. Raises `BackendError`."""
        return await answered(self._registry.nodes_of(jid))

    # --- what other nodes do

    def _locate(self, entity: object) -> MaybeAwaitable:
        """Find out what an account that comes into memory has elsewhere."""
        if not isinstance(entity, Account):
            return None
        bound = self._registry.of(entity.jid)
        if isinstance(bound, Mapping):
            self._note(entity, bound)
            return None
        return self._note_later(entity, bound)

    async def _note_later(self, account: Account, bound: Awaitable[Bound]) -> None:
        self._note(account, await bound)

    def _changed(self, jid: Jid) -> None:
        """Another node has bound or freed a resource, or changed its priority."""
        for watch in self.watchers:
            watch(jid)
        host = self._routing.hosts.get(jid.domain)
        if host is None:
            return
        account = host.directory.get(jid)
        if account is None:
            host.directory.forget(jid)  # it may be loading
            return
        wait = self._locate(account)
        if wait is not None:
            self._supervisor.start("sessions", until_told(wait))

    def _note(self, account: Account, bound: Bound) -> None:
        elsewhere = {resource: each for resource, each in bound.items() if each.node != self.node}
        account.elsewhere = elsewhere or NOWHERE
        for resource, each in elsewhere.items():
            session = account.sessions.get(resource)
            if session is not None and session.claim != each.id:
                self._expel(session, StreamError("conflict", TAKEN))

    def _expel(self, session: Session, error: StreamError) -> MaybeAwaitable:
        assert self.expel is not None
        wait = self.expel(session, error)
        if wait is not None:
            self._supervisor.start("session_end", until_told(wait))
        return None

    def _account(self, jid: Jid) -> tuple[Host, Account] | None:
        host = self._routing.hosts.get(jid.domain)
        account = None if host is None else host.directory.get(jid.bare)
        return (host, account) if host is not None and isinstance(account, Account) else None

    def _take_for_resource(self, _node: str, item: ToResource) -> MaybeAwaitable:
        stanza = read(item.stanza)
        assert stanza.to is not None
        found = self._account(stanza.to)
        session = None if found is None else found[1].sessions.get(stanza.to.resource)
        if session is not None:
            session.send(stanza)
        else:  # it has gone meanwhile
            self._routing.refuse(stanza, StanzaError("service-unavailable"))
        return None

    def _return_from_resource(self, _node: str, item: ToResource) -> None:
        """Nobody knows whether it has come: its sender is told that it may try again."""
        self._routing.refuse(read(item.stanza), StanzaError("recipient-unavailable"))

    def _take_for_devices(self, _node: str, item: ToDevices) -> MaybeAwaitable:
        found = self._account(Jid(item.account))
        if found is not None:
            host, account = found
            send_here(account, host.audience(item.audience), read(item.stanza))
        return None

    def _take_presence_wanted(self, _node: str, item: ShowPresence) -> MaybeAwaitable:
        found = self._account(Jid(item.account))
        if found is None:
            return None
        host, account = found
        return host.hooks.run(PresenceWanted(account, Jid(item.asker), item.resource, item.is_allowed))

    def _take_end(self, _node: str, item: EndSessions) -> MaybeAwaitable:
        jid = Jid(item.account)
        if item.id and not item.device:
            full = jid.with_resource(item.resource)
            if self._claims.get(full) == item.id:
                del self._claims[full]  # it may not be admitted yet
        found = self._account(jid)
        if found is None or self.expel is None:
            return None
        ending = [
            session
            for session in _of(found[1].sessions, item.resource)
            if item.id in {"", session.claim} and item.device in {"", session.client.device}
        ]
        error = StreamError(item.condition, item.text, by=item.by)
        return in_turn([self.expel(session, error) for session in ending])

    def _return_end(self, node: str, item: EndSessions) -> None:
        """Hand it over again for as long as the node has sessions of the account."""
        found = self._account(Jid(item.account))
        if found is not None and any(bound.node == node for bound in found[1].elsewhere.values()):
            self._cluster.hand_over(node, item)


def send_here(account: Account, audience: Audience, stanza: Stanza, skip: Session | None = None) -> None:
    """Send a stanza to the sessions of this node that belong to an audience."""
    to_each = stanza.to is None
    for session in list(account.sessions.values()):
        if session is not skip and audience.wants(session):
            session.send(stanza, session.jid if to_each else None)


def read(raw: bytes) -> Stanza:
    """Read a stanza that another node has written."""
    return stanza_of(decode(raw, ns.CLIENT))


def _of(sessions: Mapping[str, T], resource: str) -> list[T]:
    """Give all sessions, or the one of a resource."""
    return [session for name, session in sessions.items() if resource in {"", name}]


async def answered(answer: T | Awaitable[T]) -> T:
    """Give what the registry says, which may have to be waited for. Raises `BackendError`."""
    return await answer if isinstance(answer, Awaitable) else answer


async def until_told(wait: Awaitable[object]) -> None:
    """Wait until the registry has heard something; where it cannot be reached, the log says so."""
    try:
        await wait
    except BackendError as error:
        log.error("registry_unreachable", reason=str(error))
