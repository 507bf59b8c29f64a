"""The list of mechanisms that a server shows, and the hash that proves nobody shortened it on the way.

Implements the list side of XEP-0440 and XEP-0474.
"""

import base64
import hashlib
from collections.abc import Iterable

import msgspec

from tidings.wire.xmpp.sasl.keys import HASHES, PLUS, ScramMechanism

END_POINT = "tls-server-end-point"  # RFC 5929 §4
EXPORTER = "tls-exporter"  # RFC 9266
BINDING_TYPES = (EXPORTER, END_POINT)
"""The channel-binding types, strongest first."""


class Offer(msgspec.Struct, frozen=True):
    """What a stream advertised for one SASL profile; no `binding_types` where XEP-0440 was not used."""

    mechanisms: tuple[str, ...] = ()
    binding_types: tuple[str, ...] | None = None

    @property
    def has_plus(self) -> bool:
        """True if channel binding was on offer."""
        return any(name.endswith(PLUS) for name in self.mechanisms)


def downgrade_hash(offer: Offer, mechanism: ScramMechanism) -> str:
    """Return the attribute `h` of XEP-0474 §5.1 for a log-in with this SCRAM mechanism."""
    text = _join(offer.mechanisms)
    if offer.binding_types is not None:
        text += b"\x1f" + _join(offer.binding_types)
    digest = hashlib.new(HASHES[mechanism], text).digest()
    return base64.b64encode(digest).decode("ascii")


def _join(names: Iterable[str]) -> bytes:
    """Join in the order of their octets (i;octet collation)."""
    return b"\x1e".join(sorted(name.encode() for name in names))
