"""Block lists in SQL."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, select

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import blocked, key_of
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount


class SqlBlocking:
    """The blocking port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, account: Jid) -> frozenset[Jid]:
        """Give all blocked addresses."""
        statement = select(blocked.c.jid).where(blocked.c.account == key_of(account))
        found = await self._database.read(lambda connection: connection.execute(statement).scalars().all())
        return frozenset(Jid(jid) for jid in found)

    async def add(self, account: Jid, jids: Iterable[Jid]) -> None:
        """Block all of these."""
        key = key_of(account)
        # Sorted, so that two writers lock in one order.
        addresses = sorted((key_of(jid), jid) for jid in set(jids))
        rows = [{"account": key, "address": address, "jid": jid} for address, jid in addresses]
        if rows:
            await self._database.write(
                lambda connection: put(connection, blocked, rows), refused=NoSuchAccount(account)
            )

    async def remove(self, account: Jid, jids: Iterable[Jid]) -> None:
        """Unblock all of these."""
        key = key_of(account)
        statement = delete(blocked).where(
            blocked.c.account == key, blocked.c.address == bindparam("blocked_address")
        )
        rows = [{"blocked_address": address} for address in sorted(key_of(jid) for jid in set(jids))]
        if rows:
            await self._database.write(lambda connection: connection.execute(statement, rows))

    async def clear(self, account: Jid) -> None:
        """Unblock everybody."""
        statement = delete(blocked).where(blocked.c.account == key_of(account))
        await self._database.write(lambda connection: connection.execute(statement))
