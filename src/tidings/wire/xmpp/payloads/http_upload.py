"""HTTP File Upload: slots for files, and why there is none (XEP-0363 1.2.0)."""

import enum
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.clock import format_utc
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import present, read_id
from tidings.wire.xmpp.payloads.time import read_moment

_LARGEST: Final = 2**63 - 1  # what databases count to
_LONGEST_NAME: Final = 1_024


class Purpose(enum.StrEnum):
    """What a file is for, which says how long it is kept (§5)."""

    MESSAGE = "message"
    PROFILE = "profile"
    EPHEMERAL = "ephemeral"
    PERMANENT = "permanent"

    @property
    def namespace(self) -> str:
        """What a service advertises that knows it."""
        return f"{ns.HTTP_UPLOAD_PURPOSE}#{self.value}"


class SlotRequest(msgspec.Struct, frozen=True):
    """Somebody wants to upload a file (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.HTTP_UPLOAD, "request")

    filename: str
    size: int
    content_type: str = ""
    purpose: Purpose = Purpose.MESSAGE
    expire_before: float | None = None
    """When an ephemeral file must not be there any more, in seconds since the epoch."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` without a name or a size, or for a time that is none."""
        size = element.get("size")
        if size is None:
            raise StanzaError("bad-request", "the size of the file is missing")
        found = next((each for each in element.children if each.namespace == ns.HTTP_UPLOAD_PURPOSE), None)
        purpose, expire_before = Purpose.MESSAGE, None
        if found is not None:
            try:
                purpose = Purpose(found.name)
            except ValueError:
                raise StanzaError("bad-request", "there is no such purpose") from None
            if purpose is Purpose.EPHEMERAL:
                expire_before = read_moment(found.get("expire-before") or "")
        return cls(
            read_id(element.get("filename"), "the name of the file", maximum=_LONGEST_NAME),
            read_unsigned(size, "the size of the file", minimum=1, maximum=_LARGEST),
            element.get("content-type") or "",
            purpose,
            expire_before,
        )

    def encode(self) -> Element:
        """Return `<request/>`."""
        attributes = {"filename": self.filename, "size": str(self.size)}
        request = Element(
            "request", ns.HTTP_UPLOAD, attributes | present(**{"content-type": self.content_type})
        )
        if self.purpose is not Purpose.MESSAGE:
            until = "" if self.expire_before is None else format_utc(self.expire_before)
            request.append(
                Element(self.purpose.value, ns.HTTP_UPLOAD_PURPOSE, present(**{"expire-before": until}))
            )
        return request


class Slot(msgspec.Struct, frozen=True):
    """Where the octets go, and where they can be had then (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.HTTP_UPLOAD, "slot")

    put: str
    get: str
    headers: tuple[tuple[str, str], ...] = ()
    """Names and values that belong to the request that puts it there."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the slot; raise `bad-request` where one of its addresses is missing."""
        put, get = element.find("put"), element.find("get")
        urls = [each.get("url") for each in (put, get) if each is not None]
        if put is None or len(urls) < 2 or not all(urls):
            raise StanzaError("bad-request", "a slot has two addresses")
        headers = tuple((each.get("name") or "", each.text) for each in put.find_all("header"))
        return cls(urls[0] or "", urls[1] or "", headers)

    def encode(self) -> Element:
        """Return `<slot/>`."""
        headers = (Element("header", ns.HTTP_UPLOAD, {"name": name}, text) for name, text in self.headers)
        return Element(
            "slot",
            ns.HTTP_UPLOAD,
            None,
            Element("put", ns.HTTP_UPLOAD, {"url": self.put}, *headers),
            Element("get", ns.HTTP_UPLOAD, {"url": self.get}),
        )


def file_too_large(largest: int) -> bytes:
    """Write what stands in an error for a file that is larger than that (§6)."""
    largest_element = Element("max-file-size", ns.HTTP_UPLOAD, None, str(largest))
    return Element("file-too-large", ns.HTTP_UPLOAD, None, largest_element).to_bytes()


def retry_at(moment: float) -> bytes:
    """Write what stands in an error for somebody who may try again at a time (§6)."""
    return Element("retry", ns.HTTP_UPLOAD, {"stamp": format_utc(moment)}).to_bytes()
