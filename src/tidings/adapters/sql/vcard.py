"""vCards in SQL."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import key_of, vcards
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount


class SqlVCards:
    """The vCard port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: Jid) -> bytes | None:
        """Give the vCard element as it was put, or None."""
        statement = select(vcards.c.raw).where(vcards.c.account == key_of(account))
        return await self._database.read(lambda connection: connection.execute(statement).scalar())

    async def put_all(self, vcards_of: Mapping[Jid, bytes]) -> None:
        """Keep the vCards of several accounts in one transaction."""
        rows = [{"account": key_of(jid), "raw": raw} for jid, raw in vcards_of.items()]
        if rows:
            refused = NoSuchAccount(next(iter(vcards_of)))
            await self._database.write(lambda connection: put(connection, vcards, rows), refused=refused)

    async def put(self, account: Jid, raw: bytes) -> None:
        """Keep this raw vCard element in place of the one before."""
        row = {"account": key_of(account), "raw": raw}
        await self._database.write(
            lambda connection: put(connection, vcards, row), refused=NoSuchAccount(account)
        )
