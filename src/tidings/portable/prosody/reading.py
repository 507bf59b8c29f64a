"""Reading: what Prosody has kept, as a source of accounts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tidings.base.clock import microseconds
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.portable.account import PastMessage, PortableAccount, PortableNode, PrivateFragment, past_message
from tidings.portable.errors import PortableError
from tidings.portable.prosody.database import ProsodyDatabase
from tidings.portable.prosody.entry import Entry
from tidings.portable.prosody.files import DataDirectory
from tidings.portable.prosody.nodes import STORE_OF_ITEMS, node_of
from tidings.portable.prosody.stanza import element_of
from tidings.portable.prosody.table import Table
from tidings.portable.prosody.vcard import older, photo
from tidings.portable.roster import contacts_of
from tidings.ports.accounts import Ban, ScramKeys, ScramMechanism
from tidings.ports.preferences import StoredPreferences
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.payloads.delay import delay_of
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

_MECHANISMS: Final[dict[int, ScramMechanism]] = {20: "SCRAM-SHA-1", 32: "SCRAM-SHA-256", 64: "SCRAM-SHA-512"}
"""By the octets of a key."""

_VCARD: Final = "urn:xmpp:vcard4"
_AVATAR: Final = "urn:xmpp:avatar:data"
_AVATAR_TYPE: Final = "urn:xmpp:avatar:metadata"
_READ: Final = frozenset(
    {"accounts", "roster", "vcard", "private", "blocklist", "archive", "archive_prefs", "offline", "lastlog2"}
    | {"pep"}  # and an archive for each node that is there
)
_OF_NO_USE: Final = frozenset({"smacks_h", "cron", "auth_tokens"})
"""What belongs to the other server: streams that it remembers, log-in tokens."""

_DEFAULTS: Final[dict[object, ArchiveDefault]] = {
    True: ArchiveDefault.ALWAYS,
    False: ArchiveDefault.NEVER,
    "roster": ArchiveDefault.ROSTER,
}


class ProsodyStorage(Protocol):
    """Where Prosody keeps things: files or a database."""

    def domains(self) -> Iterator[str]:
        """Give the domains that have accounts."""
        ...

    def users(self, domain: str) -> Iterator[str]:
        """Give the names of the accounts of a domain."""
        ...

    def stores(self, domain: str, user: str) -> Iterator[str]:
        """Give the stores that have something of a user."""
        ...

    def get(self, domain: str, store: str, user: str) -> Table | None:
        """Give what a store has of a user; None where that is nothing."""
        ...

    def entries(self, domain: str, store: str, user: str) -> Iterator[Entry]:
        """Give what an archive has of a user, oldest first."""
        ...


class Prosody:
    """The accounts of a Prosody server."""

    def __init__(self, place: str) -> None:
        """Begin; `place` is a data directory, or the URL of a database."""
        self._place = place
        self._storage: ProsodyStorage = (
            ProsodyDatabase(place) if "://" in place else DataDirectory(Path(place))
        )
        self._stored_as: dict[Jid, tuple[str, str]] = {}
        """Domain and name of accounts, where they are written otherwise than in the address."""

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where something cannot be read."""
        for domain in self._storage.domains():
            for user in self._storage.users(domain):
                yield self._account(domain, user)

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account, oldest first."""
        yield from self._messages(account, "archive")

    def _account(self, domain: str, user: str) -> PortableAccount:
        try:
            jid = Jid(f"{user}@{domain}").bare
        except JidError as error:
            raise PortableError(f"{self._place}: {user!r} at {domain!r}: {error}") from None
        if (domain, user) != (jid.domain, jid.local):
            self._stored_as[jid] = domain, user
        storage, left_out = self._storage, list[str]()

        def kept(store: str) -> Table:
            return storage.get(domain, store, user) or Table()

        known, nodes = kept("accounts"), tuple(self._nodes(jid, kept("pep"), left_out))
        account = PortableAccount(
            jid=jid,
            password=known.text("password") or None,
            keys=_keys(known, left_out),
            created=known.number("created"),
            ban=_ban(known),
            last_activity=_last_activity(kept("lastlog2")),
            contacts=_contacts(jid, kept("roster"), left_out),
            vcard=_vcard(storage.get(domain, "vcard", user), nodes),
            private=tuple(_private(kept("private"))),
            blocked=frozenset(_jids(kept("blocklist").fields, left_out)),
            preferences=_preferences(storage.get(domain, "archive_prefs", user), left_out),
            nodes=nodes,
            undelivered=tuple(self._messages(jid, "offline")),
        )
        known_stores = _READ | _OF_NO_USE | {STORE_OF_ITEMS + node.name for node in nodes}
        for store in storage.stores(domain, user):
            if store not in known_stores:
                left_out.append(f"the store {store}")
        return msgspec.structs.replace(account, left_out=tuple(left_out))

    def _messages(self, owner: Jid, store: str) -> Iterator[PastMessage]:
        for entry in self._entries(owner, store):
            try:
                message = stanza_of(entry.element)
            except StanzaError:
                continue
            if entry.when is None and (delay := delay_of(message)) is not None:
                time = delay.stamp
            elif entry.when is not None:
                time = microseconds(entry.when)
            else:
                continue
            yield past_message(owner, message, time)

    def _nodes(self, owner: Jid, known: Table, left_out: list[str]) -> Iterator[PortableNode]:
        for name, kept in known.fields.items():
            yield node_of(owner, name, kept, self._entries(owner, STORE_OF_ITEMS + name), left_out)

    def _entries(self, owner: Jid, store: str) -> Iterator[Entry]:
        domain, user = self._stored_as.get(owner, (owner.domain, owner.local or ""))
        return self._storage.entries(domain, store, user)


def _vcard(older_store: Table | None, nodes: Iterable[PortableNode]) -> bytes | None:
    """Give the vCard, which newer versions keep as nodes of PEP."""
    if older_store is not None:
        return element_of(older_store, ns.VCARD).to_bytes()
    last = {node.name: decode(node.items[-1].payload, "") for node in nodes if node.items}
    card, avatar = last.get(_VCARD), last.get(_AVATAR)
    if card is None and avatar is None:
        return None
    vcard = Element("vCard", ns.VCARD) if card is None else older(card)
    if avatar is not None:
        vcard.append(photo(avatar, last.get(_AVATAR_TYPE)))
    return vcard.to_bytes()


def _keys(known: Table, left_out: list[str]) -> tuple[ScramKeys, ...]:
    stored, server = known.text("stored_key"), known.text("server_key")
    if not stored:
        return ()
    try:
        stored_key, server_key = bytes.fromhex(stored), bytes.fromhex(server)
        iterations = int(known.number("iteration_count") or 0)
    except ValueError:
        stored_key = server_key = b""
        iterations = 0
    mechanism = _MECHANISMS.get(len(stored_key))
    if mechanism is None or len(server_key) != len(stored_key) or iterations < 1:
        left_out.append("keys of passwords that cannot be read")
        return ()
    return (ScramKeys(mechanism, known.text("salt").encode(), iterations, stored_key, server_key),)


def _ban(known: Table) -> Ban | None:
    if not known.fields.get("disabled"):
        return None
    return Ban("disabled on the former server", known.number("updated") or known.number("created") or 0.0)


def _last_activity(log: Table) -> float | None:
    times = (table.number("timestamp") for name in ("login", "logout") if (table := log.table(name)))
    return max((time for time in times if time is not None), default=None)


def _contacts(owner: Jid, roster: Table, left_out: list[str]) -> tuple[RosterEntry, ...]:
    items = []
    for text, contact in roster.fields.items():
        if not isinstance(contact, Table) or text == "pending":
            continue
        for jid in _jids((text,), left_out):
            subscription = contact.text("subscription")
            if subscription not in set(Subscription):
                subscription = Subscription.NONE
            items.append(
                RosterItem(
                    jid.bare,
                    contact.text("name"),
                    ItemSubscription(subscription),
                    contact.text("ask") == "subscribe",
                    bool(contact.fields.get("approved")),
                    tuple((contact.table("groups") or Table()).fields),
                )
            )
    whole = roster.whole if isinstance(roster.whole, Table) else Table()
    waiting = whole.table("pending") or roster.table("pending") or Table()
    requests = []
    for text, request in waiting.fields.items():
        for jid in _jids((text,), left_out):
            element = (
                element_of(request, ns.CLIENT)
                if isinstance(request, Table)
                else Element("presence", ns.CLIENT)
            )
            element.attributes = {
                **element.attributes,
                "from": jid.bare.text,
                "to": owner.text,
                "type": "subscribe",
            }
            requests.append(element)
    return contacts_of(items, requests)


def _private(fragments: Table) -> Iterator[PrivateFragment]:
    for table in fragments.fields.values():
        if isinstance(table, Table):
            element = element_of(table, "")
            yield PrivateFragment(element.namespace, element.name, element.to_bytes())


def _preferences(prefs: Table | None, left_out: list[str]) -> StoredPreferences | None:
    if prefs is None:
        return None
    lists = {
        wanted: tuple(_jids((text for text, value in prefs.fields.items() if value is wanted), left_out))
        for wanted in (True, False)
    }
    default = ArchiveDefault.ALWAYS if isinstance(prefs.whole, Table) else _DEFAULTS.get(prefs.whole)
    return StoredPreferences(default or ArchiveDefault.ALWAYS, lists[True], lists[False])


def _jids(texts: Iterable[str], left_out: list[str]) -> Iterator[Jid]:
    for text in texts:
        try:
            yield Jid(text)
        except JidError:
            left_out.append("addresses that are none")
