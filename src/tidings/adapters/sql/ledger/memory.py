"""A ledger in memory that answers at once, for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from tidings.adapters.sql.engine import open_in_memory
from tidings.adapters.sql.ledger.search import create_search
from tidings.adapters.sql.ledger.store import SqlLedger, now_in_microseconds
from tidings.adapters.sql.tables import metadata


async def open_memory_ledger(now: Callable[[], int] = now_in_microseconds) -> SqlLedger:
    """Open a ledger in memory that answers at once, on the thread of its caller; `close` it at the end."""
    return SqlLedger(open_in_memory(_empty_schema()), now=now)


@lru_cache(maxsize=1)
def _empty_schema() -> bytes:
    """Give an empty database with all tables, as its file would be."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    with engine.connect() as connection:
        create_search(connection)
        connection.commit()
        driver: Any = connection.connection.dbapi_connection
        schema: bytes = driver.serialize()
    engine.dispose()
    return schema
