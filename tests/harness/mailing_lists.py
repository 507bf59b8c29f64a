"""Mailing lists: a second kind of entity, which owns an archive and has members.

    world = await World.start(services=(LISTS,))
    await join(world, "all@lists.localhost", "alice@localhost")

Whoever is on a list writes to all who are; the list has one entry for each message, whatever the number of
its members, and what it sends comes from it. `all+anything@lists.localhost` is the same list. A message to
`all@lists.localhost/bob` is for the member bob alone, and neither side learns the other's address.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tests.harness.world import World
from tidings.app.hosts import ServiceKind
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.disco import ServiceDiscovery
from tidings.kernel.account import Account
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.clock import Clock
from tidings.kernel.entity import Entity
from tidings.kernel.events import MessageDelivered
from tidings.kernel.feature import Feature, loads
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.kernel.stored_copy import stored_copy
from tidings.messages import delivery, entries
from tidings.messages.fanout import fan_out
from tidings.messages.router import Router
from tidings.messages.submission import Plan, Submission
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Entry,
    EntryKind,
    LedgerBatch,
    MemberChange,
    Place,
)
from tidings.ports.ledger.reading import Archived
from tidings.ports.stores import Stores
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.payloads.arrival import stamped
from tidings.wire.xmpp.stanza import Stanza

MEMBERS: Slot[frozenset[Jid]] = Slot("lists.members", default=frozenset(), is_guarded=True)


class MailingLists:
    """The kind of a list."""

    name = "list"
    identity = ("conference", "list")
    host_identity = ("conference", "list")
    has_parties = True
    reads_messages = False

    def __init__(self, domain: str, router: Router, stores: Stores, clock: Clock) -> None:
        self._domain = domain
        self._router = router
        assert stores.ledger is not None
        self._ledger = stores.ledger

    async def exists(self, jid: Jid) -> bool:
        return bool(await self._ledger.members(jid, limit=1))

    def make(self, jid: Jid, *, exists: bool) -> Entity:
        return Entity(jid, exists=exists)

    def shown(self, entry: Archived, body: bytes) -> bytes:  # whatever it is
        return body

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        raise StanzaError("not-allowed")

    def address(self, jid: Jid) -> Jid:
        local, plus, _ = jid.local.partition("+")
        return Jid.of(local, jid.domain) if plus else jid

    # --- before the commit

    def parties(self, submission: Submission) -> tuple[Jid, ...]:
        addressed = _addressed(submission)
        return () if addressed is None else (addressed,)

    def keep(self, submission: Submission, classification: Classification) -> Entry | None:
        return None

    def plan(self, submission: Submission, classification: Classification, kept: Entry | None) -> Plan:
        message, this, sender = submission.message, submission.entity, submission.origin.jid
        assert this is not None
        if not this.exists:
            raise StanzaError("item-not-found")
        if sender not in this[MEMBERS]:
            raise StanzaError("forbidden", "you are not on this list")
        if message.to is not None and message.to.resource:
            return self._plan_private(submission, classification, kept)
        own = Entry(
            archive=this.jid,
            peer=this.jid,
            countable=classification.is_counted,
            groupchat=True,
            reader=sender,
            version=this.archive_version,
        )
        append = entries.append_of(submission, classification, (own,))
        shown = message.replace(sender=_as_member(this.jid, sender), to=this.jid, kind="groupchat")
        append = msgspec.structs.replace(append, body=shown.to_bytes(), sender=sender)
        return Plan(classification, append, reason="the list keeps it for its members")

    def _plan_private(
        self, submission: Submission, classification: Classification, kept: Entry | None
    ) -> Plan:
        message, this, addressed = submission.message, submission.entity, _addressed(submission)
        assert this is not None
        if addressed is None or not submission.parties:
            raise StanzaError("item-not-found", "nobody of that name is on this list")
        assert message.to is not None
        origin = submission.origin.jid
        theirs = Entry(
            archive=addressed,
            peer=_as_member(this.jid, origin),
            countable=classification.is_counted,
            version=submission.parties[0][1].archive_version,
        )
        second = Append(body=_for_member(submission).to_bytes(), entries=(theirs,), sender=origin)
        if kept is None:
            return Plan(classification, second, reason="the member keeps it")
        append = entries.append_of(
            submission, classification, (msgspec.structs.replace(kept, peer=message.to),)
        )
        append = msgspec.structs.replace(append, also=(second,), sender=origin)
        return Plan(classification, append, reason="both sides keep it, each with the list's addresses")

    # --- after it

    def deliver(self, submission: Submission, accepted: Accepted | None) -> MaybeAwaitable:
        message, this = submission.message, submission.entity
        assert this is not None
        assert accepted is not None
        if message.to is not None and message.to.resource:
            return self._deliver_private(submission, accepted)
        [place] = accepted.places
        this.position = place.position
        shown = message.replace(
            sender=_as_member(this.jid, submission.origin.jid), to=this.jid, kind="groupchat"
        )
        hosts = self._router.hosts
        elsewhere = [member for member in this[MEMBERS] if member.domain not in hosts]
        return fan_out(
            stamped(shown, this.jid, place.id, accepted.time, is_live=True),
            self._sessions(this),
            elsewhere,
            self._router,
        )

    def _sessions(self, this: Entity) -> Iterator[Session]:
        for member in this[MEMBERS]:
            host = self._router.hosts.get(member.domain)
            account = None if host is None else host.directory.get(member)
            if isinstance(account, Account):
                yield from (session for session in account.available if (session.priority or 0) >= 0)

    def _deliver_private(self, submission: Submission, accepted: Accepted) -> MaybeAwaitable:
        assert submission.parties
        [(host, account)] = submission.parties
        assert isinstance(account, Account)
        theirs = accepted.also[0] if accepted.also else accepted
        message = _for_member(submission)
        stored = stored_copy(submission.plan.classification, theirs, account.jid)
        event = MessageDelivered(account, message, delivery.recipients(message, account), stored)
        for session in event.recipients:
            session.send(event.stanza)
        return in_turn((host.hooks.tell(event),))

    def to_resource(self, entity: Entity, stanza: Stanza) -> MaybeAwaitable:
        raise StanzaError("service-unavailable", "nothing passes through a list but messages")


class Membership(Feature):
    """Loads who is on a list."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @loads(MEMBERS)
    async def load(self, jid: Jid) -> frozenset[Jid]:
        return frozenset(each.member for each in await self._ledger.members(jid))


