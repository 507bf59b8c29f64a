"""Blocking Command: an account decides who cannot reach it and whom it does not want to reach.

Implements XEP-0191 1.3; the marks § point at its sections. To those who are blocked the account looks as if
it were offline. Blocking is polite (§4): subscriptions stay as they are, and nobody is told. What a block
means for the presence that an account broadcasts is the contacts feature's, which hears of
`ContactBlocked`; what is said of why is kept by the feature of reports.
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded, share
from tidings.kernel.account import Account, account_of
from tidings.kernel.audience import Audience
from tidings.kernel.cluster import Cluster
from tidings.kernel.current import Current
from tidings.kernel.entity import Entity
from tidings.kernel.events import (
    AccountRenamed,
    ContactBlocked,
    ContactsReported,
    ContactUnblocked,
    StanzaArriving,
    StanzaSubmitted,
)
from tidings.kernel.feature import Feature, Spec, handles, listens, loads, reloads
from tidings.kernel.hooks import Dropped
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.messages.entries import Rules
from tidings.ports.blocking import BlockingStore
from tidings.ports.renaming import moved
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.blocking import (
    Block,
    BlockList,
    Unblock,
    block_list_octets,
    blocked_condition,
)
from tidings.wire.xmpp.stanza import Stanza

BLOCKED: Slot[frozenset[Jid]] = Slot("blocking.blocked", default=frozenset(), is_guarded=True)
WANTS_PUSHES: Slot[bool] = Slot("blocking.pushes", default=False)
PUSHED: Final = Audience("blocking.pushed", lambda session: session[WANTS_PUSHES])
"""The sessions that have asked for the list."""


class BlockingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much one account may block."""

    limit: Annotated[int, share("Addresses that one account may block.")] = 1_000
    max_octets: Annotated[
        int, share("Octets of the block list of one account, as clients get it.", ge=4_096)
    ] = 262_144


