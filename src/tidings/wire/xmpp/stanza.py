"""Stanza: message, presence or iq as a root of values and raw bytes (RFC 6120 §8).

A stanza is immutable. What a peer sent is forwarded as the slices it came in: `replace` writes a new root,
drops or adds children, and never parses. A payload is decoded only when somebody asks for it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple, Self

import msgspec

from tidings.base.errors import STANZA_ERROR_KINDS, StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element, decode, split_tag, write_attribute
from tidings.wire.xml.fragment import Fragment, cut
from tidings.wire.xml.writer import check_characters, escape_attribute, strip_characters
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.content_namespaces import content_for

NAMES: Final = frozenset({"message", "presence", "iq"})
KINDS: Final = {
    "message": frozenset({"", "normal", "chat", "groupchat", "headline", "error"}),
    "presence": frozenset(
        {"", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"}
    ),
    "iq": frozenset({"get", "set", "result", "error"}),
}
"""The values of `type` that RFC 6121 §5.2.2, §4.7.1 and RFC 6120 §8.2.3 know; "" stands for a missing one."""

_KIND_ATTRIBUTES: Final = {
    kind: f' type="{kind}"' if kind else "" for kinds in KINDS.values() for kind in kinds
}
_TO: Final = b' to="'
_LANG: Final = "http://www.w3.org/XML/1998/namespace lang"
_CACHED_LANG: Final = 35  # RFC 5646 §4.4.1: real ones are not longer
_ERROR_KINDS: Final = frozenset({"auth", "cancel", "continue", "modify", "wait"})
_OWN_ATTRIBUTES: Final = frozenset({"to", "from", "type", "id", _LANG})


class Keep(enum.Enum):
    """Says that a value stays as it is, where None means that there is none."""

    KEEP = enum.auto()


class Child(NamedTuple):
    """A direct child of a stanza, as raw bytes that inherit the stanza's namespace."""

    namespace: str
    name: str
    raw: bytes

    def decode(self) -> Element:
        """Give it as a tree."""
        return decode(self.raw, ns.CLIENT)


_ENTERING: Final = Child(ns.MUC, "x", b'<x xmlns="%b"/>' % ns.MUC.encode())
"""By this a client tells that an entry was refused, wherever that was done (XEP-0045 §7.2.5 to §7.2.11)."""


Content = Element | Child | bytes
"""What a stanza is made of; a long child that is written already comes as `Child` and is not read again."""


