"""Message Retraction: the author takes a message back, and what stays of it (XEP-0424 0.4.2).

Three forms: that of the document; that of its versions until 0.3, inside a fastening by origin-id; and
MongooseIM's, inside a fastening by archive id. Moderated ones (XEP-0425) have the first form.
"""

import enum
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.fastening import Fastening
from tidings.wire.xmpp.payloads.stanza_ids import OriginId, StanzaId
from tidings.wire.xmpp.payloads.strict import present, read_id, read_optional_id


class RetractionForm(enum.StrEnum):
    """How a retraction is written, by its namespace."""

    BY_MESSAGE_ID = ns.RETRACTION1
    BY_ORIGIN_ID = ns.RETRACTION0
    BY_STANZA_ID = ns.RETRACTION_BY_STANZA_ID


FASTENED: Final = (RetractionForm.BY_ORIGIN_ID, RetractionForm.BY_STANZA_ID)
"""The forms that stand inside `<apply-to/>`."""


class Retraction(msgspec.Struct, frozen=True):
    """The message named is taken back; what the id is depends on the form.

    By message id it is the `id` attribute, in a room the id that the room gave the message (§5.1).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.RETRACTION1, "retract")

    id: str
    form: RetractionForm = RetractionForm.BY_MESSAGE_ID

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the retraction that `<retract/>` or `<apply-to/>` is; raise `bad-request` for any other."""
        if (element.namespace, element.name) == cls.TAG:
            return cls(read_id(element.get("id"), "id"))
        if (element.namespace, element.name) == Fastening.TAG:
            for form in FASTENED:
                if element.find("retract", form.value) is not None:
                    return cls(read_id(element.get("id"), "id"), form)
        raise StanzaError("bad-request", "this retracts nothing")

    def encode(self) -> Element:
        """Return `<retract/>`, in a fastening where the form wants one."""
        if self.form is RetractionForm.BY_MESSAGE_ID:
            return Element("retract", ns.RETRACTION1, {"id": self.id})
        return Fastening(self.id, (Element("retract", self.form.value),)).encode()


class Tombstone(msgspec.Struct, frozen=True):
    """What stands in an archive in place of a message that was retracted at `stamp` (§4).

    By message id, `id` is that of the retraction; the older forms name the message itself instead.
    """

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((form.value, "retracted") for form in RetractionForm)

    stamp: int | None = None
    form: RetractionForm = RetractionForm.BY_MESSAGE_ID
    id: str | None = None
    origin_id: str | None = None
    stanza_id: StanzaId | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the tombstone; raise `bad-request` for one of another form or with a broken part."""
        try:
            form = RetractionForm(element.namespace)
        except ValueError as error:
            raise StanzaError("bad-request", "an unknown tombstone") from error
        stamp = element.get("stamp")
        origin = element.find("origin-id", ns.STANZA_ID)
        archived = element.find("stanza-id", ns.STANZA_ID)
        return cls(
            None if stamp is None else read_date_time(stamp, "stamp"),
            form,
            read_optional_id(element.get("id"), "id"),
            None if origin is None else OriginId.decode(origin).id,
            None if archived is None else StanzaId.decode(archived),
        )

    def encode(self) -> Element:
        """Return `<retracted/>`."""
        stamp = None if self.stamp is None else format_date_time(self.stamp)
        element = Element("retracted", self.form.value, present(id=self.id, stamp=stamp))
        if self.stanza_id is not None:
            element.append(self.stanza_id.encode())
        if self.origin_id is not None:
            element.append(OriginId(self.origin_id).encode())
        return element
