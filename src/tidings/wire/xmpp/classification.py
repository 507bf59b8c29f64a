"""Classification: what a message is to the archive, to unread counts and to the other devices of its account.

One pure decision from the message alone: XEP-0313 1.1.3 §6.1, XEP-0334 1.0.0 §4, XEP-0280 1.0.1 §6.1 and §9.
Whether the sender may, what the peers prefer (XEP-0441) and whose archive it is are decided elsewhere.

Where documents leave a choice, or disagree, Tidings decides:

- What points at an earlier message (corrections, retractions, reactions, markers, receipts) is stored, since
  the archive folds it, and never counted; only a marker or receipt may ride on a message of its own.
- A message from a client or another server is stored although it carries a delay: XEP-0198 §4 has clients
  stamp what they send again, and repeats are found by their ids.
- A retraction is stored whatever its hints say (XEP-0424 §5: MUST).
- What the store hint alone makes storable is counted, as MongooseIM does, unless it is known to give nothing
  to read: call signalling (XEP-0353), encrypted messages that only carry keys (XEP-0384), chat states.
- A subject without a body, and an invitation without one, are stored and not counted. So is what else a
  message has to say (XEP-0160 §3): what an application puts into it, a form, contacts, a call. An address to
  fetch something from (XEP-0066) is read by people, and counted.
- What is of no use a moment later is not: chat states, notifications of nodes, which come anew with the next
  presence, and the octets of a stream between two devices (XEP-0047).
- A copy of a copy is nothing: results of archives and inboxes, carbons and inbox news are neither stored nor
  copied.
"""

import enum
import re
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.carbons import CarbonDirection
from tidings.wire.xmpp.payloads.fallback import Fallback
from tidings.wire.xmpp.payloads.references import TAGS, Reference, ReferenceKind, reference_of
from tidings.wire.xmpp.stanza import Stanza


class Storage(enum.Enum):
    """How long a message is kept."""

    NONE = enum.auto()
    """Delivered to who is there, and never an entry."""
    UNTIL_DELIVERED = enum.auto()
    """Kept for devices that are away, but not shown by the archive (no-permanent-store)."""
    PERMANENT = enum.auto()
    """An entry of the archive."""


class Rule(enum.StrEnum):
    """Why a message is stored or not, and why it is copied or not, in words for logs and `explain`."""

    UNASKED = "no archive takes part, so nothing was asked of the message"
    ERROR = "errors are not stored"
    COPY = "it shows other messages, such as a carbon or a result of an archive"
    RETRACTION = "a retraction is stored whatever its hints say (XEP-0424 §5)"
    NO_STORE = "it has the hint no-store (XEP-0334)"
    HEADLINE = "headlines are not stored"
    NOTHING_TO_KEEP = "it has no body, subject or other content to keep (XEP-0313 §6.1.1)"
    OFFLINE_ONLY = "it has the hint no-permanent-store (XEP-0334): it is kept for devices that are away"
    STORE = "it has the hint store (XEP-0334)"
    REFERENCE = "it points at an earlier message, which the archive folds"
    INVITATION = "it is an invitation to a room"
    CONTENT = "it has content to keep (XEP-0313 §6.1.1)"
    PAYLOAD = "it has a payload, and is not of chat states alone (XEP-0160 §3)"

    GROUPCHAT = "messages of rooms are not copied (XEP-0280 §6.1)"
    UNCOPIED = "its sender wants no copies: private or no-copy (XEP-0280 §9)"
    FROM_OCCUPANT = "the room sends it to every device itself (XEP-0280 §6.1)"
    CONVERSATION = "it belongs to a conversation (XEP-0280 §6.1)"
    NO_CONVERSATION = "it belongs to no conversation (XEP-0280 §6.1)"
    ANSWERS_COPIED = "it is an error that answers a message which was copied (XEP-0280 §6.1)"
    ANSWERS_NOTHING = "it is an error that answers no message which was copied lately (XEP-0280 §6.1)"


class Classification(msgspec.Struct, frozen=True):
    """What a message is.

    `is_counted` says that it makes a conversation unread for who receives it. `is_copied_sent` and
    `is_copied_received` say whether the other devices of the sender and of the recipient get a carbon. A
    message of type groupchat is an entry of the room's archive; an account's takes it only by policy.
    """

    storage: Storage = Storage.NONE
    is_counted: bool = False
    is_copied_sent: bool = False
    is_copied_received: bool = False
    reference: Reference | None = None
    rule: Rule = Rule.UNASKED
    """Why `storage` is what it is."""


NOTHING: Final = Classification()
"""What a message is that nobody archives."""


