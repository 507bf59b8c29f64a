"""The SQL database of ejabberd, in either of its schemas: for one domain, or with a column for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import MetaData, RowMapping, Select, Table, create_engine, inspect, select
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from tidings.adapters.sql.urls import describe, parse_url
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.portable.account import PastMessage, PortableAccount, PrivateFragment
from tidings.portable.ejabberd.terms import read_term
from tidings.portable.ejabberd.values import DEFAULTS, Contact, jids, scram_keys
from tidings.portable.errors import PortableError
from tidings.portable.roster import contacts_of
from tidings.ports.accounts import ScramKeys
from tidings.ports.preferences import StoredPreferences
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.payloads.delay import delay_of
from tidings.wire.xmpp.payloads.forwarding import stanza_of

_AT_ONCE: Final = 500
_SUBSCRIPTIONS: Final = {"B": "both", "T": "to", "F": "from"}
_ASKS: Final = {"S": "subscribe", "B": "both", "O": "out", "I": "in"}
_TABLES: Final = (
    "users",
    "last",
    "rosterusers",
    "rostergroups",
    "spool",
    "archive",
    "archive_prefs",
    "vcard",
    "private_storage",
    "privacy_default_list",
    "privacy_list",
    "privacy_list_data",
    "pubsub_node",
)


class EjabberdDatabase:
    """The accounts of a database."""

    def __init__(self, url: str, domain: str = "") -> None:
        """Begin; `url` is as that of [database]. `domain` is needed where the database does not say it."""
        parsed = parse_url(url)
        self._place = describe(parsed)
        self._engine = create_engine(parsed)
        self._domain = domain
        self._tables: dict[str, Table] = {}

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where the database cannot be read, or says no domain."""
        self._look()
        users = self._tables["users"]
        domains = [users.c.server_host] if self._has_domains else []
        for row in self._rows(select(users).order_by(*domains, users.c.username)):
            domain = row["server_host"] if self._has_domains else self._domain
            if self._domain and domain != self._domain:
                continue
            yield self._account(row, domain)

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account, oldest first."""
        archive = self._tables.get("archive")
        if archive is None:
            return
        wanted = self._of(archive, account).where(archive.c.kind == "chat")
        for row in self._rows(wanted.order_by(archive.c.timestamp, archive.c.id)):
            past = _past(account, row["xml"], int(row["timestamp"]))
            if past is not None:
                yield past

    # --- reading

    @property
    def _has_domains(self) -> bool:
        return "server_host" in self._tables["users"].c

    def _look(self) -> None:
        """Find out which tables there are, and whether the domain is known."""
        metadata = MetaData()
        try:
            present = set(inspect(self._engine).get_table_names())
            self._tables = {
                name: Table(name, metadata, autoload_with=self._engine) for name in _TABLES if name in present
            }
        except (SQLAlchemyError, NoSuchTableError) as error:
            raise PortableError(f"{self._place} cannot be read: {error}") from None
        if "users" not in self._tables:
            raise PortableError(f"{self._place} has no table `users`: it is no database of ejabberd")
        if not self._has_domains and not self._domain:
            raise PortableError(f"{self._place} does not say of which domain it is: name it with --domain")

    def _of(self, table: Table, account: Jid) -> Select[Any]:
        """Select what a table has of an account."""
        wanted = select(table).where(table.c.username == account.local)
        return wanted.where(table.c.server_host == account.domain) if self._has_domains else wanted

    def _all(self, name: str, account: Jid) -> list[RowMapping]:
        table = self._tables.get(name)
        return [] if table is None else list(self._rows(self._of(table, account)))

    def _rows(self, wanted: Select[Any]) -> Iterator[RowMapping]:
        try:
            with self._engine.connect() as connection:
                streaming = connection.execution_options(stream_results=True, yield_per=_AT_ONCE)
                yield from streaming.execute(wanted).mappings()
        except SQLAlchemyError as error:
            raise PortableError(f"{self._place} cannot be read: {error}") from None

    # --- an account

    def _account(self, row: RowMapping, domain: str) -> PortableAccount:
        try:
            jid = Jid(f"{row['username']}@{domain}").bare
        except JidError as error:
            raise PortableError(f"{self._place}: {row['username']!r} at {domain!r}: {error}") from None
        left_out: list[str] = []
        contacts = list(self._contacts(jid, left_out))
        last = next(iter(self._all("last", jid)), None)
        vcard = next(iter(self._all("vcard", jid)), None)
        keys = _keys(row)
        if row["iterationcount"] and keys is None:
            left_out.append("keys of passwords that cannot be read")
        left_out += self._nodes(jid)
        try:
            return PortableAccount(
                jid=jid,
                password=None if row["iterationcount"] else row["password"],
                keys=() if keys is None else (keys,),
                created=_created(row),
                contacts=contacts_of(
                    filter(None, (contact.item() for contact in contacts)),
                    filter(None, (contact.request(jid) for contact in contacts)),
                ),
                vcard=None if vcard is None else decode(vcard["vcard"].encode(), ns.VCARD).to_bytes(),
                private=tuple(map(_fragment, self._all("private_storage", jid))),
                blocked=frozenset(self._blocked(jid, left_out)),
                preferences=self._preferences(jid),
                last_activity=None if last is None else float(last["seconds"]),
                last_status="" if last is None else last["state"],
                undelivered=tuple(self._undelivered(jid, left_out)),
                left_out=tuple(left_out),
            )
        except ValueError as error:
            raise PortableError(f"{self._place}, {jid}: {error}") from None

    def _contacts(self, jid: Jid, left_out: list[str]) -> Iterator[Contact]:
        groups: dict[str, list[str]] = {}
        for row in self._all("rostergroups", jid):
            groups.setdefault(row["jid"], []).append(row["grp"])
        for row in self._all("rosterusers", jid):
            try:
                address = Jid(row["jid"]).bare
            except JidError:
                left_out.append("contacts whose address is none")
                continue
            yield Contact(
                address,
                row["nick"],
                _SUBSCRIPTIONS.get(row["subscription"], "none"),
                _ASKS.get(row["ask"], "none"),
                tuple(groups.get(row["jid"], ())),
                row["askmessage"],
            )

    def _blocked(self, jid: Jid, left_out: list[str]) -> Iterator[Jid]:
        """Give whom the default list denies everything."""
        default = {row["name"] for row in self._all("privacy_default_list", jid)}
        data = self._tables.get("privacy_list_data")
        for listed in self._all("privacy_list", jid):
            assert data is not None  # a list has its table beside it
            for rule in self._rows(select(data).where(data.c.id == listed["id"])):
                if rule["action"] != "d":
                    continue
                if listed["name"] in default and rule["t"] == "j" and rule["match_all"]:
                    yield Jid(rule["value"])
                else:
                    left_out.append("rules of privacy lists that are more than a block list")

    def _preferences(self, jid: Jid) -> StoredPreferences | None:
        for row in self._all("archive_prefs", jid):
            always, never = read_term(row["always"]), read_term(row["never"])
            assert isinstance(always, list)
            assert isinstance(never, list)
            return StoredPreferences(
                DEFAULTS.get(row["def"], ArchiveDefault.ALWAYS), jids(always), jids(never)
            )
        return None

    def _undelivered(self, jid: Jid, left_out: list[str]) -> Iterator[PastMessage]:
        for row in sorted(self._all("spool", jid), key=lambda row: row["seq"]):
            delay = delay_of(stanza_of(decode(row["xml"].encode(), ns.CLIENT)))
            past = None if delay is None else _past(jid, row["xml"], delay.stamp)
            if past is None:
                left_out.append("offline messages without a time")
            else:
                yield past

    def _nodes(self, jid: Jid) -> list[str]:
        nodes = self._tables.get("pubsub_node")
        if nodes is None:
            return []
        return [
            f"the node {row['node']}" for row in self._rows(select(nodes).where(nodes.c.host == jid.text))
        ]


def _keys(row: RowMapping) -> ScramKeys | None:
    """Read the keys of a password: what hash they are of stands before the first, unless it is SHA-1."""
    if not row["iterationcount"]:
        return None
    mechanism, colon, stored = row["password"].partition(":")
    if not colon:
        mechanism, stored = "sha", row["password"]
    return scram_keys(mechanism, stored, row["serverkey"], row["salt"], int(row["iterationcount"]))


def _created(row: RowMapping) -> float | None:
    created = row.get("created_at")
    return created.timestamp() if isinstance(created, datetime) else None


def _fragment(row: RowMapping) -> PrivateFragment:
    element = decode(row["data"].encode(), row["namespace"])
    return PrivateFragment(element.namespace, element.name, element.to_bytes())


def _past(owner: Jid, xml: str, time: int) -> PastMessage | None:
    try:
        message = stanza_of(decode(xml.encode(), ns.CLIENT))
    except (StanzaError, ValueError):
        return None
    sender, to = message.sender or owner, message.to or owner
    return PastMessage(time, message.replace(sender=sender, to=to), is_sent=sender.bare == owner)
