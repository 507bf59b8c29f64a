"""FrameParser: whole frames in, an element of each out as raw slices."""

from __future__ import annotations

from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xml.parser import StreamParser

_ROOT = b"<frame>"


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
            parser.feed(_ROOT)
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
