"""TlsSetup: what a listener needs to encrypt, and what is known of the channels that it makes."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping

from cryptography import x509

from tidings.wire.xmpp.negotiation.values import TlsInfo


class TlsSetup:
    """A TLS context whose SNI callback may change over to others, and the certificate of each, as DER."""

    def __init__(self, context: ssl.SSLContext, certificates: Mapping[ssl.SSLContext, bytes]) -> None:
        self.context = context
        self._end_points = {used: tls_server_end_point(der) for used, der in certificates.items()}

    def info(self, channel: ssl.SSLObject) -> TlsInfo:
        """Tell what is known of an established channel.

        The standard library gives no keying material of TLS 1.3, so that there is no `tls-exporter`.
        """
        return TlsInfo(version=channel.version() or "", end_point=self._end_points.get(channel.context))


def tls_server_end_point(der: bytes) -> bytes | None:
    """RFC 5929 §4.1: the hash of the certificate by its signature's hash function, at least SHA-256."""
    algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    if algorithm is None:
        return None  # Ed25519 and the like have no hash of their own, and so no such binding
    return hashlib.new("sha256" if algorithm.name in {"md5", "sha1"} else algorithm.name, der).digest()
