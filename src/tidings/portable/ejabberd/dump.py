"""The text dump of Mnesia: `ejabberdctl dump FILE` writes every record as a term.

The dump is read once for what is small, and of archives only where each message stands.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.portable.account import (
    PastMessage,
    PortableAccount,
    PortableMembership,
    PortableNode,
    PrivateFragment,
    past_message,
)
from tidings.portable.ejabberd.groups import label_of
from tidings.portable.ejabberd.nodes import Item, Person, node_of
from tidings.portable.ejabberd.terms import Term, first_terms, read_term
from tidings.portable.ejabberd.values import (
    DEFAULTS,
    MECHANISMS,
    Contact,
    element_of,
    jid_of,
    jids,
    scram_keys,
    text_of,
)
from tidings.portable.errors import PortableError
from tidings.portable.roster import contacts_of
from tidings.ports.accounts import ScramKeys
from tidings.ports.preferences import StoredPreferences
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.payloads.forwarding import stanza_of


class _Node(NamedTuple):
    """A node of an account, and the number by which records name it."""

    name: str
    number: int
    options: tuple[tuple[str, Term], ...]


class _Parts(msgspec.Struct):
    """What the records of a user have told."""

    is_account: bool = False
    keys: list[ScramKeys] = []
    password: str | None = None
    contacts: list[Contact] = []
    vcard: bytes | None = None
    private: list[PrivateFragment] = []
    blocked: set[Jid] = set()
    groups: list[tuple[str, str]] = []
    nodes: list[_Node] = []
    preferences: StoredPreferences | None = None
    last_activity: float | None = None
    last_status: str = ""
    undelivered: list[PastMessage] = []
    left_out: list[str] = []


class _Archive(NamedTuple):
    """Where the messages of a user stand, and when each was stored."""

    times: array[int]
    offsets: array[int]


class EjabberdDump:
    """The accounts of a dump."""

    def __init__(self, path: Path) -> None:
        """Begin; the file is read when accounts are asked for."""
        self._path = path
        self._parts: dict[Jid, _Parts] = {}
        self._archives: dict[Jid, _Archive] = {}
        self._labels: dict[tuple[str, str], str] = {}
        """Of shared groups, by name and domain."""
        self._items: dict[int, array[int]] = {}
        """Where the items of nodes stand."""
        self._people: dict[int, list[Person]] = {}

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where the dump cannot be read."""
        self._parts, self._archives, self._labels = {}, {}, {}
        self._items, self._people = {}, {}
        try:
            with self._path.open("rb") as file:
                for offset, text in _records(file):
                    self._take(offset, text)
        except OSError as error:
            raise PortableError(f"{self._path} cannot be read: {error.strerror}") from None
        for jid, parts in self._parts.items():
            if parts.is_account:
                nodes = tuple([self._node(jid, node, parts.left_out) for node in parts.nodes])
                yield _account(jid, parts, self._labels, nodes)

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account, oldest first."""
        archive = self._archives.get(account)
        if archive is None:
            return
        with self._path.open("rb") as file:
            for time, offset in sorted(zip(archive.times, archive.offsets, strict=True)):
                file.seek(offset)
                _, text = next(_records(file))
                past = _past(account, first_terms(text, 7)[6], time)
                if past is not None:
                    yield past

    def _node(self, owner: Jid, node: _Node, left_out: list[str]) -> PortableNode:
        """Give a node with what other records tell of it."""
        items = []
        with self._path.open("rb") as file:
            for offset in self._items.get(node.number, ()):
                file.seek(offset)
                _, text = next(_records(file))
                try:
                    items.append(_item(read_term(text)))
                except (ValueError, IndexError) as error:
                    raise PortableError(f"{self._path}, the item at octet {offset}: {error}") from None
        people = self._people.get(node.number, ())
        return node_of(owner, node.name, node.options, people, items, left_out)

    def _take(self, offset: int, text: str) -> None:
        """Take a record for what it is."""
        name = text[1:].partition(",")[0]
        try:
            if name == "archive_msg":
                _, owner, _, stamp, *_ = first_terms(text, 4)
                archive = self._archives.setdefault(jid_of(owner), _Archive(array("q"), array("q")))
                archive.times.append(_time_of(stamp))
                archive.offsets.append(offset)
            elif name == "sr_group":
                _, group, options = first_terms(text, 3)
                self._labels[_group_of(group)] = label_of(options)
            elif name == "pubsub_item":
                self._items.setdefault(_number(first_terms(text, 3)[2]), array("q")).append(offset)
            elif name == "pubsub_state":
                number, person = _person(read_term(text))
                self._people.setdefault(number, []).append(person)
            elif name in _READERS:
                record = read_term(text)
                assert isinstance(record, tuple)
                owner = record[1]
                if name in {"roster", "private_storage"} and isinstance(owner, tuple):
                    owner = owner[:2]
                if name == "pubsub_node" and isinstance(owner, tuple):
                    owner = owner[0]
                    if isinstance(owner, bytes):
                        return  # of a service, and not of an account
                parts = self._parts.setdefault(jid_of(owner).bare, _Parts())
                _READERS[name](parts, record)
        except (ValueError, IndexError) as error:
            raise PortableError(f"{self._path}, the {name} at octet {offset}: {error}") from None


def _records(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Give the records from here on, and where each begins; only the first line of one is not indented."""
    begin, lines = file.tell(), list[bytes]()
    for line in file:
        if lines and line.startswith(b"{"):
            yield begin, b"".join(lines).decode("utf-8", "replace")
            begin, lines = begin + sum(map(len, lines)), []
        lines.append(line)
    if lines:
        yield begin, b"".join(lines).decode("utf-8", "replace")