def classify(message: Stanza) -> Classification:
    """Tell what a message is to archive, counts and devices; the answer depends on nothing else."""
    # What most messages are depends on their children's names and on whether there is a text, nothing else.
    key = (message.kind, *[tag for tag, _ in message.index])
    usual = _USUAL.get(key)
    if usual is not None:
        return usual[_has_text(message)]
    traits = _traits(message)
    if traits.tags.isdisjoint(_UNUSUAL) and sum(map(len, key)) <= _USUAL_LENGTH:
        if len(_USUAL) >= _USUAL_KEPT:
            _USUAL.clear()
        usual = _USUAL[key] = _both(traits)
        return usual[traits.has_text]
    if traits.kind == "error":
        return _ERROR
    if not traits.tags.isdisjoint(_COPIES):
        return _COPY
    if traits.tags.isdisjoint(_REFERENCES):
        return _judge(traits, None)
    reference = reference_of(message)
    classification = _judge(traits, None if reference is None else reference.kind)
    return msgspec.structs.replace(classification, reference=reference)


def is_copied(message: Stanza, direction: CarbonDirection, *, answers_copied: bool = False) -> bool:
    """Tell whether the other devices of an account get a copy of the message (XEP-0280 §6.1, §9).

    Whether an error answers a message that was copied is known to the caller only, who says so. Private
    messages between the occupants of a room are known by the element that the room puts into them.
    """
    return why_copied(message, direction, answers_copied=answers_copied) in _RULES_OF_COPIES


def why_copied(message: Stanza, direction: CarbonDirection, *, answers_copied: bool = False) -> Rule:
    """Tell by which rule the other devices of an account get a copy of the message, or get none."""
    traits = _traits(message)
    if not traits.tags.isdisjoint(_COPIES):
        return Rule.COPY
    if traits.kind == "error":
        return Rule.ANSWERS_COPIED if answers_copied else Rule.ANSWERS_NOTHING
    return _copy_rule(traits, direction)


class _Traits(NamedTuple):
    """All of a message that matters here: few enough different ones for their judgements to be remembered."""

    kind: str
    tags: frozenset[str]
    """Those of its children that this file knows."""
    has_others: bool
    has_text: bool
    has_fallback: bool
    has_payload: bool
    is_invitation: bool
    to_occupant: bool
    from_occupant: bool


def _traits(message: Stanza) -> _Traits:
    names = [tag for tag, _ in message.index]
    tags = _KNOWN.intersection(names)
    is_of_room = _MUC_USER in tags
    return _Traits(
        message.kind if message.kind in _KINDS else "normal",  # RFC 6121 §5.2.2
        tags,
        not _KNOWN.issuperset(names),
        _BODY in tags and _has_text(message),
        _FALLBACK in tags and _is_fallback(message),
        not tags.isdisjoint(_OMEMO) and _has_omemo_payload(message),
        _INVITATION in tags or (is_of_room and _is_mediated_invitation(message)),
        is_of_room and message.to is not None and not message.to.is_bare,
        is_of_room and message.sender is not None and not message.sender.is_bare,
    )


def _both(traits: _Traits) -> tuple[Classification, Classification]:
    """Judge a message without and with a text."""
    if traits.kind == "error":
        return _ERROR, _ERROR
    has_body = _BODY in traits.tags
    return _judge(traits._replace(has_text=False), None), _judge(traits._replace(has_text=has_body), None)


@lru_cache(maxsize=1_024)
def _judge(traits: _Traits, refers: ReferenceKind | None) -> Classification:
    storage, rule = _storage(traits, refers)
    return Classification(
        storage,
        storage is not Storage.NONE and _is_counted(traits, refers),
        _copy_rule(traits, CarbonDirection.SENT) in _RULES_OF_COPIES,
        _copy_rule(traits, CarbonDirection.RECEIVED) in _RULES_OF_COPIES,
        rule=rule,
    )


def _storage(traits: _Traits, refers: ReferenceKind | None) -> tuple[Storage, Rule]:
    """Follow XEP-0313 §6.1.1 and the hints; where hints contradict, the one that keeps less wins."""
    tags = traits.tags
    if refers is ReferenceKind.RETRACTION:
        return Storage.PERMANENT, Rule.RETRACTION
    if _NO_STORE in tags:
        return Storage.NONE, Rule.NO_STORE
    rule = _meaning(traits, refers)
    if rule is Rule.HEADLINE or rule is Rule.NOTHING_TO_KEEP:
        if _STORE not in tags:
            return Storage.NONE, rule
        rule = Rule.STORE
    if _NO_PERMANENT_STORE in tags:
        return Storage.UNTIL_DELIVERED, Rule.OFFLINE_ONLY
    return Storage.PERMANENT, rule


