"""Stanza Forwarding: a stanza inside another, as the bytes in which it came (XEP-0297 1.0).

What an archive, a carbon or an inbox shows is wrapped without being parsed: `Forwarded` holds the bytes that
`Stanza.to_bytes` writes, and `carry` builds the message around them. The results of a query, of which there
may be hundreds, are messages alike: `ResultMessages` writes them.
"""

import re
from collections.abc import Callable
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import XML_NAMESPACE, Element, decode
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xml.writer import check_characters, escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.stanza import NAMES, Stanza

_CONTENT_NAMESPACE: Final = b' xmlns="' + ns.CLIENT.encode() + b'"'
_OPENING: Final = b'<forwarded xmlns="' + ns.FORWARD.encode() + b'">'
_CLOSING: Final = b"</forwarded>"
_NAME: Final = re.compile(rb"<[^ />]+")
_LANG: Final = f"{XML_NAMESPACE} lang"


class Forwarded(msgspec.Struct, frozen=True):
    """A stanza as raw bytes, which inherit `jabber:client` and do not name it, and when it was sent first.

    `raw` is empty where the forwarding entity keeps the stanza to itself (XEP-0313 §3.2).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.FORWARD, "forwarded")

    raw: bytes
    delay: Delay | None = None

    @classmethod
    def of(cls, stanza: Stanza, delay: Delay | None = None) -> Self:
        """Take a stanza as it would be sent."""
        return cls(stanza.to_bytes(), delay)

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the stanza inside; raise `bad-request` for more than one or for a broken delay (§3)."""
        stanzas = [child for child in element.children if _is_stanza(child)]
        if len(stanzas) > 1:
            raise StanzaError("bad-request", "one stanza is forwarded at a time")
        delay = element.find("delay", ns.DELAY)
        return cls(
            stanzas[0].to_bytes(ns.CLIENT) if stanzas else b"", None if delay is None else Delay.decode(delay)
        )

    @classmethod
    def within(cls, parent: Element) -> Self:
        """Return what an element carries, or raise `bad-request` if it carries nothing."""
        element = parent.find("forwarded", ns.FORWARD)
        if element is None:
            raise StanzaError("bad-request", "nothing is forwarded")
        return cls.decode(element)

    def to_bytes(self) -> bytes:
        """Return `<forwarded/>`, written for any default namespace; the stanza's bytes are copied only."""
        delay = b"" if self.delay is None else self.delay.to_bytes()
        return b"%b%b%b%b" % (_OPENING, delay, with_content_namespace(self.raw), _CLOSING)

    def stanza(self) -> Stanza | None:
        """Return the stanza, parsed; None where there is none.

        Raises `StanzaError` `jid-malformed` when an address in it is none.
        """
        if not self.raw:
            return None
        return stanza_of(decode(self.raw, ns.CLIENT))


def stanza_of(element: Element) -> Stanza:
    """Return the stanza that a tree holds; raise `jid-malformed` when an address in it is none."""
    attributes = {_key(key): text for key, text in element.attributes.items()}
    return Stanza.received(Fragment.written(f"{ns.CLIENT} {element.name}", attributes, element))


def carry(
    tag: tuple[str, str],
    raw: bytes,
    *,
    to: Jid | None,
    sender: Jid | None,
    kind: str = "",
    id: str | None = None,  # noqa: A002  # the attribute's own name
) -> Stanza:
    """Return a message with one child, given as bytes that begin with its tag; they are not parsed."""
    return Stanza("message", kind, id, to, sender, None, [(f"{tag[0]} {tag[1]}", 0)], raw)


class ResultMessages:
    """Messages that bring the results of one query to whoever asked, one after another."""

    __slots__ = ("_mark", "_number", "_root", "_sender", "_tag", "_to")

    def __init__(self, tag: tuple[str, str], *, to: Jid, sender: Jid, mark: str) -> None:
        """Prepare what all of them share; `mark`, which needs no escaping, begins their ids."""
        self._tag = tag
        self._to = to
        self._sender = sender
        self._mark = mark
        self._number = 0
        self._root = b'<message from="%b" to="%b" id="%b' % (sender.xml, to.xml, mark.encode())

    def around(self, raw: bytes) -> tuple[bytes, Callable[[], Stanza]]:
        """Return the next message, written, and what makes the same as a stanza; `raw` is as in `carry`."""
        self._number += 1
        id_ = f"{self._mark}{self._number}"
        written = b'%b%d">%b</message>' % (self._root, self._number, raw)
        return written, lambda: carry(self._tag, raw, to=self._to, sender=self._sender, id=id_)


def query_attribute(query_id: str | None) -> bytes:
    """Return the attribute `queryid` of a result, written; nothing where the query has no id."""
    return b"" if query_id is None else check_characters(f' queryid="{escape_attribute(query_id)}"').encode()


def _key(attribute: str) -> str:
    """Name an attribute as a parser does: `uri name` where a tree says `{uri}name`."""
    if attribute == "xml:lang":
        return _LANG
    return attribute[1:].replace("}", " ") if attribute.startswith("{") else attribute


def _is_stanza(element: Element) -> bool:
    return element.namespace == ns.CLIENT and element.name in NAMES


def with_content_namespace(raw: bytes) -> bytes:
    """Return a stanza's bytes with their content namespace told, for where the default is another."""
    if not raw:
        return raw
    name = _NAME.match(raw)
    assert name is not None  # a stanza begins with its tag
    return raw[: name.end()] + _CONTENT_NAMESPACE + raw[name.end() :]
