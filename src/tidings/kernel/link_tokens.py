"""Link tokens: the secrets in links that are handed to people, of which only a digest is kept.

Invariants:
- a secret has 130 random bits, and digests are compared in constant time;
- whatever is wrong with a token, whoever shows it is told the same; the reason is for the log.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable
from typing import Final

from tidings.base.errors import StanzaError
from tidings.ports.documents import DocumentConflict

SECRET_LENGTH: Final = 26
"""Characters of a secret: 130 bits."""

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


class LinkRefused(StanzaError):  # noqa: N818  # a decision, said in its word
    """A token opens nothing: `item-not-found`, the same whatever is wrong with it."""

    def __init__(self, reason: str, told: str = "the link is not valid, or not any more") -> None:
        super().__init__("item-not-found", told)
        self.reason = reason
        """What is wrong with it, for the log alone."""


def random_text(length: int) -> str:
    """Give so many random characters that people can read out: lower-case letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def is_of_alphabet(text: str) -> bool:
    """Tell whether a text has only characters that tokens have; what strangers send may have any."""
    return set(text) <= set(_ALPHABET)


def digest_of(secret: str) -> bytes:
    """Give what is kept of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def is_secret_of(secret: str, digest: bytes | None) -> bool:
    """Tell whether a digest is that of a secret, in constant time, also where there is no digest."""
    is_equal = hmac.compare_digest(bytes(32) if digest is None else digest, digest_of(secret))
    return is_equal and digest is not None


async def unless_changed(change: Awaitable[object]) -> bool:
    """Change a document; tell whether that could be done, or somebody else has been there before."""
    try:
        await change
    except DocumentConflict:
        return False
    return True
