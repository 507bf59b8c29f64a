"""Certificate files: made on first start, found for each domain, and checked before use.

The self-signed certificate is for trying things out: it lives in the data directory, covers every domain that
has no certificate of its own, and is made anew at start when a domain is missing in it or it is about to end.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tidings.app import certificate_maker
from tidings.app.options import Config
from tidings.base.errors import TidingsError
from tidings.base.network import to_ascii

if TYPE_CHECKING:  # cryptography takes a while to load; only what parses certificates needs it
    from cryptography import x509

RENEW_DAYS: Final = 30
ORDERED: Final = ".acme"
"""Where certificates that were ordered are, in the certificate directory."""
LOCAL_NAMES: Final = ("localhost",)


_MADE_ANEW: Final = "tidings server reload makes it anew, as a start does"


class CertificateError(TidingsError):
    """A certificate cannot be used; the text says which file, why, and what to do."""


class Pair(NamedTuple):
    """The files of one certificate; `is_own` when the server made it itself."""

    certificate: Path
    key: Path
    is_own: bool = False
    is_ordered: bool = False
    """Whether the server got it from an authority by itself, and will renew it."""


class CertificateFinding(NamedTuple):
    """Something about a certificate that an administrator should know, and how to mend it."""

    level: Literal["warn", "fail"]
    text: str
    mend: str
    is_ending: bool = False
    """Whether it has expired or will soon, of which a running server tells by itself."""


def pairs_of(config: Config) -> dict[str, Pair]:
    """Tell which files serve which domain."""
    default = Pair(config.data_dir / "self-signed.crt", config.data_dir / "self-signed.key", is_own=True)
    if config.tls.certificate:
        default = Pair(Path(config.tls.certificate), Path(config.tls.key))
    directory = config.certificate_directory
    return {
        domain: Pair(Path(host.certificate), Path(host.key))
        if host.certificate
        else find_pair(directory, domain) or default
        for domain, host in config.hosts.items()
    }


def find_pair(directory: Path, domain: str) -> Pair | None:
    """Find the certificate of a domain in the certificate directory, where there is one."""
    folder = directory / domain
    pair = Pair(folder / "fullchain.pem", folder / "privkey.pem", is_ordered=is_ordered_folder(folder))
    return pair if pair.certificate.is_file() else None


def is_ordered_folder(folder: Path) -> bool:
    """Tell whether the folder of a domain is a link to a certificate that was ordered."""
    try:
        return folder.readlink().parts[:1] == (ORDERED,)
    except OSError:  # it is no link, or there is none
        return False


def ensure_self_signed(pair: Pair, domains: Collection[str], now: datetime) -> bool:
    """Make the self-signed certificate unless there is one that will do; tell whether it was made.

    The key file has mode 0600 from its first byte on.
    """
    if is_usable_own(pair, domains, now):
        return False
    names = tuple(dict.fromkeys([*domains, *LOCAL_NAMES]))
    certificate_pem, key_pem = certificate_maker.self_signed(names, now)
    try:
        _write(pair.key, key_pem, 0o600)
        _write(pair.certificate, certificate_pem, 0o644)
    except OSError as error:
        raise CertificateError(
            f"the self-signed certificate cannot be written to {pair.certificate.parent}: {error.strerror}; "
            "let this user write there, or name a certificate in [tls]"
        ) from None
    return True


def is_usable_own(pair: Pair, domains: Iterable[str], now: datetime) -> bool:
    """Tell whether there is a self-signed certificate that will do for these domains."""
    names = tuple(dict.fromkeys([*domains, *LOCAL_NAMES]))
    return pair.certificate.exists() and pair.key.exists() and _will_do(pair, names, now)


def findings(pair: Pair, domains: Iterable[str], now: datetime) -> Iterator[CertificateFinding]:
    """Tell everything that is wrong with a certificate for these domains."""
    try:
        certificate = _parse(pair.certificate)
        make_context(pair)
    except CertificateError as error:
        reason, _, mend = str(error).partition("; ")
        yield CertificateFinding("fail", reason, mend)
        return
    renew = renewal_of(pair)
    if now > certificate.not_valid_after_utc:
        yield CertificateFinding(
            "fail",
            f"{pair.certificate} expired on {certificate.not_valid_after_utc:%Y-%m-%d}",
            renew,
            is_ending=True,
        )
    elif certificate.not_valid_after_utc - now < timedelta(days=RENEW_DAYS):
        days = (certificate.not_valid_after_utc - now).days
        text = f"{pair.certificate} expires in {days} days, on {certificate.not_valid_after_utc:%Y-%m-%d}"
        yield CertificateFinding("warn", text, renew, is_ending=True)
    if now < certificate.not_valid_before_utc:
        since = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        yield CertificateFinding(
            "fail", f"{pair.certificate} is not valid before {since}", "check the clock of this machine"
        )
    if alone := _only_common_name(certificate, domains):
        yield CertificateFinding(
            "warn",
            f"{pair.certificate} names {alone} as its common name (CN) alone, where no client looks",
            "get a certificate with it among the alternative names (subjectAltName)",
        )
    elif missing := _missing_names(certificate, domains):
        yield CertificateFinding(
            "warn",
            f"{pair.certificate} does not name {', '.join(missing)}",
            "clients will refuse it; get a certificate with these names" if not pair.is_own else _MADE_ANEW,
        )
    if pair.key.stat().st_mode & 0o007:
        yield CertificateFinding(
            "warn", f"{pair.key} can be read by everybody on this machine", f"chmod 600 {pair.key}"
        )


def renewal_of(pair: Pair) -> str:
    """Say how a running server gets another certificate in the place of this one."""
    if pair.is_ordered:
        return "it is renewed by itself; what became of that tells: tidings certificate list"
    return _MADE_ANEW if pair.is_own else "renew it, and let a running server take it: tidings server reload"


def validity_of(pair: Pair) -> tuple[float, float]:
    """Tell when a certificate begins and when it ends, in seconds since the epoch; `CertificateError`."""
    certificate = _parse(pair.certificate)
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def end_of(der: bytes) -> float:
    """Tell when a certificate, given as DER, ends, in seconds since the epoch."""
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is looked at

    return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()


def _will_do(pair: Pair, names: Iterable[str], now: datetime) -> bool:
    try:
        certificate = _parse(pair.certificate)
        make_context(pair)
    except CertificateError:  # damaged, or a crash came between writing the one file and the other
        return False
    lasts = certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)
    return lasts and not _missing_names(certificate, names)


def make_context(pair: Pair, minimum_version: str = "1.2", alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Make the TLS context of a certificate; `alpn` are the protocols of the listener (RFC 7301)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = tls_version(minimum_version)
    # A ticket of TLS 1.2 is under one key for as long as the process lives: who gets that reads all of it.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    if alpn:
        context.set_alpn_protocols(list(alpn))
    context.num_tickets = 0  # they cost memory on every connection, and XMPP clients keep theirs for hours
    _read(pair.certificate)
    _read(pair.key)
    try:
        # A key with a passphrase would otherwise be asked for on the terminal.
        context.load_cert_chain(pair.certificate, pair.key, password=lambda: "")
    except ssl.SSLError as error:
        raise CertificateError(_load_failure(pair, error)) from None
    return context


def tls_version(name: str) -> ssl.TLSVersion:
    """Give the version of TLS that the configuration calls so."""
    return ssl.TLSVersion.TLSv1_3 if name == "1.3" else ssl.TLSVersion.TLSv1_2


def ask_clients(context: ssl.SSLContext, authority: Path) -> None:
    """Let clients show a certificate; one that these authorities have not signed ends the handshake."""
    try:
        context.load_verify_locations(cadata=_read(authority))
    except ssl.SSLError as error:
        raise CertificateError(
            f"{authority} holds no certificates in PEM form: {error}; correct `client_authority` in [tls]"
        ) from None
    context.verify_mode = ssl.CERT_OPTIONAL


_NOT_ITS_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL calls a key of another certificate, of the same kind or of another."""


