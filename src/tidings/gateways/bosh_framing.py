"""How a stream is written into the wrappers of BOSH."""

from __future__ import annotations

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import WebSocketFraming
from tidings.wire.xmpp.negotiation.values import StreamHeader


class BoshFraming(WebSocketFraming):
    """Elements stand alone, as on WebSocket; the wrapper opens and closes the stream, and tells its error."""

    def __init__(self) -> None:
        self.error = b""
        """The stream error that was written."""

    def opening(self, header: StreamHeader) -> bytes:  # noqa: ARG002
        """Write nothing: the first answer is the opening."""
        return b""

    def closing(self) -> bytes:
        """Write nothing: `type='terminate'` is the closing."""
        return b""

    def element(self, element: Element) -> bytes:
        """Write an element, but keep a stream error for the last answer (XEP-0206 §6)."""
        raw = super().element(element)
        if (element.namespace, element.name) == (ns.STREAMS, "error"):
            self.error = raw
            return b""
        return raw
