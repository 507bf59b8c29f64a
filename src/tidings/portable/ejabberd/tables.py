"""The tables that ejabberd and MongooseIM, which began as ejabberd, have in common.

A table says whose a row is by the name alone, where the database is of one domain, or by name and domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from sqlalchemy import RowMapping, Select, Table, select

from tidings.base.jid import Jid, JidError
from tidings.portable.account import PortableAccount, PrivateFragment
from tidings.portable.ejabberd.values import Contact
from tidings.portable.errors import PortableError
from tidings.portable.roster import contacts_of
from tidings.portable.rows import Rows
from tidings.ports.roster import RosterEntry
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns

NAMES: Final = (
    "users",
    "last",
    "rosterusers",
    "rostergroups",
    "vcard",
    "private_storage",
    "privacy_default_list",
    "privacy_list",
    "privacy_list_data",
)
"""What they are called."""

_SUBSCRIPTIONS: Final = {"B": "both", "T": "to", "F": "from"}
_ASKS: Final = {"S": "subscribe", "B": "both", "O": "out", "I": "in"}


class AccountTables:
    """What is kept of accounts; every method may raise `PortableError`."""

    def __init__(self, rows: Rows, others: tuple[str, ...], domain_column: str) -> None:
        """Begin; nothing is asked yet. `domain_column` is what the column of the domain is called."""
        self.rows = rows
        self._names = (*NAMES, *others)
        self._wanted_column = domain_column

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Those that there are."""
        tables = self.rows.tables(self._names)
        if "users" not in tables:
            raise PortableError(f"{self.rows.place} has no table `users`: it is a database of another kind")
        return tables

    @property
    def has_domains(self) -> bool:
        """Tell whether the tables say of which domain an account is."""
        return bool(self._domain_column)

    @property
    def _domain_column(self) -> str:
        return self._wanted_column if self._wanted_column in self.tables["users"].c else ""

    def accounts(
        self, domain: str, read: Callable[[Jid, RowMapping], PortableAccount]
    ) -> Iterator[PortableAccount]:
        """Give what `read` makes of each row of `users`; what it cannot read is told with its account."""
        for jid, row in self.users(domain):
            try:
                yield read(jid, row)
            except ValueError as error:
                raise PortableError(f"{self.rows.place}, {jid}: {error}") from None

    def users(self, domain: str) -> Iterator[tuple[Jid, RowMapping]]:
        """Give the rows of all accounts; `domain` is the one that is meant, or empty for every one."""
        users, column = self.tables["users"], self._domain_column
        order = [users.c[column]] if column else []
        for row in self.rows.select(select(users).order_by(*order, users.c.username)):
            of_domain = row[column] if column else domain
            if domain and of_domain != domain:
                continue
            try:
                yield Jid(f"{row['username']}@{of_domain}").bare, row
            except JidError as error:
                name = f"{row['username']!r} at {of_domain!r}"
                raise PortableError(f"{self.rows.place}: {name}: {error}") from None

    def of(self, table: Table, account: Jid) -> Select[Any]:
        """Select what a table has of an account."""
        wanted = select(table).where(table.c.username == account.local)
        column = self._domain_column
        return wanted.where(table.c[column] == account.domain) if column else wanted

    def all(self, name: str, account: Jid) -> list[RowMapping]:
        """Give the rows that a table has of an account."""
        table = self.tables.get(name)
        return [] if table is None else list(self.rows.select(self.of(table, account)))

    def one(self, name: str, account: Jid) -> RowMapping | None:
        """Give the row that a table has of an account."""
        return next(iter(self.all(name, account)), None)

    def contacts(self, account: Jid, left_out: list[str]) -> tuple[RosterEntry, ...]:
        """Give the roster, with the requests that wait for an answer."""
        groups: dict[str, list[str]] = {}
        for row in self.all("rostergroups", account):
            groups.setdefault(row["jid"], []).append(row["grp"])
        contacts = []
        for row in self.all("rosterusers", account):
            try:
                address = Jid(row["jid"]).bare
            except JidError:
                left_out.append("contacts whose address is none")
                continue
            contacts.append(
                Contact(
                    address,
                    row["nick"],
                    _SUBSCRIPTIONS.get(row["subscription"], "none"),
                    _ASKS.get(row["ask"], "none"),
                    tuple(groups.get(row["jid"], ())),
                    _text(row["askmessage"]),
                )
            )
        return contacts_of(
            filter(None, (contact.item() for contact in contacts)),
            filter(None, (contact.request(account) for contact in contacts)),
        )

    def vcard(self, account: Jid) -> bytes | None:
        """Give the vCard; raises `ValueError`."""
        row = self.one("vcard", account)
        return None if row is None else decode(_text(row["vcard"]).encode(), ns.VCARD).to_bytes()

    def private(self, account: Jid) -> tuple[PrivateFragment, ...]:
        """Give what is in private storage; raises `ValueError`."""
        fragments = []
        for row in self.all("private_storage", account):
            element = decode(_text(row["data"]).encode(), row["namespace"])
            fragments.append(PrivateFragment(element.namespace, element.name, element.to_bytes()))
        return tuple(fragments)

    def blocked(self, account: Jid, left_out: list[str]) -> frozenset[Jid]:
        """Give whom the default privacy list denies everything."""
        default = {row["name"] for row in self.all("privacy_default_list", account)}
        data, blocked = self.tables.get("privacy_list_data"), set()
        for listed in self.all("privacy_list", account):
            assert data is not None  # a list has its table beside it
            for rule in self.rows.select(select(data).where(data.c.id == listed["id"])):
                if rule["action"] not in {"d", "b"}:
                    continue
                if listed["name"] in default and rule["t"] == "j" and rule["match_all"]:
                    blocked.add(Jid(rule["value"]))
                else:
                    left_out.append("rules of privacy lists that are more than a block list")
        return frozenset(blocked)


def created(row: RowMapping) -> float | None:
    """Give when an account was made, where its row has that."""
    found = row.get("created_at")
    return found.timestamp() if isinstance(found, datetime) else None


def _text(value: str | bytes) -> str:
    """Give a text, which some databases keep as octets."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
