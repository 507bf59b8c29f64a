"""Framing: how streams, elements and stanzas look as bytes, on TCP (RFC 6120 §4) and on WebSocket (RFC 7395).

Stanzas come written for the default namespace `jabber:client`; each framing adds what its transport needs.
"""

from __future__ import annotations

from typing import Protocol

from tidings.base.errors import StreamError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.fragment import StreamHead
from tidings.wire.xml.writer import escape_attribute, escape_text, strip_characters
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.values import StreamHeader

_STREAM_PREFIX = f' xmlns:stream="{ns.STREAMS}"'


class Framing(Protocol):
    """Writes what a stream consists of."""

    def opening(self, header: StreamHeader) -> bytes:
        """Write the opening of a stream."""
        ...

    def closing(self) -> bytes:
        """Write the closing of a stream."""
        ...

    def element(self, element: Element) -> bytes:
        """Write an element of the negotiation, or a nonza."""
        ...

    def stanza(self, raw: bytes) -> bytes:
        """Frame a stanza that is written for the default namespace `jabber:client`."""
        ...


def opening_error(head: StreamHead, content_namespace: str) -> StreamError | None:
    """Tell what is wrong with the namespaces of a stream's opening tag (RFC 6120 §4.8).

    Where the streams' own namespace is the default, each stanza declares the one that it has (§4.8.3).
    """
    if head.namespace != ns.STREAMS or head.name != "stream":
        return StreamError("invalid-namespace", "a stream begins with <stream:stream/>")
    if head.content_namespace not in (content_namespace, ns.STREAMS):
        return StreamError("invalid-namespace", f"what connects here speaks {content_namespace}")
    return None


def stream_header(head: StreamHead) -> StreamHeader:
    """Read the opening tag of a stream (RFC 6120 §4.7)."""
    attributes = head.attributes
    return StreamHeader(
        to=attributes.get("to", ""),
        sender=attributes.get("from", ""),
        version=attributes.get("version", ""),
        lang=attributes.get("xml:lang", ""),
        id=attributes.get("id", ""),
    )


class TcpFraming:
    """One XML document for each stream; `stream:` and the content namespace are declared in its header."""

    def __init__(self, content_namespace: str = ns.CLIENT) -> None:
        self._content_namespace = content_namespace

    def opening(self, header: StreamHeader) -> bytes:
        """Write the XML declaration and <stream:stream>."""
        attributes = _header_attributes(header)
        return (
            f'<?xml version="1.0"?><stream:stream xmlns="{self._content_namespace}"'
            f"{_STREAM_PREFIX}{attributes}>".encode()
        )

    def closing(self) -> bytes:
        """Write </stream:stream>."""
        return b"</stream:stream>"

    def element(self, element: Element) -> bytes:
        """Write an element, with the prefix that the header declares where it is one of the stream's own."""
        if element.namespace != ns.STREAMS:
            return element.to_bytes(self._content_namespace)
        return _prefixed(element, "", self._content_namespace)

    def stanza(self, raw: bytes) -> bytes:
        """Give the stanza as it is."""
        return raw


class WebSocketFraming:
    """Each frame is a document of its own, so that each declares its namespaces (RFC 7395 §3.3)."""

    def opening(self, header: StreamHeader) -> bytes:
        """Write <open/>."""
        return f'<open xmlns="{ns.FRAMING}"{_header_attributes(header)}/>'.encode()

    def closing(self) -> bytes:
        """Write <close/>."""
        return f'<close xmlns="{ns.FRAMING}"/>'.encode()

    def element(self, element: Element) -> bytes:
        """Write an element with all its namespaces."""
        if element.namespace != ns.STREAMS:
            return element.to_bytes()
        return _prefixed(element, _STREAM_PREFIX, "")

    def stanza(self, raw: bytes) -> bytes:
        """Add the namespace to the stanza's root, which is unprefixed."""
        space, end = raw.find(b" "), raw.find(b">")
        if space < 0 or space > end:
            space = end - 1 if raw[end - 1 : end] == b"/" else end
        return raw[:space] + _CLIENT_DECLARATION + raw[space:]


_CLIENT_DECLARATION = f' xmlns="{ns.CLIENT}"'.encode()


def stream_error_element(error: StreamError) -> Element:
    """Write a stream error (RFC 6120 §4.9.2)."""
    condition = Element(error.condition, ns.STREAM_ERRORS, None, error.content)
    element = Element("error", ns.STREAMS, None, condition)
    if error.text:
        text = strip_characters(error.text)
        element.append(Element("text", ns.STREAM_ERRORS, {"xml:lang": "en"}, text))
    if error.payload:
        element.append(decode(error.payload, ns.CLIENT))
    return element


def _header_attributes(header: StreamHeader) -> str:
    named = {
        "from": header.sender,
        "to": header.to,
        "id": header.id,
        "version": header.version,
        "xml:lang": header.lang,
    }
    return "".join(f' {name}="{escape_attribute(value)}"' for name, value in named.items() if value)


def _prefixed(element: Element, declaration: str, default_namespace: str) -> bytes:
    """Write an element of the stream namespace the way that all clients know it."""
    content = b"".join(
        escape_text(item).encode() if isinstance(item, str) else item.to_bytes(default_namespace)
        for item in element.content
    )
    opening = f"<stream:{element.name}{declaration}{element.written_attributes()}>"
    return opening.encode() + content + f"</stream:{element.name}>".encode()
