"""The SQL database of ejabberd, in either of its schemas: for one domain, or with a column for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import RowMapping, select

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.portable.account import (
    PastMessage,
    PortableAccount,
    PortableMembership,
    PortableNode,
    past_message,
)
from tidings.portable.ejabberd.groups import label_of
from tidings.portable.ejabberd.nodes import Item, Person, node_of
from tidings.portable.ejabberd.tables import AccountTables, created
from tidings.portable.ejabberd.terms import read_term
from tidings.portable.ejabberd.values import DEFAULTS, MECHANISMS, jids, scram_keys
from tidings.portable.errors import PortableError
from tidings.portable.rows import Rows
from tidings.ports.accounts import ScramKeys
from tidings.ports.preferences import StoredPreferences
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.payloads.delay import delay_of
from tidings.wire.xmpp.payloads.forwarding import stanza_of

_NODES: Final = ("pubsub_node", "pubsub_node_option", "pubsub_state", "pubsub_item")
_OTHERS: Final = ("spool", "archive", "archive_prefs", *_NODES, "sr_group", "sr_user")


class EjabberdDatabase:
    """The accounts of a database."""

    def __init__(self, url: str, domain: str = "") -> None:
        """Begin; `url` is as that of [database]. `domain` is needed where the database does not say it."""
        self._rows = Rows(url)
        self._domain = domain
        self._tables = AccountTables(self._rows, _OTHERS, "server_host")

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where the database cannot be read, or says no domain."""
        if not self._tables.has_domains and not self._domain:
            place = self._rows.place
            raise PortableError(f"{place} does not say of which domain it is: name it with --domain")
        yield from self._tables.accounts(self._domain, self._account)

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account, oldest first."""
        archive = self._tables.tables.get("archive")
        if archive is None:
            return
        wanted = self._tables.of(archive, account).where(archive.c.kind == "chat")
        for row in self._rows.select(wanted.order_by(archive.c.timestamp, archive.c.id)):
            past = _past(account, row["xml"], int(row["timestamp"]))
            if past is not None:
                yield past

    def _account(self, jid: Jid, row: RowMapping) -> PortableAccount:
        tables, left_out = self._tables, list[str]()
        last = tables.one("last", jid)
        keys = _keys(row)
        if row["iterationcount"] and keys is None:
            left_out.append("keys of passwords that cannot be read")
        return PortableAccount(
            jid=jid,
            password=None if row["iterationcount"] else row["password"],
            keys=() if keys is None else (keys,),
            created=created(row),
            contacts=tables.contacts(jid, left_out),
            vcard=tables.vcard(jid),
            private=tables.private(jid),
            blocked=tables.blocked(jid, left_out),
            groups=tuple(self._groups(jid)),
            preferences=self._preferences(jid),
            last_activity=None if last is None else float(last["seconds"]),
            last_status="" if last is None else last["state"],
            undelivered=tuple(self._undelivered(jid, left_out)),
            nodes=tuple(self._nodes(jid, left_out)),
            left_out=tuple(left_out),
        )

    def _groups(self, jid: Jid) -> Iterator[PortableMembership]:
        tables = self._tables.tables
        members, groups = tables.get("sr_user"), tables.get("sr_group")
        if members is None or groups is None:
            return
        joined = (members.c.grp == groups.c.name) & (members.c.jid == jid.text)
        if self._tables.has_domains:
            joined &= (members.c.server_host == jid.domain) & (groups.c.server_host == jid.domain)
        for row in self._rows.select(select(groups.c.name, groups.c.opts).join(members, joined)):
            yield PortableMembership(row["name"], label_of(read_term(row["opts"])))

    def _preferences(self, jid: Jid) -> StoredPreferences | None:
        row = self._tables.one("archive_prefs", jid)
        if row is None:
            return None
        always, never = read_term(row["always"]), read_term(row["never"])
        assert isinstance(always, list)
        assert isinstance(never, list)
        return StoredPreferences(DEFAULTS.get(row["def"], ArchiveDefault.ALWAYS), jids(always), jids(never))

    def _undelivered(self, jid: Jid, left_out: list[str]) -> Iterator[PastMessage]:
        for row in sorted(self._tables.all("spool", jid), key=lambda row: int(row["seq"])):
            delay = delay_of(stanza_of(decode(row["xml"].encode(), ns.CLIENT)))
            past = None if delay is None else _past(jid, row["xml"], delay.stamp)
            if past is None:
                left_out.append("offline messages without a time")
            else:
                yield past

    def _nodes(self, jid: Jid, left_out: list[str]) -> Iterator[PortableNode]:
        tables = self._tables.tables
        if not tables.keys() >= set(_NODES):
            return
        nodes, *about = (tables[name] for name in _NODES)
        for node in list(self._rows.select(select(nodes).where(nodes.c.host == jid.text))):
            options, states, items = (
                list(self._rows.select(select(table).where(table.c.nodeid == node["nodeid"])))
                for table in about
            )
            yield node_of(
                jid,
                node["node"],
                [(row["name"], read_term(row["val"])) for row in options],
                map(_person, states),
                map(_item, items),
                left_out,
            )


def _keys(row: RowMapping) -> ScramKeys | None:
    """Read the keys of a password: what hash they are of stands before the first, unless it is SHA-1."""
    if not row["iterationcount"]:
        return None
    mechanism, colon, stored = row["password"].partition(":")
    if not colon:
        mechanism, stored = "sha", row["password"]
    return scram_keys(
        MECHANISMS.get(mechanism), stored, row["serverkey"], row["salt"], int(row["iterationcount"])
    )


def _past(owner: Jid, xml: str, time: int) -> PastMessage | None:
    try:
        return past_message(owner, stanza_of(decode(xml.encode(), ns.CLIENT)), time)
    except (StanzaError, ValueError):
        return None


def _person(row: RowMapping) -> Person:
    return Person(row["jid"], row["affiliation"], tuple(filter(None, row["subscriptions"].split(","))))


def _item(row: RowMapping) -> Item:
    mega, seconds, micro = map(int, row["modification"].split(":"))
    payload = decode(row["payload"].encode(), "").to_bytes() if row["payload"] else b""
    return Item(row["itemid"], row["publisher"], (mega * 1_000_000 + seconds) * SECOND + micro, payload)
