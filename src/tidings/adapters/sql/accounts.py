"""Accounts and tokens in SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, insert, select, update

from tidings.adapters.sql.account_rows import decode_keys, encode_keys, record_of, row_of, summary_of
from tidings.adapters.sql.dialects import contains, put, put_missing
from tidings.adapters.sql.documents import clear_documents
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.files import discard_files
from tidings.adapters.sql.groups import join_everybody, leave_groups
from tidings.adapters.sql.ledger.tables import archives, jids
from tidings.adapters.sql.nodes import clear_nodes, forget_nodes
from tidings.adapters.sql.removals import forget_names, note_former
from tidings.adapters.sql.tables import accounts, fast_tokens, key_of, promotions
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.accounts import (
    EVERY_ACCOUNT,
    TOKEN_DEVICES,
    AccountExists,
    AccountFilter,
    AccountRecord,
    AccountSummary,
    Ban,
    FastToken,
    NoSuchAccount,
    Promotion,
    ScramKeys,
)

_RACES: Final = 5
"""How often several accounts are looked for again, where somebody else has made one of them meanwhile."""

_NEW: Final = 0
_CURRENT: Final = 1

_RECORD: Final[Select[Any]] = select(
    accounts.c.scram_keys,
    accounts.c.created,
    accounts.c.ban_reason,
    accounts.c.banned_since,
    accounts.c.last_activity,
    accounts.c.last_status,
    accounts.c.removal_since,
    accounts.c.removal_due,
).where(accounts.c.account == bindparam("account"))

_SUMMARY: Final = select(
    accounts.c.local,
    accounts.c.domain,
    accounts.c.scram_keys,
    accounts.c.created,
    accounts.c.ban_reason,
    accounts.c.banned_since,
    accounts.c.last_activity,
    accounts.c.removal_since,
    accounts.c.removal_due,
    (archives.c.position - archives.c.first + 1).label("entries"),
    archives.c.octets,
).select_from(  # the key of an account and the digest of its archive are of the same address
    accounts.outerjoin(jids, jids.c.digest == accounts.c.account).outerjoin(
        archives, archives.c.archive == jids.c.id
    )
)

_PROMOTIONS: Final = select(
    accounts.c.local,
    accounts.c.domain.label("home"),
    promotions.c.domain,
    promotions.c.since,
    promotions.c.promoted_by,
).join_from(promotions, accounts, accounts.c.account == promotions.c.account)

_EXISTS: Final = select(accounts.c.account).where(accounts.c.account == bindparam("account"))

_TOKENS: Final = (
    select(fast_tokens.c.slot, fast_tokens.c.mechanism, fast_tokens.c.digest, fast_tokens.c.expires)
    .where(fast_tokens.c.account == bindparam("account"), fast_tokens.c.device == bindparam("device"))
    .order_by(fast_tokens.c.slot)
)

_OTHER_DEVICES: Final = (
    select(fast_tokens.c.device)
    .where(fast_tokens.c.account == bindparam("owner"), fast_tokens.c.device != bindparam("but"))
    .group_by(fast_tokens.c.device)
    .order_by(func.max(fast_tokens.c.expires).desc())
)


class SqlAccounts:
    """The accounts port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, jid: Jid, keys: tuple[ScramKeys, ...], now: float) -> None:
        """Make an account; raises `AccountExists`."""
        row = row_of(AccountRecord(jid=jid, keys=keys, created=now))

        def work(connection: Connection) -> None:
            connection.execute(insert(accounts), row)
            clear_documents(connection, jid)  # what somebody kept of the name while there was no account
            clear_nodes(connection, jid)
            forget_names(connection, [jid])
            join_everybody(connection, (jid,))

        await self._database.write(work, refused=AccountExists(jid))

    async def create_all(self, records: Sequence[AccountRecord]) -> frozenset[Jid]:
        """Make accounts in one transaction; gives those that exist already."""
        if not records:
            return frozenset()

        def work(connection: Connection) -> frozenset[Jid]:
            taken = _existing(connection, [record.jid for record in records])
            new = [record for record in records if record.jid not in taken]
            if new:
                connection.execute(insert(accounts), [row_of(record) for record in new])
                forget_names(connection, [record.jid for record in new])
            for record in new:
                clear_documents(connection, record.jid)
                clear_nodes(connection, record.jid)
            join_everybody(connection, [record.jid for record in new])
            return taken

        for _ in range(_RACES):
            with contextlib.suppress(AccountExists):  # somebody has made one since they were looked for
                return await self._database.write(work, refused=AccountExists(records[0].jid))
        raise BackendError("somebody else makes the same accounts at the same time")

    async def get(self, jid: Jid) -> AccountRecord | None:
        """Give the account, or None."""
        row = await self._database.read(
            lambda connection: connection.execute(_RECORD, {"account": key_of(jid)}).first()
        )
        if row is None:
            return None
        return record_of(jid, row)

    async def exists(self, jid: Jid) -> bool:
        """Tell whether the account exists."""
        row = await self._database.read(
            lambda connection: connection.execute(_EXISTS, {"account": key_of(jid)}).first()
        )
        return row is not None

    async def existing(self, jids: Collection[Jid]) -> frozenset[Jid]:
        """Give those that have accounts."""
        return await self._database.read(lambda connection: _existing(connection, jids))

    async def remove(self, jid: Jid, *, noted: float | None = None, due: float | None = None) -> bool:
        """Remove the account, its documents and nodes and, by the foreign keys, all else of it."""
        statement = delete(accounts).where(accounts.c.account == key_of(jid))
        if due is not None:
            statement = statement.where(accounts.c.removal_due <= due)

        def work(connection: Connection) -> bool:
            if not connection.execute(statement).rowcount:
                return False
            leave_groups(connection, jid)
            clear_documents(connection, jid)
            forget_nodes(connection, jid)
            discard_files(connection, jid)
            if noted is not None:
                note_former(connection, jid, noted)
            return True

        return await self._database.write(work)

    async def set_keys(self, jid: Jid, keys: tuple[ScramKeys, ...]) -> bool:
        """Replace all keys and forget all tokens."""

        def work(connection: Connection) -> bool:
            connection.execute(delete(fast_tokens).where(fast_tokens.c.account == key_of(jid)))
            return _change(connection, jid, {"scram_keys": encode_keys(keys)})

        return await self._database.write(work)

    async def add_keys(self, jid: Jid, keys: tuple[ScramKeys, ...], *, beside: tuple[ScramKeys, ...]) -> bool:
        """Add keys for the password that the account has."""

        def work(connection: Connection) -> bool:
            row = connection.execute(_RECORD.with_for_update(), {"account": key_of(jid)}).first()
            if row is None or decode_keys(row.scram_keys) != beside:
                return False
            return _change(connection, jid, {"scram_keys": encode_keys(beside + keys)})

        return await self._database.write(work)

    async def ban(self, jid: Jid, ban: Ban) -> bool:
        """Keep the account from logging in."""
        values = {"ban_reason": ban.reason, "banned_since": ban.since}
        return await self._database.write(lambda connection: _change(connection, jid, values))

    async def unban(self, jid: Jid) -> bool:
        """Let the account log in again."""
        values = {"ban_reason": None, "banned_since": None}
        return await self._database.write(lambda connection: _change(connection, jid, values))

    async def promote(self, promotion: Promotion) -> bool:
        """Let an account administer a domain."""
        row = {
            "account": key_of(promotion.jid),
            "domain": promotion.domain,
            "since": promotion.since,
            "promoted_by": promotion.by,
        }
        refused = NoSuchAccount(promotion.jid)
        try:
            await self._database.write(
                lambda connection: put_missing(connection, promotions, row), refused=refused
            )
        except NoSuchAccount:
            return False
        return True

    async def demote(self, jid: Jid, domain: str) -> bool:
        """Take that back."""
        statement = delete(promotions).where(
            promotions.c.account == key_of(jid), promotions.c.domain == domain
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def promotions(self) -> tuple[Promotion, ...]:
        """Give all of them."""
        rows = await self._database.read(lambda connection: connection.execute(_PROMOTIONS).all())
        found = (
            Promotion(jid=Jid.of(row.local, row.home), domain=row.domain, since=row.since, by=row.promoted_by)
            for row in rows
        )
        return tuple(sorted(found, key=lambda each: (each.jid.text, each.domain)))

    async def list(self, domain: str, *, after: Jid | None = None, limit: int = 100) -> tuple[Jid, ...]:
        """Give a page of the domain's accounts."""
        start = after.local if after else ""
        statement = (
            select(accounts.c.local)
            .where(accounts.c.domain == domain, accounts.c.local > start)
            .order_by(accounts.c.local)
            .limit(limit)
        )
        found = await self._database.read(lambda connection: connection.execute(statement).scalars().all())
        return tuple(Jid.of(local, domain) for local in found)

    async def summaries(
        self,
        domain: str,
        *,
        chosen: AccountFilter = EVERY_ACCOUNT,
        after: Jid | None = None,
        limit: int = 100,
    ) -> tuple[AccountSummary, ...]:
        """Give a page of the domain's accounts that are chosen."""
        start = after.local if after else ""
        statement = self._choose(_SUMMARY, chosen).where(
            accounts.c.domain == domain, accounts.c.local > start
        )
        statement = statement.order_by(accounts.c.local).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all(), is_long=True)
        return tuple(summary_of(row) for row in rows)

    def _choose(self, statement: Select[Any], chosen: AccountFilter) -> Select[Any]:
        """Restrict a statement to the accounts that are chosen."""
        for wanted, column in (
            (chosen.banned, accounts.c.banned_since),
            (chosen.is_leaving, accounts.c.removal_due),
        ):
            if wanted is not None:
                statement = statement.where(column.is_not(None) if wanted else column.is_(None))
        if chosen.created_before is not None:
            statement = statement.where(accounts.c.created < chosen.created_before)
        if chosen.unseen_since is not None:
            seen = func.coalesce(accounts.c.last_activity, accounts.c.created)
            statement = statement.where(seen < chosen.unseen_since)
        if chosen.part:
            statement = statement.where(contains(self._database.dialect, accounts.c.local, chosen.part))
        return statement

    async def count(self, domain: str) -> int:
        """Count the accounts of the domain."""
        statement = select(func.count()).select_from(accounts).where(accounts.c.domain == domain)
        return await self._database.read(lambda connection: int(connection.execute(statement).scalar_one()))

    async def count_by_domain(self) -> dict[str, int]:
        """Count the accounts of every domain that has any."""
        return await self._database.read(count_by_domain)

    async def touch_last(self, jid: Jid, now: float, status: str = "") -> None:
        """Note when the account was last there."""
        values = {"last_activity": now, "last_status": status}
        await self._database.write(lambda connection: _change(connection, jid, values))

    async def store_token(self, jid: Jid, token: FastToken) -> None:
        """Put a token into the `new` slot of its device."""
        row = {
            "account": key_of(jid),
            "device": key_of(token.device),
            "slot": _NEW,
            "device_id": token.device,
            "mechanism": token.mechanism,
            "digest": token.digest,
            "expires": token.expires,
        }

        def work(connection: Connection) -> None:
            put(connection, fast_tokens, row)
            others = connection.execute(_OTHER_DEVICES, {"owner": row["account"], "but": row["device"]})
            surplus = others.scalars().all()[TOKEN_DEVICES - 1 :]
            if surplus:
                connection.execute(
                    delete(fast_tokens).where(
                        fast_tokens.c.account == row["account"], fast_tokens.c.device.in_(surplus)
                    )
                )

        await self._database.write(work, refused=NoSuchAccount(jid))

    async def tokens(self, jid: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device, the `new` one first."""
        names = {"account": key_of(jid), "device": key_of(device)}
        rows = await self._database.read(lambda connection: connection.execute(_TOKENS, names).all())
        return tuple(
            FastToken(device=device, mechanism=row.mechanism, digest=row.digest, expires=row.expires)
            for row in rows
        )

    async def adopt_token(self, jid: Jid, token: FastToken) -> bool:
        """Note that the device has used this token."""
        names = {"account": key_of(jid), "device": key_of(token.device)}
        slots = and_(fast_tokens.c.account == names["account"], fast_tokens.c.device == names["device"])

        def work(connection: Connection) -> bool:
            held = {row.digest: row.slot for row in connection.execute(_TOKENS.with_for_update(), names)}
            slot = held.get(token.digest)
            if slot == _NEW:
                connection.execute(delete(fast_tokens).where(slots, fast_tokens.c.slot == _CURRENT))
                connection.execute(update(fast_tokens).where(slots).values(slot=_CURRENT))
            return slot is not None

        return await self._database.write(work)

    async def remove_tokens(self, jid: Jid, device: str | None = None) -> int:
        """Forget the tokens of one device, or of all."""
        statement = delete(fast_tokens).where(fast_tokens.c.account == key_of(jid))
        if device is not None:
            statement = statement.where(fast_tokens.c.device == key_of(device))
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)

    async def remove_expired_tokens(self, now: float) -> int:
        """Forget every token that ended before `now`."""
        statement = delete(fast_tokens).where(fast_tokens.c.expires < now)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def count_by_domain(connection: Connection) -> dict[str, int]:
    """Count the accounts of every domain that has any."""
    statement = select(accounts.c.domain, func.count()).group_by(accounts.c.domain)
    return {domain: int(count) for domain, count in connection.execute(statement)}


def _change(connection: Connection, jid: Jid, values: Mapping[str, Any]) -> bool:
    """Change the row of an account; tell whether there is one."""
    return (
        connection.execute(update(accounts).where(accounts.c.account == key_of(jid)).values(values)).rowcount
        > 0
    )


def _existing(connection: Connection, jids: Collection[Jid]) -> frozenset[Jid]:
    named = {key_of(jid): jid for jid in jids}
    found = select(accounts.c.account).where(accounts.c.account.in_(list(named)))
    return frozenset(named[key] for key in connection.execute(found).scalars())