def _meaning(traits: _Traits, refers: ReferenceKind | None) -> Rule:
    """Tell what there is to keep, were there no hints."""
    if traits.kind == "headline":
        return Rule.HEADLINE
    if refers is not None:
        return Rule.REFERENCE
    if traits.is_invitation:
        return Rule.INVITATION
    if not traits.tags.isdisjoint(_MEANINGFUL):
        return Rule.CONTENT
    has_payload = traits.has_others or not traits.tags <= _PASSING
    return Rule.PAYLOAD if has_payload and traits.kind != "groupchat" else Rule.NOTHING_TO_KEEP


def _is_counted(traits: _Traits, refers: ReferenceKind | None) -> bool:
    """Tell whether there is something new to read."""
    if traits.kind == "headline":
        return False
    if refers is not None:  # a mark may ride on a message of its own
        return refers in _MARKS and traits.has_text and not traits.has_fallback
    if traits.has_text or _OOB in traits.tags:
        return True
    if not traits.tags.isdisjoint(_OMEMO):
        return traits.has_payload
    if not traits.tags.isdisjoint(_ENCRYPTED):
        return True
    return _STORE in traits.tags and (traits.has_others or not traits.tags <= _UNREADABLE)


def _copy_rule(traits: _Traits, direction: CarbonDirection) -> Rule:
    """Follow XEP-0280 §6.1 and §9, and XEP-0334 §4.3."""
    tags = traits.tags
    if traits.kind == "groupchat":
        return Rule.GROUPCHAT
    if not tags.isdisjoint(_UNCOPIED):
        return Rule.UNCOPIED
    if traits.is_invitation:
        return Rule.INVITATION
    if direction is CarbonDirection.SENT and traits.to_occupant:
        return Rule.CONVERSATION
    if direction is CarbonDirection.RECEIVED and traits.from_occupant:
        return Rule.FROM_OCCUPANT
    if traits.kind == "chat" or not tags.isdisjoint(_CONVERSATIONAL):
        return Rule.CONVERSATION
    is_normal = traits.kind != "headline" and not tags.isdisjoint(_COPIED_AS_NORMAL)
    return Rule.CONVERSATION if is_normal else Rule.NO_CONVERSATION


def _is_mediated_invitation(message: Stanza) -> bool:
    """Tell whether a room passes on an invitation (XEP-0045 §7.8.2)."""
    element = message.decode(ns.MUC_USER, "x")
    return element is not None and element.find("invite") is not None


def _has_text(message: Stanza) -> bool:
    """Tell whether a body has text; the system messages of MUC Light have an empty one."""
    for tag, offset in message.index:  # noqa: SIM110  # a generator costs as much as all the rest
        if tag == _BODY and not _is_empty(message.content, offset):
            return True
    return False


def _is_empty(content: bytes, start: int) -> bool:
    """Tell whether the body that begins here has no content; the usual one needs no regular expression."""
    if content.startswith(_PLAIN_BODY, start):
        return content.startswith(_END, start + len(_PLAIN_BODY))
    return _EMPTY.match(content, start) is not None


def _is_fallback(message: Stanza) -> bool:
    """Tell whether the body only says to older clients what an element says (XEP-0428)."""
    element = message.decode(*Fallback.TAG)
    try:
        return element is not None and Fallback.decode(element).is_whole_body
    except StanzaError:
        return False


def _has_omemo_payload(message: Stanza) -> bool:
    """Tell whether an OMEMO message carries a text and not only keys (XEP-0384 §4.5).

    A search for the element's name is enough: it cannot be written in any other way.
    """
    return any(
        child.name == "encrypted" and b"payload" in child.raw
        for child in message.children
        if child.namespace in _OMEMO_NAMESPACES
    )


_ERROR: Final = Classification(rule=Rule.ERROR)
_COPY: Final = Classification(rule=Rule.COPY)
_RULES_OF_COPIES: Final = frozenset({Rule.INVITATION, Rule.CONVERSATION, Rule.ANSWERS_COPIED})
_PLAIN_BODY: Final = b"<body>"
_END: Final = b"</"
_EMPTY: Final = re.compile(rb"""<[^>"']*(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*(?:/>|></)""")
"""An element without content, whatever its attributes are."""
_KINDS: Final = frozenset({"normal", "chat", "groupchat", "headline", "error"})
_OMEMO_NAMESPACES: Final = frozenset({ns.OMEMO0, ns.OMEMO1, ns.OMEMO2})
_CHAT_STATES: Final = frozenset(
    f"{ns.CHAT_STATES} {state}" for state in ("active", "composing", "paused", "inactive", "gone")
)
_BODY: Final = f"{ns.CLIENT} body"
_SUBJECT: Final = f"{ns.CLIENT} subject"
_STORE: Final = f"{ns.HINTS} store"
_NO_STORE: Final = f"{ns.HINTS} no-store"
_NO_PERMANENT_STORE: Final = f"{ns.HINTS} no-permanent-store"
_MUC_USER: Final = f"{ns.MUC_USER} x"
_INVITATION: Final = f"{ns.CONFERENCE} x"
_FALLBACK: Final = f"{ns.FALLBACK} fallback"
_OOB: Final = f"{ns.OOB} x"

