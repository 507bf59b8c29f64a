"""ListenerPolicy: what a door for XMPP needs to know of those who come in by it."""

from __future__ import annotations

import msgspec

from tidings.base.limits import XmlLimits
from tidings.base.network import is_loopback
from tidings.streams.listener import ListenerContext


class ListenerPolicy(msgspec.Struct, kw_only=True):
    """What holds for the clients of one door, or of several that are alike.

    A reload puts other values here, which hold for who comes from then on.
    """

    local: ListenerContext
    """For clients of this machine, who may be trusted with plain text."""
    remote: ListenerContext
    """For all others."""
    before: XmlLimits
    """How much may be sent before log-in."""
    after: XmlLimits
    """How much may be sent after it."""

    def context(self, address: str) -> ListenerContext:
        """Give what holds for a client from this address."""
        return self.local if is_loopback(address) else self.remote
