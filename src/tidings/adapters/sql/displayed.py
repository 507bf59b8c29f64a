"""Displayed positions in SQL: one row each, so that a publication writes one, however many there are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import displayed_positions, key_of
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.displayed import Displayed, leaving

_columns = displayed_positions.c

_OTHERS: Final = (_columns.account == bindparam("owner")) & (_columns.chat != bindparam("but"))

_USED: Final = select(
    func.count(), func.coalesce(func.sum(_columns.octets), 0), func.coalesce(func.max(_columns.changed), 0)
).where(_OTHERS)

_OLDEST: Final = select(_columns.chat, _columns.octets).where(_OTHERS).order_by(_columns.changed)


class SqlDisplayed:
    """The displayed port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, account: Jid, chats: Collection[Jid] = ()) -> tuple[Displayed, ...]:
        """Give the positions of these chats, or all."""
        statement = select(_columns.jid, _columns.stanza_id, _columns.archive).where(
            _columns.account == key_of(account)
        )
        if chats:
            statement = statement.where(_columns.chat.in_([key_of(chat) for chat in chats]))
        statement = statement.order_by(_columns.changed)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(Displayed(Jid(row.jid), row.stanza_id, Jid(row.archive)) for row in rows)

    async def put(self, account: Jid, displayed: Displayed, *, chats: int, octets: int) -> None:
        """Keep a position; the oldest leave for it."""
        names = {"owner": key_of(account), "but": key_of(displayed.chat)}

        def work(connection: Connection) -> None:
            number, used, last = connection.execute(_USED, names).one()
            row = {
                "account": names["owner"],
                "chat": names["but"],
                "jid": displayed.chat,
                "stanza_id": displayed.id,
                "archive": displayed.by,
                "octets": displayed.octets,
                "changed": last + 1,
            }
            put(connection, displayed_positions, row)
            if number + 1 > chats or used + displayed.octets > octets:
                others = [(each.chat, each.octets) for each in connection.execute(_OLDEST, names)]
                gone = leaving(others, chats - 1, octets - displayed.octets)
                connection.execute(
                    delete(displayed_positions).where(
                        _columns.account == names["owner"], _columns.chat.in_(gone)
                    )
                )

        await self._database.write(work, refused=NoSuchAccount(account))
