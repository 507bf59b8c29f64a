"""Reading: a document of XEP-0227 as a source of accounts."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.portable.account import (
    PastMessage,
    PortableAccount,
    PortableMembership,
    PortableNode,
    PrivateFragment,
    past_message,
)
from tidings.portable.errors import PortableError
from tidings.portable.roster import contacts_of
from tidings.portable.xep0227.document import Span, User, children_of, users_of
from tidings.portable.xep0227.nodes import read_behaviour, read_items
from tidings.ports.accounts import Ban, ScramKeys
from tidings.ports.preferences import StoredPreferences
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.archive_preferences import ArchivePreferences
from tidings.wire.xmpp.payloads.date_time import read_date_time
from tidings.wire.xmpp.payloads.delay import delay_of
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.payloads.roster import RosterItem
from tidings.wire.xmpp.sasl.keys import HASHES


class Xep0227:
    """The accounts of a document."""

    def __init__(self, path: Path) -> None:
        """Begin; the file is read when accounts are asked for."""
        self._path = path
        self._archives: dict[Jid, tuple[Span, ...]] = {}

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where the document cannot be read."""
        for user in users_of(self._path):
            try:
                jid = Jid(f"{user.name}@{user.host}").bare
            except JidError as error:
                raise PortableError(f"{self._path}: {user.name!r} at {user.host!r}: {error}") from None
            if user.archives:
                self._archives[jid] = user.archives
            yield _account(jid, user)

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account, oldest first."""
        for span in self._archives.get(account, ()):
            for element in children_of(span):
                past = _past(account, element)
                if past is not None:
                    yield past


class _Parts(msgspec.Struct):
    """What the elements of a user have told so far."""

    jid: Jid
    keys: list[ScramKeys] = []
    items: list[RosterItem] = []
    requests: list[Element] = []
    vcard: bytes | None = None
    preferences: StoredPreferences | None = None
    created: float | None = None
    ban: Ban | None = None
    last_activity: float | None = None
    last_status: str = ""
    private: list[PrivateFragment] = []
    blocked: set[Jid] = set()
    groups: list[PortableMembership] = []
    nodes: dict[str, PortableNode] = {}
    undelivered: list[PastMessage] = []
    left_out: list[str] = []


def _account(jid: Jid, user: User) -> PortableAccount:
    parts = _Parts(jid)
    for element in user.elements:
        read = _READERS.get((element.namespace, element.name))
        if read is None:
            parts.left_out.append(f"<{element.name}/> of {element.namespace}")
            continue
        try:
            read(parts, element)
        except (StanzaError, ValueError) as error:  # JidError and what base64 says are ValueErrors
            parts.left_out.append(f"<{element.name}/> of {element.namespace} that cannot be read: {error}")
    return PortableAccount(
        jid=jid,
        password=user.password,
        keys=tuple(parts.keys),
        contacts=contacts_of(parts.items, parts.requests),
        vcard=parts.vcard,
        private=tuple(parts.private),
        blocked=frozenset(parts.blocked),
        groups=tuple(parts.groups),
        nodes=tuple(parts.nodes.values()),
        preferences=parts.preferences,
        created=parts.created,
        ban=parts.ban,
        last_activity=parts.last_activity,
        last_status=parts.last_status,
        undelivered=tuple(parts.undelivered),
        left_out=tuple(parts.left_out),
    )


def _past(owner: Jid, element: Element) -> PastMessage | None:
    """Read a result; None where it holds no message with a time."""
    try:
        forwarded = ArchiveResult.decode(element).forwarded
        message = forwarded.stanza()
    except StanzaError:
        return None
    if message is None or message.name != "message" or forwarded.delay is None:
        return None
    return past_message(owner, message, forwarded.delay.stamp)


# --- the elements of a user


def _scram(parts: _Parts, element: Element) -> None:
    mechanism = element.get("mechanism")
    known = next((name for name in HASHES if name == mechanism), None)
    if known is None:
        parts.left_out.append(f"keys of {mechanism}")
        return

    texts = [(element.text_of(name) or "").encode() for name in ("salt", "stored-key", "server-key")]
    iterations = int(element.text_of("iter-count") or "0")
    wanted = hashlib.new(HASHES[known]).digest_size
    try:
        salt, stored, server = (b64decode(text, validate=True) for text in texts)
        if len(stored) != wanted:  # ejabberd writes it in base64 twice
            salt, stored, server = (b64decode(octets, validate=True) for octets in (salt, stored, server))
    except binascii.Error:
        raise ValueError("a part of it is no base64") from None
    if iterations < 1 or not salt or len(stored) != wanted or len(server) != wanted:
        raise ValueError("a part of it is missing")
    parts.keys.append(ScramKeys(known, salt, iterations, stored, server))


def _roster(parts: _Parts, element: Element) -> None:
    for item in element.find_all("item"):
        try:
            parts.items.append(RosterItem.decode(item))
        except StanzaError:
            parts.left_out.append("contacts whose address is none")


def _presence(parts: _Parts, element: Element) -> None:
    if element.get("type") == "subscribe":
        parts.requests.append(element)
    else:
        parts.left_out.append("presence that is no request")


def _vcard(parts: _Parts, element: Element) -> None:
    parts.vcard = element.to_bytes()


def _private(parts: _Parts, element: Element) -> None:
    parts.private += [
        PrivateFragment(child.namespace, child.name, child.to_bytes()) for child in element.children
    ]


def _behaviour(parts: _Parts, element: Element) -> None:
    read_behaviour(parts.nodes, element)


def _items(parts: _Parts, element: Element) -> None:
    read_items(parts.nodes, element, parts.jid)


def _preferences(parts: _Parts, element: Element) -> None:
    prefs = ArchivePreferences.decode(element)
    parts.preferences = StoredPreferences(prefs.change(), prefs.always, prefs.never)


def _ban(parts: _Parts, element: Element) -> None:
    parts.ban = Ban(element.text, read_date_time(element.get("since") or "", "since") / SECOND)


def _times(parts: _Parts, element: Element) -> None:
    created, seen = element.get("created"), element.get("seen")
    if created:
        parts.created = read_date_time(created, "created") / SECOND
    if seen:
        parts.last_activity, parts.last_status = read_date_time(seen, "seen") / SECOND, element.text


def _privacy(parts: _Parts, element: Element) -> None:
    """Take whom the default list denies everything; there are no lists here but the block list."""
    default = element.find("default")
    for listed in element.find_all("list"):
        is_default = default is not None and listed.get("name") == default.get("name")
        for item in listed.find_all("item"):
            denies = item.get("action") == "deny" and item.get("type") == "jid" and not item.children
            if is_default and denies:
                parts.blocked |= _address(item.get("value") or "")
            elif item.get("action") == "deny":
                parts.left_out.append("rules of privacy lists that are more than a block list")


def _groups(parts: _Parts, element: Element) -> None:
    for child in element.children:
        name = child.get("name")
        if name:
            parts.groups.append(PortableMembership(name, child.get("label") or "", child.get("called") or ""))


def _address(text: str) -> set[Jid]:
    try:
        return {Jid(text)}
    except JidError:
        return set()


def _offline(parts: _Parts, element: Element) -> None:
    for child in element.children:
        if (child.namespace, child.name) != (ns.CLIENT, "message"):
            continue
        message = stanza_of(child)
        delay = delay_of(message)
        if message.sender is None or delay is None:
            parts.left_out.append("offline messages without a sender or a time")
            continue
        parts.undelivered.append(past_message(parts.jid, message, delay.stamp))


_READERS: Final[Mapping[tuple[str, str], Callable[[_Parts, Element], None]]] = {
    (ns.PIE_SCRAM, "scram-credentials"): _scram,
    (ns.ROSTER, "query"): _roster,
    (ns.CLIENT, "presence"): _presence,
    (ns.VCARD, "vCard"): _vcard,
    (ns.PRIVATE, "query"): _private,
    (ns.PUBSUB_OWNER, "pubsub"): _behaviour,
    (ns.PUBSUB, "pubsub"): _items,
    (ns.MAM2, "prefs"): _preferences,
    (ns.TIDINGS_PORTABLE, "times"): _times,
    (ns.TIDINGS_PORTABLE, "ban"): _ban,
    (ns.TIDINGS_PORTABLE, "groups"): _groups,
    (ns.PRIVACY, "query"): _privacy,
    (ns.PIE, "offline-messages"): _offline,
}
