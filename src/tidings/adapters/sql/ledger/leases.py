"""Leases: which of several owners does a piece of work now.

A lease is a row by name with the token of its owner and the time until which nobody else may take it. The
times of several machines are compared, so theirs must agree within a few seconds.
"""

from __future__ import annotations

from typing import Final

from tidings.adapters.sql.ledger.statements import Sql

_SECOND: Final = 1_000_000


def take_lease(sql: Sql, name: str, owner: str, now: int, seconds: float) -> bool:
    """Take a lease or make it longer; False while another owner has it."""
    sql.add("leases", [(name.encode(), b"", 0)])
    statement = (
        "UPDATE leases SET owner = ?, leased_until = ? WHERE name = ? AND (owner = ? OR leased_until < ?)"
    )
    until = now + int(seconds * _SECOND)
    octets = owner.encode()
    taken = sql.run(statement, octets, until, name.encode(), octets, now).rowcount
    if taken:
        return True
    # MySQL counts changed rows only, and a second take in the same moment changes nothing.
    return has_lease(sql, name, owner)


def has_lease(sql: Sql, name: str, owner: str) -> bool:
    """Tell whether the lease is this owner's; nobody takes it before this transaction ends."""
    select = f"SELECT owner FROM leases WHERE name = ?{sql.locked}"  # noqa: S608  # ours
    return bytes(sql.run(select, name.encode()).scalar() or b"") == owner.encode()


def release_lease(sql: Sql, name: str, owner: str) -> None:
    """Give a lease back, if it is this owner's."""
    statement = "UPDATE leases SET owner = ?, leased_until = 0 WHERE name = ? AND owner = ?"
    sql.run(statement, b"", name.encode(), owner.encode())
