"""Outgoing: a stanza on its way to a client, which each link writes in its own encoding."""

from __future__ import annotations

from collections.abc import Callable

from tidings.base.jid import Jid
from tidings.wire.xmpp.stanza import Stanza

_FRAME_OCTETS = 160
"""What a root tag with its addresses takes, as far as limits need to know."""


class Outgoing:
    """A stanza for one address; what it costs to write is shared by all who get the same stanza.

    It is made of a stanza, or of XML that is written already and the way to read it, which only those take
    who speak another language.
    """

    __slots__ = ("_source", "_to", "_xml")

    def __init__(
        self, source: Stanza | Callable[[], Stanza], to: Jid | None = None, xml: bytes | None = None
    ) -> None:
        self._source = source
        self._to = to
        self._xml = xml

    @property
    def stanza(self) -> Stanza:
        """The stanza; with the address `to` of its root where it has no other."""
        source = self._source
        if not isinstance(source, Stanza):
            source = self._source = source()
        return source

    @property
    def to(self) -> Jid | None:
        """The address that its recipient has in it; None where that is the stanza's own."""
        return self._to

    @property
    def xml(self) -> bytes:
        """The stanza as XML, written for the content namespace `jabber:client`."""
        if self._xml is None:
            self._xml = self.stanza.to_bytes(self._to)
        return self._xml

    @property
    def octets(self) -> int:
        """How large it is, about, without writing it."""
        return len(self.stanza.content) + _FRAME_OCTETS if self._xml is None else len(self._xml)

    def encoded(self, write: Callable[[Stanza], bytes]) -> bytes:
        """Give the stanza as `write` writes it, once for all who get the same stanza."""
        return self.stanza.encoded(write)
