"""vCards in SQL, with the words by which they are found, which are put in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
)

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import accounts, key_of, vcard_words, vcards
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.vcard import (
    MOST_CONSIDERED,
    FoundVCard,
    SearchField,
    WantedWord,
    search_fields,
    words_of,
)

_LAST: Final = "\U0010ffff"
"""No word has this letter, and it comes behind all others."""
_COUNTED: Final = 1_000
_words = vcard_words.c


class SqlVCards:
    """The vCard port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: Jid) -> bytes | None:
        """Give the vCard element as it was put, or None."""
        statement = select(vcards.c.raw).where(vcards.c.account == key_of(account))
        return await self._database.read(lambda connection: connection.execute(statement).scalar())

    async def put_all(self, vcards_of: Mapping[Jid, bytes]) -> None:
        """Keep the vCards of several accounts in one transaction."""
        if vcards_of:
            refused = NoSuchAccount(next(iter(vcards_of)))
            await self._database.write(lambda connection: _put(connection, vcards_of), refused=refused)

    async def put(self, account: Jid, raw: bytes) -> None:
        """Keep this raw vCard element in place of the one before."""
        refused = NoSuchAccount(account)
        await self._database.write(lambda connection: _put(connection, {account: raw}), refused=refused)

    async def search(
        self, domain: str, wanted: tuple[WantedWord, ...], *, limit: int
    ) -> tuple[FoundVCard, ...]:
        """Find accounts of a domain."""

        def work(connection: Connection) -> tuple[FoundVCard, ...]:
            first, *others = _rarest_first(connection, domain, wanted)
            some = _having(domain, first).limit(MOST_CONSIDERED).subquery()
            found = (
                select(some.c.account)
                .join(accounts, accounts.c.account == some.c.account)
                .where(accounts.c.removal_due.is_(None))
                .distinct()
                .limit(limit)
            )
            for each in others:
                of_same = vcard_words.alias()
                is_same = of_same.c.account == some.c.account
                found = found.where(exists().where(is_same, _begins(of_same, each)))
            return _shown(connection, connection.execute(found).scalars().all())

        return await self._database.read(work)


def words_in(account: Jid, raw: bytes) -> list[dict[str, Any]]:
    """Give the rows by which a vCard is found."""
    return [
        {
            "account": key_of(account),
            "field": field.value,
            "word": word,
            "domain": account.domain,
            "value": text,
        }
        for field, text in search_fields(raw).items()
        for word in words_of(field, text)
    ]


def _put(connection: Connection, raws: Mapping[Jid, bytes]) -> None:
    put(connection, vcards, [{"account": key_of(jid), "raw": raw} for jid, raw in raws.items()])
    connection.execute(delete(vcard_words).where(_words.account.in_([key_of(jid) for jid in raws])))
    if rows := [row for jid, raw in raws.items() for row in words_in(jid, raw)]:
        connection.execute(insert(vcard_words), rows)


def _having(domain: str, wanted: WantedWord) -> Select[tuple[bytes]]:
    """Give the accounts of a domain that have a word; those that have several such, several times."""
    return select(_words.account).where(_words.domain == domain, _begins(vcard_words, wanted))


def _rarest_first(
    connection: Connection, domain: str, wanted: tuple[WantedWord, ...]
) -> tuple[WantedWord, ...]:
    """Begin with the word that the fewest have; above some number it does not matter which."""
    if len(wanted) == 1:
        return wanted

    def count(each: WantedWord) -> int:
        some = _having(domain, each).limit(_COUNTED).subquery()
        return connection.execute(select(func.count()).select_from(some)).scalar_one()

    return tuple(sorted(wanted, key=count))


def _begins(words: FromClause, wanted: WantedWord) -> ColumnElement[bool]:
    word = words.c.word
    return and_(words.c.field == wanted.field.value, word >= wanted.start, word < wanted.start + _LAST)


def _shown(connection: Connection, keys: Iterable[bytes]) -> tuple[FoundVCard, ...]:
    rows = connection.execute(
        select(accounts.c.local, accounts.c.domain, _words.field, _words.value)
        .join(accounts, accounts.c.account == _words.account)
        .where(_words.account.in_(list(keys)))
    )
    values: dict[tuple[str, str], dict[SearchField, str]] = {}
    for local, domain, field, value in rows:
        values.setdefault((local, domain), {})[SearchField(field)] = value
    return tuple(FoundVCard(Jid(f"{local}@{domain}"), said) for (local, domain), said in values.items())
