"""Archives in SQL: a group commit on the writer thread, reading by position."""

from tidings.adapters.sql.ledger.memory import open_memory_ledger
from tidings.adapters.sql.ledger.store import SqlLedger

__all__ = ["SqlLedger", "open_memory_ledger"]
