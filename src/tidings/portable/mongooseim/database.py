"""The SQL database of MongooseIM: accounts with their archives and inboxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sqlalchemy import RowMapping, select

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.portable.account import Conversation, PastMessage, PortableAccount, past_message
from tidings.portable.ejabberd.tables import AccountTables, created
from tidings.portable.ejabberd.values import element_of, scram_keys
from tidings.portable.errors import PortableError
from tidings.portable.mongooseim.external_terms import read_external
from tidings.portable.rows import Rows
from tidings.ports.accounts import ScramKeys, ScramMechanism
from tidings.ports.preferences import StoredPreferences
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.payloads.forwarding import stanza_of

_OTHERS: Final = ("mam_server_user", "mam_message", "mam_config", "offline_message", "inbox")
_NODE_BITS: Final = 8
"""Of an archive id the lowest bits name a node; the others are microseconds since 1970."""
_MULTIPLE: Final = "==MULTI_SCRAM=="
_SINGLE: Final = "==SCRAM=="
_KEYS: Final = re.compile(r"=+(\w+)=+([^|]*)\|([^|]*)\|([^|]*)")
_MECHANISMS: Final[dict[str, ScramMechanism]] = {
    "SHA1": "SCRAM-SHA-1",
    "SHA256": "SCRAM-SHA-256",
    "SHA512": "SCRAM-SHA-512",
}
_BEHAVIOURS: Final = {"A": ArchiveDefault.ALWAYS, "N": ArchiveDefault.NEVER, "R": ArchiveDefault.ROSTER}


class MongooseIm:
    """The accounts of a database."""

    def __init__(self, url: str, domain: str = "") -> None:
        """Begin; `url` is as that of [database]. With `domain` it is the one that is read."""
        self._rows = Rows(url)
        self._domain = domain
        self._tables = AccountTables(self._rows, _OTHERS, "server")

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where the database cannot be read."""
        if not self._tables.has_domains:
            raise PortableError(f"{self._rows.place} has no column `server`: it is no database of MongooseIM")
        yield from self._tables.accounts(self._domain, self._account)

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account, oldest first."""
        messages, number = self._tables.tables.get("mam_message"), self._number(account)
        if messages is None or number is None:
            return
        wanted = select(messages).where(messages.c.user_id == number).order_by(messages.c.id)
        for row in self._rows.select(wanted):
            try:
                past = _past(account, row)
            except (ValueError, StanzaError) as error:
                where = f"{self._rows.place}, message {row['id']} of {account}"
                raise PortableError(f"{where}: {error}") from None
            if past.message.kind != "groupchat":
                yield past

    def _number(self, account: Jid) -> int | None:
        """Give the number that the archive has for an account."""
        users = self._tables.tables.get("mam_server_user")
        if users is None:
            return None
        wanted = select(users.c.id).where(
            users.c.server == account.domain, users.c.user_name == account.local
        )
        return next((int(row["id"]) for row in self._rows.select(wanted)), None)

    def _account(self, jid: Jid, row: RowMapping) -> PortableAccount:
        tables, left_out = self._tables, list[str]()
        last = tables.one("last", jid)
        details = row["pass_details"] or ""
        return PortableAccount(
            jid=jid,
            password=None if details else row["password"] or None,
            keys=tuple(_keys(details, left_out)),
            created=created(row),
            contacts=tables.contacts(jid, left_out),
            vcard=tables.vcard(jid),
            private=tables.private(jid),
            blocked=tables.blocked(jid, left_out),
            preferences=self._preferences(jid),
            last_activity=None if last is None else float(last["seconds"]),
            last_status="" if last is None else last["state"] or "",
            undelivered=tuple(self._undelivered(jid)),
            conversations=tuple(self._conversations(jid)),
            left_out=tuple(left_out),
        )

    def _preferences(self, jid: Jid) -> StoredPreferences | None:
        config, number = self._tables.tables.get("mam_config"), self._number(jid)
        if config is None or number is None:
            return None
        default: ArchiveDefault | None = None
        lists: dict[str, list[Jid]] = {"A": [], "N": []}
        for row in self._rows.select(select(config).where(config.c.user_id == number)):
            if not row["remote_jid"]:
                default = _BEHAVIOURS.get(row["behaviour"])
            elif row["behaviour"] in lists:
                lists[row["behaviour"]].append(_mini(row["remote_jid"], jid))
        if default is None and not lists["A"] and not lists["N"]:
            return None
        return StoredPreferences(default or ArchiveDefault.ALWAYS, tuple(lists["A"]), tuple(lists["N"]))

    def _undelivered(self, jid: Jid) -> Iterator[PastMessage]:
        for row in sorted(self._tables.all("offline_message", jid), key=lambda row: int(row["id"])):
            message = stanza_of(_element(row["packet"]))
            sender = message.sender or Jid(row["from_jid"])
            yield past_message(jid, message.replace(sender=sender), int(row["timestamp"]))

    def _conversations(self, jid: Jid) -> Iterator[Conversation]:
        inbox = self._tables.tables.get("inbox")
        if inbox is None:
            return
        wanted = select(inbox).where(inbox.c.luser == jid.local, inbox.c.lserver == jid.domain)
        for row in self._rows.select(wanted):
            yield Conversation(
                peer=Jid(row["remote_bare_jid"]).bare,
                box=row["box"] or "inbox",
                muted_until=int(row["muted_until"] or 0),
                unread=int(row["unread_count"] or 0),
            )


def _past(owner: Jid, row: RowMapping) -> PastMessage:
    """Read a row of an archive, which says by itself who has sent it."""
    sender = _mini(row["from_jid"], owner)
    message = stanza_of(_element(row["message"]))
    to = message.to or (Jid(row["remote_bare_jid"]) if row["direction"] == "O" else owner)
    time = int(row["id"]) >> _NODE_BITS
    return past_message(owner, message.replace(sender=sender, to=to), time)


def _element(packet: str | bytes) -> Element:
    """Read a stanza in either form: a term of Erlang, or XML."""
    octets = packet.encode() if isinstance(packet, str) else bytes(packet)
    if octets[:1] == b"\x83":
        return element_of(read_external(octets), ns.CLIENT)
    return decode(octets, ns.CLIENT)


def _mini(text: str, owner: Jid) -> Jid:
    """Read an address that is written relative to the owner of an archive; raises `ValueError`."""
    head, slash, resource = text.partition("/")
    host, user = owner.domain, head or owner.local or ""
    if "@" in head:
        host, _, user = head.partition("@")
    elif ":" in head:
        host, _, user = head.rpartition(":")
    address = (f"{user}@" if user else "") + (host or owner.domain)
    try:
        return Jid(address + (f"/{resource}" if slash else ""))
    except JidError as error:
        raise ValueError(f"{text!r} is no address: {error}") from None


def _keys(details: str, left_out: list[str]) -> Iterator[ScramKeys]:
    """Read the keys of a password, in either form."""
    form, _, rest = details.partition(",")
    if form == _SINGLE:
        stored, server, salt, iterations = rest.split(",")
        yield from _key("SHA1", iterations, salt, stored, server, left_out)
    elif form == _MULTIPLE:
        iterations, *each = rest.split(",")
        for text in each:
            found = _KEYS.fullmatch(text)
            if found is None:
                raise ValueError(f"{text[:12]!r} are no keys of a password")
            name, salt, stored, server = found.groups()
            yield from _key(name, iterations, salt, stored, server, left_out)


def _key(
    name: str, iterations: str, salt: str, stored: str, server: str, left_out: list[str]
) -> Iterator[ScramKeys]:
    mechanism = _MECHANISMS.get(name)
    if mechanism is None:
        left_out.append(f"keys of SCRAM-{name}")
        return
    keys = scram_keys(mechanism, stored, server, salt, int(iterations))
    if keys is None:
        raise ValueError("the keys of the password cannot be read")
    yield keys
