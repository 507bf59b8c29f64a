"""Rosters in SQL: a head row with the version, a row per contact, tombstones included.

A write locks the head row first, so that the numbers of a roster are dense with any number of writers.
`changed` of a contact is the number of its last visible change and outlives what replaces it: an unlisted
entry over a tombstone is still told as a removal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, delete, or_, select, update

from tidings.adapters.sql.dialects import put, put_missing
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import accounts, key_of, roster_entries, rosters
from tidings.base import ids
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.roster import (
    HISTORY,
    UNTOUCHED,
    Roster,
    RosterChange,
    RosterEntry,
    RosterRemoval,
    Subscription,
    is_answerable,
    is_visible_change,
    parse_version,
    write_version,
)

_encode_groups: Final = msgspec.json.Encoder(order="sorted").encode
_decode_groups: Final = msgspec.json.Decoder(frozenset[str]).decode

_SUBSCRIPTIONS: Final = {str(subscription): subscription for subscription in Subscription}

_SHOWN: Final = [column for column in roster_entries.c if column.name not in {"account", "contact"}]

_HEAD: Final = select(rosters.c.epoch, rosters.c.number).where(rosters.c.account == bindparam("account"))

_ENTRY: Final = select(*_SHOWN).where(
    roster_entries.c.account == bindparam("account"), roster_entries.c.contact == bindparam("contact")
)

# One statement each, so that the version and the entries are of one moment.
_WHOLE: Final = (
    select(rosters.c.epoch, rosters.c.number, *_SHOWN)
    .select_from(
        rosters.outerjoin(
            roster_entries,
            and_(roster_entries.c.account == rosters.c.account, roster_entries.c.removed.is_(False)),
        )
    )
    .where(rosters.c.account == bindparam("account"))
)
_CHANGES: Final = (
    select(rosters.c.epoch, rosters.c.number, roster_entries.c.changed, *_SHOWN)
    .select_from(
        rosters.outerjoin(
            roster_entries,
            and_(
                roster_entries.c.account == rosters.c.account, roster_entries.c.changed > bindparam("known")
            ),
        )
    )
    .where(rosters.c.account == bindparam("account"))
    .order_by(roster_entries.c.changed)
)


class SqlRoster:
    """The roster port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, account: Jid) -> Roster:
        """Give the whole roster."""

        def work(connection: Connection) -> Roster:
            rows = connection.execute(_WHOLE, {"account": key_of(account)}).all()
            if not rows:
                return Roster(UNTOUCHED)
            entries = tuple(_entry(row) for row in rows if row.jid is not None)
            return Roster(write_version(rows[0].epoch, rows[0].number), entries)

        return await self._database.read(work)

    async def put(self, account: Jid, entry: RosterEntry) -> str:
        """Add the entry or replace the one of the same contact."""
        return await self._database.write(
            lambda connection: put_entry(connection, account, entry), refused=NoSuchAccount(account)
        )

    async def put_all(self, rosters_of: Mapping[Jid, Sequence[RosterEntry]]) -> None:
        """Put the entries of several accounts in one transaction."""

        def work(connection: Connection) -> None:
            for account, entries in rosters_of.items():
                for entry in entries:
                    put_entry(connection, account, entry)

        if rosters_of:
            await self._database.write(work, refused=NoSuchAccount(next(iter(rosters_of))))

    async def remove(self, account: Jid, contact: Jid) -> str:
        """Remove the entry if there is one."""
        return await self._database.write(
            lambda connection: remove_entry(connection, account, contact), refused=NoSuchAccount(account)
        )

    async def changes_since(self, account: Jid, version: str) -> tuple[RosterChange, ...] | None:
        """Give what changed, or None when that cannot be told."""
        known = parse_version(version)
        if known is None:
            return None

        def work(connection: Connection) -> tuple[RosterChange, ...] | None:
            rows = connection.execute(_CHANGES, {"account": key_of(account), "known": known[1]}).all()
            epoch, number = (rows[0].epoch, rows[0].number) if rows else ("", 0)
            if not is_answerable(known, epoch=epoch, number=number):
                return None
            return tuple(
                RosterChange(
                    write_version(epoch, row.changed),
                    RosterRemoval(Jid(row.jid)) if row.removed or not row.listed else _entry(row),
                )
                for row in rows
                if row.jid is not None
            )

        return await self._database.read(work)


