"""Hats: what people are in a room beyond affiliation and role, as values (XEP-0317).

The list of hats and who has which are one property of the room's archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class Hat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody can be in a room."""

    uri: str
    """By which programs know it."""
    title: str
    """By which people know it."""
    hue: str = ""
    """The angle of its colour in degrees, as it was written; empty where it has none."""

    def encode(self) -> Element:
        """Return `<hat/>` (§3.1)."""
        hue = {"hue": self.hue} if self.hue else {}
        return Element("hat", ns.HATS, {"title": self.title, "uri": self.uri, **hue})


class Hats(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hats of a room and who has which."""

    known: Mapping[str, Hat] = {}
    """By URI, in the order in which they were made."""
    worn: Mapping[str, tuple[str, ...]] = {}
    """By bare JID, the URIs of somebody's hats; nobody has none."""

    def of(self, jid: Jid) -> tuple[Hat, ...]:
        """Give the hats of a bare JID."""
        return tuple(self.known[uri] for uri in self.worn.get(jid.text, ()))

    @property
    def digest(self) -> str:
        """What clients know a list of hats by; empty where there are none (§2)."""
        if not self.known:
            return ""
        return hashlib.sha1(msgspec.json.encode(self.known), usedforsecurity=False).hexdigest()

    def with_hat(self, hat: Hat) -> Hats:
        """Give these with one more, or with another in place of that of the same URI."""
        return msgspec.structs.replace(self, known={**self.known, hat.uri: hat})

    def without_hat(self, uri: str) -> Hats:
        """Give these without one, which nobody has any more; raises `item-not-found` where there is none."""
        self._check(uri)
        return Hats(
            known={key: hat for key, hat in self.known.items() if key != uri},
            worn=_worn({jid: tuple(each for each in uris if each != uri) for jid, uris in self.worn.items()}),
        )

    def assigned(self, jid: Jid, uri: str) -> Hats:
        """Give these where somebody has a hat, too; raises `item-not-found` where there is none."""
        self._check(uri)
        uris = self.worn.get(jid.text, ())
        if uri in uris:
            return self
        return msgspec.structs.replace(self, worn={**self.worn, jid.text: (*uris, uri)})

    def unassigned(self, jid: Jid, uri: str) -> Hats:
        """Give these where somebody has a hat no more; raises `item-not-found` for who does not have it."""
        uris = self.worn.get(jid.text, ())
        if uri not in uris:
            raise StanzaError("item-not-found", f"{jid} does not have this hat")
        left = tuple(each for each in uris if each != uri)
        return msgspec.structs.replace(self, worn=_worn({**self.worn, jid.text: left}))

    def _check(self, uri: str) -> None:
        if uri not in self.known:
            raise StanzaError("item-not-found", f"the room has no hat {uri}")


def _worn(worn: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {jid: uris for jid, uris in worn.items() if uris}
