"""Writing: accounts as a document of XEP-0227, which every server that knows it can read.

What the document has no place for stands in namespaces of its own, as it allows (§4): archive preferences,
a ban, the shared groups that an account is in, a list of the files that it has uploaded, and when it was made
and was there last.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final

from tidings.base.clock import microseconds
from tidings.base.jid import Jid
from tidings.features.contacts.pushes import item_of
from tidings.portable.account import PortableAccount, PortableMembership
from tidings.portable.exporting import Exporter, Kept
from tidings.portable.xep0227.nodes import written_nodes
from tidings.ports.accounts import ScramKeys
from tidings.ports.files import FOR_EVER, FileRecord
from tidings.ports.roster import RosterEntry
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.archive_preferences import ArchivePreferences
from tidings.wire.xmpp.payloads.arrival import kept as kept_stanza
from tidings.wire.xmpp.payloads.date_time import format_date_time
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded, with_content_namespace

_OPENING: Final = f'<?xml version="1.0" encoding="UTF-8"?>\n<server-data xmlns="{ns.PIE}">\n'.encode()
_CLOSING: Final = b"</server-data>\n"
_BLOCKED: Final = "blocked"  # the name of the privacy list


async def written(exporter: Exporter, accounts: AsyncIterator[PortableAccount]) -> AsyncIterator[bytes]:
    """Give the document, some octets at a time; the accounts of one domain come one after another."""
    yield _OPENING
    domain = ""
    async for account in accounts:
        if account.jid.domain != domain:
            if domain:
                yield b"</host>\n"
            domain = account.jid.domain
            yield f'<host jid="{escape_attribute(domain)}">\n'.encode()
        async for octets in _user(exporter, account):
            yield octets
    if domain:
        yield b"</host>\n"
    yield _CLOSING


async def _user(exporter: Exporter, account: PortableAccount) -> AsyncIterator[bytes]:
    jid = account.jid
    yield f'<user name="{escape_attribute(jid.local or "")}">\n'.encode()
    for element in _elements(account):
        yield element.to_bytes(ns.PIE) + b"\n"

    async for octets in _files(exporter.files(jid)):
        yield octets

    def offline(kept: Kept) -> bytes:
        delay = Delay(kept.time, jid.host)
        message = kept_stanza(kept.body).replace(append=(delay.to_bytes(),))
        return with_content_namespace(message.to_bytes())

    async for octets in _around("offline-messages", ns.PIE, exporter.undelivered(jid), offline):
        yield octets
    async for octets in _around("archive", ns.PIE_MAM, exporter.history(jid), _result):
        yield octets
    yield b"</user>\n"


async def _around(
    name: str, namespace: str, messages: AsyncIterator[Kept], write: Callable[[Kept], bytes]
) -> AsyncIterator[bytes]:
    """Give messages inside an element, and nothing where there are none."""
    is_open = False
    async for kept in messages:
        if not is_open:
            is_open = True
            yield f'<{name} xmlns="{namespace}">\n'.encode()
        yield write(kept) + b"\n"
    if is_open:
        yield f"</{name}>\n".encode()


async def _files(files: AsyncIterator[FileRecord]) -> AsyncIterator[bytes]:
    """List uploaded files, and nothing where there are none."""
    is_open = False
    async for file in files:
        if not is_open:
            is_open = True
            yield f'<files xmlns="{ns.TIDINGS_PORTABLE}">\n'.encode()
        yield _file(file).to_bytes(ns.TIDINGS_PORTABLE) + b"\n"
    if is_open:
        yield b"</files>\n"


def _file(file: FileRecord) -> Element:
    attributes = {
        "id": file.id,
        "name": file.name,
        "size": str(file.size),
        "type": file.content_type,
        "created": format_date_time(microseconds(file.created)),
        "sha-256": "" if file.sha256 is None else file.sha256.hex(),
    }
    if file.expires < FOR_EVER:
        attributes["expires"] = format_date_time(microseconds(file.expires))
    return Element("file", ns.TIDINGS_PORTABLE, attributes)


def _result(kept: Kept) -> bytes:
    return ArchiveResult(str(kept.id), Forwarded(kept.body, Delay(kept.time))).to_bytes()


# --- the elements of a user


def _elements(account: PortableAccount) -> Iterator[Element]:
    yield from map(_scram, account.keys)
    yield _times(account)
    if account.ban is not None:
        since = format_date_time(microseconds(account.ban.since))
        yield Element("ban", ns.TIDINGS_PORTABLE, {"since": since}, account.ban.reason)
    if account.contacts:
        yield _roster(account.contacts)
        for contact in account.contacts:
            if contact.pending_in is not None:
                yield decode(contact.pending_in, ns.CLIENT)
    if account.groups:
        yield _groups(account.groups)
    if account.vcard is not None:
        yield decode(account.vcard, ns.VCARD)
    if account.private:
        fragments = [decode(fragment.raw, "") for fragment in account.private]
        yield Element("query", ns.PRIVATE, None, *fragments)
    if account.blocked:
        yield _privacy(account.blocked)
    yield from written_nodes(account.nodes)
    if (chosen := account.preferences) is not None:
        yield ArchivePreferences(chosen.default, chosen.always, chosen.never).encode()


def _scram(keys: ScramKeys) -> Element:
    parts = (
        ("iter-count", str(keys.iterations)),
        ("salt", b64encode(keys.salt).decode()),
        ("server-key", b64encode(keys.server_key).decode()),
        ("stored-key", b64encode(keys.stored_key).decode()),
    )
    children = (Element(name, ns.PIE_SCRAM, None, text) for name, text in parts)
    return Element("scram-credentials", ns.PIE_SCRAM, {"mechanism": keys.mechanism}, *children)


def _times(account: PortableAccount) -> Element:
    element = Element("times", ns.TIDINGS_PORTABLE)
    for name, time in (("created", account.created), ("seen", account.last_activity)):
        if time is not None:
            element.attributes[name] = format_date_time(microseconds(time))
    if account.last_status:
        element.append(account.last_status)
    return element


def _roster(contacts: Iterable[RosterEntry]) -> Element:
    listed = sorted((contact for contact in contacts if contact.listed), key=lambda contact: contact.jid)
    return Element("query", ns.ROSTER, None, *(item_of(contact).encode() for contact in listed))


def _groups(groups: Iterable[PortableMembership]) -> Element:
    named = ({"name": each.group, "label": each.label, "called": each.called} for each in groups)
    children = (Element("group", ns.TIDINGS_PORTABLE, attributes) for attributes in named)
    return Element("groups", ns.TIDINGS_PORTABLE, None, *children)


def _privacy(blocked: Iterable[Jid]) -> Element:
    """Write a block list as the privacy list that means the same (XEP-0191 §5)."""
    listed = Element("list", ns.PRIVACY, {"name": _BLOCKED})
    denied = sorted(blocked)
    for order, jid in enumerate(denied, start=1):
        attributes = {"type": "jid", "value": jid.text, "action": "deny", "order": str(order)}
        listed.append(Element("item", ns.PRIVACY, attributes))
    listed.append(Element("item", ns.PRIVACY, {"action": "allow", "order": str(len(denied) + 1)}))
    default = Element("default", ns.PRIVACY, {"name": _BLOCKED})
    return Element("query", ns.PRIVACY, None, default, listed)
