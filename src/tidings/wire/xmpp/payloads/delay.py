"""Delayed Delivery: when a stanza was sent first, and who held it back (XEP-0203 2.0)."""

from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.strict import read_jid
from tidings.wire.xmpp.stanza import Stanza


class Delay(msgspec.Struct, frozen=True):
    """The moment in microseconds since 1970; `sender` is `from`, `reason` a sentence for people."""

    TAG: ClassVar[tuple[str, str]] = (ns.DELAY, "delay")

    stamp: int
    sender: Jid | None = None
    reason: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the delay; raise `bad-request` for a bad stamp, `jid-malformed` for a bad from."""
        sender = element.get("from")
        return cls(
            read_date_time(element.get("stamp") or "", "stamp"),
            None if sender is None else read_jid(sender, "from"),
            element.text,
        )

    def encode(self) -> Element:
        """Return `<delay/>`."""
        sender = {} if self.sender is None else {"from": str(self.sender)}
        attributes = {**sender, "stamp": format_date_time(self.stamp)}
        return Element("delay", ns.DELAY, attributes, *filter(None, [self.reason]))

    def to_bytes(self) -> bytes:
        """Return `<delay/>`, written for any default namespace; the usual one without a tree."""
        if self.sender is None and not self.reason:
            return f'<delay xmlns="{ns.DELAY}" stamp="{format_date_time(self.stamp)}"/>'.encode()
        return self.encode().to_bytes()


def delay_of(stanza: Stanza) -> Delay | None:
    """Return the first delay that can be read; others are as if they were not there."""
    element = stanza.decode(*Delay.TAG)
    try:
        return None if element is None else Delay.decode(element)
    except StanzaError:
        return None