_COPIES: Final = frozenset(
    {
        f"{ns.MAM1} result",
        f"{ns.MAM2} result",
        f"{ns.CARBONS} sent",
        f"{ns.CARBONS} received",
        f"{ns.INBOX} result",
        f"{ns.INBOX_CONVERSATION} x",
        f"{ns.INBOX1} entry",
    }
)
"""Children of messages that show other messages, or tell the account about itself."""
_REFERENCES: Final = frozenset(f"{namespace} {name}" for namespace, name in TAGS)
_UNUSUAL: Final = (
    _COPIES
    | _REFERENCES
    | {_FALLBACK, _MUC_USER}
    | frozenset(f"{namespace} encrypted" for namespace in _OMEMO_NAMESPACES)
)
"""Children that have to be looked into."""
_USUAL: Final[dict[tuple[str, ...], tuple[Classification, Classification]]] = {}
_USUAL_KEPT: Final = 1_024
_USUAL_LENGTH: Final = 1_024
"""How many judgements are remembered, and how long the names of what was judged may be together."""
_MARKS: Final = frozenset(
    {ReferenceKind.DISPLAYED, ReferenceKind.ACKNOWLEDGED, ReferenceKind.RECEIVED, ReferenceKind.RECEIPT}
)
_OMEMO: Final = frozenset(f"{namespace} encrypted" for namespace in _OMEMO_NAMESPACES)
_ENCRYPTED: Final = _OMEMO | {f"{ns.OPENPGP} openpgp", f"{ns.OPENPGP_LEGACY} x", f"{ns.EME} encryption"}
_MEANINGFUL: Final = _ENCRYPTED | {_BODY, _SUBJECT, _OOB}
_UNCOPIED: Final = frozenset({f"{ns.CARBONS} private", f"{ns.HINTS} no-copy"})
_CONVERSATIONAL: Final = _CHAT_STATES | {  # XEP-0280 §6.1, third rule
    f"{ns.RECEIPTS} request",
    f"{ns.RECEIPTS} received",
    f"{ns.MARKERS} markable",
    f"{ns.MARKERS} received",
    f"{ns.MARKERS} displayed",
    f"{ns.MARKERS} acknowledged",
}
_COPIED_AS_NORMAL: Final = _ENCRYPTED | _REFERENCES | {_BODY, _OOB}
"""What makes a message of type normal conversation: a body, and what stands for one or changes one."""
_SIGNS: Final = (
    _CHAT_STATES
    | _UNCOPIED
    | {_BODY, _SUBJECT, _STORE, _NO_STORE, _NO_PERMANENT_STORE}
    | {f"{ns.CLIENT} thread", f"{ns.RECEIPTS} request", f"{ns.MARKERS} markable"}
    | {
        f"{ns.STANZA_ID} origin-id",
        f"{ns.STANZA_ID} stanza-id",
        f"{ns.DELAY} delay",
        _FALLBACK,
    }
)
"""Children that say something about a message, or about who writes it, and not to anybody."""
_UNREADABLE: Final = _SIGNS | {
    f"{ns.JINGLE_MESSAGE} {name}"
    for name in ("propose", "ringing", "proceed", "accept", "reject", "retract", "finish")
}
"""Children that give nobody anything to read."""
_PASSING: Final = _SIGNS | {
    _MUC_USER,
    f"{ns.PUBSUB_EVENT} event",
    f"{ns.IBB} data",
    f"{ns.LEGACY_EVENT} x",
    f"{ns.LEGACY_DELAY} x",
    f"{ns.NICK} nick",
}
"""Children that nobody misses who was away; what else is there is a payload."""
_KNOWN: Final = (
    _UNREADABLE
    | _PASSING
    | _COPIES
    | _REFERENCES
    | _ENCRYPTED
    | _CONVERSATIONAL
    | {_BODY, _SUBJECT, _OOB, _INVITATION}
)
