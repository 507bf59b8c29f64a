"""StreamParser and FrameParser: bytes in, whole first-level elements out as raw slices; no tree is built.

Invariants:
- every byte is looked at a bounded number of times, however the input is cut: an unfinished tag is held back
  until its closing `>` outside quotes has come, since expats before 2.6 scan an unfinished token again on
  every call, and those after it put off what they have scanned in vain until it has doubled;
- nothing but the elements of the present stanza is kept: the expat parser, which remembers every name it
  has seen, is renewed after `_RENEW_NAMES` names or `_RENEW_OCTETS` octets, at most once in a stanza;
- a Fragment's content means the same wherever it is written with the fragment's namespace as default: what
  leans on prefixes declared outside of it is written anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pyexpat import ExpatError, ParserCreate, XMLParserType, errors

from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import XML_NAMESPACE, Element, attribute_key, decode, split_tag
from tidings.wire.xml.writer import escape_attribute, escape_text

_RENEW_OCTETS = 262_144
_RENEW_NAMES = 2_000
_PLAIN_OPENINGS = {f"jabber:client {name}": f"<{name}".encode() for name in ("message", "presence", "iq")}
_LONGEST_DECLARATION = 256  # <?xml version='1.0' encoding='UTF-8' standalone='yes'?> is shorter
_LONGEST_HEAD = 10_000  # every renewed expat reads the header's namespaces again
_RESTARTS = 4  # a stream begins anew after log-in, and never often
_STREAM_TAG = "http://etherx.jabber.org/streams stream"
_FRAME_ROOT = b"<frame>"
_REFERENCE = b"&"
_COLON, _SLASH, _TAG_END = b":/>"
_DECLARATION = re.compile(rb"[ \t\r\n]*(?:<\?xml[ \t\r\n][^?]{,248}\?>[ \t\r\n]*)?")
_REFERENCE_END = re.compile(rb"[^#\w.:\x80-\xff-]")
_START_TAG = re.compile(rb"""<[^>"']*(?:(?:"[^"]*"|'[^']*')[^>"']*)*>""")
_QUALIFIED = re.compile(rb"<([^\s/>]+)")
_TAG_STOPS = {b"": re.compile(rb"""["'<>]"""), b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}
_RESTRICTED = {
    errors.codes[errors.XML_ERROR_UNDEFINED_ENTITY],
    errors.codes[errors.XML_ERROR_ENTITY_DECLARED_IN_PE],
    errors.codes[errors.XML_ERROR_MISPLACED_XML_PI],
}
_MISPLACED_DECLARATION = errors.codes[errors.XML_ERROR_MISPLACED_XML_PI]


def _defers() -> bool:
    """Tell whether this expat puts off unfinished tokens and Python has no switch for it.

    COMPAT(expat 2.6 and Debian's 2.5.0-1+deb12u2 under Python before 3.11.9 and 3.12.3, until Python 3.13)
    """
    parser = ParserCreate()
    if hasattr(parser, "SetReparseDeferralEnabled"):
        return False
    seen: list[str] = []
    parser.StartElementHandler = lambda tag, _attributes: seen.append(tag)
    parser.Parse(b"<probe one='1' two='", False)
    parser.Parse(b"'>", False)
    return not seen


_DEFERS = _defers()


@dataclass(slots=True, frozen=True)
class StreamHead:
    """The opening tag of a stream."""

    namespace: str
    name: str
    attributes: dict[str, str]
    content_namespace: str
    """The default namespace that the tag declares, which the stanzas inherit."""


@dataclass(slots=True, frozen=True)
class StreamTail:
    """The closing tag of a stream."""


