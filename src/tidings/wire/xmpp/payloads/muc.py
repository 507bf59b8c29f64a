"""Entering a room: the password, and how much of what was said before is wanted (XEP-0045 §7.2)."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import read_date_time
from tidings.wire.xmpp.payloads.numbers import read_unsigned


class HistoryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of the past are wanted; all limits hold together (§7.2.14)."""

    characters: int | None = None
    """Of the stanzas together."""
    stanzas: int | None = None
    seconds: int | None = None
    """Not older."""
    since: int | None = None
    """Not before this time, in microseconds since 1970."""


class Entering(msgspec.Struct, frozen=True, kw_only=True):
    """`<x/>` in a presence: whoever sends it wants to enter, and speaks the protocol."""

    TAG: ClassVar[tuple[str, str]] = (ns.MUC, "x")

    password: str = ""
    history: HistoryLimits = HistoryLimits()
    affiliations_since: str | None = None
    """The version of the affiliations that is known, empty for none; None where they are not asked for."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what it says; raise `bad-request` for limits that are no numbers or no time."""
        history = element.find("history")
        mark = element.find("mav", ns.AFFILIATION_VERSIONS)
        return cls(
            password=element.text_of("password") or "",
            history=HistoryLimits() if history is None else _limits(history),
            affiliations_since=None if mark is None else mark.get("since") or "",
        )


def _limits(element: Element) -> HistoryLimits:
    numbers = {
        name: read_unsigned(text, name)
        for name in ("maxchars", "maxstanzas", "seconds")
        if (text := element.get(name)) is not None
    }
    since = element.get("since")
    return HistoryLimits(
        characters=numbers.get("maxchars"),
        stanzas=numbers.get("maxstanzas"),
        seconds=numbers.get("seconds"),
        since=None if since is None else read_date_time(since, "since"),
    )