def _account(
    jid: Jid, parts: _Parts, labels: Mapping[tuple[str, str], str], nodes: tuple[PortableNode, ...]
) -> PortableAccount:
    items = filter(None, (contact.item() for contact in parts.contacts))
    requests = filter(None, (contact.request(jid) for contact in parts.contacts))
    return PortableAccount(
        jid=jid,
        keys=tuple(parts.keys),
        password=parts.password,
        contacts=contacts_of(items, requests),
        vcard=parts.vcard,
        private=tuple(parts.private),
        blocked=frozenset(parts.blocked),
        groups=tuple(PortableMembership(each[0], labels.get(each, "")) for each in parts.groups),
        nodes=nodes,
        preferences=parts.preferences,
        last_activity=parts.last_activity,
        last_status=parts.last_status,
        undelivered=tuple(sorted(parts.undelivered, key=lambda past: past.time)),
        left_out=tuple(parts.left_out),
    )


def _past(owner: Jid, packet: Term, time: int) -> PastMessage | None:
    try:
        return past_message(owner, stanza_of(element_of(packet, ns.CLIENT)), time)
    except StanzaError:
        return None


def _time_of(stamp: Term) -> int:
    """Read `{MegaSeconds, Seconds, MicroSeconds}`."""
    match stamp:
        case (int() as mega, int() as seconds, int() as micro):
            return (mega * 1_000_000 + seconds) * SECOND + micro
    raise ValueError(f"has {stamp!r} where a time should be")


# --- the records of a user


def _passwd(parts: _Parts, record: tuple[Term, ...]) -> None:
    parts.is_account = True
    match record[2]:
        case bytes() as password:
            parts.password = text_of(password)
        case ("scram", stored, server, salt, *others):
            mechanism, iterations = ("sha", others[0]) if len(others) == 1 else (others[0], others[1])
            if not isinstance(iterations, int):
                raise ValueError("has no number of iterations")
            known = MECHANISMS.get(text_of(mechanism))
            keys = scram_keys(known, text_of(stored), text_of(server), text_of(salt), iterations)
            if keys is None:
                parts.left_out.append("keys of passwords that cannot be read")
            else:
                parts.keys.append(keys)


def _roster(parts: _Parts, record: tuple[Term, ...]) -> None:
    _, _, _, address, name, subscription, ask, groups, message, *_ = record
    assert isinstance(groups, list)
    parts.contacts.append(
        Contact(
            jid_of(address).bare,
            text_of(name),
            text_of(subscription),
            text_of(ask),
            tuple(map(text_of, groups)),
            text_of(message),
        )
    )


