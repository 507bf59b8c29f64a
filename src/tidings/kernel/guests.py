"""Guests: sessions that are in an entity which lives on another node, as occupants of a room are.

The owner of the entity says who is in it and sends one copy to each node, whatever the number of its sessions
there. A guest leaves when its owner says so. Where the owner dies, the node of the guest tells him that he is
out; where the session of a guest goes, with or without its node, the owner has that from the registry.

The members of an entity who are in nothing are reached in the same way: a node says once that it has some.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Final, Protocol

import structlog

from tidings.base.errors import BackendError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.clock import Clock
from tidings.kernel.host import Host
from tidings.kernel.lanes import Lanes
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager, answered, read, until_told
from tidings.kernel.supervisor import Supervisor
from tidings.ports.bus import GuestIn, MemberIs, ToGuests, ToMembers
from tidings.ports.sessions import WHOLE, Bound, BoundSession, SessionRegistry, beside
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.guests")

GONE_AFTER: Final = 1.0
"""Seconds for which a session that has gone may still say goodbye by itself."""


class Keeper(Protocol):
    """What the entities of a host are to guests and members; kept by the features of the host."""

    def gone(self, entity: Jid, session: Jid) -> MaybeAwaitable:
        """Let somebody be in an entity of this node no more, whose session has gone on another."""
        ...

    def farewell(self, known_as: Jid) -> Stanza:
        """Give what a guest of this node is told whose entity has lost its owner."""
        ...

    def to_members(self, entity: Jid, stanza: Stanza, only: Jid | None, skip: Collection[Jid]) -> None:
        """Send a stanza to the accounts of this node that know an entity."""
        ...

    def note_member(self, entity: Jid, account: Jid, *, is_member: bool) -> None:
        """Note whether an account of this node knows an entity."""
        ...


class Guests:
    """The guests that entities of this node have elsewhere, and those of this node."""

    def __init__(
        self,
        registry: SessionRegistry,
        sessions: SessionManager,
        lanes: Lanes,
        hosts: Mapping[str, Host],
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self.node = registry.node
        self.keepers: dict[str, Keeper] = {}
        """By domain."""
        self._registry = registry
        self._sessions = sessions
        self._lanes = lanes
        self._hosts = hosts
        self._clock = clock
        self._supervisor = supervisor
        self._away: dict[Jid, dict[Jid, str]] = {}
        """By entity of this node: the sessions that are in it from elsewhere, with their nodes."""
        self._entities_of: dict[Jid, dict[Jid, set[Jid]]] = {}
        """By bare JID of such sessions, and by session: the entities."""
        self._here: dict[Jid, dict[Jid, tuple[Jid, str]]] = {}
        """By entity of another node: the sessions of this one in it, how they are known, and the owner."""
        self._claims: dict[Jid, str] = {}
        self._waiting: dict[Jid, list[ToMembers]] = {}
        """By entity: what is for the members on nodes that are being asked for."""
        sessions.watchers.append(self._changed)
        lanes.takes(GuestIn, self._take_guest)
        lanes.takes(ToGuests, self._take_for_guests)
        lanes.takes(ToMembers, self._take_for_members)
        lanes.takes(MemberIs, self._take_member)
        lanes.when_broken.append(self._lost)

    # --- entities of this node

    def node_of(self, session: Jid) -> str:
        """Tell on which other node a session is; empty where it is on none."""
        account = self._account(session)
        return "" if account is None else self._sessions.node_of(account, session)

    def let_in(self, entity: Jid, session: Jid, known_as: Jid) -> None:
        """Note that a session of another node is in an entity of this one."""
        node = self.node_of(session)
        if not node:
            return
        away = self._away.setdefault(entity, {})
        is_new = session not in away
        away[session] = node
        self._entities_of.setdefault(session.bare, {}).setdefault(session, set()).add(entity)
        self._lanes.send(node, GuestIn(entity.text, session.text, known_as.text))
        if is_new:  # it may have gone since it has said this
            self._clock.call_later(GONE_AFTER, functools.partial(self._look_soon, session.bare))

    def let_out(self, entity: Jid, session: Jid) -> None:
        """Note that a session is in an entity no more; it gets what was sent to it before."""
        away = self._away.get(entity, {})
        node = away.pop(session, "")
        if not node:
            return
        if not away:
            del self._away[entity]
        sessions = self._entities_of[session.bare]
        sessions[session].discard(entity)
        if not sessions[session]:
            del sessions[session]
            if not sessions:
                del self._entities_of[session.bare]
        self._lanes.send(node, GuestIn(entity.text, session.text))

    def send(self, entity: Jid, stanza: Stanza, sessions: Iterable[Jid]) -> list[Jid]:
        """Send a stanza to those sessions that are on other nodes; gives the rest."""
        away = self._away.get(entity)
        if away is None:
            return list(sessions)
        rest: list[Jid] = []
        by_node: dict[str, list[str]] = {}
        for session in sessions:
            node = away.get(session)
            if node is None:
                rest.append(session)
            else:
                by_node.setdefault(node, []).append(session.text)
        if by_node:
            raw = stanza.to_bytes()
            nodes = list(away.values())
            for node, found in by_node.items():
                is_all = len(found) == nodes.count(node)
                self._lanes.send(node, ToGuests(entity.text, raw, () if is_all else tuple(found)))
        return rest

    def send_one(self, entity: Jid, stanza: Stanza, session: Jid) -> bool:
        """Send a stanza to one session, behind what was sent to it before; tell whether it is elsewhere."""
        node = self._away.get(entity, {}).get(session) or self.node_of(session)
        if node:
            self._lanes.send(node, ToGuests(entity.text, stanza.to_bytes(), (session.text,)))
        return bool(node)

    def _changed(self, jid: Jid) -> None:
        """Another node has bound or freed a session, or a seat."""
        if jid in self._entities_of:
            self._clock.call_later(GONE_AFTER, functools.partial(self._look_soon, jid))
        if jid in self._here:
            self._supervisor.start("guests", self._look_for_owner(jid))

    def _look_soon(self, jid: Jid) -> None:
        self._supervisor.start("guests", self._look(jid))

    async def _look(self, jid: Jid) -> None:
        """Put out whose session is not where it was."""
        bound = await self._bound(jid)
        if bound is None:
            return
        for session in list(self._entities_of.get(jid, ())):
            found = bound.get(session.resource)
            await self._put_out(session, "" if found is None else found.node)

    async def _put_out(self, session: Jid, node: str) -> None:
        """Put a session out of all entities where it is not on this node."""
        for entity in list(self._entities_of.get(session.bare, {}).get(session, ())):
            if self._away.get(entity, {}).get(session) != node:
                wait = self.keepers[entity.domain].gone(entity, session)
                if wait is not None:
                    await wait
                self.let_out(entity, session)

    # --- guests of this node

    def is_of_guest(self, jid: Jid | None) -> bool:
        """Tell whether an address is that of somebody in an entity that lives on one node."""
        return jid is not None and bool(jid.resource) and jid.domain in self.keepers

    def recipients(self, message: Stanza, account: Account) -> list[Session] | None:
        """Give the sessions of this node that get what an occupant says to an account: those that are there.

        None for what is from nobody in an entity that lives on one node.
        """
        sender = message.sender
        if sender is None or message.kind == "error" or not self.is_of_guest(sender):
            return None
        here = self._here.get(sender.bare, {})
        return [session for session in account.sessions.values() if session.jid in here]

    def is_in(self, entity: Jid, session: Jid) -> bool:
        """Tell whether a session of this node is in an entity of another."""
        here = self._here.get(entity)
        return here is not None and session in here

    def _take_guest(self, node: str, item: GuestIn) -> None:
        entity, session = Jid(item.entity), Jid(item.session)
        if item.known_as:
            self._here.setdefault(entity, {})[session] = (Jid(item.known_as), node)
        elif self._here.get(entity, {}).get(session, ("", ""))[1] == node:
            self._let_go(entity, session)

    def _let_go(self, entity: Jid, session: Jid) -> None:
        here = self._here.get(entity, {})
        here.pop(session, None)
        if not here:
            self._here.pop(entity, None)

    def _take_for_guests(self, node: str, item: ToGuests) -> None:
        stanza, here = read(item.stanza), self._here.get(Jid(item.entity), {})
        for jid in [Jid(text) for text in item.sessions] or list(here):
            session, known = self._session(jid), here.get(jid)
            # Who is not in it is told that he is out; an owner that is none any more says nothing.
            if session is not None and (known is None or known[1] == node):
                session.send_out(Outgoing(stanza, jid))

    async def _look_for_owner(self, entity: Jid) -> None:
        bound = await self._bound(entity)
        if bound is None:
            return
        held = bound.get(WHOLE)
        for session, (known_as, node) in list(self._here.get(entity, {}).items()):
            if held is None or held.node != node:
                self._tell_out(entity, session, known_as)

    def _lost(self, node: str) -> None:
        """Something is lost to a node or from it: nobody of either is in anything of the other any more."""
        for entity, here in list(self._here.items()):
            for session, (known_as, owner) in list(here.items()):
                if owner == node:
                    self._tell_out(entity, session, known_as)
        gone = {session for away in self._away.values() for session, its in away.items() if its == node}
        for session in gone:
            self._supervisor.start("guests", self._put_out(session, ""))

    def _tell_out(self, entity: Jid, session: Jid, known_as: Jid) -> None:
        self._let_go(entity, session)
        keeper, found = self.keepers.get(entity.domain), self._session(session)
        if keeper is not None and found is not None:
            found.send_out(Outgoing(keeper.farewell(known_as), session))

    # --- members, who are in nothing

    def note_interest(self, entity: Jid, *, has_some: bool) -> None:
        """Say that this node has, or has no more, accounts that know an entity."""
        if has_some:
            claim = self._claims[entity] = token(9)
            answer = self._registry.claim(entity, beside(self.node), BoundSession(self.node, claim))
            if isinstance(answer, Awaitable):
                self._supervisor.start("guests", until_told(answer))
        elif entity in self._claims:
            freed = self._registry.release(entity, beside(self.node), self._claims.pop(entity))
            if isinstance(freed, Awaitable):
                self._supervisor.start("guests", until_told(freed))

    def to_members(self, entity: Jid, stanza: Stanza, skip: Collection[Jid] = ()) -> MaybeAwaitable:
        """Send a stanza to the accounts on other nodes that know an entity."""
        item = ToMembers(entity.text, stanza.to_bytes(), skip=tuple(jid.text for jid in skip))
        waiting = self._waiting.get(entity)
        if waiting is not None:
            waiting.append(item)
            return None
        bound = self._registry.of(entity)
        if not isinstance(bound, Mapping):
            self._waiting[entity] = [item]
            return self._to_nodes_later(entity, bound)
        self._to_nodes(bound, item)
        return None

    async def _to_nodes_later(self, entity: Jid, found: Awaitable[Bound]) -> None:
        """Send what has come meanwhile, too, in its order."""
        try:
            bound: Bound = await found
        except BackendError as error:
            log.error("registry_unreachable", reason=str(error))
            bound = {}
        for item in self._waiting.pop(entity):
            self._to_nodes(bound, item)

    def _to_nodes(self, bound: Bound, item: ToMembers) -> None:
        for resource, each in bound.items():
            if resource == beside(each.node) and each.node != self.node:
                self._lanes.send(each.node, item)

    async def to_member(self, entity: Jid, stanza: Stanza, account: Jid) -> None:
        """Send a stanza to the sessions that one account has on other nodes."""
        item = ToMembers(entity.text, stanza.to_bytes(), only=account.text)
        for node in await answered(self._registry.nodes_of(account)):
            if node != self.node:
                self._lanes.send(node, item)

    async def tell_member(self, entity: Jid, account: Jid, *, is_member: bool) -> None:
        """Say on the other nodes of an account that it knows an entity from now on, or does not any more."""
        for node in await answered(self._registry.nodes_of(account)):
            if node != self.node:
                self._lanes.send(node, MemberIs(entity.text, account.text, is_member))

    def _take_for_members(self, _node: str, item: ToMembers) -> None:
        entity = Jid(item.entity)
        only = Jid(item.only) if item.only else None
        skip = {Jid(text) for text in item.skip}
        self.keepers[entity.domain].to_members(entity, read(item.stanza), only, skip)

    def _take_member(self, _node: str, item: MemberIs) -> None:
        entity = Jid(item.entity)
        self.keepers[entity.domain].note_member(entity, Jid(item.account), is_member=item.is_member)

    # ---

    def _account(self, jid: Jid) -> Account | None:
        host = self._hosts.get(jid.domain)
        account = None if host is None else host.directory.get(jid.bare)
        return account if isinstance(account, Account) else None

    def _session(self, jid: Jid) -> Session | None:
        account = self._account(jid)
        return None if account is None else account.sessions.get(jid.resource)

    async def _bound(self, jid: Jid) -> Bound | None:
        try:
            return await answered(self._registry.of(jid))
        except BackendError as error:
            log.error("registry_unreachable", reason=str(error))
            return None
