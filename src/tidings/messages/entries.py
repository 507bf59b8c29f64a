"""Entries: what a message becomes in the ledger, and what its entries do to others.

Pure but for what is loaded with the entities: the plan asks before the commit, with nothing awaited between
guard and here.

- A message that its recipient does not archive, or that its sender marked `no-permanent-store`, is kept for
  the recipient's devices alone (`Entry.offline_only`).
- A retraction or correction is looked up under keys with its own author, and a marker or receipt under keys
  with the other party as author: who may point where is decided by the keys that are made here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final

from tidings.base.clock import MINUTE
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.entity import Entity
from tidings.kernel.events import ConversationReturned, EntryReferenced
from tidings.kernel.hooks import Fact
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.kernel.stored_copy import StoredCopy
from tidings.messages.origin import Via
from tidings.messages.submission import Submission
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Append,
    Direction,
    Entry,
    EntryKind,
    EntryRef,
    Target,
    message_key,
)
from tidings.ports.ledger.reading import EntryId
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.classification import Classification, Storage
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.references import IdKind, Reference, ReferenceKind
from tidings.wire.xmpp.payloads.stanza_ids import origin_id_of
from tidings.wire.xmpp.stanza import Stanza

RETRACTION_OCTETS: Final = 1 << 20
"""How much more of an archive's share than other messages a retraction may use: what takes back a message
passes where there is no room for another one, and yet is no way to fill an archive without end."""

ARCHIVE_RULE: Slot[Callable[[Jid], bool] | None] = Slot("entries.archive_rule", default=None, is_guarded=True)
"""Tells of a peer's JID, as the stanza has it, whether what passes is archived; None archives all."""

READING: Slot[frozenset[ReferenceKind]] = Slot(
    "entries.reading", default=frozenset({ReferenceKind.DISPLAYED, ReferenceKind.ACKNOWLEDGED})
)
"""Which markers of the owner say that a conversation is read."""


UNIQUE_CHARACTERS: Final = 16
"""An origin-id of fewer is not taken for unique for long: it may be that of a client that counts from 1."""

SHORT_ID_WINDOW: Final = 15 * MINUTE
"""How long such an id makes a repeat, in microseconds: a client that lost its connection sends again what it
did not see accepted as soon as it is back, and its stream waits 5 minutes for it."""


class Rules:
    """Notes that what guard reads of an account has changed: its block list, its preferences."""

    def __init__(self, ledger: Ledger | None) -> None:
        self._ledger = ledger

    async def load(self, account: Jid) -> int | None:
        """Give the version of an account's archive; to be read before what it is the version of."""
        return None if self._ledger is None else (await self._ledger.head(account)).version

    async def changed(self, account: Entity) -> None:
        """Send what was guarded before, and is not committed yet, back to guard; raises `BackendError`.

        To be called once the change is stored and in memory.
        """
        if self._ledger is not None and account.archive_version is not None:
            account.archive_version = await self._ledger.bump_version(account.jid)


def sent_entry(
    account: Entity, classification: Classification, to: Jid, most_octets: int = 0
) -> Entry | None:
    """Give the entry of the sender's archive; None where its owner keeps nothing of what passes with `to`.

    `most_octets`: what the archive may have, 0 for any number.
    """
    if classification.storage is _UNTIL_DELIVERED or not _keeps(account, to):
        return None
    reference = classification.reference
    return Entry(
        archive=account.jid.text,
        peer=to.bare.text,
        direction=_SENT,
        countable=classification.is_counted,
        reads=reference is not None and reference.kind in account[READING],
        version=account.archive_version,
        most_octets=most_octets and _room_for(classification, most_octets),
    )


def received_entry(
    message: Stanza, account: Account, classification: Classification, most_octets: int = 0
) -> Entry:
    """Give the entry of the recipient's archive, which a note to oneself has, too."""
    sender = message.sender
    assert sender is not None  # stamped, or verified
    is_offline_only = classification.storage is _UNTIL_DELIVERED or not _keeps(account, sender)
    owner, peer = account.jid.text, sender.bare.text
    return Entry(
        archive=owner,
        peer=peer,
        resource=_resource(message, account),
        countable=classification.is_counted and not is_offline_only,
        offline_only=is_offline_only,
        reader=owner if owner == peer else None,
        version=account.archive_version,
        most_octets=most_octets and _room_for(classification, most_octets),
    )


