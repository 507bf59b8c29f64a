"""vcard-temp: the public profile of an account, as the clients write it (XEP-0054 1.3.0)."""

import binascii
from base64 import b64decode
from typing import ClassVar, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns


class VCard(msgspec.Struct, frozen=True):
    """A vCard is kept and handed on as it came; the properties read what is commonly looked for."""

    TAG: ClassVar[tuple[str, str]] = (ns.VCARD, "vCard")

    content: Element = msgspec.field(default_factory=lambda: Element("vCard", ns.VCARD))

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the vCard; an empty one is a request."""
        return cls(element)

    def encode(self) -> Element:
        """Return `<vCard/>` as it was given."""
        return self.content

    @property
    def full_name(self) -> str:
        """The formatted name (`FN`), or nothing."""
        return self.content.text_of("FN") or ""

    @property
    def nickname(self) -> str:
        """The nickname, or nothing."""
        return self.content.text_of("NICKNAME") or ""

    @property
    def is_private(self) -> bool:
        """Whether its owner says that it is not for everybody (`CLASS`)."""
        said = self.content.find("CLASS")
        return said is not None and any(said.find(each) is not None for each in ("PRIVATE", "CONFIDENTIAL"))

    @property
    def photo(self) -> tuple[str, bytes] | None:
        """The embedded photo as (media type, bytes); None without one or if its base64 is broken."""
        photo = self.content.find("PHOTO")
        if photo is None or not (encoded := photo.text_of("BINVAL")):
            return None
        try:
            return photo.text_of("TYPE") or "", _decoded(encoded)
        except StanzaError:
            return None

    @property
    def photos(self) -> tuple[tuple[str, bytes], ...]:
        """All embedded photos as (media type, bytes); raises `bad-request` if the base64 of one is broken."""
        return tuple(
            (photo.text_of("TYPE") or "", _decoded(encoded))
            for photo in self.content.find_all("PHOTO")
            if (encoded := photo.text_of("BINVAL"))
        )


def _decoded(encoded: str) -> bytes:
    try:
        return b64decode("".join(encoded.split()), validate=True)
    except binascii.Error:
        raise StanzaError("bad-request", "the photo is no base64") from None
