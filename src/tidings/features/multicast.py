"""Multicast: somebody sends one message to several people at once.

Implements XEP-0033 1.2.1; the marks § point at its sections. A message to the service goes to each of its
addresses as if its sender had sent it there himself: the copies are kept by both sides, may be refused by
each recipient and are counted by limits one by one. They are one batch of the ledger, and the message counts
as accepted when that is durable.

Nobody from elsewhere can send through it, and nobody more than to a number of addresses at once.

Left out: presence (§5.1), `uri` (§4.2), and letting another server multiply a message for its people (§6):
each of them gets a copy of his own.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.current import Current
from tidings.kernel.feature import Feature, Spec
from tidings.kernel.host import Host
from tidings.messages.origin import Via
from tidings.messages.router import Router
from tidings.messages.submission import Submission
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.addresses import Address, Addresses
from tidings.wire.xmpp.stanza import Stanza

PREFIX: Final = "multicast"
"""What the name of the service begins with, before that of its domain."""
IDENTITY: Final = ("service", "multicast")
"""What the service is."""

_OPEN: Final = ("to", "cc")
_RECIPIENTS: Final = (*_OPEN, "bcc")


class MulticastOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Messages to several people at once (XEP-0033)."""

    max_addresses: Annotated[
        int, Meta(description="Recipients that one message has at most.", ge=1, le=60)
    ] = 50


class Multicast(Feature):
    """Sends what comes to the service of one domain on to its addresses."""

    spec = Spec.xep(33, version="1.2.1", advertises=(ns.ADDRESS,), note="messages alone")  # §2.2
    Options = MulticastOptions
    option_name = "multicast"

    def __init__(self, host: Host, router: Router, options: Current[MulticastOptions]) -> None:
        self._service = host.jid
        self._domain = host.domain.removeprefix(f"{PREFIX}.")
        self._router = router
        self._options = options

    def check_message(self, submission: Submission) -> None:
        """Refuse what cannot go to all of its addresses; the message itself is kept by nobody."""
        self._copies(submission)

    async def take_message(self, submission: Submission) -> None:
        """Send the copies, and return when they are durable; refusals go to the sender one by one."""
        await self._router.send(submission.origin, self._copies(submission))

    def _copies(self, submission: Submission) -> list[Stanza]:
        """Give the message for each of its recipients; raises `StanzaError` where one cannot be."""
        origin, message = submission.origin, submission.message
        if origin.via is Via.SERVER or origin.jid.domain != self._domain:
            raise StanzaError(
                "forbidden", "Only people of this domain may send to several at once here"
            )  # §2.2
        if message.kind == "groupchat":
            raise StanzaError("bad-request", "a message of a room has one address")
        element = message.decode(*Addresses.TAG)
        given = () if element is None else Addresses.decode(element).addresses
        recipients: dict[Jid, Address] = {}
        for each in given:
            if each.kind in _RECIPIENTS and not each.is_delivered:
                recipients.setdefault(self._jid_of(each), each)
        if not recipients:
            raise StanzaError("bad-request", "the message has no addresses to which it could go")
        most = self._options.now.max_addresses
        if len(recipients) > most:
            raise StanzaError("not-acceptable", f"A message may go to {most} addresses at once")
        shown = [
            each.delivered() if each.kind in _OPEN else each.element for each in given if each.kind != "bcc"
        ]
        return [_copy(message, jid, each, shown) for jid, each in recipients.items()]

    def _jid_of(self, address: Address) -> Jid:
        if address.jid is None:
            raise StanzaError("jid-malformed", "a recipient is named by its jid")  # §4.2
        if address.jid.domain == self._service.domain:
            raise StanzaError("bad-request", "the service sends nothing to itself")
        return address.jid


def _copy(message: Stanza, jid: Jid, address: Address, shown: list[Element]) -> Stanza:
    """Give the message as one recipient gets it: a blind copy is seen by whoever gets it alone (§4.6.3)."""
    own = [address.element] if address.kind == "bcc" else []
    addresses = Element("addresses", ns.ADDRESS, None, *shown, *own)
    return message.replace(
        to=jid, drop=lambda namespace, name: (namespace, name) == Addresses.TAG, append=(addresses,)
    )
