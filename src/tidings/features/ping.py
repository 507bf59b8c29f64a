"""XMPP Ping: clients and other servers can tell whether this server still answers.

Implements XEP-0199 2.0.1; the marks § point at its sections. The pings that the server sends to silent
clients belong to the connection runner.
"""

from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.ping import Ping


class XmppPing(Feature):
    """Answers pings to the domain and to one's own account."""

    spec = Spec.xep(199, version="2.0.1", advertises=(ns.PING,))  # §5

    @handles(Ping, kind="get", at=Addressee.SERVER | Addressee.SELF, immediate=True)  # §4.2
    def pong(self, request: Iq[Ping]) -> None:
        """Answer with an empty result."""
