"""Accounts that are to go, and the names of those that are gone, in SQL."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, update

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import accounts, former_accounts, key_of
from tidings.base.jid import Jid
from tidings.ports.accounts import Removal


class SqlRemovals:
    """The removals port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def schedule(self, jid: Jid, removal: Removal) -> bool:
        """Note that an account is to go."""
        statement = (
            update(accounts)
            .where(accounts.c.account == key_of(jid))
            .values(removal_since=removal.since, removal_due=removal.due)
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def cancel(self, jid: Jid) -> bool:
        """Take that back."""
        statement = (
            update(accounts)
            .where(accounts.c.account == key_of(jid), accounts.c.removal_due.is_not(None))
            .values(removal_since=None, removal_due=None)
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def due(self, now: float, *, limit: int = 100) -> tuple[Jid, ...]:
        """Give accounts whose time has come."""
        statement = (
            select(accounts.c.local, accounts.c.domain)
            .where(accounts.c.removal_due <= now)
            .order_by(accounts.c.removal_due, accounts.c.account)
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(Jid.of(row.local, row.domain) for row in rows)

    async def former(self, jids: Collection[Jid]) -> dict[Jid, float]:
        """Give when accounts were removed."""
        named = {key_of(jid): jid for jid in jids}
        statement = select(former_accounts).where(former_accounts.c.account.in_(list(named)))
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return {named[row.account]: row.removed for row in rows}

    async def forget_former(self, before: float) -> int:
        """Forget the addresses of accounts that were removed before then."""
        statement = delete(former_accounts).where(former_accounts.c.removed < before)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def note_former(connection: Connection, jid: Jid, removed: float) -> None:
    """Note when an account was removed, and nothing else of it."""
    put(connection, former_accounts, {"account": key_of(jid), "removed": removed})


def forget_names(connection: Connection, jids: Collection[Jid]) -> None:
    """Forget that there were accounts of these addresses before, since there are new ones."""
    keys = [key_of(jid) for jid in jids]
    connection.execute(delete(former_accounts).where(former_accounts.c.account.in_(keys)))