LISTS = ServiceKind(prefix="lists", make_kind=MailingLists, features=(Membership, ServiceDiscovery))


async def join(world: World, this: str, member: str) -> Place:
    """Put somebody on a list, which is made with the first."""
    return await _change(
        world, Jid(this), MemberChange(room=this, member=member, affiliation="member", joins=True)
    )


async def kick(world: World, this: str, member: str) -> Place:
    """Take somebody from a list."""
    return await _change(world, Jid(this), MemberChange(room=this, member=member, affiliation=""))


async def _change(world: World, this: Jid, change: MemberChange) -> Place:
    """Change who is on a list behind the back of the server's memory, as another node would."""
    body = f"<message xmlns='jabber:client' from='{this}' to='{this}' type='groupchat'/>"
    append = Append(
        body=body.encode(),
        entries=(Entry(archive=this, peer=this, groupchat=True),),
        kind=EntryKind.MEMBERSHIP,
        members=(change,),
        raises=(this,),
    )
    committed = await world.stores.ledger.commit(LedgerBatch(appends=(append,)))
    [accepted] = committed.outcomes
    assert isinstance(accepted, Accepted)
    return accepted.places[0]


def _addressed(submission: Submission) -> Jid | None:
    """Find the member whom the resource of the address names."""
    to, this = submission.message.to, submission.entity
    if to is None or not to.resource or this is None:
        return None
    return next((member for member in this[MEMBERS] if member.local == to.resource), None)


def _as_member(this: Jid, member: Jid) -> Jid:
    return this.with_resource(member.local)


def _for_member(submission: Submission) -> Stanza:
    """Give a private message as the member gets it."""
    this, addressed = submission.entity, _addressed(submission)
    assert this is not None
    assert addressed is not None
    return submission.message.replace(sender=_as_member(this.jid, submission.origin.jid), to=addressed)
