"""Presence: who may know sees which devices of an account are there, and what they say of themselves.

Implements RFC 6121 §4 and the presence rules of §8.5; the marks § point at its sections. A block list changes
who may know (XEP-0191 §3.3, §3.4). Left out: the redirections of accounts that have moved (§4.3.2), and
remembering errors to broadcasts (§4.2.2, a MAY).

A broadcast gives way to others every few recipients, and the presences of an account go out one after
another, so that nobody sees them in the wrong order. Contacts of the same host that have no session are
passed over without bringing their accounts into memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded, share
from tidings.features.contacts.blocked import covers, meant
from tidings.features.contacts.book import BOOK, ContactBook
from tidings.features.contacts.pushes import INTERESTED
from tidings.features.contacts.roster import Rosters
from tidings.features.contacts.showing import unavailable
from tidings.kernel.account import Account, account_of
from tidings.kernel.audience import AVAILABLE
from tidings.kernel.current import Current
from tidings.kernel.events import (
    ContactBlocked,
    ContactUnblocked,
    PresenceArrived,
    PresenceSent,
    PresenceWanted,
    SessionEnded,
    StanzaSubmitted,
)
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.hooks import Dropped, Stage
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.messages.router import Router
from tidings.ports.bus import ShowPresence
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.presence import priority_of
from tidings.wire.xmpp.stanza import Stanza


@dataclass(slots=True)
class Shown:
    """Who has been told that a session is there, and so is to be told of its end."""

    to_all: bool = False
    """The watchers of the account."""
    directed: set[Jid] = field(default_factory=set)
    """Others, who got directed presence (§4.6)."""
    octets: int = 0
    """What their addresses have together."""

    def add(self, to: Jid) -> None:
        """Remember one of the others."""
        if to not in self.directed:
            self.directed.add(to)
            self.octets += len(to.xml)

    def discard(self, to: Jid) -> None:
        """Forget one of the others."""
        if to in self.directed:
            self.directed.discard(to)
            self.octets -= len(to.xml)


SHOWN: Slot[Shown] = Slot("contacts.shown", factory=Shown)

STRETCH = 64
"""After so many recipients a broadcast lets others run."""


class PresenceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How far one session may show itself."""

    max_octets: Annotated[
        int,
        share("Octets of a presence that one session shows to all: it is kept.", "not-acceptable", ge=1_024),
    ] = 32_768
    max_directed: Annotated[
        int, share("Addresses outside of the roster that one session may show itself to.", ge=0)
    ] = 1_000
    max_directed_octets: Annotated[int, share("Octets that these addresses have together.", ge=4_096)] = (
        131_072
    )


