"""Addresses and keys that the contract suites share, the awkward ones above all."""

from __future__ import annotations

from typing import Final

from tidings.base.jid import Jid
from tidings.ports.accounts import ScramKeys, ScramMechanism

ALICE: Final = Jid("alice@example.org")
BOB: Final = Jid("bob@example.org")

LOOK_ALIKES: Final = tuple(
    Jid(f"{local}@example.org")
    for local in ("nina", "nína", "ninå", "strasse", "straße", "ss", "ß", "\u0131", "i", "\u0456")
)
"""Different accounts that a collation could equate; the last are a dotless i, an i and a Cyrillic one."""

_LABEL: Final = "d" * 63
_DOMAIN: Final = ".".join([_LABEL] * 15 + ["d" * 61, "d"])


def long_jid(resource: str = "") -> Jid:
    """Give an address whose parts have 1023 octets each."""
    jid = Jid("a" * 1023 + "@" + _DOMAIN)
    return jid.with_resource(resource) if resource else jid


LONGEST: Final = long_jid()


def keys(*mechanisms: ScramMechanism, iterations: int = 10_000) -> tuple[ScramKeys, ...]:
    """Give keys for these mechanisms, with every octet that text would not survive."""
    return tuple(
        ScramKeys(mechanism, bytes(range(16)), iterations, b"\x00stored\xff" * 4, b"'server\\\x80" * 4)
        for mechanism in mechanisms
    )