class Stanza(msgspec.Struct, eq=False, gc=False):
    """A message, presence or iq.

    `kind` is the `type` attribute and empty where there is none; `sender` is `from`. `content` are the raw
    bytes between the root's tags, written for the default namespace `jabber:client`, and `index` tells where
    in them the children begin.
    """

    name: str
    kind: str
    id: str | None
    to: Jid | None
    sender: Jid | None
    lang: str | None
    index: list[tuple[str, int]]
    content: bytes
    extra: dict[str, str] | None = None
    _before: bytes = b""
    """What stands before the address, once that is written; empty until then."""
    _after: bytes = b""
    """What stands after it."""
    _encodings: dict[Callable[[Stanza], bytes], bytes] | None = None
    """What others than XML streams write for it."""

    # --- making

    @classmethod
    def received(cls, fragment: Fragment, lang: str | None = None) -> Self:
        """Take what a parser gives; `lang` is the language of the stream, which the stanza inherits.

        Raises `StanzaError` `jid-malformed` when an address is none; the stanza to answer is then
        `received_broken`.
        """
        attributes = fragment.attributes
        get = attributes.get
        to = get("to")
        sender = get("from")
        # Most stanzas have these four at most; only others are looked at for more.
        is_usual = len(attributes) == (to is not None) + (sender is not None) + ("type" in attributes) + (
            "id" in attributes
        )
        try:
            return cls(
                fragment.name,
                get("type", ""),
                get("id"),
                None if to is None else Jid(to),
                None if sender is None else Jid(sender),
                lang if is_usual else get(_LANG, lang),
                fragment.index,
                fragment.content,
                None if is_usual else _extra(attributes),
            )
        except JidError as error:
            raise StanzaError("jid-malformed", str(error)) from None

    @classmethod
    def received_broken(cls, fragment: Fragment) -> Self:
        """Take a stanza whose addresses are malformed, without them, so that it can be answered."""
        return cls(
            fragment.name,
            fragment.attributes.get("type", ""),
            fragment.attributes.get("id"),
            None,
            None,
            None,
            [],
            b"",
        )

    @classmethod
    def build(
        cls,
        name: str,
        *,
        kind: str = "",
        to: Jid | None = None,
        sender: Jid | None = None,
        id: str | None = None,  # noqa: A002  # the attribute's own name
        lang: str | None = None,
        content: Iterable[Content] = (),
    ) -> Self:
        """Make a stanza of our own.

        Raises `ValueError` when a value holds a character that XML cannot carry.
        """
        check_characters(f"{kind}{id or ''}{lang or ''}")
        stanza = cls(name, kind, id, to, sender, lang, [], b"")
        return stanza.replace(append=content)

    def replace(
        self,
        *,
        to: Jid | Keep | None = Keep.KEEP,
        sender: Jid | Keep | None = Keep.KEEP,
        kind: str | None = None,
        id: str | Keep | None = Keep.KEEP,  # noqa: A002  # the attribute's own name
        drop: Callable[[str, str], bool] | None = None,
        append: Iterable[Content] = (),
    ) -> Self:
        """Give a stanza with another root, without what `drop(namespace, name)` names, plus `append`.

        The text after a child goes with it. `kind` and `id` are taken as they are; bytes in `append` are one
        element, written for `jabber:client`.
        """
        index, content = self.index, self.content
        if drop is not None:
            index, content = _without(index, content, drop)
        for item in append:
            if isinstance(item, Element):
                raw = item.to_bytes(ns.CLIENT)
            else:
                raw = item.raw if isinstance(item, Child) else item
            if index is self.index:
                index = list(index)
            index.append((_tag_of(item), len(content)))
            content += raw
        return type(self)(
            self.name,
            self.kind if kind is None else kind,
            self.id if id is Keep.KEEP else id,
            self.to if to is Keep.KEEP else to,
            self.sender if sender is Keep.KEEP else sender,
            self.lang,
            index,
            content,
            self.extra,
        )

    def result(self, *content: Content) -> Self:
        """Answer a request (RFC 6120 §8.2.3)."""
        return self.build("iq", kind="result", to=self.sender, sender=self.to, id=self.id, content=content)

    def error(self, error: StanzaError) -> Self:
        """Answer with an error (RFC 6120 §8.3); one that refuses an entry into a room says so."""
        named = (_ENTERING,) if self.name == "presence" and self.has(ns.MUC, "x") else ()
        return self.build(
            self.name,
            kind="error",
            to=self.sender,
            sender=self.to,
            id=self.id,
            content=(*named, error_element(error)),
        )

    def addressed(self, to: Jid) -> Self:
        """Give the stanza for another address; what stands before and after that is written once for all."""
        if not self._before:
            self._render()
        return type(self)(
            self.name,
            self.kind,
            self.id,
            to,
            self.sender,
            self.lang,
            self.index,
            self.content,
            self.extra,
            self._before,
            self._after,
        )

    def extended(self, tags: Iterable[tuple[str, int]], raw: bytes) -> Self:
        """Give the stanza with more children at its end, written already; nothing is parsed.

        `raw` is written for `jabber:client`; `tags` are (`uri name`, offset in `raw`) of each element in it.
        What this stanza has written of itself already is taken over.
        """
        length = len(self.content)
        copy = type(self)(
            self.name,
            self.kind,
            self.id,
            self.to,
            self.sender,
            self.lang,
            [*self.index, *((tag, length + offset) for tag, offset in tags)],
            self.content + raw,
            self.extra,
        )
        if self._before and length:
            closing = len(self.name) + 3
            copy._before = self._before  # noqa: SLF001  # its own class
            copy._after = self._after[:-closing] + raw + self._after[-closing:]  # noqa: SLF001
        return copy

    # --- reading

    @property
    def children(self) -> tuple[Child, ...]:
        """The direct children in order."""
        return tuple(Child(*each) for each in cut(self.index, self.content))

    def has(self, namespace: str, name: str) -> bool:
        """Tell whether there is such a child; nothing is parsed."""
        if not self.index:
            return False
        wanted = _tag(namespace, name)
        return any(tag == wanted for tag, _ in self.index)

    def child(self, namespace: str, name: str) -> Child | None:
        """Give the first such child."""
        wanted = _tag(namespace, name)
        for number, (tag, offset) in enumerate(self.index):
            if tag == wanted:
                end = self.index[number + 1][1] if number + 1 < len(self.index) else len(self.content)
                return Child(namespace, name, self.content[offset:end])
        return None

    def decode(self, namespace: str, name: str) -> Element | None:
        """Give the first such child as a tree."""
        child = self.child(namespace, name)
        return None if child is None else decode(child.raw, ns.CLIENT)

    @property
    def payload_tag(self) -> tuple[str, str] | None:
        """The namespace and name of the first child: what an iq asks for."""
        return split_tag(self.index[0][0]) if self.index else None

    def payload(self) -> Element | None:
        """Give the first child as a tree."""
        return decode(self.children[0].raw, ns.CLIENT) if self.index else None

    # --- writing

    def to_bytes(self, to: Jid | None = None) -> bytes:
        """Write the stanza for a stream of `jabber:client`, optionally to another address.

        What stands before and after the address is written once for all addresses.
        """
        if not self._before:
            self._render()
        address = self.to if to is None else to
        if address is None:
            return self._before[: -len(_TO)] + self._after[1:]
        return b"".join((self._before, address.xml, self._after))

    def to_bytes_for(self, content_namespace: str, to: Jid | None = None) -> bytes:
        """Write the stanza for a stream of this content namespace, `jabber:server` for one."""
        content = content_for(self.content, content_namespace)
        if content is self.content:
            return self.to_bytes(to)
        written = self.replace()
        written.content = content
        return written.to_bytes(to)

    def encoded(self, write: Callable[[Stanza], bytes]) -> bytes:
        """Give the stanza as `write` writes it, which is asked once, whoever gets it."""
        if self._encodings is None:
            self._encodings = {}
        written = self._encodings.get(write)
        if written is None:
            written = self._encodings[write] = write(self)
        return written

    def _render(self) -> None:
        name = self.name
        sender = self.sender
        before = f"<{name}".encode()
        self._before = before + _TO if sender is None else b'%b from="%b"%b' % (before, sender.xml, _TO)
        after = _KIND_ATTRIBUTES.get(self.kind)
        if after is None:
            after = f' type="{escape_attribute(self.kind)}"'
        id_ = self.id
        if id_ is not None:
            after = f'{after} id="{id_ if id_.isalnum() else escape_attribute(id_)}"'
        if self.lang is not None:  # an empty one takes back what the stream says
            after += _lang_attribute(self.lang) if len(self.lang) <= _CACHED_LANG else _lang(self.lang)
        if self.extra:
            after += _write_extra(self.extra)
        if self.content:
            self._after = b"".join((f'"{after}>'.encode(), self.content, f"</{name}>".encode()))
        else:
            self._after = f'"{after}/>'.encode()

    def __repr__(self) -> str:
        return f"Stanza({self.to_bytes().decode(errors='replace')})"


