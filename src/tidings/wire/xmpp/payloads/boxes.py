"""Boxes: where a conversation lies, and how it stands there, in the inbox of MongooseIM.

The marks § are those of our specification sheet. Limit: a box name of 64 octets.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.data_form import Field, FieldKind, Option
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.strict import octets, read_boolean

ALL: Final = "all"
INBOX: Final = "inbox"
ARCHIVE: Final = "archive"
BIN: Final = "bin"
BOXES: Final = (INBOX, ARCHIVE, BIN)
"""The boxes that every account has; a server may add some of its own."""
BOX_OCTETS: Final = 64


class Standing(msgspec.Struct, frozen=True):
    """How a conversation stands: the children read, box, archive and mute of several elements (§1.5).

    `muted_until` is in microseconds since 1970; 0 is not muted, and it is for the server to give 0 once the
    time has passed. `is_read` says that no message is unread.
    """

    is_read: bool = True
    box: str = INBOX
    muted_until: int = 0

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return how it stands; raise `bad-request` for a broken part. `archive` says nothing of its own."""
        mute = (element.text_of("mute") or "0").strip()
        return cls(
            read_boolean(element.text_of("read"), "read", default=True),
            read_box(element.text_of("box") or INBOX),
            0 if mute == "0" else read_date_time(mute, "mute"),
        )

    def encode(self, namespace: str) -> tuple[Element, ...]:
        """Return the four children in MongooseIM's order."""
        texts = {
            "read": _truth(self.is_read),
            "box": self.box,
            "archive": _truth(self.box == ARCHIVE),
            "mute": format_date_time(self.muted_until) if self.muted_until else "0",
        }
        return tuple(Element(name, namespace, None, text) for name, text in texts.items())

    def to_bytes(self, namespace: str) -> bytes:
        """Return the four children, written for a place where their namespace is the default."""
        return _written(self, namespace)


def read_box(text: str, boxes: Collection[str] | None = None) -> str:
    """Return the name of a box, or raise `bad-request` for one that is none of `boxes`, if given."""
    name = text.strip()
    if not name or octets(name) > BOX_OCTETS or (boxes is not None and name not in boxes):
        raise StanzaError("bad-request", "invalid-box")
    return name


def box_field(boxes: Collection[str]) -> Field:
    """Return the form field in which a box is chosen."""
    options = tuple(Option(name, name) for name in (ALL, *BOXES, *boxes))
    return Field("box", (ALL,), FieldKind.LIST_SINGLE, options=options)


@lru_cache(maxsize=1_024)
def _written(standing: Standing, namespace: str) -> bytes:
    """Write how something stands; most conversations stand alike."""
    return b"".join(child.to_bytes(namespace) for child in standing.encode(namespace))


def _truth(value: bool) -> str:
    return "true" if value else "false"