class Fragment:
    """A first-level element: its root as values, what it contains as raw bytes.

    `content` are the bytes between the root's tags; they inherit `namespace` as default and lean on no other
    declaration. `index` lists the direct children as (`uri name`, offset in `content`), in order; a child
    reaches to the next one.
    """

    __slots__ = ("attributes", "content", "index", "name", "namespace")

    def __init__(
        self, tag: str, attributes: dict[str, str], index: list[tuple[str, int]], content: bytes
    ) -> None:
        self.namespace, _, self.name = tag.rpartition(" ")
        self.attributes = attributes
        self.index = index
        self.content = content

    def children(self) -> list[tuple[str, str, bytes]]:
        """Give the direct children as (namespace, name, raw bytes)."""
        ends = [*(offset for _, offset in self.index[1:]), len(self.content)]
        return [
            (*split_tag(tag), self.content[offset:end])
            for (tag, offset), end in zip(self.index, ends, strict=False)
        ]

    def to_element(self) -> Element:
        """Decode the whole as a tree."""
        wrapped = b"<root>" + self.content + b"</root>"
        element = decode(wrapped, self.namespace)
        element.name = self.name
        element.attributes = {attribute_key(key): value for key, value in self.attributes.items()}
        return element


class _Reopen(Exception):  # noqa: N818  # a signal, no error
    """A stream header stands where a stanza may: the stream begins anew there (RFC 6120 §4.3.3)."""


Event = StreamHead | Fragment | StreamTail


