"""Making certificates, keys and requests for certificates; cryptography is loaded when the first is made."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tidings.base.network import to_ascii

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

SELF_SIGNED_DAYS: Final = 825  # what the strictest platforms still accept
LOCAL_ADDRESSES: Final = ("127.0.0.1", "::1")
_ACME_IDENTIFIER: Final = "1.3.6.1.5.5.7.1.31"  # RFC 8737 §6.1: id-pe-acmeIdentifier


def self_signed(names: Iterable[str], now: datetime) -> tuple[bytes, bytes]:
    """Make a certificate and its key (EC P-256) for these names, as PEM; clocks may differ by a day."""
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is made
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415

    names = tuple(names)
    key = make_key()
    builder = _self_signed(names, (*names, *LOCAL_ADDRESSES), key, now, timedelta(days=SELF_SIGNED_DAYS))
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return _signed(builder, key), key_pem(key)


def validation(name: str, proof: str, now: datetime) -> tuple[bytes, bytes]:
    """Make the certificate that answers TLS-ALPN-01 for a name, and its key, as PEM (RFC 8737 §3)."""
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is made

    digest = hashlib.sha256(proof.encode()).digest()
    octet_string = bytes((0x04, len(digest))) + digest
    key = make_key()
    builder = _self_signed((name,), (name,), key, now, timedelta(days=1))
    identifier = x509.UnrecognizedExtension(x509.ObjectIdentifier(_ACME_IDENTIFIER), octet_string)
    return _signed(builder.add_extension(identifier, critical=True), key), key_pem(key)


def request_for(names: Sequence[str], key: ec.EllipticCurvePrivateKey) -> bytes:
    """Make the request for a certificate (PKCS #10) with these names and this key, as PEM."""
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is ordered
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415

    alternatives = x509.SubjectAlternativeName(list(map(_general_name, names)))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_extension(alternatives, critical=True).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def make_key() -> ec.EllipticCurvePrivateKey:
    """Make a key on P-256, which every client knows."""
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a key as PEM, without a passphrase."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _self_signed(
    names: Sequence[str],
    alternatives: Iterable[str],
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    from cryptography import x509  # noqa: PLC0415

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, to_ascii(names[0])[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, alternatives))), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is made

    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(to_ascii(name))
