"""Nicknames: what people may be called in a room (XEP-0045 §7.2, §17.1; RFC 7622 §3.4)."""

from __future__ import annotations

from tidings.base.errors import StanzaError

LONGEST_OCTETS = 255
"""More are never kept."""


def check_nick(nick: str, most: int = LONGEST_OCTETS) -> str:
    """Give a name that is one, prepared as a resource; raises `not-acceptable` for one that shows nothing."""
    if not nick.strip():
        raise StanzaError("not-acceptable", "a name has to show something")
    octets = len(nick.encode())
    if octets > most:
        raise StanzaError("not-acceptable", f"the name has {octets} octets; {most} are allowed")
    return nick