class Blocking(Feature):
    """Keeps the block list of every account and stops what it forbids, in both directions."""

    spec = Spec.xep(191, version="1.3", advertises=(ns.BLOCKING,))  # §3.1
    Options = BlockingOptions
    audiences = (PUSHED,)

    def __init__(
        self,
        host: Host,
        sessions: SessionManager,
        cluster: Cluster,
        store: BlockingStore,
        rules: Rules,
        options: Current[BlockingOptions],
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._cluster = cluster
        self._store = store
        self._rules = rules
        self._options = options

    @loads(BLOCKED)
    async def load_blocked(self, account: Jid) -> frozenset[Jid]:
        """Bring the list into memory with its account."""
        return await self._store.list(account)

    @reloads(BLOCKED)
    async def reload_blocked(self, account: Account) -> None:
        """Take over what the account's owner has done on another node, for the sessions of this one."""
        before, after = account[BLOCKED], await self._store.list(account.jid)
        while account[BLOCKED] is not before:  # changed here meanwhile
            before, after = account[BLOCKED], await self._store.list(account.jid)
        account[BLOCKED] = after
        await self._tell(ContactBlocked(account, tuple(sorted(after - before))))
        await self._tell(ContactUnblocked(account, tuple(sorted(before - after))))

    @handles(BlockList, kind="get")  # §3.2
    def show(self, request: Iq[BlockList]) -> Element:
        """Answer with the list; from now on this session hears of its changes."""
        request.own_session[WANTS_PUSHES] = True
        blocked = request.own_account[BLOCKED]
        return BlockList(tuple(sorted(blocked))).encode()

    @handles(Block, kind="set")  # §3.3
    async def block(self, request: Iq[Block]) -> None:
        """Block all addresses of the request, or none of them."""
        account, jids = request.own_account, request.payload.jids
        self._check_room(account[BLOCKED], jids)
        await self._store.add(account.jid, jids)
        added = tuple(jid for jid in jids if jid not in account[BLOCKED])
        account[BLOCKED] |= set(jids)
        await self._changed(account, request.payload.encode())
        await self._tell(ContactBlocked(account, added))
        if request.payload.reports:
            await until_done(self._host.hooks.tell(ContactsReported(account, request.payload.reports)))

    @handles(Unblock, kind="set")  # §3.4, §3.5
    async def unblock(self, request: Iq[Unblock]) -> None:
        """Unblock the addresses of the request, or all if it names none."""
        account, jids = request.own_account, request.payload.jids
        blocked = account[BLOCKED]
        removed = tuple(jid for jid in sorted(blocked) if not jids or jid in jids)
        if jids:
            await self._store.remove(account.jid, jids)
        else:
            await self._store.clear(account.jid)
        account[BLOCKED] -= set(removed)
        await self._changed(account, request.payload.encode())
        await self._tell(ContactUnblocked(account, removed))

    @listens(StanzaArriving)  # §3.3
    def guard_inbound(self, event: StanzaArriving) -> None:
        """Refuse what comes from somebody blocked: with an error for messages and requests, else silently."""
        sender = event.stanza.sender
        if sender is None or not self.is_blocked(event.entity, sender):
            return
        if may_be_answered(event.stanza):
            raise StanzaError("service-unavailable")
        raise Dropped

    @listens(StanzaSubmitted)  # §3.3
    def guard_outbound(self, event: StanzaSubmitted) -> None:
        """Refuse what is for somebody blocked and tell the sender why."""
        to = event.stanza.to
        if to is None or not self.is_blocked(event.entity, to):
            return
        if event.stanza.kind in ("error", "result"):
            raise Dropped
        text, payload = "you have blocked this address", blocked_condition().to_bytes()
        raise StanzaError("not-acceptable", text, kind="cancel", payload=payload)

    @listens(AccountRenamed)
    def on_renamed(self, event: AccountRenamed) -> None:
        """Tell the devices of those who block an account that this has got another address."""
        for owner in event.blocking:
            account = self._host.directory.get(owner) if owner.domain == self._host.domain else None
            if account is None:
                continue
            now = tuple(sorted(jid for jid in account[BLOCKED] if jid.bare == event.to))
            before = tuple(moved(jid, event.to, event.account) for jid in now)
            for command in (Unblock(before), Block(now)) if now else ():
                self._push(account_of(account), command.encode())

    def is_blocked(self, account: Entity, jid: Jid) -> bool:
        """Tell whether the account has blocked this address; it cannot block itself or its server (§5)."""
        blocked = account[BLOCKED]
        return bool(blocked) and jid.bare not in (account.jid, self._host.jid) and is_listed(jid, blocked)

    def _check_room(self, blocked: frozenset[Jid], jids: Iterable[Jid]) -> None:
        """Raise `ShareExceeded` where the list would be too long with these."""
        after, options = blocked.union(jids), self._options.now
        if len(after) > max(options.limit, len(blocked)):
            raise ShareExceeded("the block list", len(after), options.limit, "addresses")
        size = block_list_octets(after)
        if size > options.max_octets and len(after) > len(blocked):
            raise ShareExceeded("the block list", size, options.max_octets)

    async def _changed(self, account: Account, command: Element) -> None:
        """Have guards, other nodes and the devices that have asked for the list know (§3.3, §3.4)."""
        await self._rules.changed(account)
        self._cluster.publish(account.jid, BLOCKED)
        self._push(account, command)

    def _push(self, account: Account, command: Element) -> None:
        push = Stanza.build("iq", kind="set", id=token(6), content=(command,))
        self._sessions.to_devices(account, PUSHED, push)

    async def _tell(self, event: ContactBlocked | ContactUnblocked) -> None:
        if event.addresses:
            await until_done(self._host.hooks.tell(event))


def is_listed(jid: Jid, blocked: frozenset[Jid]) -> bool:
    """Tell whether a list covers an address (§6): itself, its account, its resource anywhere, or its domain.

    An entry `domain/resource` covers that resource of every account of the domain, as in XEP-0016 §2.1.
    """
    if jid in blocked or jid.bare in blocked or jid.domain in blocked:
        return True
    return bool(jid.resource) and f"{jid.domain}/{jid.resource}" in blocked


def may_be_answered(stanza: Stanza) -> bool:
    """Tell whether a stanza of somebody blocked earns an error (§3.3): not presence, and no answers."""
    match stanza.name:
        case "message":
            return stanza.kind != "error"
        case "iq":
            return stanza.kind in ("get", "set")
    return False
