"""Entity Time: the clock of an entity and its distance from UTC (XEP-0202 2.0, formats of XEP-0082)."""

import re
from datetime import UTC, datetime
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.clock import format_utc
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d):(?P<minutes>[0-5]\d)", re.ASCII)
_FURTHEST: Final = 14 * 60  # no zone of the world is further from UTC


class EntityTime(msgspec.Struct, frozen=True):
    """A request when `utc` is None; else seconds since the epoch and the local offset in minutes."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIME, "time")

    utc: float | None = None
    offset: int = 0

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the time; raise `bad-request` if one of its two parts is missing or no XEP-0082 text."""
        moment, offset = element.text_of("utc"), element.text_of("tzo")
        if moment is None and offset is None:
            return cls()
        return cls(read_moment(moment or ""), read_offset(offset or ""))

    def encode(self) -> Element:
        """Return `<time/>`, with both parts if this is an answer."""
        if self.utc is None:
            return Element("time", ns.TIME)
        return Element(
            "time",
            ns.TIME,
            None,
            Element("tzo", ns.TIME, None, format_offset(self.offset)),
            Element("utc", ns.TIME, None, format_utc(self.utc)),
        )


def read_moment(text: str) -> float:
    """Return the seconds since the epoch of an XEP-0082 dateTime in UTC, or raise `bad-request`."""
    if _MOMENT.fullmatch(text) and len(text) <= 32:
        try:
            return datetime.fromisoformat(text).astimezone(UTC).timestamp()
        except ValueError:
            pass  # the thirteenth month and its like: answered as any other text that is no time
    raise StanzaError("bad-request", "a time must look like 2006-12-19T17:58:35Z")


def read_offset(text: str) -> int:
    """Return the minutes east of UTC of an XEP-0082 time zone, or raise `bad-request`."""
    match = _OFFSET.fullmatch(text)
    minutes = int(match["hours"]) * 60 + int(match["minutes"]) if match else 0
    if text == "Z" or (match and minutes <= _FURTHEST):
        return -minutes if text.startswith("-") else minutes
    raise StanzaError("bad-request", "a time zone must look like -06:00 or Z")


def format_offset(minutes: int) -> str:
    """Write minutes east of UTC as XEP-0082 does: `+05:30`; none is `+00:00`, which all clients read."""
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
