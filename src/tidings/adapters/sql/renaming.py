"""An account that gets another address, in SQL: one transaction over all tables that have addresses.

What hangs on the account is moved from its former row to the new one. What other accounts have of it is
looked for in whole tables: that reads them once, and is done seldom.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Column, Connection, Table, delete, insert, or_, select, update

from tidings.adapters.sql.dialects import contains, put
from tidings.adapters.sql.documents import clear_documents
from tidings.adapters.sql.files import move_files
from tidings.adapters.sql.groups import rename_member
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.nodes import forget_nodes, move_nodes
from tidings.adapters.sql.removals import forget_names, note_former
from tidings.adapters.sql.roster import entries_of, entries_with, put_entry, remove_entry
from tidings.adapters.sql.tables import (
    accounts,
    archive_preferences,
    blocked,
    displayed_positions,
    documents,
    fast_tokens,
    key_of,
    private_elements,
    promotions,
    roster_entries,
    rosters,
    vcard_words,
    vcards,
)
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountExists, NoSuchAccount
from tidings.ports.ledger.batch import KeysOf
from tidings.ports.renaming import Renamed, moved, parted
from tidings.wire.xmpp.readdressing import readdressed

_HANGING: Final[tuple[Table, ...]] = (
    promotions,
    fast_tokens,
    rosters,
    roster_entries,
    private_elements,
    displayed_positions,
    vcards,
    vcard_words,
    blocked,
    archive_preferences,
)


class SqlRenaming:
    """The renaming port over a database."""

    def __init__(self, ledger: SqlLedger) -> None:
        self._ledger = ledger

    async def rename(
        self,
        account: Jid,
        to: Jid,
        *,
        local: Collection[str],
        keys: KeysOf | None = None,
        noted: float | None = None,
    ) -> Renamed:
        """Give an account another address."""

        def work(connection: Connection) -> Renamed:
            return _rename(connection, account, to, local, noted)

        found, rooms = await self._ledger.rename_beside(account, to, work, keys, refused=AccountExists(to))
        return replace(found, rooms=rooms)


def _rename(
    connection: Connection, account: Jid, to: Jid, local: Collection[str], noted: float | None
) -> Renamed:
    old, new = key_of(account), key_of(to)
    found = connection.execute(select(accounts).where(accounts.c.account == old).with_for_update())
    row = found.mappings().first()
    if row is None:
        raise NoSuchAccount(account)
    if connection.execute(select(accounts.c.account).where(accounts.c.account == new)).first() is not None:
        raise AccountExists(to)
    connection.execute(insert(accounts), {**row, "account": new, "local": to.local, "domain": to.domain})
    for table in _HANGING:
        connection.execute(update(table).where(table.c.account == old).values(account=new))
    of_words = update(vcard_words).where(vcard_words.c.account == new)
    connection.execute(of_words.values(domain=to.domain))
    connection.execute(delete(accounts).where(accounts.c.account == old))
    clear_documents(connection, to)  # what somebody kept of the name while there was no account
    connection.execute(update(documents).where(documents.c.entity == old).values(entity=new, jid=to))
    forget_nodes(connection, to)
    move_nodes(connection, account, to)
    forget_names(connection, [to])
    if noted is not None:
        note_former(connection, account, noted)
    rename_member(connection, account, to)
    move_files(connection, account, to)
    _part_from_strangers(connection, to, local)
    _move_positions(connection, account, to)
    return Renamed(
        rosters=_move_contact(connection, account, to),
        blocking=_move_blocked(connection, account, to),
        preferences=_move_preferences(connection, account, to),
    )


def _part_from_strangers(connection: Connection, to: Jid, local: Collection[str]) -> None:
    """Leave no subscription with contacts of other servers, who know nothing of the new address."""
    for entry in entries_of(connection, to):
        if entry.jid.domain not in local:
            put_entry(connection, to, parted(entry)) if entry.listed else remove_entry(
                connection, to, entry.jid
            )
        elif entry.pending_in is not None:
            put_entry(connection, to, replace(entry, pending_in=readdressed(entry.pending_in, to=to)))


def _move_contact(connection: Connection, account: Jid, to: Jid) -> tuple[Jid, ...]:
    """Put the new address on the rosters that have the former one, in its place."""
    found = []
    for owner, entry in entries_with(connection, account):
        request = entry.pending_in
        pending = None if request is None else readdressed(request, sender=to)
        remove_entry(connection, owner, account)
        put_entry(connection, owner, replace(entry, jid=to, pending_in=pending))
        found.append(owner)
    return tuple(found)


def _move_blocked(connection: Connection, account: Jid, to: Jid) -> tuple[Jid, ...]:
    """Block the new address, and its resources, where the former one is blocked."""
    found: dict[Jid, None] = {}
    for owner, jid in _rows_with(connection, blocked, account.text, blocked.c.jid):
        address = Jid(jid)
        if address.bare != account:
            continue
        now = moved(address, account, to)
        key = key_of(owner)
        connection.execute(
            delete(blocked).where(blocked.c.account == key, blocked.c.address == key_of(address))
        )
        put(connection, blocked, {"account": key, "address": key_of(now), "jid": now})
        found[owner] = None
    return tuple(found)


def _move_preferences(connection: Connection, account: Jid, to: Jid) -> tuple[Jid, ...]:
    """Name the new address in archive preferences that name the former one."""
    found, columns = [], archive_preferences.c
    written = msgspec.json.encode(account.text)[:-1]  # there may be a resource behind it
    for owner, *lists in _rows_with(connection, archive_preferences, written, columns.always, columns.never):
        before = [msgspec.json.decode(each, type=list[str]) for each in lists]
        after = [
            list(dict.fromkeys(moved(Jid(each), account, to).text for each in listed)) for listed in before
        ]
        if before == after:
            continue
        always, never = map(msgspec.json.encode, after)
        connection.execute(
            update(archive_preferences)
            .where(columns.account == key_of(owner))
            .values(always=always, never=never)
        )
        found.append(owner)
    return tuple(found)


def _move_positions(connection: Connection, account: Jid, to: Jid) -> None:
    """Let read positions be those of the new address: of chats with it, and in its own archive."""
    columns = displayed_positions.c
    connection.execute(
        update(displayed_positions)
        .where(columns.account == key_of(to), columns.archive == account.text)
        .values(archive=to)
    )
    with_old = columns.chat == key_of(account)
    owners = connection.execute(select(columns.account).where(with_old)).scalars().all()
    if owners:
        connection.execute(
            delete(displayed_positions).where(columns.chat == key_of(to), columns.account.in_(owners))
        )
        connection.execute(update(displayed_positions).where(with_old).values(chat=key_of(to), jid=to))


def _rows_with(
    connection: Connection, table: Table, part: str | bytes, *columns: Column[Any]
) -> list[tuple[Any, ...]]:
    """Give owner and columns of the rows of which a column has this part."""
    dialect = connection.dialect.name
    has_it = or_(*(contains(dialect, column, part) for column in columns))
    statement = (
        select(accounts.c.local, accounts.c.domain, *columns)
        .join_from(table, accounts, accounts.c.account == table.c.account)
        .where(has_it)
        .order_by(table.c.account)
    )
    return [(Jid.of(row[0], row[1]), *row[2:]) for row in connection.execute(statement)]
