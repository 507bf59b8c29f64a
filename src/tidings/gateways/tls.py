"""TlsSetup: what a listener needs to encrypt, and what is known of the channels that it makes."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

from cryptography import x509

from tidings.gateways.acme_challenges import AcmeChallenges
from tidings.wire.xmpp.negotiation.values import TlsInfo

XMPP_PROTOCOL: Final = "xmpp-client"
"""What ALPN calls a client's stream (XEP-0368 §3)."""
HTTP_PROTOCOL: Final = "http/1.1"
"""What ALPN calls HTTP, the version that is spoken here (RFC 7301 §6)."""

_XMPP_ADDRESS = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")  # id-on-xmppAddr
_UTF8_STRING = 0x0C


class TlsSetup:
    """A TLS context whose SNI callback may change over to others, and the certificate of each, as DER."""

    def __init__(
        self,
        context: ssl.SSLContext,
        certificates: Mapping[ssl.SSLContext, bytes],
        challenges: AcmeChallenges | None = None,
    ) -> None:
        """`challenges` are those that an authority asks for by TLS-ALPN-01."""
        self.context = context
        self.challenges = challenges or AcmeChallenges()
        # A certificate that was replaced is forgotten with its last connection.
        self._end_points = WeakKeyDictionary(
            {used: tls_server_end_point(der) for used, der in certificates.items()}
        )

    def add(self, context: ssl.SSLContext, certificate: bytes) -> None:
        """Know the certificate, as DER, of one more context."""
        self._end_points[context] = tls_server_end_point(certificate)

    def info(self, channel: ssl.SSLObject) -> TlsInfo:
        """Tell what is known of an established channel.

        The standard library gives no keying material of TLS 1.3, so that there is no `tls-exporter`.
        """
        return TlsInfo(
            version=channel.version() or "",
            end_point=self._end_points.get(channel.context),
            peer_identities=xmpp_addresses(channel.getpeercert(binary_form=True)),
        )


def xmpp_addresses(der: bytes | None) -> tuple[str, ...]:
    """Give the XMPP addresses that a verified certificate names (RFC 6120 §13.7.1.4, XEP-0178 §2)."""
    if not der:
        return ()
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = (
        name.value for name in names.get_values_for_type(x509.OtherName) if name.type_id == _XMPP_ADDRESS
    )
    return tuple(filter(None, map(_utf8_string, found)))


def _utf8_string(der: bytes) -> str:
    """Read a DER UTF8String with a short or two-octet length; "" for anything else."""
    if len(der) < 2 or der[0] != _UTF8_STRING:
        return ""
    start, length = (
        (2, der[1]) if der[1] < 0x80 else (3, der[2]) if der[1] == 0x81 and len(der) > 2 else (0, -1)
    )
    text = der[start:]
    return text.decode(errors="replace") if len(text) == length else ""


def tls_server_end_point(der: bytes) -> bytes | None:
    """RFC 5929 §4.1: the hash of the certificate by its signature's hash function, at least SHA-256."""
    algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    if algorithm is None:
        return None  # Ed25519 and the like have no hash of their own, and so no such binding
    return hashlib.new("sha256" if algorithm.name in {"md5", "sha1"} else algorithm.name, der).digest()