def append_of(submission: Submission, classification: Classification, found: tuple[Entry, ...]) -> Append:
    """Give what the ledger is asked to write."""
    message, origin, number = submission.message, submission.origin, submission.number
    peers = origin.jid, submission.recipient
    keys, repeat, repeat_within = keys_of(message, peers)
    reference = classification.reference
    is_strict = repeat is not None and origin.via is _OPERATION
    return Append(
        body=message.to_bytes(),
        entries=found,
        kind=_MESSAGE if reference is None else KINDS[reference.kind],
        keys=keys,
        repeat=repeat,
        content=b"" if repeat is None else digest_of(submission.submitted or message),
        is_strict=is_strict,
        refers_to=() if reference is None else targets(reference, peers),
        stream=origin.stream_key if number else None,
        number=number,
        repeat_within=0 if is_strict else repeat_within,
    )


def digest_of(message: Stanza) -> bytes:
    """Give what says whether two messages are the same: their content, but for when each was sent.

    A client that sends again what it could not see accepted stamps it with a delay (XEP-0198 §4).
    """
    content, kind = message.content, message.kind
    if any(tag == _DELAY for tag, _ in message.index):
        content = b"".join(
            child.raw for child in message.children if (child.namespace, child.name) != _DELAYED
        )
    return hashlib.blake2b(content, digest_size=_DIGEST_OCTETS, person=kind.encode()[:16]).digest()


def failure_of(submission: Submission, account: Account) -> Append:
    """Give the entry that tells all devices of an account that what it sent could not arrive.

    It points at that message, is not counted, and is stored once, however often it is told of one row of the
    outbox: the message's id does not say which one it was, since clients use theirs again. It finds room
    where there is none: it comes only for what the archive has taken.
    """
    message, owner, peer = submission.message, account.jid.text, submission.origin.jid.text
    id_, row = message.id or "", submission.origin.outbox_id
    key = message_key("failed", owner, peer, row) if row else None
    return Append(
        body=message.to_bytes(),
        entries=(Entry(archive=owner, peer=peer, version=account.archive_version),),
        kind=EntryKind.FAILED,
        keys=() if key is None else (key,),
        repeat=key,
        refers_to=tuple(message_key(kind, owner, peer, id_) for kind in ("id", "origin")) if id_ else (),
    )


def effects_of(
    account: Account, peer: Jid, stored: StoredCopy, *, is_own: bool, by: Session | None = None
) -> Iterator[Fact]:
    """Give what a new entry of an account has done to others, to be told once it is durable."""
    if stored.target:
        yield EntryReferenced(account, peer, stored, is_own, by)
    if stored.returned:
        yield ConversationReturned(account, peer)


def targets(reference: Reference, peers: tuple[Jid, Jid]) -> tuple[Target, ...]:
    """Give every name that the message may have to which this reference points."""
    sender, recipient = peers
    if reference.names is IdKind.ARCHIVE:
        entry = EntryId.parse(reference.target)
        return () if entry is None else (EntryRef(sender, entry.epoch, entry.position),)
    authors = _AUTHORS[reference.kind]
    kinds = ("origin",) if reference.names is IdKind.ORIGIN else ("id", "origin")
    ways = {"own": (sender, recipient), "other": (recipient, sender)}
    return tuple(message_key(kind, *ways[author], reference.target) for author in authors for kind in kinds)


def _room_for(classification: Classification, most_octets: int) -> int:
    """Give how many octets an archive may have with a message; more for what takes back another one."""
    reference = classification.reference
    if reference is not None and reference.kind is ReferenceKind.RETRACTION:
        return most_octets + RETRACTION_OCTETS
    return most_octets


