"""News of an account's nodes: who hears of a change, and what somebody is sent who has just come.

Implements XEP-0163 1.2.2 §4; the marks § point at its sections. News go to the account's own devices, to
contacts who may read the node, and to who has subscribed to it. Devices of contacts and of the account get
those that their capabilities ask for, whatever node of the server they are on. Left out: contacts on other
servers, and the address to reply to (§4.3.1).

Whoever sends to many gives others their turn in between. The last items of contacts are read for
some owners at once, the fewer the more octets they have, and go out as fast as the client takes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.nodes.interests import INTERESTED, INTERESTS
from tidings.features.nodes.rules import Person, may_read
from tidings.features.nodes.service import NodeService
from tidings.features.nodes.subscribers import Subscribers, message_of
from tidings.features.nodes.terms import News, People
from tidings.kernel.account import Account
from tidings.kernel.audience import Audience
from tidings.kernel.events import StanzaArriving, StanzaSubmitted
from tidings.kernel.hooks import Dropped
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.watchers import Contacts
from tidings.messages.router import Router
from tidings.ports.nodes import NodeStore, OwnedItem, SendLast, Standing, Subscription
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.pubsub_event import written_item
from tidings.wire.xmpp.stanza import Stanza

STRETCH: Final = 32
"""So many last items are written at once."""

_FIRST_OWNERS: Final = 4
_MOST_OWNERS: Final = 64
_OCTETS_AT_ONCE: Final = 1 << 20
"""Of last items; where some owners have more, fewer are read the next time."""


class Newsroom:
    """Tells what is new."""

    def __init__(
        self,
        host: Host,
        router: Router,
        sessions: SessionManager,
        store: NodeStore,
        service: NodeService,
        pacing: Pacing,
        subscribers: Subscribers,
    ) -> None:
        self._host = host
        self._router = router
        self._sessions = sessions
        self._store = store
        self._service = service
        self._pacing = pacing
        self._subscribers = subscribers
        self._time_slice = subscribers.time_slice

    # --- to all who may hear it

    async def tell(self, account: Account, news: News) -> None:
        """Tell of a change at a node of an account (§4.3.3)."""
        if not news.config.deliver_notifications and not news.is_notice:
            return
        if news.only is not None:
            await self._subscribers.tell_one(news)
            return
        message = message_of(news.owner, news.config.notification_type, news.content)
        audience = INTERESTED.about(news.node)
        self._sessions.to_devices(account, audience, message)
        people = news.people or await self._service.lookup.people(news.owner, news.node)
        told = {account.jid, *await self._tell_contacts(account, news, message, audience, people)}

        def may_hear(each: Subscription) -> bool:
            person = person_of(self._host, account, each.jid)
            is_told = each.jid.bare in told
            return not is_told and may_read(news.config, person, people.standing_of(each.jid.bare))

        await self._subscribers.tell(news, people.subscriptions, may_hear)

    async def _tell_contacts(
        self, account: Account, news: News, message: Stanza, audience: Audience, people: People
    ) -> set[Jid]:
        """Tell those who see the account's presence, and give those of them who heard it."""
        told: set[Jid] = set()
        contacts = self._host.feature(Contacts)  # type: ignore[type-abstract]  # whoever satisfies it
        if contacts is None:
            return told
        for contact in contacts.watchers_of(account):
            await until_done(self._time_slice.turn())
            host = self._router.hosts.get(contact.domain)
            if host is not None and contact.local and self._sessions.may_be_connected(contact):
                listener = host.directory.get(contact) or await host.directory.load(contact)
                if not isinstance(listener, Account) or not self._sessions.has_devices(listener, audience):
                    continue  # as most: they are not asked about any further
                person = person_of(self._host, account, contact)
                if may_read(news.config, person, people.standing_of(contact)) and self._may_pass(
                    self._host, account, host, listener, message
                ):
                    self._sessions.to_devices(listener, audience, message)
                    told.add(contact)
        return told

    # --- to who has just come

    async def catch_up(self, session: Session, names: frozenset[str]) -> None:
        """Send a session the last items of nodes that it wants to hear of: its own and contacts' (§4.3.4)."""
        account = session.account
        contacts = self._host.feature(Contacts)  # type: ignore[type-abstract]  # whoever satisfies it
        watched = () if contacts is None else contacts.watched_by(account)
        owners = [account.jid, *(each for each in watched if each.domain in self._router.hosts)]
        start, width = 0, _FIRST_OWNERS
        while start < len(owners) and not session.ended:
            found = await self._store.last_items(owners[start : start + width], names, by=account.jid)
            await self._send(session, found)
            start += width
            is_much = sum(len(each.item.payload) for each in found) > _OCTETS_AT_ONCE
            width = max(width // 2, 1) if is_much else min(width * 2, _MOST_OWNERS)

    async def catch_up_with(self, account: Account, owner: Jid) -> None:
        """Send all devices the last items of one who has just let the account see his presence."""
        for session in list(account.available):
            names = session[INTERESTS].nodes
            if names:
                await self._send(session, await self._store.last_items([owner], names, by=account.jid))

    async def _send(self, session: Session, found: Sequence[OwnedItem]) -> None:
        readable: list[OwnedItem] = []
        passing: dict[Jid, bool] = {}
        for each in found:
            await until_done(self._time_slice.turn())
            if _is_sent(each) and not self._is_expired(each) and await self._may_have(session, each, passing):
                readable.append(each)
        for start in range(0, len(readable), STRETCH):
            part = readable[start : start + STRETCH]
            await until_done(self._time_slice.turn())
            await self._pacing.send(session, self._messages(session, part))

    def _messages(self, session: Session, items: Sequence[OwnedItem]) -> Iterator[Outgoing]:
        for each in items:
            config, item = each.node.config, each.item
            delay = Delay(round(item.published * 1_000_000)).encode()
            content = written_item(each.node.name, item.id, item.payload if config.deliver_payloads else b"")
            message = message_of(each.node.owner, config.notification_type, content, delay)
            yield Outgoing(message, session.jid)

    async def _may_have(self, session: Session, each: OwnedItem, passing: dict[Jid, bool]) -> bool:
        """Tell whether the owner lets the account of a session read it, and neither has blocked the other.

        `passing` remembers the latter by owner.
        """
        owner, reader = each.node.owner, session.account
        if owner == reader.jid:
            return True
        host = self._router.hosts.get(owner.domain)
        if host is None:
            return False
        account = host.directory.get(owner) or await host.directory.load(owner)
        if not isinstance(account, Account) or not account.exists:
            return False
        person = person_of(host, account, reader.jid)
        if not may_read(each.node.config, person, Standing(each.affiliation)):
            return False
        if owner not in passing:
            message = message_of(owner, each.node.config.notification_type)
            passing[owner] = self._may_pass(host, account, self._host, reader, message)
        return passing[owner]

    def _may_pass(self, home: Host, owner: Account, host: Host, listener: Account, message: Stanza) -> bool:
        """Tell whether no guard of either side, such as a block list, stops a message."""
        addressed = message.addressed(listener.jid)
        try:
            if home.hooks.has(StanzaSubmitted):
                home.hooks.guard(StanzaSubmitted(owner, addressed))
            if host.hooks.has(StanzaArriving):
                host.hooks.guard(StanzaArriving(listener, addressed))
        except (StanzaError, Dropped):
            return False
        return True

    def _is_expired(self, each: OwnedItem) -> bool:
        limit = self._service.lookup.expired(each.node.config)
        return limit is not None and each.item.published <= limit


def person_of(host: Host, account: Account, jid: Jid) -> Person:
    """Give somebody as the owner of an account knows him."""
    if jid.bare == account.jid:
        return Person(jid=jid, is_owner=True, sees_presence=True)
    contacts = host.feature(Contacts)  # type: ignore[type-abstract]  # asks for whoever satisfies it
    if contacts is None or not contacts.is_watched_by(account, jid):
        return Person(jid=jid)
    return Person(jid=jid, sees_presence=True, groups=contacts.groups_of(account, jid))


def _is_sent(each: OwnedItem) -> bool:
    config = each.node.config
    return config.deliver_notifications and config.send_last is SendLast.ON_SUB_AND_PRESENCE
