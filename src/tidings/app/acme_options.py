"""The options of certificates that the server orders for itself."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

FilePath = Annotated[str, Meta(extra={"path": True})]
"""A file or directory; in a configuration file it is relative to the directory of that file."""

ACCOUNT_FILE: Final = "acme-account.pem"
"""The key by which authorities know this server, in the data directory."""


class AcmeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates from an authority that speaks ACME (RFC 8555), such as Let's Encrypt.

    They are ordered for every domain that names no certificate in its own section, kept in the certificate
    directory ([tls]), and renewed when a third of their time is left. Until a domain has one, that of [tls]
    is shown.
    """

    enabled: Annotated[bool, Meta(description="Order certificates; `accept_terms` must be true, too.")] = (
        False
    )
    directory: Annotated[str, Meta(description="Address of the authority's directory (RFC 8555 §7.1.1).")] = (
        "https://acme-v02.api.letsencrypt.org/directory"
    )
    accept_terms: Annotated[
        bool, Meta(description="Agree to the authority's terms of service, which its directory links to.")
    ] = False
    email: Annotated[
        str, Meta(description="Where the authority may write to about certificates. Empty: nowhere.")
    ] = ""
    challenge: Annotated[
        Literal["http-01", "tls-alpn-01"],
        Meta(
            description="How the authority sees that a domain is served here. `http-01`: it fetches a page "
            "from port 80 of the domain, which must lead to [listen.http]. `tls-alpn-01`: it connects to "
            "port 443, which must lead to [listen.https] or [listen.tls], with nothing between that ends TLS."
        ),
    ] = "http-01"
    authority: Annotated[
        FilePath,
        Meta(
            description="PEM file with the authorities that sign the certificate of the directory itself. "
            "Empty: those that everybody trusts."
        ),
    ] = ""
    key_id: Annotated[
        str,
        Meta(description="What an authority calls a customer whom it knows already (RFC 8555 §7.3.4)."),
    ] = ""
    key_file: Annotated[
        FilePath,
        Meta(
            description="File with the key that belongs to `key_id`, in base64url, as the authority gives it."
        ),
    ] = ""
