"""The renaming port: an account gets another address, in all stores at once.

Every method may raise `BackendError`. Accounts are named by bare JIDs with a localpart.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec
from msgspec.structs import replace

from tidings.base.jid import Jid
from tidings.ports.ledger.batch import KeysOf
from tidings.ports.roster import RosterEntry, Subscription


class Renamed(msgspec.Struct, frozen=True, kw_only=True):
    """Who else has the new address in place of the former one, so that what is in memory can be read anew."""

    rosters: tuple[Jid, ...] = ()
    """Accounts that have it on their rosters, or its request for them."""
    blocking: tuple[Jid, ...] = ()
    """Accounts that block it."""
    preferences: tuple[Jid, ...] = ()
    """Accounts whose archive preferences name it."""
    rooms: tuple[Jid, ...] = ()
    """Rooms that it is a member of."""


class RenamingStore(Protocol):
    """Moves everything that is stored for an account to another address."""

    async def rename(
        self,
        account: Jid,
        to: Jid,
        *,
        local: Collection[str],
        keys: KeysOf | None = None,
        noted: float | None = None,
    ) -> Renamed:
        """Give an account another address in one transaction, durable on return.

        All that its stores have goes with it: keys, ban, removal, tokens, roster, private XML, vCard, block
        list, preferences, read positions, documents, files, promotions, and its archive as `Ledger.rename`
        says, with `keys`.
        Rosters, block lists and archive preferences of other accounts have the new address in place of the
        former one, with all that they say of it; so have the shared groups of its domain. On another domain
        it is in those groups that an account is in which is made there.
        Contacts of domains that are not `local` know nothing of the new address: they stay on its roster, and
        no subscription is left with them. `noted` is the time with which the former name is kept as that of a
        former account.

        Raises `NoSuchAccount`, `AccountExists`, and `ArchiveInUse` where an earlier owner's archive is not
        empty; then nothing has changed.
        """
        ...


def moved(jid: Jid, account: Jid, to: Jid) -> Jid:
    """Give an address that is this account's, or one of its resources, as that of the new address."""
    if jid.bare != account:
        return jid
    return to.with_resource(jid.resource) if jid.resource else to


def parted(entry: RosterEntry) -> RosterEntry:
    """Give a contact with whom no subscription is left."""
    return replace(entry, subscription=Subscription.NONE, ask=False, approved=False, pending_in=None)