def entries_of(connection: Connection, account: Jid) -> tuple[RosterEntry, ...]:
    """Give all entries of an account, in a transaction that has begun."""
    statement = select(*_SHOWN).where(
        roster_entries.c.account == key_of(account), roster_entries.c.removed.is_(False)
    )
    return tuple(_entry(row) for row in connection.execute(statement).all())


def entries_with(connection: Connection, contact: Jid) -> list[tuple[Jid, RosterEntry]]:
    """Give the accounts that have a contact, and what they have of it; reads all rosters for that."""
    statement = (
        select(accounts.c.local, accounts.c.domain, *_SHOWN)
        .join_from(roster_entries, accounts, accounts.c.account == roster_entries.c.account)
        .where(roster_entries.c.contact == key_of(contact), roster_entries.c.removed.is_(False))
        .order_by(roster_entries.c.account)
    )
    return [(Jid.of(row.local, row.domain), _entry(row)) for row in connection.execute(statement).all()]


def put_entry(connection: Connection, account: Jid, entry: RosterEntry) -> str:
    """Add the entry or replace the one of the same contact; give the version of the roster after it."""
    epoch, number = _lock(connection, account)
    names = {"account": key_of(account), "contact": key_of(entry.jid)}
    before = connection.execute(_ENTRY, names).first()
    changed = before.changed if before else 0
    if is_visible_change(_entry(before) if before and not before.removed else None, entry):
        number = changed = number + 1
        _set_number(connection, account, number)
    put(connection, roster_entries, _row(account, entry, changed))
    return write_version(epoch, number)


def remove_entry(connection: Connection, account: Jid, contact: Jid) -> str:
    """Remove the entry of a contact if there is one; give the version of the roster after it."""
    epoch, number = _lock(connection, account)
    before = connection.execute(_ENTRY, {"account": key_of(account), "contact": key_of(contact)}).first()
    if before is None or before.removed:
        return write_version(epoch, number)
    changed = before.changed
    if is_visible_change(_entry(before), None):
        number = changed = number + 1
        _set_number(connection, account, number)
    tombstone = _row(account, RosterEntry(jid=contact, listed=False), changed, removed=True)
    put(connection, roster_entries, tombstone)
    _prune(connection, account, number)
    return write_version(epoch, number)


def _lock(connection: Connection, account: Jid) -> tuple[str, int]:
    """Lock the head row of a roster, made when it is missing, and give its epoch and number."""
    names = {"account": key_of(account)}
    head = connection.execute(_HEAD.with_for_update(), names).first()
    if head is None:
        put_missing(connection, rosters, {**names, "epoch": ids.token(6), "number": 0})
        head = connection.execute(_HEAD.with_for_update(), names).one()
    return head.epoch, head.number


def _set_number(connection: Connection, account: Jid, number: int) -> None:
    connection.execute(update(rosters).where(rosters.c.account == key_of(account)).values(number=number))


def _prune(connection: Connection, account: Jid, number: int) -> None:
    """Drop the tombstones that no answer needs."""
    old = or_(roster_entries.c.changed == 0, roster_entries.c.changed <= number - HISTORY)
    connection.execute(
        delete(roster_entries).where(
            roster_entries.c.account == key_of(account), roster_entries.c.removed.is_(True), old
        )
    )


def _row(account: Jid, entry: RosterEntry, changed: int, *, removed: bool = False) -> dict[str, object]:
    return {
        "account": key_of(account),
        "contact": key_of(entry.jid),
        "jid": entry.jid,
        "name": entry.name,
        "groups": _encode_groups(entry.groups) if entry.groups else b"",
        "subscription": str(entry.subscription),
        "ask": entry.ask,
        "approved": entry.approved,
        "pending_in": entry.pending_in,
        "listed": entry.listed,
        "changed": changed,
        "removed": removed,
    }


def _entry(row: Row[tuple[object, ...]]) -> RosterEntry:
    return RosterEntry(
        jid=Jid(row.jid),
        name=row.name,
        groups=_decode_groups(row.groups) if row.groups else frozenset(),
        subscription=_SUBSCRIPTIONS[row.subscription],
        ask=row.ask,
        approved=row.approved,
        pending_in=row.pending_in,
        listed=row.listed,
    )
