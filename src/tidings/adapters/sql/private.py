"""Private XML in SQL."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import key_of, private_elements
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount


class SqlPrivate:
    """The private storage port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: Jid, namespace: str, name: str) -> bytes | None:
        """Give the element as it was put, or None."""
        statement = select(private_elements.c.raw).where(
            private_elements.c.account == key_of(account),
            private_elements.c.element == key_of(namespace, name),
        )
        return await self._database.read(lambda connection: connection.execute(statement).scalar())

    async def put(self, account: Jid, namespace: str, name: str, raw: bytes) -> None:
        """Keep this raw element in place of the one before."""
        row = {
            "account": key_of(account),
            "element": key_of(namespace, name),
            "namespace": namespace,
            "name": name,
            "raw": raw,
        }
        await self._database.write(
            lambda connection: put(connection, private_elements, row), refused=NoSuchAccount(account)
        )

    async def remove(self, account: Jid, namespace: str, name: str) -> None:
        """Keep this element no more."""
        statement = delete(private_elements).where(
            private_elements.c.account == key_of(account),
            private_elements.c.element == key_of(namespace, name),
        )
        await self._database.write(lambda connection: connection.execute(statement))

    async def sizes(self, account: Jid) -> dict[tuple[str, str], int]:
        """Give the octets of every element."""
        columns = private_elements.c
        statement = select(columns.namespace, columns.name, func.length(columns.raw).label("octets")).where(
            columns.account == key_of(account)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return {(row.namespace, row.name): row.octets for row in rows}
