"""Nicknames: what people may be called in a room (XEP-0045 §7.2, §17.1; RFC 7622 §3.4)."""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.features.rooms.look_alikes import keys_of

LONGEST_OCTETS = 255
"""More are never kept."""


def check_nick(nick: str, most: int = LONGEST_OCTETS) -> str:
    """Give a name that is one, prepared as a resource; raises `not-acceptable` for one that shows nothing."""
    if not keys_of(nick)[0]:
        raise StanzaError("not-acceptable", "a name has to show something")
    octets = len(nick.encode())
    if octets > most:
        raise StanzaError("not-acceptable", f"the name has {octets} octets; {most} are allowed")
    return nick


def prepared(nick: str) -> str:
    """Give a name as it is prepared in an address; raises `not-acceptable` for what cannot be in one."""
    try:
        return Jid.of("", "localhost", nick).resource
    except JidError as error:
        raise StanzaError("not-acceptable", str(error)) from error
