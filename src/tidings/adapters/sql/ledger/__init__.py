"""Archives in SQL: a group commit on the writer thread, reading by position."""

from tidings.adapters.sql.ledger.store import SqlLedger, open_memory_ledger

__all__ = ["SqlLedger", "open_memory_ledger"]
