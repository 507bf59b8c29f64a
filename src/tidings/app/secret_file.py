"""The server's secret, from which log-in tokens and the salts of unknown accounts are made."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Final

from tidings.base.errors import TidingsError

_OCTETS: Final = 32


def read(path: Path) -> bytes:
    """Give the server's secret, made on first start; only this user may read it."""
    with contextlib.suppress(FileNotFoundError):
        secret = path.read_bytes()
        if len(secret) >= _OCTETS:
            return secret
        raise TidingsError(
            f"{path} is damaged; remove it, and all clients will have to log in with passwords"
        )
    secret = secrets.token_bytes(_OCTETS)
    path.touch(mode=0o600)
    path.write_bytes(secret)
    return secret
