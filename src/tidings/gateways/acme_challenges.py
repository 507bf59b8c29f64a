"""AcmeChallenges: what the doors answer an ACME authority that asks whether a domain is served here.

An authority looks in one of two ways. By HTTP-01 (RFC 8555 §8.3) it fetches a path of the domain on port 80,
by TLS-ALPN-01 (RFC 8737 §3) it begins a handshake on port 443 that offers the protocol `acme-tls/1` alone.
The answers are here while an order is under way, and at no other time.
"""

from __future__ import annotations

import ssl
from typing import Final

ACME_PROTOCOL: Final = "acme-tls/1"
"""What ALPN calls the handshake of TLS-ALPN-01 (RFC 8737 §6.2)."""


class AcmeChallenges:
    """The answers to challenges that are open now; a thread may add and remove them."""

    def __init__(self) -> None:
        self._authorizations: dict[str, str] = {}
        """What is at the path of a token (RFC 8555 §8.1)."""
        self._contexts: dict[str, ssl.SSLContext] = {}
        """By the name that a handshake asks for."""
        self._entrance: ssl.SSLContext | None = None

    def answer_by_http(self, token: str, authorization: str) -> None:
        """Give this key authorization at the path of the token."""
        self._authorizations[token] = authorization

    def answer_by_tls(self, name: str, context: ssl.SSLContext) -> None:
        """Show the certificate of this context, which speaks `ACME_PROTOCOL`, to who validates the name."""
        self._contexts[name.lower()] = context

    def forget_all(self) -> None:
        """Answer no challenge any more; one order is under way at a time."""
        self._authorizations.clear()
        self._contexts.clear()

    def authorization(self, token: str) -> str | None:
        """Give what is at the path of a token, None for one that is not open."""
        return self._authorizations.get(token)

    def context(self) -> ssl.SSLContext | None:
        """Give the context in which a handshake of TLS-ALPN-01 begins; None when no challenge is open."""
        if not self._contexts:
            return None
        if self._entrance is None:
            self._entrance = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._entrance.set_alpn_protocols([ACME_PROTOCOL])
            self._entrance.sni_callback = self._choose
        return self._entrance

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        context = self._contexts.get((name or "").lower())
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None
