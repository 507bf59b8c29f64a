"""Roster: an account keeps its contacts on the server, and every device sees the same list.

Implements RFC 6121 §2, with versions (§2.6); the marks § point at its sections. A client changes names and
groups only; subscriptions change by presence stanzas (see subscriptions.py). Contacts by a shared group (see
shared_groups.py) are given a name and groups like others, and cannot be removed. A roster is its owner's:
requests for somebody else's are refused, and so is what looks like a push and comes from somebody else.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Iterable, Iterator
from typing import Final

import msgspec

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded
from tidings.features.contacts.book import (
    BOOK,
    LARGEST_ANSWER,
    Arrangement,
    ContactBook,
    RosterOptions,
    state_of,
)
from tidings.features.contacts.group_view import (
    NO_GROUPS,
    GroupView,
    only_shared,
    split_version,
    write_suffix,
)
from tidings.features.contacts.pushes import HAS_ASKED, INTERESTED, item_of, push, send_push, shown_item
from tidings.features.contacts.showing import hide, show
from tidings.features.contacts.subscription import State, Verb
from tidings.kernel.account import Account, account_of
from tidings.kernel.cluster import Cluster
from tidings.kernel.current import Current
from tidings.kernel.events import AccountRemoved, AccountRenamed, RosterWanted, StanzaArriving
from tidings.kernel.feature import Addressee, Feature, Spec, StreamStage, handles, listens, loads, reloads
from tidings.kernel.host import Host
from tidings.kernel.iq import Answer, Iq
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.supervisor import Supervisor
from tidings.messages.router import Router
from tidings.ports.bus import Changed
from tidings.ports.roster import UNTOUCHED, Roster, RosterEntry, RosterStore
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import check_characters
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import (
    QUERY_END,
    ItemSubscription,
    RosterItem,
    RosterQuery,
    query_opening,
)
from tidings.wire.xmpp.stanza import Child, Stanza

STRETCH: Final = 256
"""After so many contacts that are written others run."""


class Rosters(Feature):
    """Keeps the contacts of every account and tells its devices of changes."""

    spec = Spec.rfc(6121, note="§2")
    Options = RosterOptions
    audiences = (INTERESTED,)

    def __init__(
        self,
        host: Host,
        router: Router,
        sessions: SessionManager,
        cluster: Cluster,
        supervisor: Supervisor,
        store: RosterStore,
        options: Current[RosterOptions],
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._cluster = cluster
        self._router = router
        self._supervisor = supervisor
        self._store = store
        self._options = options
        self.groups: Current[GroupView] = Current(NO_GROUPS)
        """The shared groups of the domain; kept up to date by their feature."""

    @loads(BOOK)
    async def load_book(self, account: Jid) -> ContactBook:
        """Bring the roster into memory with its account."""
        return self._book(account, await self._store.load(account))

    @reloads(BOOK)
    async def reload_book(self, account: Account) -> None:
        """Take over what another node has changed; the book, with its locks, lives on."""
        await account[BOOK].reload()

    def _book(self, account: Jid, roster: Roster) -> ContactBook:
        published = functools.partial(self._cluster.publish, account, BOOK)
        return ContactBook(account, roster, self._store, self._options, published, self.groups)

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Say that versions (§2.6.1) and pre-approval (§3.4.1) are understood."""
        if stage is not StreamStage.AFTER_LOGIN:
            return ()
        return (Element("ver", ns.ROSTER_VERSIONING), Element("sub", ns.PRE_APPROVAL))

    @handles(RosterQuery, kind="get", at=Addressee.SELF)  # §2.2
    def get(self, request: Iq[RosterQuery]) -> Answer | Awaitable[Answer]:
        """Give the roster, or nothing but what has changed to a client that remembers a version."""
        event, hooks = RosterWanted(request.own_account), self._host.hooks
        wait = hooks.run(event) if hooks.has(RosterWanted) else None
        if wait is not None:
            return self._get_later(wait, event, request)
        return self._get(event, request)

    async def _get_later(
        self, wait: Awaitable[None], event: RosterWanted, request: Iq[RosterQuery]
    ) -> Answer:
        await wait
        answer = self._get(event, request)
        return await answer if isinstance(answer, Awaitable) else answer

    def _get(self, event: RosterWanted, request: Iq[RosterQuery]) -> Answer | Awaitable[Answer]:
        session, book = request.own_session, request.own_account[BOOK]
        known = request.payload.version
        if event.is_whole:
            return self._with(session, book, event.items)
        if known == book.version:
            session[HAS_ASKED] = True
            return None
        return self._since(session, book, known)

    @handles(RosterQuery, kind="set", at=Addressee.SELF)  # §2.3, §2.4, §2.5
    async def change(self, request: Iq[RosterQuery]) -> None:
        """Add, change or remove one contact."""
        item = request.payload.change()
        if item.subscription is ItemSubscription.REMOVE:
            await self.remove(request.own_account, item.jid)
        else:
            await self._update(request.own_account, item)

    @handles(RosterQuery, kind="get", at=Addressee.ENTITY)
    @handles(RosterQuery, kind="set", at=Addressee.ENTITY)
    def refuse(self, request: Iq[RosterQuery]) -> Answer:
        """Refuse what is about somebody else's roster (§2.1.5)."""
        raise StanzaError("forbidden", f"the roster of {request.to} is not yours")

    @listens(StanzaArriving)
    def refuse_false_push(self, event: StanzaArriving) -> None:
        """Keep a client from taking somebody else's change for its own (§2.1.6, the security warning)."""
        stanza = event.stanza
        if stanza.name == "iq" and stanza.kind == "set" and stanza.payload_tag == RosterQuery.TAG:
            account, to = account_of(event.entity), stanza.to
            if to is None or not account.has(to.resource):
                return  # who asks is told that nobody is there (§8.5.3.2.3), or by `refuse`
            raise StanzaError("forbidden", "a roster is changed by its owner's server")

    @listens(AccountRemoved)
    def part_from_all(self, event: AccountRemoved) -> MaybeAwaitable:
        """Tell the contacts of an account that is no more, as far as its roster is still in memory."""
        account = self._host.directory.get(event.account)
        if account is None:
            return None
        entries = account[BOOK].entries()
        account[BOOK] = self._book(account.jid, Roster(UNTOUCHED))
        return in_turn(step for entry in entries for step in self._part(account, entry.jid, state_of(entry)))

    @listens(AccountRenamed)
    async def on_renamed(self, event: AccountRenamed) -> None:
        """Tell the devices of those who have a contact that this has got another address."""
        for owner in event.rosters:
            entity = self._host.directory.get(owner) if owner.domain == self._host.domain else None
            if entity is None:
                continue
            account = account_of(entity)
            self._cluster.publish(owner, BOOK)
            try:
                await account[BOOK].reload()
            except BackendError:  # its devices see it when they ask again
                self._cluster.changed(Changed(owner.text, BOOK.name))
                continue
            for contact in (event.account, event.to):
                push(self._sessions, account, contact)

    async def _with(self, session: Session, book: ContactBook, more: Iterable[Element]) -> Answer:
        """Give the roster with items that others add, which have no versions."""
        async with book.changing:
            whole = await _whole(book, more)
            session[HAS_ASKED] = True
            return whole

    async def _since(self, session: Session, book: ContactBook, known: str | None) -> Answer:
        """Answer a client that has no version, or one which is not the present one (§2.6.3)."""
        async with book.changing:
            changes = await self._changes(session.account.jid, book, known) if known else None
            if changes is None:
                whole = await _whole(book)
                session[HAS_ASKED] = True
                return whole
        assert known is not None  # else nothing is known to have changed
        self._supervisor.start("roster changes", self._catch_up(session, book, known))
        return None

    async def _catch_up(self, session: Session, book: ContactBook, known: str) -> None:
        """Push what has changed, after the empty result; later changes wait, so that they come later.

        A client that loses the stream in between goes on from the version of the last push that it has got.
        """
        async with book.changing:
            changes = await self._changes(session.account.jid, book, known)
            session[HAS_ASKED] = True
            if changes is not None and not session.ended:
                for contact, version in changes:
                    send_push(session, shown_item(book, contact), version)

    async def _changes(self, account: Jid, book: ContactBook, known: str) -> list[tuple[Jid, str]] | None:
        """Give the contacts that have changed since a version, each with what the roster is after its push.

        A client that loses its stream on the way asks again with that. None where the changes are not known.
        """
        own, epoch, number = split_version(known)
        shared = book.groups.changes_since(account, epoch, number)
        if shared is None:
            return None
        changes = () if own == book.own_version else await self._store.changes_since(account, own)
        if changes is None:
            return None
        before = write_suffix(epoch, number) if epoch else ""
        told = [(change.contact.jid, change.version + before) for change in changes]
        for part, contact in enumerate(shared):
            told.append((contact, book.own_version + write_suffix(book.groups.epoch, number, part)))
        if told:
            told[-1] = (told[-1][0], book.version)
        return told

    # --- for administrators

    async def arrange(self, account: Account, wanted: Arrangement) -> tuple[State, State]:
        """Put a contact on a roster, or change how it stands there; give the states before and after.

        The contact's own roster stays what it is. Raises what `ContactBook.write` does.
        """
        book, contact = account[BOOK], wanted.contact
        async with book.changing:
            before = book.state(contact)
            if await book.write(contact, wanted.applied_to(book.get(contact))):
                push(self._sessions, account, contact)
            after = book.state(contact)
        return before, after

    def show_arranged(self, account: Account, contact: Jid, before: State, after: State) -> MaybeAwaitable:
        """Let a contact who sees the account since it was arranged do so now, and no more who does not."""
        if after.seen_by_contact and not before.seen_by_contact:
            return show(self._router, self._sessions, account, contact)
        if before.seen_by_contact and not after.seen_by_contact:
            return hide(self._router, account, contact)
        return None

    async def _update(self, account: Account, item: RosterItem) -> None:
        """Set name and groups of a contact; subscriptions stay what they are (§2.1.2.5).

        What a shared group says of the contact is not written down as the account's own.
        """
        book = account[BOOK]
        async with book.changing:
            before, name, groups = book.get(item.jid), item.name, frozenset(item.groups)
            shared = book.groups.contact(account.jid, item.jid)
            if shared is not None:
                name, groups = "" if name == shared.name else name, groups - shared.labels
            entry = msgspec.structs.replace(
                before or RosterEntry(jid=item.jid), name=name, groups=groups, listed=True
            )
            is_own = before is not None or name or groups or shared is None or not shared.is_listed
            if is_own:
                await book.write(item.jid, entry)
            push(self._sessions, account, item.jid)

    async def remove(self, account: Account, contact: Jid) -> None:
        """Remove a contact and end what subscriptions there are (§2.5); raises `item-not-found`.

        Who is a contact by a shared group, too, stays one by that. Who is one only by that is not removed:
        raises `not-allowed`.
        """
        book = account[BOOK]
        async with book.changing:
            before, shared = book.get(contact), book.groups.contact(account.jid, contact)
            if before is None or not before.listed:
                if shared is not None and shared.is_listed:
                    raise only_shared(contact, shared)
                raise StanzaError("item-not-found", f"{contact} is not on the roster")
            await book.write(contact, None)
            push(self._sessions, account, contact)
        wait = in_turn(self._part(account, contact, state_of(before)))
        if wait is not None:
            await wait

    def _part(self, account: Account, contact: Jid, state: State) -> Iterator[MaybeAwaitable]:
        """Tell the contact that neither sees the other any more (§2.5.2); a waiting request is refused."""
        if state.seen_by_contact and not account[BOOK].is_watched_by(contact):
            yield hide(self._router, account, contact)
        if state.sees_contact or state.pending_out:
            yield self._router.route(_presence(Verb.UNSUBSCRIBE, account.jid, contact))
        if state.seen_by_contact or state.pending_in:
            yield self._router.route(_presence(Verb.UNSUBSCRIBED, account.jid, contact))


async def _whole(book: ContactBook, more: Iterable[Element] = ()) -> Child:
    """Write a roster in stretches, between which others run; the caller holds `changing`.

    Raises `ShareExceeded` before anything is written, where it is more than can be delivered.
    """
    most = max(book.options.now.max_octets, LARGEST_ANSWER)
    if book.octets > most:
        raise ShareExceeded("the roster as an answer", book.octets, most)
    parts = [query_opening(book.version)]
    for number, entry in enumerate(book.all_shown(), 1):
        parts.append(item_of(entry).to_text())
        if number % STRETCH == 0:
            await asyncio.sleep(0)
    parts += (item.to_bytes(ns.ROSTER).decode() for item in more)
    parts.append(QUERY_END)
    return Child(*RosterQuery.TAG, check_characters("".join(parts)).encode())


def _presence(verb: Verb, sender: Jid, to: Jid) -> Stanza:
    return Stanza.build("presence", kind=verb.value, sender=sender, to=to)
