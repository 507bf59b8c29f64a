"""Shared groups: members of a group are on each other's rosters, and see each other, without asking anybody.

What ejabberd calls a shared roster and Prosody groups: operators say who is in a group (operations/group.py).
No document says how; clients see contacts with the subscription `both` (RFC 6121 §2.1.2.5) in a roster group.
Contacts by a group are written into no roster: a roster is read through the groups (group_view.py).

Here the groups of the domain come into memory, and those who are connected are told what has changed. Every
node does that for its own sessions. A change of one member costs a push and a presence for each of the others
who is connected; a log-in costs what it costs with as many contacts of one's own, and reads nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import structlog

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK, ContactBook
from tidings.features.contacts.group_view import GroupView, merged, write_suffix
from tidings.features.contacts.presence import Presences
from tidings.features.contacts.pushes import HAS_ASKED, send_push, shown_item
from tidings.features.contacts.roster import Rosters
from tidings.kernel.account import Account
from tidings.kernel.cluster import Cluster
from tidings.kernel.events import AccountRegistered, AccountRemoved, AccountRenamed
from tidings.kernel.feature import Feature, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.ports.bus import GROUPS
from tidings.ports.groups import GroupStore
from tidings.ports.roster import RosterEntry

log = structlog.get_logger("tidings.contacts")

STRETCH: Final = 64
"""After so many accounts that were looked at, or contacts that were told, others run."""


class SharedGroups(Feature):
    """Puts the members of groups on each other's rosters."""

    requires = (Rosters, Presences)

    def __init__(self, host: Host, cluster: Cluster, store: GroupStore) -> None:
        self._host = host
        self._cluster = cluster
        self._store = store
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Bring the groups of the domain into memory, and hear of what other nodes change."""
        self._rosters.groups.now = await self._read(GroupView())
        self._cluster.listen(self._host.domain, GROUPS, self._refresh)

    async def stop(self) -> None:
        """Hear of nothing any more."""
        self._cluster.listen(self._host.domain, GROUPS, None)

    async def changed(self) -> None:
        """Take over what has been changed in the store, here and on other nodes; raises `BackendError`.

        When it returns, the sessions of this node have been told; where it raises, they will be.
        """
        self._cluster.publish_domain(self._host.domain, GROUPS)
        try:
            await self._refresh()
        except BackendError:
            self._cluster.reload_domain_slot(self._host.domain, GROUPS)
            raise

    @listens(AccountRegistered)
    def on_registered(self, event: AccountRegistered) -> MaybeAwaitable:
        """Show a new account to the others, where a group is for everybody."""
        del event
        return self.changed() if self._view.is_for_everybody else None

    @listens(AccountRemoved)
    def on_removed(self, event: AccountRemoved) -> MaybeAwaitable:
        """Take an account that is no more from the others' rosters."""
        return self.changed() if self._view.concerns(event.account) else None

    @listens(AccountRenamed)
    def on_renamed(self, event: AccountRenamed) -> MaybeAwaitable:
        """Show an account under its new address to the others of its groups."""
        is_here = self._host.domain in {event.account.domain, event.to.domain}
        concerns = self._view.concerns(event.account) or self._view.is_for_everybody
        return self.changed() if is_here and concerns else None

    @property
    def _rosters(self) -> Rosters:
        rosters = self._host.feature(Rosters)
        assert rosters is not None  # it is required
        return rosters

    @property
    def _presences(self) -> Presences:
        presences = self._host.feature(Presences)
        assert presences is not None
        return presences

    @property
    def _view(self) -> GroupView:
        return self._rosters.groups.now

    async def _read(self, before: GroupView) -> GroupView:
        """Read what has changed since a view, or everything where that cannot be told."""
        stored = await self._store.load(self._host.domain, since=before.number)
        after = before.with_changes(stored)
        if after is None:
            stored = await self._store.load(self._host.domain)
            after = GroupView(stored, stored.memberships)
        return after

    async def _refresh(self) -> None:
        async with self._changing:
            before = self._view
            after = self._rosters.groups.now = await self._read(before)
            await self._tell(before, after)

    async def _tell(self, before: GroupView, after: GroupView) -> None:
        """Tell the accounts with sessions on this node what has changed for them."""
        for number, entity in enumerate(self._host.directory.pinned(), 1):
            if isinstance(entity, Account) and entity.sessions:
                jid = entity.jid
                if before.suffix(jid) != after.suffix(jid):
                    await self._tell_account(entity, before, after)
            if number % STRETCH == 0:
                await asyncio.sleep(0)

    async def _tell_account(self, account: Account, before: GroupView, after: GroupView) -> None:
        book, jid = account[BOOK], account.jid
        async with book.changing:
            changes = list(_changes(book, jid, before, after))
            shown: list[Jid] = []
            if account.exists:  # else its sessions end
                shown = [contact for contact, was, now in changes if _as_listed(was) != _as_listed(now)]
            log.debug("shared_contacts_changed", account=jid.text, contacts=len(shown))
            for number, contact in enumerate(shown, 1):
                is_last = number == len(shown)
                # A client that is cut off on the way has the version before, and asks again with it.
                way = write_suffix(before.epoch or after.epoch, before.number_of(jid), number)
                version = book.version if is_last else book.own_version + way
                item = shown_item(book, contact)
                for session in list(account.sessions.values()):
                    if session[HAS_ASKED]:
                        send_push(session, item, version)
                if number % STRETCH == 0:
                    await asyncio.sleep(0)
        async with book.telling:
            for number, step in enumerate(self._show(account, changes), 1):
                await until_done(step)
                if number % STRETCH == 0:
                    await asyncio.sleep(0)

    def _show(self, account: Account, changes: list[Change]) -> Iterator[MaybeAwaitable]:
        for contact, was, now in changes:
            was_seen = was is not None and was.subscription.has_from
            is_seen = now is not None and now.subscription.has_from
            if is_seen and not was_seen:
                yield from self._presences.show_to(account, contact)
            elif was_seen and not is_seen:
                yield from self._presences.hide_from(account, contact)


Change = tuple[Jid, RosterEntry | None, RosterEntry | None]
"""A contact, and its entry before and after, unlisted ones included."""


def _changes(book: ContactBook, account: Jid, before: GroupView, after: GroupView) -> Iterator[Change]:
    """Give the contacts of an account for whom groups have changed anything."""
    known = after.changes_since(account, before.epoch, before.number) if before.number else None
    contacts = (
        known if known is not None else dict.fromkeys((*before.contacts(account), *after.contacts(account)))
    )
    for contact in contacts:
        own = book.get(contact)
        was = merged(contact, own, before.contact(account, contact))
        now = merged(contact, own, after.contact(account, contact))
        if was != now:
            yield contact, was, now


def _as_listed(entry: RosterEntry | None) -> RosterEntry | None:
    return entry if entry is not None and entry.listed else None
