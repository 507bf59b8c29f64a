"""StreamParser: bytes in, whole first-level elements out as raw slices; no tree is built.

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
from pyexpat import ExpatError, ParserCreate, XMLParserType, errors

from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml import restrictions
from tidings.wire.xml.element import XML_NAMESPACE, attribute_key, decode, split_tag
from tidings.wire.xml.fragment import Event, Fragment, StreamHead, StreamTail
from tidings.wire.xml.tokens import OpenToken, expat_defers, follow
from tidings.wire.xml.writer import escape_attribute

_RENEW_OCTETS = 262_144
_RENEW_NAMES = 2_000
_LONGEST_HEAD = 10_000  # every renewed expat reads the header's namespaces again
_RESTARTS = 4  # a stream begins anew after log-in, and never often
_STREAM_TAG = "http://etherx.jabber.org/streams stream"
_SLASH, _TAG_END = b"/>"
_NAME_ENDS = frozenset(
    b" \t\r\n/>"
)  # anything else goes on with a name, of which this may be a prefix's beginning
_START_TAG = re.compile(rb"""<[^>"']*(?:(?:"[^"]*"|'[^']*')[^>"']*)*>""")
_QUALIFIED = re.compile(rb"<([^\s/>]+)")
_DEFERS = expat_defers()
_MISPLACED_DECLARATION = errors.codes[errors.XML_ERROR_MISPLACED_XML_PI]


class _Reopen(Exception):  # noqa: N818  # a signal, no error
    """A stream header stands where a stanza may: the stream begins anew there (RFC 6120 §4.3.3)."""


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
        "_first",
        "_head",
        "_held",
        "_index",
        "_marks",
        "_names",
        "_prefixes",
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
        self._buffer: bytes | bytearray = b""  # all octets since the last end of a first-level element
        self._fed = 0  # so many octets of the buffer has expat seen
        self._held: OpenToken | None = None  # the buffer ends inside of it; expat waits for its end
        self._expat: XMLParserType | None = None
        self._head = b""
        self._prefixes: dict[str, str] = {}  # that the stream's header declares
        self._marks: tuple[bytes, ...] = ()  # what a use of them looks like
        self._content_namespace = ""
        self._attributes: dict[str, str] = {}
        self._first = 0  # where in all that expat has seen the first child begins
        self._index: list[tuple[str, int]] = []  # the children, each with its distance from the first
        self._events: list[Event] = []
        self._tag = ""
        self._start = self._end = self._elements = 0
        self._open(b"")

    def feed(self, data: bytes) -> list[Event]:
        """Take octets as they come and give the events that they complete, in order."""
        if self.failure is not None or self._depth < 0:
            return []
        if data.find(b"\0") >= 0:  # of octets, `in` asks first whether they are a number
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
            if held is None or held.ends_in(data):
                self._parse(events)
            if events and type(events[-1]) is StreamTail:
                self.close()
            if len(self._buffer) > self.limits.stanza_bytes:
                raise StreamError("policy-violation", f"a stanza may have {self.limits.stanza_bytes} octets")
        except StreamError as error:
            self.close()
            # What follows a stream's end is nobody's business.
            if not (events and type(events[-1]) is StreamTail):
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
        restrictions.arm(expat)
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
            expat.Parse(bytes(buffer[fed:end]), False)
        except _Reopen:
            self._reopen(self._start, events)
            return
        except ExpatError as error:
            position = expat.CurrentByteIndex - self._base
            if error.code == _MISPLACED_DECLARATION and self._depth == 1:
                self._reopen(position, events)
                return
            condition = restrictions.condition_of(error.code, bytes(buffer), position)
            raise StreamError(condition, errors.messages[error.code]) from None
        unfinished = expat.CurrentByteIndex - self._base
        if unfinished < end:
            self._hold(unfinished)
        else:
            self._held = None
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
        """Look at what stands before the root: white space, a declaration, and nothing else."""
        buffer = self._buffer
        if not self._fed and buffer[:1] not in b"<":
            # RFC 6120 §11.7 lets white space pass; anything else could make expat guess another encoding.
            buffer = self._buffer = bytes(buffer).lstrip(b" \t\r\n")
            if buffer[:1] not in b"<":
                condition = "not-well-formed" if buffer[0] < 0x80 else "unsupported-encoding"
                raise StreamError(condition, "a stream begins with <")
        restrictions.check_prolog(buffer)
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
        if token[:2] not in {b"<!", b"<?"} and token[:1] in {b"<", b"&"}:
            held = follow(token)
            if held is not None:
                self._held = held
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
        self._held = None
        if rest[:2] in {b"<!", b"<?"}:
            restrictions.check_unfinished(rest)
        elif rest[:1] in {b"<", b"&"} and rest != b"<":  # which may begin anything
            self._held = follow(rest)
        # else an octet or two of a character, or of ]]>

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
        limits = self.limits
        if depth == 3:
            assert self._expat is not None
            position = self._expat.CurrentByteIndex
            if not self._index:
                self._first = position
            self._index.append((tag, position - self._first))
            self._elements += 1
            if len(self._index) > limits.children:
                raise StreamError("policy-violation", f"a stanza may have {limits.children} children")
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
            if depth > limits.depth + 1:
                raise StreamError("policy-violation", f"elements may nest {limits.depth} deep")
        if len(attributes) > limits.attributes:
            raise StreamError("policy-violation", f"an element may have {limits.attributes} attributes")
        if self._elements > limits.elements:
            raise StreamError("policy-violation", f"a stanza may have {limits.elements} elements")

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
        if type(buffer) is not bytes:  # what came in pieces is whole now
            buffer = self._buffer = bytes(buffer)
        start = self._start
        index = self._index
        namespace, name = split_tag(self._tag)
        begin = b"<" + name.encode()
        self._end = stop = end
        first = self._first - self._base
        if not index or buffer.find(b">", start) != first - 1:  # text comes first, or a > is in a value
            match = _START_TAG.match(buffer, start)
            assert match is not None  # expat has read this tag
            before = first - match.end()
            index = [(tag, before + offset) for tag, offset in index]
            first = match.end()
        opening = buffer[start:first]
        content = buffer[first:end]
        if opening[-2] != _SLASH:
            stop = end + len(begin) + 2
            if buffer[stop - 1] != _TAG_END:
                stop = buffer.find(b">", end) + 1
        if stop - start > self.limits.stanza_bytes:
            raise StreamError("policy-violation", f"a stanza may have {self.limits.stanza_bytes} octets")
        if opening.startswith(begin) and opening[len(begin)] in _NAME_ENDS and opening.find(b"xmlns:") < 0:
            for mark in self._marks:
                if content.find(mark) >= 0:
                    break
            else:
                return Fragment(namespace, name, self._attributes, index, content)
        return self._rewritten(opening, content)

    def _rewritten(self, opening: bytes, content: bytes) -> Fragment:
        """Write content anew that leans on declarations outside of it, so that it stands alone."""
        qualified = _QUALIFIED.match(opening)
        assert qualified is not None  # expat has read this tag
        raw = opening if opening.endswith(b"/>") else opening + content + b"</" + qualified[1] + b">"
        root = decode(raw, self._content_namespace, self._prefixes)
        if root.namespace == XML_NAMESPACE:
            raise StreamError("invalid-namespace", "nothing that is sent has the namespace of xml: itself")
        return Fragment.written(self._tag, self._attributes, root)
