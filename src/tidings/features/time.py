"""Entity Time: clients can compare their clock with the server's.

Implements XEP-0202 2.0. The server tells UTC as its zone, so that nobody learns where it stands.
"""

from tidings.kernel.clock import Clock
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.time import EntityTime


class ServerTime(Feature):
    """Tells the server's time."""

    spec = Spec.xep(202, version="2.0", advertises=(ns.TIME,))  # §4

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @handles(EntityTime, kind="get", at=Addressee.SERVER)  # §3
    def tell_time(self, request: Iq[EntityTime]) -> Element:  # noqa: ARG002 - a request says nothing
        """Answer with the time now."""
        return EntityTime(self._clock.now()).encode()
