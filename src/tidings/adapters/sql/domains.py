"""Domains in SQL: one row a domain."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import domains
from tidings.base.jid import Jid
from tidings.ports.domains import DomainExists, DomainRecord, DomainState

_columns = domains.c
_RECORD = select(_columns.domain, _columns.state, _columns.created, _columns.admins)


class SqlDomains:
    """The domains port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: DomainRecord) -> None:
        """Keep a domain; raises `DomainExists`."""
        row = {
            "domain": record.domain,
            "state": record.state.value,
            "created": record.created,
            "admins": msgspec.json.encode([str(admin) for admin in record.admins]),
        }
        before = await self.get(record.domain)
        state = before.state if before is not None else DomainState.ENABLED  # another process was faster
        await self._database.write(
            lambda connection: connection.execute(insert(domains), row),
            refused=DomainExists(record.domain, state),
        )

    async def get(self, domain: str) -> DomainRecord | None:
        """Give a domain, or None."""
        statement = _RECORD.where(_columns.domain == domain)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return None if row is None else _record(*row)

    async def list(self) -> tuple[DomainRecord, ...]:
        """Give all domains by name."""
        statement = _RECORD.order_by(_columns.domain)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(_record(*row) for row in rows)

    async def set_state(self, domain: str, state: DomainState) -> bool:
        """Change the state of a domain, unless it is being removed."""
        known = select(_columns.state).where(_columns.domain == domain).with_for_update()
        change = update(domains).where(_columns.domain == domain).values(state=state.value)

        def work(connection: Connection) -> bool:
            before = connection.execute(known).scalar()
            if before is None or (before == DomainState.REMOVING.value and before != state.value):
                return False
            connection.execute(change)
            return True

        return await self._database.write(work)

    async def remove(self, domain: str) -> bool:
        """Forget a domain."""
        statement = delete(domains).where(_columns.domain == domain)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)


def _record(domain: str, state: str, created: float, admins: bytes) -> DomainRecord:
    return DomainRecord(
        domain=domain,
        state=DomainState(state),
        created=created,
        admins=tuple(map(Jid, msgspec.json.decode(admins, type=list[str]))),
    )