def error_element(error: StanzaError) -> Element:
    """Write a stanza error (RFC 6120 §8.3.2)."""
    element = Element("error", ns.CLIENT, {"type": error.kind}, Element(error.condition, ns.STANZA_ERRORS))
    if error.text:
        element.append(Element("text", ns.STANZA_ERRORS, {"xml:lang": "en"}, strip_characters(error.text)))
    if error.payload:
        element.append(decode(error.payload, ns.CLIENT))
    return element


def error_of(stanza: Stanza) -> StanzaError:
    """Read the error that a stanza of kind `error` carries; `undefined-condition` for any unknown one."""
    element = stanza.decode(ns.CLIENT, "error")
    if element is not None:
        text = element.text_of("text", ns.STANZA_ERRORS) or ""
        for child in element.children:
            if child.namespace == ns.STANZA_ERRORS and child.name != "text":
                kind = element.get("type")
                if child.name not in STANZA_ERROR_KINDS:
                    break
                return StanzaError(child.name, text, kind=kind if kind in _ERROR_KINDS else None)
        return StanzaError("undefined-condition", text)
    return StanzaError("undefined-condition")


@lru_cache(maxsize=256)
def _lang_attribute(lang: str) -> str:
    return _lang(lang)


def _lang(lang: str) -> str:
    return f' xml:lang="{escape_attribute(lang)}"'


def _tag(namespace: str, name: str) -> str:
    return f"{namespace} {name}" if namespace else name


def _tag_of(item: Content) -> str:
    element = decode(item, ns.CLIENT) if isinstance(item, bytes) else item
    return _tag(element.namespace, element.name)


def _without(
    index: list[tuple[str, int]], content: bytes, drop: Callable[[str, str], bool]
) -> tuple[list[tuple[str, int]], bytes]:
    """Cut the slices that `drop` names."""
    if not any(drop(*split_tag(tag)) for tag, _ in index):
        return index, content
    ends = [*(offset for _, offset in index[1:]), len(content)]
    kept: list[tuple[str, int]] = []
    length = index[0][1]
    parts = [content[:length]]
    for (tag, offset), end in zip(index, ends, strict=True):
        if not drop(*split_tag(tag)):
            kept.append((tag, length))
            parts.append(content[offset:end])
            length += end - offset
    return kept, b"".join(parts)


def _extra(attributes: dict[str, str]) -> dict[str, str] | None:
    return {key: value for key, value in attributes.items() if key not in _OWN_ATTRIBUTES} or None


def _write_extra(extra: dict[str, str]) -> str:
    """Write attributes that this project gives no meaning; a namespaced one gets a prefix of its own."""
    parts: list[str] = []
    for number, (key, value) in enumerate(extra.items()):
        namespace, name = split_tag(key)
        if namespace:
            parts.append(write_attribute(namespace, name, value, number))
        else:
            parts.append(f' {name}="{escape_attribute(value)}"')
    return "".join(parts)
