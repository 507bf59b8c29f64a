"""The contacts of an account for operations: through the running server, or in the database alone.

On a running server the contacts feature does it, so that clients are told as of a change of their own.
"""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.contacts import Rosters
from tidings.features.contacts.book import arranged
from tidings.kernel.account import Account, account_of
from tidings.operations.context import Context
from tidings.ports.roster import RosterEntry


async def entries(context: Context, jid: Jid) -> tuple[RosterEntry, ...]:
    """Give the contacts on the roster of an account by address; unlisted requests are left out."""
    found = (await context.stores.roster.load(jid)).entries
    return tuple(sorted((entry for entry in found if entry.listed), key=lambda entry: entry.jid.text))


async def arrange(context: Context, jid: Jid, wanted: RosterEntry) -> None:
    """Put a contact on the roster, or change it; raises StanzaError where there is no room."""
    feature = _feature(context, jid)
    if feature is not None:
        await feature.arrange(await _account(context, jid), wanted)
        return
    store = context.stores.roster
    before = next((entry for entry in (await store.load(jid)).entries if entry.jid == wanted.jid), None)
    await store.put(jid, arranged(before, wanted))


async def remove(context: Context, jid: Jid, contact: Jid) -> None:
    """Take a contact off the roster; raises StanzaError `item-not-found`."""
    feature = _feature(context, jid)
    if feature is not None:
        await feature.remove(await _account(context, jid), contact)
        return
    if all(entry.jid != contact for entry in await entries(context, jid)):
        raise StanzaError("item-not-found", f"{contact} is not on the roster")
    await context.stores.roster.remove(jid, contact)


def _feature(context: Context, jid: Jid) -> Rosters | None:
    host = context.host(jid.domain)
    return None if host is None else host.feature(Rosters)


async def _account(context: Context, jid: Jid) -> Account:
    host = context.host(jid.domain)
    assert host is not None
    return account_of(await host.directory.load(jid))
