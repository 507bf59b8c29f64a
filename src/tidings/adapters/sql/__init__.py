"""Stores in a SQL database: SQLite by default, PostgreSQL, MySQL and MariaDB by the same code."""

from tidings.adapters.sql.engine import Database, open_database
from tidings.adapters.sql.examine import DatabaseReport, examine
from tidings.adapters.sql.stores import SqlStores, open_stores

__all__ = ["Database", "DatabaseReport", "SqlStores", "examine", "open_database", "open_stores"]
