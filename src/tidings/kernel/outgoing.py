"""Outgoing: a stanza on its way to a client, which each link writes in its own encoding."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xmpp.stanza import Stanza

_FRAME_OCTETS = 160
"""What a root tag with its addresses takes, as far as limits need to know."""


class Outgoing(msgspec.Struct, gc=False, eq=False):
    """A stanza for one address; what it costs to write is shared by all who get the same stanza.

    It is made of a stanza, or of XML that is written already and the way to read it, which only those take
    who speak another language.
    """

    source: Stanza | Callable[[], Stanza]
    to: Jid | None = None
    """The address that its recipient has in it; None where that is the stanza's own."""
    written: bytes | None = None
    """It as XML, where that was written already."""

    @classmethod
    def of_written(cls, xml: bytes, stanza: Callable[[], Stanza]) -> Outgoing:
        """Make one of what is written as XML; the stanza is made only for who needs another form."""
        return cls(stanza, None, xml)

    @property
    def stanza(self) -> Stanza:
        """The stanza, under its own address."""
        source = self.source
        if not isinstance(source, Stanza):
            source = self.source = source()
        return source

    def to_bytes(self) -> bytes:
        """Write the stanza for a stream of `jabber:client`."""
        written = self.written
        if written is not None:
            return written
        source = self.source
        if type(source) is not Stanza:
            source = self.stanza
        return source.to_bytes(self.to)  # not kept: it is written once, and the stanza has it in two parts

    @property
    def octets(self) -> int:
        """How large it is, about, without writing it."""
        return len(self.stanza.content) + _FRAME_OCTETS if self.written is None else len(self.written)

    def encoded(self, write: Callable[[Stanza], bytes]) -> bytes:
        """Give the stanza as `write` writes it, once for all who get the same stanza."""
        return self.stanza.encoded(write)
