"""The contact book: one account's roster in memory, changed only through the store.

It is loaded with the account and lives as long as the account is in memory. Invariants:
- what the book says, the store has said before: a change is written first, and fails as a whole;
- one change at a time (`changing`), so that two devices never overwrite each other's change; what another
  node has changed is taken over between two changes.

What shared groups add to the roster is in no book: the book has a view of the domain's groups, which all
books share, and says what both are together. Whoever asks what clients see, who sees whom, or which version
it is gets that answer; `get` and `entries` give what the account has itself, which is what it changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded, share
from tidings.features.contacts.group_view import NO_GROUPS, GroupView, merged
from tidings.features.contacts.subscription import State, Step
from tidings.kernel.current import Current
from tidings.kernel.slots import Slot
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.roster import Roster, RosterEntry, RosterStore, Subscription
from tidings.wire.xmpp.payloads.roster import item_octets
from tidings.wire.xmpp.stanza import Stanza

LARGEST_ANSWER: Final = 4 << 20
"""Octets of a roster that can be told as one answer, where it became larger than `max_octets` allows now."""


class RosterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much one account may keep of its contacts."""

    max_entries: Annotated[int, share("Contacts on one roster.")] = 5_000
    max_octets: Annotated[
        int, share("Octets of one roster, as clients get it: addresses, names and groups.", ge=16_384)
    ] = 1_048_576
    max_contact_octets: Annotated[
        int, share("Octets of one contact: address, name and groups.", "not-acceptable", ge=10_240)
    ] = 16_384
    max_groups: Annotated[int, share("Groups that one contact is in.", "not-acceptable", ge=0)] = 50
    max_requests: Annotated[
        int, share("Subscription requests that may wait for the answer of one account.")
    ] = 1_000
    max_request_octets: Annotated[
        int,
        share(
            "Octets of one waiting request. A longer one is kept without the words of the asker.",
            "kept without its words",
            ge=0,
        ),
    ] = 4_096
    max_requests_octets: Annotated[
        int,
        share(
            "Octets that all waiting requests of one account have. Beyond half of it, they are kept without "
            "the words of the askers.",
            ge=16_384,
        ),
    ] = 524_288