class StreamParser:
    """Reads one stream, TCP's: a root that stays open, and elements in it.

    `feed` gives the events of all complete elements. When the input breaks a rule, `failure` is set to the
    stream error to answer with, after the events that came before it; more input is ignored then.
    """

    __slots__ = (
        "_attributes",
        "_base",
        "_buffer",
        "_cdata",
        "_content_namespace",
        "_depth",
        "_elements",
        "_end",
        "_events",
        "_expat",
        "_fed",
        "_head",
        "_held",
        "_index",
        "_marks",
        "_names",
        "_prefixes",
        "_quote",
        "_restarts",
        "_start",
        "_tag",
        "failure",
        "limits",
    )

    def __init__(self, limits: XmlLimits, restarts: int = _RESTARTS) -> None:
        self.limits = limits
        self.failure: StreamError | None = None
        self._restarts = restarts  # so many headers more may come
        self._buffer: bytes | bytearray = (
            b""  # all octets since the last boundary between first-level elements
        )
        self._fed = 0  # so many octets of the buffer has expat seen
        self._held = False  # the buffer ends inside a tag; expat waits for its end
        self._quote = b""  # the quote that this tag is inside of; & when it is a reference
        self._expat: XMLParserType | None = None
        self._head = b""
        self._prefixes: dict[str, str] = {}  # that the stream's header declares
        self._marks: tuple[bytes, ...] = ()  # what a use of them looks like
        self._content_namespace = ""
        self._attributes: dict[str, str] = {}
        self._index: list[tuple[str, int]] = []  # where in all that expat has seen the children begin
        self._events: list[Event] = []
        self._tag = ""
        self._start = self._end = self._elements = 0
        self._open(b"")

    def feed(self, data: bytes) -> list[Event]:
        """Take octets as they come and give the events that they complete, in order."""
        if self.failure is not None or self._depth < 0:
            return []
        if b"\0" in data:
            return self._until_nul(data)
        held = self._held
        if not self._buffer:
            self._buffer = data
        else:
            if type(self._buffer) is bytes:
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        events: list[Event] = []
        try:
            if not held or self._tag_ends(data):
                self._parse(events)
            if events and type(events[-1]) is StreamTail:
                self.close()
            if len(self._buffer) > self.limits.stanza_bytes:
                raise StreamError("policy-violation", f"a stanza may have {self.limits.stanza_bytes} octets")
        except StreamError as error:
            self.close()
            if not (
                events and type(events[-1]) is StreamTail
            ):  # what follows a stream's end is nobody's business
                # Its traceback would hold this parser and the input until the collector comes.
                error.__context__ = None
                self.failure = error.with_traceback(None)
        return events

    def _until_nul(self, data: bytes) -> list[Event]:
        """Read up to an octet that no XML may have, and that would make expat guess UTF-16."""
        events = self.feed(data[: data.index(b"\0")])
        if self.failure is None and self._depth >= 0:
            condition = "not-well-formed" if self._depth else "unsupported-encoding"
            self.close()
            self.failure = StreamError(condition, "a NUL octet")
        return events

    def holds_exactly(self, frame: bytes, events: list[Event]) -> bool:
        """Tell whether the frame, just fed, was one element and nothing beside it."""
        if self.failure is not None or self._depth != 1 or self._buffer:
            return False
        if len(events) != 1 or type(events[0]) is not Fragment:
            return False
        end = self._end
        return end == len(frame) or (frame.startswith(b"</", end) and frame.find(b">", end) == len(frame) - 1)

    def rest(self) -> None:
        """Give back the memory of expat while the peer is silent; does nothing inside an element."""
        if self._depth == 1 and not self._buffer:
            self._forget()

    def close(self) -> None:
        """Take no more input."""
        self._forget()
        self._buffer = b""
        self._depth = -1

    def _forget(self) -> None:
        """Part from expat, whose handlers would otherwise keep both alive until the collector comes."""
        expat = self._expat
        if expat is not None:
            expat.StartElementHandler = expat.EndElementHandler = None
            expat.StartNamespaceDeclHandler = None
            expat.StartCdataSectionHandler = expat.EndCdataSectionHandler = None
            self._expat = None
        self._events = []
        self._attributes = {}
        self._index = []

    # --- expat and the buffer

    def _open(self, head: bytes) -> None:
        """Begin with a new expat, inside `head` if there is one."""
        expat = ParserCreate("utf-8", " ")
        expat.StartElementHandler = self._on_start
        expat.EndElementHandler = self._on_end
        expat.StartDoctypeDeclHandler = _refuse_doctype
        expat.CommentHandler = _refuse_comment
        expat.ProcessingInstructionHandler = _refuse_instruction
        expat.XmlDeclHandler = _check_declaration
        if hasattr(expat, "SetReparseDeferralEnabled"):
            expat.SetReparseDeferralEnabled(False)
        if _DEFERS:
            expat.StartCdataSectionHandler = self._on_cdata
            expat.EndCdataSectionHandler = self._on_cdata_end
        self._cdata = False
        self._depth = 0
        self._names = 0
        self._base = 0
        self._events = []
        if head:
            expat.StartElementHandler = None
            expat.Parse(head, False)
            expat.StartElementHandler = self._on_start
            self._depth = 1
            self._base = len(head)
        else:
            expat.StartNamespaceDeclHandler = self._on_declaration
        self._expat = expat

    def _parse(self, events: list[Event]) -> None:
        """Feed what expat has not seen, and cut the buffer at the last boundary."""
        if self._expat is None:
            self._open(self._head)
        expat = self._expat
        assert expat is not None
        self._events = events
        buffer = self._buffer
        fed = self._fed
        if not self._depth:
            buffer = self._prolog()
        end = self._whole(fed) if _DEFERS else len(buffer)
        if end == fed:
            return
        try:
            expat.Parse(bytes(buffer[fed:end]) if fed or end < len(buffer) else bytes(buffer), False)
        except _Reopen:
            self._reopen(self._start, events)
            return
        except ExpatError as error:
            position = expat.CurrentByteIndex - self._base
            if error.code == _MISPLACED_DECLARATION and self._depth == 1:
                self._reopen(position, events)
                return
            condition = _condition(error.code, bytes(buffer), position)
            raise StreamError(condition, errors.messages[error.code]) from None
        unfinished = expat.CurrentByteIndex - self._base
        self._held = unfinished < end
        if self._held:
            self._hold(unfinished)
        boundary = unfinished if self._depth <= 1 else self._start
        self._fed = end - boundary
        if boundary:
            self._base += boundary
            self._start -= boundary
            self._buffer = bytes(buffer[boundary:]) if boundary < len(buffer) else b""
            if self._depth and (self._names > _RENEW_NAMES or self._base > _RENEW_OCTETS):
                # What the new one must know of the present stanza it reads with the next octets.
                self._forget()
                self._fed = 0

    def _prolog(self) -> bytes | bytearray:
        """Look at what stands before the root: white space, a declaration, and nothing else.

        A document type must not reach expat, which reads its entities to the end even after a handler has
        refused it.
        """
        buffer = self._buffer
        if not self._fed and buffer[:1] not in b"<":
            # RFC 6120 §11.7 lets white space pass; anything else could make expat guess another encoding.
            buffer = self._buffer = bytes(buffer).lstrip(b" \t\r\n")
            if buffer[:1] not in b"<":
                condition = "not-well-formed" if buffer[0] < 0x80 else "unsupported-encoding"
                raise StreamError(condition, "a stream begins with <")
        declaration = _DECLARATION.match(buffer)
        assert declaration is not None  # it may be empty
        token = bytes(buffer[declaration.end() : declaration.end() + _LONGEST_DECLARATION])
        if token.startswith(b"<!"):
            raise StreamError("restricted-xml", "comments and document types are not allowed in streams")
        if token.startswith(b"<?") and (
            len(token) == _LONGEST_DECLARATION
            or not (token.startswith(b"<?xml") or b"<?xml".startswith(token))
        ):
            raise StreamError("restricted-xml", "processing instructions are not allowed in streams")
        return buffer

    def _whole(self, fed: int) -> int:
        """Tell how far an expat that defers may be fed: it must not get an unfinished tag first."""
        buffer = self._buffer
        end = len(buffer)
        if self._cdata:
            return end
        if buffer.endswith(b"<"):
            end -= 1
        assert self._expat is not None
        if fed and self._expat.CurrentByteIndex - self._base < fed:
            return end  # it has the beginning of a token, which came behind others
        token = bytes(buffer[fed:end])
        if token[:2] not in {b"<!", b"<?"} and token[:1] in {b"<", b"&"} and self._is_open(token):
            self._held = True
            return fed
        return end

    def _reopen(self, position: int, events: list[Event]) -> None:
        """Read the rest as a new stream."""
        if not self._restarts:
            raise StreamError("not-well-formed", "a stream header or declaration where an element belongs")
        self._restarts -= 1
        self._forget()
        self._buffer = bytes(self._buffer[position:])
        self._fed = 0
        self._prefixes = {}
        self._open(b"")
        self._parse(events)

    def _hold(self, position: int) -> None:
        """Decide whether the unfinished token at the end of the buffer is held back until it is whole."""
        rest = bytes(self._buffer[position:])
        self._held = False
        if rest[:2] == b"<!":
            # A CDATA section's opening; a comment or document type is refused before it grows.
            if rest[:9] != b"<![CDATA["[: len(rest)]:
                raise StreamError("restricted-xml", "comments and document types are not allowed in streams")
        elif rest[:2] == b"<?":
            if len(rest) > _LONGEST_DECLARATION or not (
                rest.startswith(b"<?xml") or b"<?xml".startswith(rest)
            ):
                raise StreamError("restricted-xml", "processing instructions are not allowed in streams")
        elif rest[:1] in {b"<", b"&"} and rest != b"<":  # which may begin anything
            self._held = self._is_open(rest)
        # else an octet or two of a character, or of ]]>

    def _is_open(self, token: bytes) -> bool:
        """Begin to follow a tag or reference, and tell whether its end is still to come."""
        self._quote = _REFERENCE if token[:1] == b"&" else b""
        return not self._tag_ends(token[1:])

    def _tag_ends(self, data: bytes) -> bool:
        """Follow a held tag or reference through more octets and tell whether it is complete."""
        if self._quote == _REFERENCE:
            return _REFERENCE_END.search(data) is not None
        position = 0
        while True:
            match = _TAG_STOPS[self._quote].search(data, position)
            if match is None:
                return False
            mark = match[0]
            if mark in b"<>":  # a < has no place in a tag: let expat say so
                return True
            self._quote = b"" if self._quote else mark
            position = match.end()

    # --- what expat calls

    def _on_declaration(self, prefix: str | None, uri: str | None) -> None:
        self._prefixes[prefix or ""] = uri or ""

    def _on_cdata(self) -> None:
        self._cdata = True

    def _on_cdata_end(self) -> None:
        self._cdata = False

    def _on_start(self, tag: str, attributes: dict[str, str]) -> None:
        depth = self._depth = self._depth + 1
        self._names += 1 + len(attributes)
        if depth == 3:
            assert self._expat is not None
            self._index.append((tag, self._expat.CurrentByteIndex))
            self._elements += 1
        elif depth == 2:
            assert self._expat is not None
            self._start = self._expat.CurrentByteIndex - self._base
            if tag == _STREAM_TAG:
                raise _Reopen
            self._tag = tag
            self._attributes = attributes
            self._index = []
            self._elements = 1
        elif depth == 1:
            self._on_head(tag, attributes)
            return
        else:
            self._elements += 1
            if depth > self.limits.depth + 1:
                raise StreamError("policy-violation", f"elements may nest {self.limits.depth} deep")
        if len(attributes) > self.limits.attributes:
            raise StreamError("policy-violation", f"an element may have {self.limits.attributes} attributes")
        if self._elements > self.limits.elements:
            raise StreamError("policy-violation", f"a stanza may have {self.limits.elements} elements")
        if len(self._index) > self.limits.children:
            raise StreamError("policy-violation", f"a stanza may have {self.limits.children} children")

    def _on_head(self, tag: str, attributes: dict[str, str]) -> None:
        assert self._expat is not None
        self._expat.StartNamespaceDeclHandler = None
        limits = self.limits
        opening = _START_TAG.match(self._buffer, self._expat.CurrentByteIndex - self._base)
        assert opening is not None  # expat has read this tag
        if len(opening[0]) > limits.stanza_bytes:
            raise StreamError("policy-violation", f"a stream header may have {limits.stanza_bytes} octets")
        if len(attributes) + len(self._prefixes) > limits.attributes:
            raise StreamError("policy-violation", f"a stream header may have {limits.attributes} attributes")
        declarations = "".join(
            f' xmlns{":" if prefix else ""}{prefix}="{escape_attribute(uri)}"'
            for prefix, uri in self._prefixes.items()
        )
        qualified = _QUALIFIED.match(opening[0])
        assert qualified is not None
        self._head = b"%b%b>" % (qualified[0], declarations.encode())  # what a renewed expat must know
        if len(self._head) > _LONGEST_HEAD:
            raise StreamError("policy-violation", f"a header's namespaces may have {_LONGEST_HEAD} octets")
        self._content_namespace = self._prefixes.pop("", "")
        self._marks = tuple(f"{prefix}:".encode() for prefix in self._prefixes)
        namespace, name = split_tag(tag)
        named = {attribute_key(key): value for key, value in attributes.items()}
        self._events.append(StreamHead(namespace, name, named, self._content_namespace))

    def _on_end(self, _tag: str) -> None:
        depth = self._depth = self._depth - 1
        if depth == 1:
            assert self._expat is not None
            self._events.append(self._fragment(self._expat.CurrentByteIndex - self._base))
        elif depth == 0:
            self._events.append(StreamTail())

    def _fragment(self, end: int) -> Fragment:
        """Cut the element that has just ended: its end tag begins at `end`; an empty tag ends there."""
        buffer = self._buffer
        start = self._start
        index = self._index
        name = b"<" + self._tag[self._tag.rfind(" ") + 1 :].encode()
        self._end = stop = end
        if index and buffer.find(b">", start) == (first := index[0][1] - self._base) - 1:
            opening = bytes(buffer[start:first])
            content = bytes(buffer[first:end])
        else:  # text comes first, or a > stands in a value
            match = _START_TAG.match(buffer, start)
            assert match is not None  # expat has read this tag
            first = match.end()
            opening = match[0]
            content = bytes(buffer[first:end])
        if opening[-2] != _SLASH:
            stop = end + len(name) + 2
            if buffer[stop - 1] != _TAG_END:
                stop = buffer.find(b">", end) + 1
        if stop - start > self.limits.stanza_bytes:
            raise StreamError("policy-violation", f"a stanza may have {self.limits.stanza_bytes} octets")
        if opening.startswith(name) and opening[len(name)] != _COLON and b"xmlns:" not in opening:
            for prefix in self._prefixes:
                if prefix.encode() + b":" in content:
                    break
            else:
                first += self._base
                return Fragment(
                    self._tag, self._attributes, [(tag, position - first) for tag, position in index], content
                )
        return self._rewritten(opening, content)

    def _rewritten(self, opening: bytes, content: bytes) -> Fragment:
        """Write content anew that leans on declarations outside of it, so that it stands alone."""
        qualified = _QUALIFIED.match(opening)
        assert qualified is not None  # expat has read this tag
        raw = opening if opening.endswith(b"/>") else opening + content + b"</" + qualified[1] + b">"
        root = decode(raw, self._content_namespace, self._prefixes)
        if root.namespace == XML_NAMESPACE:
            raise StreamError("invalid-namespace", "nothing that is sent has the namespace of xml: itself")
        parts: list[bytes] = []
        index: list[tuple[str, int]] = []
        length = 0
        for item in root.content:
            if isinstance(item, Element):
                index.append((f"{item.namespace} {item.name}" if item.namespace else item.name, length))
                part = item.to_bytes(root.namespace)
            else:
                part = escape_text(item).encode()
            parts.append(part)
            length += len(part)
        return Fragment(self._tag, self._attributes, index, b"".join(parts))


