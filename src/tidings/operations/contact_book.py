"""The contacts of an account for operations: through the running server, or in the database alone.

On a running server the contacts feature does it, so that clients are told as of a change of their own.
"""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.contacts import Rosters
from tidings.features.contacts.book import Arrangement
from tidings.features.contacts.group_view import GroupView, merged, only_shared
from tidings.features.contacts.subscription import State
from tidings.kernel.account import Account, account_of
from tidings.kernel.maybe_awaitable import until_done
from tidings.operations.context import Context
from tidings.ports.roster import RosterEntry, RosterStore


async def entries(context: Context, jid: Jid) -> tuple[RosterEntry, ...]:
    """Give the contacts on the roster of an account by address; unlisted requests are left out."""
    found = (await context.stores.roster.load(jid)).entries
    return tuple(sorted((entry for entry in found if entry.listed), key=lambda entry: entry.jid.text))


async def shown(context: Context, jid: Jid) -> tuple[tuple[RosterEntry, frozenset[str]], ...]:
    """Give the roster of an account as clients see it, by address, each with what shared groups call it."""
    view = await _groups(context, jid.domain)
    own = {entry.jid: entry for entry in (await context.stores.roster.load(jid)).entries}
    found = []
    for contact in {*own, *view.contacts(jid)}:
        shared = view.contact(jid, contact)
        entry = merged(contact, own.get(contact), shared)
        if entry is not None and entry.listed:
            found.append((entry, frozenset() if shared is None else shared.labels))
    return tuple(sorted(found, key=lambda each: each[0].jid.text))


async def _groups(context: Context, domain: str) -> GroupView:
    host = context.host(domain)
    feature = None if host is None else host.feature(Rosters)
    if feature is not None:
        return feature.groups.now
    stored = await context.stores.groups.load(domain)
    return GroupView(stored, stored.memberships)


async def arrange(context: Context, *wanted: tuple[Jid, Arrangement]) -> None:
    """Put contacts on the rosters of accounts, or change them; then show who is there to who may see it now.

    Raises StanzaError where there is no room; in the database alone, that is not looked at.
    """
    done: list[tuple[Rosters, Account, Jid, tuple[State, State]]] = []
    for jid, each in wanted:
        feature = _feature(context, jid)
        if feature is None:
            await _arrange_stored(context.stores.roster, jid, each)
        else:
            account = await _account(context, jid)
            done.append((feature, account, each.contact, await feature.arrange(account, each)))
    for feature, account, contact, states in done:
        await until_done(feature.show_arranged(account, contact, *states))


async def _arrange_stored(store: RosterStore, jid: Jid, wanted: Arrangement) -> None:
    found = (entry for entry in (await store.load(jid)).entries if entry.jid == wanted.contact)
    await store.put(jid, wanted.applied_to(next(found, None)))


async def remove(context: Context, jid: Jid, contact: Jid) -> None:
    """Take a contact off the roster; raises StanzaError `item-not-found`, and `not-allowed` for a group's."""
    feature = _feature(context, jid)
    if feature is not None:
        await feature.remove(await _account(context, jid), contact)
        return
    if all(entry.jid != contact for entry in await entries(context, jid)):
        shared = (await _groups(context, jid.domain)).contact(jid, contact)
        if shared is not None and shared.is_listed:
            raise only_shared(contact, shared)
        raise StanzaError("item-not-found", f"{contact} is not on the roster")
    await context.stores.roster.remove(jid, contact)


def _feature(context: Context, jid: Jid) -> Rosters | None:
    host = context.host(jid.domain)
    return None if host is None else host.feature(Rosters)


async def _account(context: Context, jid: Jid) -> Account:
    host = context.host(jid.domain)
    assert host is not None
    return account_of(await host.directory.load(jid))