class ContactBook:
    """The contacts of one account, and who of them sees whose presence."""

    __slots__ = (
        "_account",
        "_entries",
        "_groups",
        "_octets",
        "_published",
        "_requests",
        "_store",
        "_watched",
        "_watchers",
        "changing",
        "options",
        "own_version",
        "telling",
    )

    def __init__(
        self,
        account: Jid,
        roster: Roster,
        store: RosterStore,
        options: Current[RosterOptions],
        published: Callable[[], object],
        groups: Current[GroupView] | None = None,
    ) -> None:
        self.own_version = roster.version
        """The version of what the account has itself."""
        self._groups = Current(NO_GROUPS) if groups is None else groups
        self.changing = asyncio.Lock()
        """Held while an entry is read, changed and written."""
        self.telling = asyncio.Lock()
        """Held while a presence goes out to the watchers, so that the next one comes after it everywhere."""
        self._account = account
        self._store = store
        self._published = published
        self.options = options
        self._entries = {entry.jid: entry for entry in roster.entries}
        self._watchers: frozenset[Jid] | None = None
        self._watched: tuple[Jid, ...] | None = None
        self._requests: tuple[RosterEntry, ...] | None = None
        self._octets: int | None = None

    def get(self, contact: Jid) -> RosterEntry | None:
        """Give the account's own entry of this contact, also one that only holds the contact's request."""
        return self._entries.get(contact)

    def entries(self) -> tuple[RosterEntry, ...]:
        """Give all entries of the account itself, also those that are not listed."""
        return tuple(self._entries.values())

    # --- with what shared groups add

    @property
    def groups(self) -> GroupView:
        """The shared groups of the domain as they are now."""
        return self._groups.now

    @property
    def version(self) -> str:
        """What a client that has this roster knows it by."""
        return self.own_version + self._groups.now.suffix(self._account)

    def shown(self, contact: Jid) -> RosterEntry | None:
        """Give the entry of a contact as clients see it; None for who is not on the roster."""
        entry = merged(contact, self._entries.get(contact), self._groups.now.contact(self._account, contact))
        return entry if entry is not None and entry.listed else None

    def all_shown(self) -> Iterator[RosterEntry]:
        """Give the whole roster as clients see it."""
        view = self._groups.now
        for entry in tuple(self._entries.values()):
            both = merged(entry.jid, entry, view.contact(self._account, entry.jid))
            if both is not None and both.listed:
                yield both
        for contact in view.contacts(self._account):
            if contact not in self._entries:
                shared = merged(contact, None, view.contact(self._account, contact))
                if shared is not None and shared.listed:
                    yield shared

    def state(self, contact: Jid) -> State:
        """Give who of the two sees whom, by either's word or by a shared group's."""
        shared = self._groups.now.contact(self._account, contact)
        return state_of(merged(contact, self._entries.get(contact), shared))

    def is_watched_by(self, contact: Jid) -> bool:
        """Tell whether a contact sees the account's presence."""
        entry = self._entries.get(contact)
        if entry is not None and entry.subscription.has_from:
            return True
        shared = self._groups.now.contact(self._account, contact)
        return shared is not None and shared.subscription.has_from

    @property
    def watchers(self) -> frozenset[Jid]:
        """The contacts that see the account's presence: From and Both."""
        if self._watchers is None:
            self._watchers = frozenset(e.jid for e in self._entries.values() if e.subscription.has_from)
        view = self._groups.now
        # With groups it is made each time: kept in every book, it would be the members times the members.
        return self._watchers.union(view.watchers(self._account)) if view.number else self._watchers

    @property
    def watched(self) -> tuple[Jid, ...]:
        """The contacts whose presence the account sees: To and Both."""
        if self._watched is None:
            self._watched = tuple(e.jid for e in self._entries.values() if e.subscription.has_to)
        view = self._groups.now
        if not view.concerns(self._account):
            return self._watched
        return tuple(dict.fromkeys((*self._watched, *view.watched(self._account))))

    # --- what the account has itself

    @property
    def requests(self) -> tuple[RosterEntry, ...]:
        """The entries of contacts that wait for an answer."""
        if self._requests is None:
            self._requests = tuple(e for e in self._entries.values() if e.pending_in is not None)
        return self._requests

    @property
    def octets(self) -> int:
        """What the contacts on the roster have in octets; counted when it is asked for first."""
        if self._octets is None:
            self._octets = sum(map(_octets_of, self._entries.values()))
        return self._octets

    def kept_request(self, request: Stanza) -> bytes:
        """Give what is kept of a request until it is answered: all of it, or its root where that is long."""
        raw = request.to_bytes()
        used = sum(map(_request_octets, self.requests))
        options = self.options.now
        if len(raw) <= options.max_request_octets and used < options.max_requests_octets // 2:
            return raw
        return request.replace(drop=lambda *_: True).to_bytes()

    async def write(self, contact: Jid, entry: RosterEntry | None) -> bool:
        """Make this the contact's entry, or remove it, and tell whether that is a change; hold `changing`.

        Raises `ShareExceeded` when the roster is full or too many requests wait, and `BackendError` when the
        store cannot write; nothing has changed then.
        """
        before = self._entries.get(contact)
        if before == entry:
            return False
        try:
            if entry is None:
                version = await self._store.remove(self._account, contact)
                del self._entries[contact]
            else:
                self._check_room(before, entry)
                version = await self._store.put(self._account, entry)
                self._entries[contact] = entry
        except NoSuchAccount:
            raise StanzaError("not-allowed", "an account that is not registered keeps no contacts") from None
        self.own_version = version
        self._watchers = self._watched = self._requests = None
        if self._octets is not None:
            self._octets += _octets_of(entry) - _octets_of(before)
        self._published()
        return True

    async def reload(self) -> None:
        """Take over what another node has changed in the store. Raises `BackendError`."""
        async with self.changing:
            roster = await self._store.load(self._account)
            self.own_version = roster.version
            self._entries = {entry.jid: entry for entry in roster.entries}
            self._watchers = self._watched = self._requests = self._octets = None

    def _check_room(self, before: RosterEntry | None, entry: RosterEntry) -> None:
        options = self.options.now
        was_listed = before is not None and before.listed
        if entry.listed and not was_listed:
            listed = sum(other.listed for other in self._entries.values())
            if listed >= options.max_entries:
                raise ShareExceeded("the roster", listed + 1, options.max_entries, "contacts")
        if entry.listed and (not was_listed or _words(entry) != _words(before)):
            self._check_octets(before, entry)
        if entry.pending_in is not None and (before is None or before.pending_in is None):
            self._check_requests(entry)

    def _check_octets(self, before: RosterEntry | None, entry: RosterEntry) -> None:
        """Refuse what is larger than before and too large; subscriptions change in any case."""
        options = self.options.now
        if len(entry.groups) > options.max_groups:
            raise ShareExceeded(
                "the contact", len(entry.groups), options.max_groups, "groups", condition="not-acceptable"
            )
        size = _octets_of(entry)
        growth = size - _octets_of(before)
        if growth > 0 and size > options.max_contact_octets:
            raise ShareExceeded("the contact", size, options.max_contact_octets, condition="not-acceptable")
        if growth > 0 and self.octets + growth > options.max_octets:
            raise ShareExceeded("the roster", self.octets + growth, options.max_octets)

    def _check_requests(self, entry: RosterEntry) -> None:
        options = self.options.now
        if len(self.requests) >= options.max_requests:
            raise ShareExceeded(
                "the account", len(self.requests) + 1, options.max_requests, "requests waiting"
            )
        size = sum(map(_request_octets, (*self.requests, entry)))
        if size > options.max_requests_octets:
            raise ShareExceeded("the waiting requests", size, options.max_requests_octets)