def _load_failure(pair: Pair, error: ssl.SSLError) -> str:
    text = str(error)
    if any(reason in text for reason in _NOT_ITS_KEY):
        return f"{pair.key} is not the key of {pair.certificate}; name the two files that belong together"
    try:
        _parse(pair.certificate)
    except CertificateError as unreadable:
        return str(unreadable)
    key = pair.key.read_bytes()
    if b"ENCRYPTED" in key:
        return f"{pair.key} has a passphrase; take it off with: openssl pkey -in {pair.key} -out NEW.pem"
    if b"PRIVATE KEY" not in key:
        return (
            f"{pair.key} holds no private key in PEM form; it should begin with -----BEGIN PRIVATE KEY-----"
        )
    return f"{pair.certificate} with {pair.key} cannot be used: {text}; check both files with openssl"


def certificate_of(pair: Pair) -> bytes:
    """Give the certificate itself as DER, without its chain."""
    return ssl.PEM_cert_to_DER_cert(_first_block(_read(pair.certificate)))


def _parse(path: Path) -> x509.Certificate:
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is looked at

    try:
        return x509.load_pem_x509_certificates(_read(path).encode())[0]
    except ValueError:
        raise CertificateError(
            f"{path} holds no certificate in PEM form; it should begin with -----BEGIN CERTIFICATE-----"
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        raise CertificateError(f"{path} does not exist; correct its name in the configuration") from None
    except IsADirectoryError:
        raise CertificateError(
            f"{path} is a directory; name the file in it, such as {path / 'fullchain.pem'} or "
            f"{path / 'privkey.pem'}"
        ) from None
    except OSError as error:
        user = os.geteuid()
        raise CertificateError(
            f"{path} cannot be read by this user (id {user}): {error.strerror}; chown {user} {path}"
        ) from None


def _first_block(text: str) -> str:
    end = "-----END CERTIFICATE-----"
    start = text.find("-----BEGIN CERTIFICATE-----")
    return text[start : text.find(end, start) + len(end)] + "\n"


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that nobody sees half written, nor for a moment with a wider mode."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    part.replace(path)


def _missing_names(certificate: x509.Certificate, domains: Iterable[str]) -> list[str]:
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is looked at

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return list(domains)
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    known |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return [domain for domain in domains if not _is_covered(to_ascii(domain), known)]


def _only_common_name(certificate: x509.Certificate, domains: Iterable[str]) -> str:
    """Give the domain that a certificate without alternative names has as its common name, or ""."""
    from cryptography import x509  # noqa: PLC0415  # loaded only when a certificate is looked at

    try:
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        subject = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        named = {str(each.value).lower() for each in subject}
        return next((domain for domain in domains if _is_covered(to_ascii(domain), named)), "")
    return ""


def _is_covered(name: str, known: set[str]) -> bool:
    """RFC 6125 §6.4.3: a wildcard stands for exactly one label, the leftmost."""
    return name in known or f"*.{name.partition('.')[2]}" in known
