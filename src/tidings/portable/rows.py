"""Rows of another server's SQL database, read some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import MetaData, RowMapping, Select, Table, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from tidings.adapters.sql.urls import describe, parse_url
from tidings.portable.errors import PortableError

_AT_ONCE: Final = 500


class Rows:
    """A database that is only read; every method may raise `PortableError`."""

    def __init__(self, url: str) -> None:
        """Begin; `url` is as that of [database]. Nothing is asked yet."""
        parsed = parse_url(url)
        self.place = describe(parsed)
        self._engine = create_engine(parsed)

    def tables(self, names: Iterable[str]) -> dict[str, Table]:
        """Give those of the tables that there are, with their columns."""
        metadata = MetaData()
        try:
            present = set(inspect(self._engine).get_table_names())
            return {
                name: Table(name, metadata, autoload_with=self._engine) for name in names if name in present
            }
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    def select(self, wanted: Select[Any]) -> Iterator[RowMapping]:
        """Give the rows of a query."""
        try:
            with self._engine.connect() as connection:
                streaming = connection.execution_options(stream_results=True, yield_per=_AT_ONCE)
                yield from streaming.execute(wanted).mappings()
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: SQLAlchemyError) -> PortableError:
        return PortableError(f"{self.place} cannot be read: {error}")