BOOK: Slot[ContactBook] = Slot("contacts.book", default=None)  # type: ignore[arg-type]  # loaded with the account


def state_of(entry: RosterEntry | None) -> State:
    """Give the state of Appendix A for an entry; a contact without one is in state None."""
    if entry is None:
        return State.NONE
    return State.of(entry.subscription, pending_out=entry.ask, pending_in=entry.pending_in is not None)


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """How a contact is to stand on a roster by an administrator's word; None leaves what there is."""

    contact: Jid
    name: str | None = None
    groups: frozenset[str] | None = None
    subscription: Subscription | None = None

    def applied_to(self, before: RosterEntry | None) -> RosterEntry:
        """Give the entry of the contact; a request that this grants waits no more."""
        entry = RosterEntry(jid=self.contact) if before is None else before
        subscription = entry.subscription if self.subscription is None else self.subscription
        return msgspec.structs.replace(
            entry,
            name=entry.name if self.name is None else self.name,
            groups=entry.groups if self.groups is None else self.groups,
            subscription=subscription,
            ask=entry.ask and not subscription.has_to,
            approved=entry.approved and not subscription.has_from,
            pending_in=None if subscription.has_from else entry.pending_in,
            listed=True,
        )


def entry_after(
    contact: Jid, before: RosterEntry | None, step: Step, request: bytes | None = None
) -> RosterEntry | None:
    """Give the entry that this step leaves, None if nothing is left; `request` is the stanza that asks.

    A contact that has only asked is kept unlisted: the user decides who is on the roster (Appendix A.1).
    """
    entry = before or RosterEntry(jid=contact, listed=False)
    state = step.state
    pending = (entry.pending_in or request) if state.pending_in else None
    listed = entry.listed or step.approved or state not in (State.NONE, State.NONE_IN)
    if not listed and pending is None:
        return None
    return msgspec.structs.replace(
        entry,
        subscription=state.subscription,
        ask=state.pending_out,
        approved=step.approved,
        pending_in=pending,
        listed=listed,
    )


def _octets_of(entry: RosterEntry | None) -> int:
    """Give what an entry counts for on the roster, where it is listed."""
    return 0 if entry is None or not entry.listed else item_octets(entry.jid, entry.name, entry.groups)


def _request_octets(entry: RosterEntry) -> int:
    return len(entry.pending_in or b"") + len(entry.jid.xml)


def _words(entry: RosterEntry | None) -> tuple[str, frozenset[str]] | None:
    """Give what the user chose of an entry."""
    return None if entry is None else (entry.name, entry.groups)
