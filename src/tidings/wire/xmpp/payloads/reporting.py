"""Spam reporting: why somebody blocks an address, for the people who run the server (XEP-0377 0.4.1).

Limits: what is beyond 2,000 characters of words and 20 messages is left out, and so is a message whose id has
more than 128 octets, or whose archive an address of more than 1,024; the rest is worth having.
"""

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId
from tidings.wire.xmpp.payloads.strict import octets, read_id

LONGEST_REASON: Final = 255
LONGEST_TEXT: Final = 2_000
MOST_MESSAGES: Final = 20
LONGEST_ID: Final = 128
LONGEST_ADDRESS: Final = 1_024


class Report(msgspec.Struct, frozen=True):
    """Why an address is blocked, as whoever blocks it says (§4)."""

    TAG: ClassVar[tuple[str, str]] = (ns.REPORTING, "report")

    reason: str
    """A URN, such as `urn:xmpp:reporting:spam`."""
    text: str = ""
    messages: tuple[StanzaId, ...] = ()
    """The messages that it is about, as an archive names them (§6)."""
    may_go_to_origin: bool = False
    """Whether the domain of who is reported may get it (§5)."""
    may_go_to_others: bool = False
    """Whether services that collect reports may get it (§5)."""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the report; raise `bad-request` without a reason or for one too long."""
        return cls(
            read_id(element.get("reason"), "reason", maximum=LONGEST_REASON),
            "\n".join(text.text.strip() for text in element.find_all("text"))[:LONGEST_TEXT],
            tuple(islice(_messages(element), MOST_MESSAGES)),
            element.find("report-origin") is not None,
            element.find("third-party") is not None,
        )


def _messages(element: Element) -> Iterator[StanzaId]:
    """Give what can be read of the messages: a wrong one makes no report worthless."""
    for child in element.find_all("stanza-id", ns.STANZA_ID):
        try:
            found = StanzaId.decode(child)
        except StanzaError:
            continue
        if octets(found.id) <= LONGEST_ID and octets(found.by.text) <= LONGEST_ADDRESS:
            yield found
