"""The `<body/>` wrapper of XEP-0124: read strictly, written plainly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidings.base.errors import RemoteProtocolError, StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import attribute_key
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp import ns

HIGHEST_RID = 2**53 - 1  # §14.1: what an IEEE 754 double still counts
_NUMBER = re.compile(r"[0-9]{1,16}\Z", re.ASCII)
_NAME = re.compile(rb"<[^\s/>]+")
_OWN_NAMESPACE = re.compile(
    rb"""<[^\s/>]+(?:\s+(?!xmlns\s*=)[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s+xmlns\s*="""
)
_TEXT_FIRST = re.compile(rb"""\s*<[^>"']*(?:(?:"[^"]*"|'[^']*')[^>"']*)*(?<!/)>\s*[^<\s]""")
_PROLOGUE = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:<\?xml\s+version\s*=\s*['\"]1\.[0-9]+['\"]"
    rb"(?:\s+encoding\s*=\s*(?:'([\w.-]+)'|\"([\w.-]+)\"))?"
    rb"(?:\s+standalone\s*=\s*['\"](?:yes|no)['\"])?\s*\?>)?"
)
_ENCODINGS = frozenset({b"utf-8", b"us-ascii"})
_TRUE = frozenset({"true", "1"})


class TerminalCondition(StrEnum):
    """The terminal binding conditions of §17.2."""

    BAD_REQUEST = "bad-request"
    HOST_GONE = "host-gone"
    HOST_UNKNOWN = "host-unknown"
    IMPROPER_ADDRESSING = "improper-addressing"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    ITEM_NOT_FOUND = "item-not-found"
    OTHER_REQUEST = "other-request"
    POLICY_VIOLATION = "policy-violation"
    REMOTE_CONNECTION_FAILED = "remote-connection-failed"
    REMOTE_STREAM_ERROR = "remote-stream-error"
    SEE_OTHER_URI = "see-other-uri"
    SYSTEM_SHUTDOWN = "system-shutdown"
    UNDEFINED_CONDITION = "undefined-condition"


LEGACY_STATUS = {
    TerminalCondition.BAD_REQUEST: 400,
    TerminalCondition.POLICY_VIOLATION: 403,
    TerminalCondition.ITEM_NOT_FOUND: 404,
}
"""What a client that names no version expects instead of a condition (§17.1)."""


class BindingError(RemoteProtocolError):
    """Answer the request with this terminal condition."""

    def __init__(self, condition: TerminalCondition, text: str = "") -> None:
        super().__init__(text or condition)
        self.condition = condition
        self.text = text


@dataclass(slots=True, frozen=True)
class Body:
    """One request: the wrapper's attributes and the elements inside.

    Attributes are keyed as an Element's are. Elements without a namespace of their own are read as
    `jabber:client` (XEP-0206 §2).
    """

    attributes: Mapping[str, str]
    payloads: tuple[Fragment, ...] = field(default=())

    @property
    def sid(self) -> str | None:
        """The session that the request names, or None when it asks for a new one."""
        return self.attributes.get("sid")

    @property
    def rid(self) -> int:
        """The request's number; raises `BindingError` where it is missing or out of range."""
        rid = self.number("rid")
        if rid is None or not 0 < rid <= HIGHEST_RID:
            raise BindingError(TerminalCondition.BAD_REQUEST, "rid must be a number from 1 to 2^53-1")
        return rid

    @property
    def is_final(self) -> bool:
        """Whether the client ends the session with this request (§13)."""
        return self.attributes.get("type") == "terminate"

    @property
    def is_restart(self) -> bool:
        """Whether the client asks for a new stream in this session (XEP-0206 §5)."""
        return self.attributes.get(f"{{{ns.XBOSH}}}restart") in _TRUE

    @property
    def is_empty(self) -> bool:
        """Whether the request does nothing but ask for what there is (§11)."""
        return not (self.payloads or self.is_final or self.is_restart or "pause" in self.attributes)

    def number(self, name: str) -> int | None:
        """Read an attribute that counts something; raises `BindingError` when it is no natural number."""
        text = self.attributes.get(name)
        if text is None:
            return None
        if _NUMBER.match(text) is None:
            raise BindingError(TerminalCondition.BAD_REQUEST, f"{name} must be a natural number")
        return int(text)


def read_body(raw: bytes, limits: XmlLimits) -> Body:
    """Read one request; raises `BindingError` for anything but one clean wrapper (§6)."""
    parser = FrameParser(limits)
    try:
        return _read(parser, raw)
    finally:
        parser.rest()


def _read(parser: FrameParser, raw: bytes) -> Body:
    raw = _without_prologue(raw)
    wrapper = _parse(parser, raw)
    if (wrapper.namespace, wrapper.name) != (ns.BOSH, "body"):
        raise BindingError(TerminalCondition.BAD_REQUEST, f"the request must be one <body/> in {ns.BOSH}")
    if _TEXT_FIRST.match(raw) is not None:
        raise BindingError(TerminalCondition.BAD_REQUEST, "the wrapper holds text")
    attributes = {attribute_key(key): value for key, value in wrapper.attributes.items()}
    payloads = (
        _parse(parser, _as_client(raw_child) if namespace == ns.BOSH else raw_child)
        for namespace, _, raw_child in wrapper.children()
    )
    return Body(attributes, tuple(payloads))


def write_body(attributes: Mapping[str, str], payloads: Iterable[bytes] = ()) -> bytes:
    """Write one answer; prefixes are declared where attributes or payloads use them."""
    content = b"".join(payloads)
    parts = [f"<body xmlns='{ns.BOSH}'"]
    if any(name.startswith("xmpp:") for name in attributes):
        parts.append(f" xmlns:xmpp='{ns.XBOSH}'")
    if b"<stream:" in content:
        parts.append(f" xmlns:stream='{ns.STREAMS}'")
    parts += [f" {name}='{escape_attribute(value)}'" for name, value in attributes.items()]
    if not content:
        return ("".join(parts) + "/>").encode()
    return ("".join(parts) + ">").encode() + content + b"</body>"


def _without_prologue(raw: bytes) -> bytes:
    """Pass over a byte order mark and an XML declaration, which documents begin with (XML 1.0 §2.8)."""
    found = _PROLOGUE.match(raw)
    if found is None:
        return raw
    encoding = found[1] or found[2]
    if encoding is not None and encoding.lower() not in _ENCODINGS:
        raise BindingError(
            TerminalCondition.BAD_REQUEST, f"{encoding.decode()} is not read here: write UTF-8"
        )
    return raw[found.end() :]


def _as_client(raw: bytes) -> bytes:
    """Let an element that inherits the wrapper's namespace stand in `jabber:client` (XEP-0206 §2).

    One that names that namespace itself is meant so, and is nothing that a stream knows.
    """
    if _OWN_NAMESPACE.match(raw) is not None:
        return raw
    return _NAME.sub(rb"\g<0> xmlns='jabber:client'", raw, count=1)


def _parse(parser: FrameParser, raw: bytes) -> Fragment:
    """Read exactly one element."""
    try:
        return parser.parse(raw)
    except StreamError as error:
        too_much = error.condition == "policy-violation"
        condition = TerminalCondition.POLICY_VIOLATION if too_much else TerminalCondition.BAD_REQUEST
        raise BindingError(condition, error.text or error.condition) from None
