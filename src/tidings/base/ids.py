"""Identifiers that nobody can guess."""

from __future__ import annotations

import secrets


def token(octets: int = 16) -> str:
    """Give a random text of this many octets of entropy, safe in URLs, XML and file names."""
    return secrets.token_urlsafe(octets)