def _last_activity(parts: _Parts, record: tuple[Term, ...]) -> None:
    if isinstance(record[2], int):
        parts.last_activity, parts.last_status = float(record[2]), text_of(record[3])


def _vcard(parts: _Parts, record: tuple[Term, ...]) -> None:
    parts.vcard = element_of(record[2], ns.VCARD).to_bytes()


def _private(parts: _Parts, record: tuple[Term, ...]) -> None:
    element = element_of(record[2], "")
    parts.private.append(PrivateFragment(element.namespace, element.name, element.to_bytes()))


def _privacy(parts: _Parts, record: tuple[Term, ...]) -> None:
    """Take whom the default list denies everything."""
    _, _, default, lists = record
    assert isinstance(lists, list)
    for listed in lists:
        assert isinstance(listed, tuple)
        name, items = listed
        assert isinstance(items, list)
        for item in items:
            match item:
                case ("listitem", "jid", address, "deny", _, "true", *_) if name == default:
                    parts.blocked.update(jids((address,)))
                case ("listitem", _, _, "deny", *_):
                    parts.left_out.append("rules of privacy lists that are more than a block list")


def _preferences(parts: _Parts, record: tuple[Term, ...]) -> None:
    _, _, default, always, never = record
    assert isinstance(always, list)
    assert isinstance(never, list)
    chosen = DEFAULTS.get(text_of(default), ArchiveDefault.ALWAYS)
    parts.preferences = StoredPreferences(chosen, jids(always), jids(never))


def _group_of(term: Term) -> tuple[str, str]:
    """Read `{Group, Host}`."""
    match term:
        case (bytes() as name, bytes() as host):
            return text_of(name), text_of(host)
    raise ValueError(f"has {str(term)[:40]} where a group should be")


def _member(parts: _Parts, record: tuple[Term, ...]) -> None:
    parts.groups.append(_group_of(record[2]))


def _offline(parts: _Parts, record: tuple[Term, ...]) -> None:
    past = _past(jid_of(record[1]), record[6], _time_of(record[2]))
    if past is not None:
        parts.undelivered.append(past)


def _node(parts: _Parts, record: tuple[Term, ...]) -> None:
    _, identity, number, _, _, _, options = record
    assert isinstance(identity, tuple)
    assert isinstance(options, list)
    pairs = tuple(
        (text_of(each[0]), each[1]) for each in options if isinstance(each, tuple) and len(each) == 2
    )
    parts.nodes.append(_Node(text_of(identity[1]), _number(number), pairs))


# --- the records of nodes


def _number(term: Term) -> int:
    if not isinstance(term, int):
        raise ValueError(f"has {str(term)[:40]} where the number of a node should be")
    return term


def _person(record: Term) -> tuple[int, Person]:
    """Read `{pubsub_state, {Address, Node}, Node, Items, Affiliation, Subscriptions}`."""
    match record:
        case (_, (address, _), number, _, affiliation, list() as subscriptions):
            states = tuple(text_of(each[0] if isinstance(each, tuple) else each) for each in subscriptions)
            return _number(number), Person(jid_of(address).text, text_of(affiliation), states)
    raise ValueError("is no state of somebody at a node")


def _item(record: Term) -> Item:
    """Read `{pubsub_item, {Id, Node}, Node, {Time, Owner}, {Time, Publisher}, Payload}`."""
    match record:
        case (_, (id_, _), _, _, (time, publisher), list() as payload):
            elements = [
                element_of(each, "") for each in payload if isinstance(each, tuple) and each[0] == "xmlel"
            ]
            raw = elements[0].to_bytes() if elements else b""
            return Item(text_of(id_), jid_of(publisher).text, _time_of(time), raw)
    raise ValueError("is no item of a node")


_READERS: Final[Mapping[str, Callable[[_Parts, tuple[Term, ...]], None]]] = {
    "passwd": _passwd,
    "roster": _roster,
    "last_activity": _last_activity,
    "vcard": _vcard,
    "private_storage": _private,
    "privacy": _privacy,
    "archive_prefs": _preferences,
    "offline_msg": _offline,
    "sr_user": _member,
    "pubsub_node": _node,
}
