"""Why a certificate is refused, in words that tell what is wrong with it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

_UNKNOWN_AUTHORITY: Final = "its chain is incomplete, or its authority is none that this machine knows"

_REASONS: Final[Mapping[int, str]] = {
    # The numbers of OpenSSL's X509_V_ERR_…
    2: _UNKNOWN_AUTHORITY,
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its authority is none that this machine knows",
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    23: "its authority has revoked it",
    26: "it is not meant for servers",
}
_OTHER_NAME: Final = frozenset({62, 64})


def why_refused(error: ssl.SSLCertVerificationError, name: str) -> str:
    """Tell why a certificate that was shown under a name is refused."""
    if error.verify_code in _OTHER_NAME:
        return f"it does not name {name}"
    return _REASONS.get(error.verify_code, error.verify_message)
