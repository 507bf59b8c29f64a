"""The children of a presence stanza that a server reads: the priority of a resource (RFC 6121 §4.7.2.3)."""

import re
from typing import Final

from tidings.base.errors import StanzaError
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

LOWEST_PRIORITY: Final = -128
HIGHEST_PRIORITY: Final = 127

_INTEGER = re.compile(r"[+-]?[0-9]{1,16}", re.ASCII)


def priority_of(presence: Stanza) -> int:
    """Give the priority that a presence claims, 0 if none; raise `bad-request` for what is no xs:byte."""
    if not presence.has(ns.CLIENT, "priority"):
        return 0
    if sum((child.namespace, child.name) == (ns.CLIENT, "priority") for child in presence.children) > 1:
        raise StanzaError("bad-request", "a presence has one priority at most")
    element = presence.decode(ns.CLIENT, "priority")
    return read_priority(element.text if element is not None else "")


def read_priority(text: str) -> int:
    """Read the text of `<priority/>`; digits of other scripts and huge numbers are `bad-request`."""
    digits = text.strip(" \t\r\n")
    if _INTEGER.fullmatch(digits):
        number = int(digits)
        if LOWEST_PRIORITY <= number <= HIGHEST_PRIORITY:
            return number
    raise StanzaError(
        "bad-request", f"a priority is a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
    )