class Presences(Feature):
    """Tells contacts, and the account's other devices, when a device comes, changes and goes."""

    spec = Spec.rfc(6121, note="§4")
    requires = (Rosters,)
    Options = PresenceOptions

    def __init__(
        self,
        host: Host,
        router: Router,
        sessions: SessionManager,
        pacing: Pacing,
        options: Current[PresenceOptions],
    ) -> None:
        self._host = host
        self._pacing = pacing
        self._router = router
        self._sessions = sessions
        self._options = options

    @listens(PresenceSent, stage=Stage.DELIVER)
    def on_sent(self, event: PresenceSent) -> MaybeAwaitable:
        """Take what a session says of itself, to all or to one (§4.2.2, §4.4.2, §4.5.2, §4.6.3)."""
        session, stanza = event.session, event.stanza
        match stanza.kind:
            case "" | "unavailable" if stanza.to is not None:
                return self._direct(session, stanza, stanza.to)
            case "":
                return self._announce(session, stanza)
            case "unavailable":
                return self._withdraw(session, stanza)
            case "probe" | "error":
                return self._router.route(stanza)
            case _:
                return None

    @listens(SessionEnded, stage=Stage.DELIVER)
    def on_ended(self, event: SessionEnded) -> MaybeAwaitable:
        """Say it for a session that has gone without saying so (§4.5.2)."""
        return self._withdraw(event.session, unavailable(event.session.jid))

    @listens(PresenceArrived, stage=Stage.DELIVER)
    def on_arrived(self, event: PresenceArrived) -> MaybeAwaitable:
        """Deliver presence to the sessions that it is for (§8.5), and answer probes (§4.3.2)."""
        account, stanza = account_of(event.entity), event.stanza
        assert stanza.to is not None  # else it would not have arrived
        match stanza.kind:
            case "" | "unavailable" | "error" if stanza.to.resource:
                self._sessions.to_resource(account, stanza)
            case "" | "unavailable":
                self._sessions.to_devices(account, AVAILABLE, stanza)
            case "error":
                # What went wrong with a subscription concerns those who show the roster.
                self._sessions.to_devices(account, INTERESTED, stanza)
            case "probe" if stanza.sender is not None:
                return self._answer_probe(account, stanza.to, stanza.sender)
        return None

    @listens(PresenceWanted, stage=Stage.DELIVER)
    def on_wanted(self, event: PresenceWanted) -> MaybeAwaitable:
        """Show the sessions of this node to somebody who has asked on another."""
        account, asker = event.account, event.asker
        to = account.jid.with_resource(event.resource) if event.resource else account.jid
        sessions = _addressed(account, to)
        if not event.is_allowed:
            sessions = _shown_to(asker, sessions)
        return in_turn(self._show(session, asker) for session in sessions)

    @listens(ContactBlocked, stage=Stage.DELIVER)
    def on_blocked(self, event: ContactBlocked) -> MaybeAwaitable:
        """Vanish before those who have just been blocked (XEP-0191 §3.3)."""
        return in_turn(self._vanish(event.account, event.addresses))

    @listens(ContactUnblocked, stage=Stage.DELIVER)
    def on_unblocked(self, event: ContactUnblocked) -> MaybeAwaitable:
        """Appear before those who may see the account again, and look for them (XEP-0191 §3.4)."""
        return in_turn(self._appear(event.account, event.addresses))

    def is_watched_by(self, account: Account, contact: Jid) -> bool:
        """Tell whether the contact has a subscription to the account's presence."""
        return account[BOOK].is_watched_by(contact.bare)

    def watchers_of(self, account: Account) -> frozenset[Jid]:
        """Give the contacts that see the account's presence."""
        return account[BOOK].watchers

    def watched_by(self, account: Account) -> tuple[Jid, ...]:
        """Give the contacts whose presence the account sees."""
        return account[BOOK].watched

    def groups_of(self, account: Account, contact: Jid) -> frozenset[str]:
        """Give the roster groups that a contact is in, those of shared groups among them."""
        entry = account[BOOK].shown(contact.bare)
        return frozenset() if entry is None else frozenset(entry.groups)

    def show_to(self, account: Account, contact: Jid) -> Iterator[MaybeAwaitable]:
        """Show the sessions of this node to a contact who may see them since now."""
        for session in account.available:
            if session.presence is not None and not self._is_deaf(contact):
                yield self._send(session, session.presence, contact)

    def hide_from(self, account: Account, contact: Jid) -> Iterator[MaybeAwaitable]:
        """Hide the sessions of this node from a contact who may not see them any more."""
        for session in account.available:
            if not self._is_deaf(contact):
                yield self._send(session, unavailable(session.jid), contact)

    # --- to all

    def _announce(self, session: Session, presence: Stanza) -> MaybeAwaitable:
        """Available presence: the first since it was gone is the initial one."""
        size, most = len(presence.content), self._options.now.max_octets
        if size > most:
            raise ShareExceeded("the presence", size, most, condition="not-acceptable")
        self._sessions.set_priority(session, priority_of(presence))
        session.presence = presence
        shown = session[SHOWN]
        is_initial, shown.to_all = not shown.to_all, True
        return self._tell_present(session, presence, is_initial=is_initial)

    async def _tell_present(self, session: Session, presence: Stanza, *, is_initial: bool) -> None:
        book = session.account[BOOK]
        async with book.telling:
            self._tell_own(session.account, presence)
            await self._broadcast(session, presence, book.watchers)
            if is_initial:
                await self._look_around(session, book)
        if is_initial:
            await self._show_requests(session, book)

    def _withdraw(self, session: Session, presence: Stanza) -> MaybeAwaitable:
        """Unavailable presence, the session's own or one that the server makes for it."""
        self._sessions.set_priority(session, None)
        session.presence = None
        shown, session[SHOWN] = session[SHOWN], Shown()
        if shown.to_all and not session.ended:
            session.send(presence, session.account.jid)  # §4.5.2: the one that leaves is told, too
        return self._tell_absent(session, presence, shown) if shown.to_all or shown.directed else None

    async def _tell_absent(self, session: Session, presence: Stanza, shown: Shown) -> None:
        book = session.account[BOOK]
        async with book.telling:
            watchers: frozenset[Jid] = frozenset()
            if shown.to_all:
                watchers = book.watchers
                self._tell_own(session.account, presence)
            await self._broadcast(session, presence, watchers)
            await self._broadcast(
                session, presence, (jid for jid in shown.directed if jid.bare not in watchers)
            )

    async def _broadcast(self, session: Session, presence: Stanza, recipients: Iterable[Jid]) -> None:
        """Send one presence to many, giving way now and then; the caller holds `telling` of the book."""
        for number, recipient in enumerate(recipients, 1):
            if not self._is_deaf(recipient):
                wait = self._send(session, presence, recipient)
                if wait is not None:
                    await wait
            if number % STRETCH == 0:
                await asyncio.sleep(0)

    async def _look_around(self, session: Session, book: ContactBook) -> None:
        """Show a session that has just come who is there (§4.2.2, §4.3.1), as fast as its client reads."""
        for other in session.account.available:
            if other is not session and other.presence is not None:
                session.send(other.presence, session.jid)
        account = session.account
        self._sessions.hand_over(account, ShowPresence(account.jid.text, session.jid.text))
        probe = Stanza.build("presence", kind="probe", sender=session.jid)
        watched = list(book.watched)
        for start in range(0, len(watched), STRETCH):
            for recipient in watched[start : start + STRETCH]:
                if not session.has_room():
                    await self._pacing.until_room(session)
                await self._broadcast(session, probe, (recipient,))
            await asyncio.sleep(0)

    async def _show_requests(self, session: Session, book: ContactBook) -> None:
        """Show a session that has just come who wants to see the account (§3.1.3)."""
        requests = [
            entry.pending_in
            for entry in book.requests
            if entry.pending_in is not None and not book.state(entry.jid).seen_by_contact
        ]
        await self._pacing.send(session, (Outgoing(_request_of(raw)) for raw in requests))

    # --- to one

    def _direct(self, session: Session, stanza: Stanza, to: Jid) -> MaybeAwaitable:
        """Directed presence: whoever is not told anyway is remembered, to be told of the end (§4.6.3)."""
        shown = session[SHOWN]
        if stanza.kind == "unavailable":
            shown.discard(to)
        elif not shown.to_all or not session.account[BOOK].is_watched_by(to.bare):
            if to not in shown.directed:
                self._check_room(shown, to)
            shown.add(to)
        return self._router.route(stanza)

    def _check_room(self, shown: Shown, to: Jid) -> None:
        """Refuse one more who is to be remembered, where there are too many or too long ones."""
        number, options = len(shown.directed) + 1, self._options.now
        if number > options.max_directed:
            raise ShareExceeded("the session", number, options.max_directed, "others that can see it")
        octets = shown.octets + len(to.xml)
        if octets > options.max_directed_octets:
            raise ShareExceeded("the addresses that can see the session", octets, options.max_directed_octets)

    def _answer_probe(self, account: Account, to: Jid, asker: Jid) -> MaybeAwaitable:
        """§4.3.2, and §4.6.3 for those who were shown a session."""
        is_allowed = asker.bare == account.jid or account[BOOK].is_watched_by(asker.bare)
        sessions = _addressed(account, to)
        if not is_allowed:
            sessions = _shown_to(asker, sessions)
        wanted = ShowPresence(account.jid.text, asker.text, to.resource, is_allowed)
        if is_allowed and not sessions and not _is_available(account, to):
            return self._router.route(unavailable(to, asker))
        if not is_allowed and not sessions and not account.elsewhere:
            entry = account[BOOK].get(asker.bare)
            if entry is not None and entry.pending_in is not None:
                return None  # it has asked, and nobody has answered yet
            answer = Stanza.build("presence", kind="unsubscribed", sender=account.jid, to=asker.bare)
            return self._router.route(answer)
        # Whether a session on another node has shown itself is known there; if none has, nobody answers.
        self._sessions.hand_over(account, wanted)
        return in_turn(self._show(session, asker) for session in sessions)

    def _show(self, session: Session, to: Jid) -> MaybeAwaitable:
        return None if session.presence is None else self._router.route(session.presence.addressed(to))

    # --- block lists

    def _vanish(self, account: Account, blocked: tuple[Jid, ...]) -> Iterator[MaybeAwaitable]:
        for session in account.sessions.values():
            if session.presence is not None:
                for recipient in meant(blocked, account[BOOK].watchers):
                    yield self._router.route(unavailable(session.jid, recipient))
            shown = session[SHOWN]
            covered = [jid for jid in shown.directed if any(covers(address, jid) for address in blocked)]
            for recipient in covered:
                shown.discard(recipient)
                yield self._router.route(unavailable(session.jid, recipient))

    def _appear(self, account: Account, unblocked: tuple[Jid, ...]) -> Iterator[MaybeAwaitable]:
        for session in account.available:
            if session.presence is not None:
                for recipient in meant(unblocked, account[BOOK].watchers):
                    yield self._send(session, session.presence, recipient)
            probe = Stanza.build("presence", kind="probe", sender=session.jid)
            for recipient in meant(unblocked, account[BOOK].watched):
                yield self._send(session, probe, recipient)

    # --- helpers

    def _send(self, session: Session, presence: Stanza, recipient: Jid) -> MaybeAwaitable:
        """Send a presence unless a guard says that this session does not speak with the recipient."""
        stanza = presence.addressed(recipient)
        hooks = self._host.hooks
        if hooks.has(StanzaSubmitted):
            try:
                hooks.guard(StanzaSubmitted(session.account, stanza))
            except (StanzaError, Dropped):
                return None
        return self._router.route(stanza)

    def _is_deaf(self, recipient: Jid) -> bool:
        """Tell whether this is an account of the same host where nobody can hear anything."""
        if recipient.domain != self._host.domain or not recipient.local:
            return False
        return not self._sessions.may_be_connected(recipient)

    def _tell_own(self, account: Account, presence: Stanza) -> None:
        """An account is subscribed to itself: all its devices are told, also the one it is about (§4.2.2)."""
        self._sessions.to_devices(account, AVAILABLE, presence.addressed(account.jid))


def _shown_to(asker: Jid, sessions: list[Session]) -> list[Session]:
    """Give the sessions that have shown themselves to somebody by directed presence (§4.6)."""
    return [session for session in sessions if not session[SHOWN].directed.isdisjoint((asker, asker.bare))]


def _is_available(account: Account, to: Jid) -> bool:
    """Tell whether a session that an address means is available, on any node."""
    return any(jid == to for jid in account.available_jids) if to.resource else bool(account.available_jids)


def _addressed(account: Account, to: Jid) -> list[Session]:
    """Give the available sessions of this node that an address means: all, or that of a resource."""
    return [session for session in account.available if not to.resource or session.jid == to]


def _request_of(raw: bytes) -> Stanza:
    """Read a stored subscription request."""
    element = decode(raw, ns.CLIENT)
    return Stanza.build(
        "presence",
        kind="subscribe",
        to=Jid(element.get("to") or ""),
        sender=Jid(element.get("from") or ""),
        id=element.get("id"),
        lang=element.get("xml:lang"),
        content=element.children,
    )