def _keeps(account: Entity, peer: Jid) -> bool:
    rule = account[ARCHIVE_RULE]
    return rule is None or rule(peer)


def _resource(message: Stanza, recipient: Account) -> str:
    """RFC 6121 §8.5.3.2.1: what a resource that is gone was to get is for all."""
    to = message.to
    if to is None or not to.resource or not recipient.has(to.resource):
        return ""
    return to.resource


def keys_of(message: Stanza, peers: tuple[Jid, Jid]) -> tuple[tuple[bytes, ...], bytes | None, int]:
    """Give the keys, the one that makes a repeat, and for how long it does."""
    sender, recipient = peers[0].text, peers[1].text
    id_ = message.id
    origin = _origin_id(message)
    if origin is None:
        return ((message_key("id", sender, recipient, id_),) if id_ else ()), None, 0
    key = message_key("origin", sender, recipient, origin)
    within = 0 if len(origin) >= UNIQUE_CHARACTERS else SHORT_ID_WINDOW
    if not id_ or id_ == origin:
        return (key,), key, within
    return (key, message_key("id", sender, recipient, id_)), key, within


def keys_of_kept(body: bytes, sender: Jid, recipient: Jid) -> tuple[bytes, ...]:
    """Give the keys that a kept message has between two accounts; see `KeysOf`."""
    return keys_of(kept(body), (sender, recipient))[0]


def _origin_id(message: Stanza) -> str | None:
    """Read the author's id; the usual form without a parser, since nearly every message has one."""
    for tag, offset in message.index:
        if tag == _ORIGIN_ID:
            plain = _PLAIN_ORIGIN_ID.match(message.content, offset)
            return origin_id_of(message) if plain is None else (plain[1] or plain[2]).decode()
    return None


# Members of enumerations that every message needs: looking one up costs more than a call.
_MESSAGE: Final = EntryKind.MESSAGE
_SENT: Final = Direction.SENT
_OPERATION: Final = Via.OPERATION
_UNTIL_DELIVERED: Final = Storage.UNTIL_DELIVERED
_DELAY: Final = f"{ns.DELAY} delay"
_DELAYED: Final = (ns.DELAY, "delay")
_DIGEST_OCTETS: Final = 8
_ORIGIN_ID: Final = f"{ns.STANZA_ID} origin-id"
_PLAIN_ORIGIN_ID: Final = re.compile(
    rb"""<origin-id\s+(?:xmlns=["']urn:xmpp:sid:0["']\s+)?id=(?:"([\x20\x21\x23-\x25\x27-\x3b\x3d-\x7e]{1,256})"|"""
    rb"""'([\x20-\x25\x28-\x3b\x3d-\x7e]{1,256})')(?:\s+xmlns=["']urn:xmpp:sid:0["'])?\s*/>"""
)
KINDS: Final = {
    ReferenceKind.RETRACTION: EntryKind.RETRACTION,
    ReferenceKind.FASTENING: EntryKind.FASTENING,
    ReferenceKind.CORRECTION: EntryKind.CORRECTION,
    ReferenceKind.REACTIONS: EntryKind.REACTIONS,
    ReferenceKind.DISPLAYED: EntryKind.DISPLAYED,
    ReferenceKind.ACKNOWLEDGED: EntryKind.ACKNOWLEDGED,
    ReferenceKind.RECEIPT: EntryKind.RECEIPT,
    ReferenceKind.RECEIVED: EntryKind.RECEIVED,
}
_AUTHORS: Final = {
    ReferenceKind.RETRACTION: ("own",),
    ReferenceKind.CORRECTION: ("own",),
    ReferenceKind.FASTENING: ("own", "other"),
    ReferenceKind.REACTIONS: ("other", "own"),
    ReferenceKind.DISPLAYED: ("other",),
    ReferenceKind.ACKNOWLEDGED: ("other",),
    ReferenceKind.RECEIPT: ("other",),
    ReferenceKind.RECEIVED: ("other",),
}
"""Whose messages each kind of reference may mean: the sender's own, or the other party's."""