class FrameParser:
    """Reads whole frames, WebSocket's and BOSH's: each holds exactly one element.

    The frames of one peer share an expat, so that a frame costs what a stanza of a stream costs.
    """

    __slots__ = ("_limits", "_parser")

    def __init__(self, limits: XmlLimits) -> None:
        self._limits = limits
        self._parser: StreamParser | None = None

    def parse(self, frame: bytes) -> Fragment:
        """Give the element that the frame holds; raises `StreamError` when it is not one element."""
        parser = self._parser
        if parser is None:
            parser = self._parser = StreamParser(self._limits, restarts=0)
            parser.feed(_FRAME_ROOT)
        frame = frame.strip(b" \t\r\n")
        events = parser.feed(frame) if frame.startswith(b"<") else []
        if parser.holds_exactly(frame, events):
            return events[0]  # type: ignore[return-value]  # holds_exactly has looked
        self._parser = None
        parser.close()
        raise parser.failure or StreamError("not-well-formed", "a frame holds one element")

    def rest(self) -> None:
        """Give back the memory of expat while the peer is silent."""
        if self._parser is not None:
            self._parser.rest()


def _condition(code: int, octets: bytes, position: int) -> str:
    """Name the stream error (RFC 6120 §4.9.3) for what expat refuses at this position."""
    if code in _RESTRICTED or octets[:position].endswith((b"<!", b"<!-")):
        return "restricted-xml"
    try:
        octets[position : position + 4].decode()
    except UnicodeDecodeError as error:
        if error.start == 0:
            return "unsupported-encoding"
    return "not-well-formed"


def _refuse_doctype(*_details: object) -> None:
    raise StreamError("restricted-xml", "document types are not allowed in streams")


def _refuse_comment(_text: str) -> None:
    raise StreamError("restricted-xml", "comments are not allowed in streams")


def _refuse_instruction(_target: str, _text: str) -> None:
    raise StreamError("restricted-xml", "processing instructions are not allowed in streams")


def _check_declaration(version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in {"utf-8", "utf8"}:
        raise StreamError("unsupported-encoding", "streams are UTF-8")
    if version != "1.0":
        raise StreamError("not-well-formed", "streams are XML 1.0")
