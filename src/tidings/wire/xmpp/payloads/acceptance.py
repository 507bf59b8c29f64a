"""Acceptance: a device learns at once under which id and time the archive has what it sent.

The document is docs/specs/acceptance.md; the marks § point at its sections.
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import stamp_of
from tidings.wire.xmpp.payloads.date_time import read_date_time
from tidings.wire.xmpp.payloads.stanza_ids import ORIGIN_ID_OCTETS, StanzaId
from tidings.wire.xmpp.payloads.strict import read_id, read_optional_id
from tidings.wire.xmpp.stanza import Stanza

_TIME: Final = (ns.TIDINGS_TIME, "time")


class EnableReports(msgspec.Struct, frozen=True):
    """Asks for reports from now on, for this device (§2)."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_ACCEPTED, "enable")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<enable/>`."""
        return Element("enable", ns.TIDINGS_ACCEPTED)


class DisableReports(msgspec.Struct, frozen=True):
    """Asks for no more reports, for this device (§2)."""

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_ACCEPTED, "disable")

    @classmethod
    def decode(cls, element: Element) -> Self:  # noqa: ARG003 - every payload decodes from its element
        """Return the request; there is nothing in it that could be wrong."""
        return cls()

    def encode(self) -> Element:
        """Return `<disable/>`."""
        return Element("disable", ns.TIDINGS_ACCEPTED)


class AcceptedReport(msgspec.Struct, frozen=True):
    """Says under which id and time the sender's own archive has a message (§3).

    `id` and `origin_id` are what the sender called it, None where it did not; `time` are microseconds since
    1970.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_ACCEPTED, "accepted")

    stanza_id: StanzaId
    time: int
    id: str | None = None
    origin_id: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the report; raise `bad-request` where the archive's id or the time is missing or wrong."""
        stanza_id, time = element.find(*reversed(StanzaId.TAG)), element.find(*reversed(_TIME))
        if stanza_id is None or time is None:
            raise StanzaError("bad-request", "a report has a stanza-id and a time")
        origin_id = element.get("origin-id")
        return cls(
            StanzaId.decode(stanza_id),
            read_date_time(time.get("stamp") or "", "stamp"),
            read_optional_id(element.get("id"), "id"),
            read_id(origin_id, "origin-id", maximum=ORIGIN_ID_OCTETS) if origin_id else None,
        )

    def encode(self) -> Element:
        """Return `<accepted/>`."""
        attributes = {
            name: text for name, text in (("id", self.id), ("origin-id", self.origin_id)) if text is not None
        }
        return Element(
            "accepted",
            ns.TIDINGS_ACCEPTED,
            attributes,
            self.stanza_id.encode(),
            Element("time", ns.TIDINGS_TIME, {"stamp": stamp_of(self.time)}),
        )


def report_of(message: Stanza, account: Jid) -> AcceptedReport | None:
    """Return the report that a message is, or None; one from anybody but the own account is none (§5)."""
    if message.sender is not None and message.sender != account.bare:
        return None
    element = message.decode(*AcceptedReport.TAG)
    return None if element is None else AcceptedReport.decode(element)
