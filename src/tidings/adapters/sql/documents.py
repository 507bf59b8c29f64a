"""Documents in SQL: one row each, changed only where it still has the version that was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, insert, select, update

from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import documents, key_of
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.ports.documents import Document, DocumentConflict, check_document

_columns = documents.c
_DOCUMENT: Select[tuple[str, bytes, str]] = select(_columns.name, _columns.value, _columns.version)


class SqlDocuments:
    """The documents port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, entity: Jid, namespace: str, key: str) -> Document | None:
        """Give the document, or None."""
        statement = _DOCUMENT.where(_is_named(entity, namespace, key))
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return None if row is None else _document(row)

    async def get_all(self, entity: Jid, namespace: str, keys: Collection[str]) -> dict[str, Document]:
        """Give those that there are."""
        if not keys:
            return {}
        statement = _DOCUMENT.where(
            _columns.entity == key_of(entity), _columns.namespace == namespace, _columns.name.in_(list(keys))
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return {row.name: _document(row) for row in rows}

    async def put(self, entity: Jid, namespace: str, key: str, value: bytes, *, expected: str | None) -> str:
        """Keep this value in place of the expected version."""
        check_document(namespace, key, value)
        version, conflict = token(), DocumentConflict(entity, namespace, key)
        if expected is None:
            row = _row(entity, namespace, key, value, version)
            await self._database.write(
                lambda connection: connection.execute(insert(documents), row), refused=conflict
            )
            return version
        is_as_expected = and_(_is_named(entity, namespace, key), _columns.version == expected)
        statement = update(documents).where(is_as_expected).values(value=value, version=version)

        def work(connection: Connection) -> None:
            if not connection.execute(statement).rowcount:
                raise conflict

        await self._database.write(work)
        return version

    async def make_all(self, entity: Jid, values: Mapping[tuple[str, str], bytes]) -> None:
        """Keep new documents in one transaction."""
        rows = []
        for (namespace, key), value in values.items():
            check_document(namespace, key, value)
            rows.append(_row(entity, namespace, key, value, token()))
        if rows:
            conflict = DocumentConflict(entity, *next(iter(values)))
            await self._database.write(
                lambda connection: connection.execute(insert(documents), rows), refused=conflict
            )

    async def delete(self, entity: Jid, namespace: str, key: str, *, expected: str) -> None:
        """Delete the document in this version."""
        is_as_expected = and_(_is_named(entity, namespace, key), _columns.version == expected)
        statement = delete(documents).where(is_as_expected)

        def work(connection: Connection) -> None:
            if not connection.execute(statement).rowcount:
                raise DocumentConflict(entity, namespace, key)

        await self._database.write(work)

    async def list(
        self, entity: Jid, namespace: str, *, after: str = "", limit: int = 100
    ) -> tuple[Document, ...]:
        """Give a page of the namespace."""
        statement = (
            _DOCUMENT.where(
                _columns.entity == key_of(entity), _columns.namespace == namespace, _columns.name > after
            )
            .order_by(_columns.name)
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(map(_document, rows))

    async def clear(self, entity: Jid) -> int:
        """Delete all documents of an entity."""
        return await self._database.write(lambda connection: clear_documents(connection, entity))


def clear_documents(connection: Connection, entity: Jid) -> int:
    """Delete all documents of an entity in a transaction that has begun; tell how many there were."""
    return connection.execute(delete(documents).where(_columns.entity == key_of(entity))).rowcount


def _row(entity: Jid, namespace: str, key: str, value: bytes, version: str) -> dict[str, object]:
    return {
        "entity": key_of(entity),
        "namespace": namespace,
        "name": key,
        "jid": entity,
        "value": value,
        "version": version,
    }


def _document(row: Row[tuple[str, bytes, str]]) -> Document:
    return Document(row.name, row.value, row.version)


def _is_named(entity: Jid, namespace: str, key: str) -> ColumnElement[bool]:
    return and_(_columns.entity == key_of(entity), _columns.namespace == namespace, _columns.name == key)
