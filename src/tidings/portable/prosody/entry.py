"""One entry of an archive, as files and databases have it."""

from __future__ import annotations

import msgspec

from tidings.wire.xml.element import Element


class Entry(msgspec.Struct, frozen=True):
    """A stanza, or the payload of an item of a node."""

    key: str
    """The id of a message or an item."""
    when: float | None
    """When it was stored, in seconds since 1970."""
    peer: str
    """Whom a message was exchanged with, or who has published an item."""
    element: Element
