"""What is stored instead of a password: SCRAM keys, from which nobody can log in elsewhere.

Implements the key derivation of RFC 5802 §3 for SCRAM-SHA-1, -256 (RFC 7677) and -512.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from tidings.wire.xmpp.sasl.prepare import PreparationError, prepare_password

ScramMechanism: TypeAlias = Literal["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]

HASHES: Final[dict[ScramMechanism, str]] = {
    "SCRAM-SHA-512": "sha512",
    "SCRAM-SHA-256": "sha256",
    "SCRAM-SHA-1": "sha1",
}
"""The SCRAM mechanisms, strongest first, and their hash function."""

PLUS: Final = "-PLUS"
"""What the name of a mechanism with channel binding ends with."""

DEFAULT_ITERATIONS: Final = 10_000
MIN_ITERATIONS: Final = 4096  # RFC 5802 §5.1
SALT_OCTETS: Final = 16


class ScramKeys(msgspec.Struct, frozen=True):
    """The keys of one account for one mechanism: enough to check a proof, not enough to make one."""

    mechanism: ScramMechanism
    """Without -PLUS: both use the same keys."""
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramKeys({self.mechanism}, {self.iterations} iterations)"


class ClientKeys(msgspec.Struct, frozen=True):
    """What the password gives its owner: the secret key of the client and the key that proves the server."""

    client_key: bytes
    server_key: bytes


Pbkdf2 = Callable[[str, bytes, bytes, int], bytes]
"""PBKDF2 with HMAC over the named hash function, of password, salt and iterations (RFC 8018 §5.2).

Where none is given, it is that of the standard library."""


def derive(
    mechanism: ScramMechanism,
    password: str,
    salt: bytes,
    iterations: int,
    pbkdf2: Pbkdf2 | None = None,
) -> ClientKeys:
    """Derive both keys from a *prepared* password; this is the slow step, by design."""
    name = HASHES[mechanism]
    salted = (pbkdf2 or hashlib.pbkdf2_hmac)(name, password.encode(), salt, iterations)
    return ClientKeys(hmac.digest(salted, b"Client Key", name), hmac.digest(salted, b"Server Key", name))


def make_scram_keys(
    password: str,
    mechanisms: Sequence[ScramMechanism] = tuple(HASHES),
    iterations: int = DEFAULT_ITERATIONS,
    salt: bytes | None = None,
    pbkdf2: Pbkdf2 | None = None,
) -> tuple[ScramKeys, ...]:
    """Make the keys to store for a new password, one per mechanism, each with its own random salt.

    Raises `PreparationError` where the text cannot be a password. Takes milliseconds per mechanism: call it
    off the event loop.
    """
    prepared = prepare_password(password)
    keys = []
    for mechanism in mechanisms:
        own_salt = secrets.token_bytes(SALT_OCTETS) if salt is None else salt
        derived = derive(mechanism, prepared, own_salt, iterations, pbkdf2)
        keys.append(
            ScramKeys(
                mechanism=mechanism,
                salt=own_salt,
                iterations=iterations,
                stored_key=hashlib.new(HASHES[mechanism], derived.client_key).digest(),
                server_key=derived.server_key,
            )
        )
    return tuple(keys)


def verify_password(
    password: str, keys: Sequence[ScramKeys] | None, iterations: int = DEFAULT_ITERATIONS
) -> bool:
    """Tell whether the password belongs to these keys, in a time that does not tell how far it was wrong.

    No keys (an unknown account) cost as much as wrong ones and are always refused: `iterations` is then the
    number of rounds. Takes milliseconds: call it off the event loop.
    """
    # All keys were made from one password, so that the cheapest tells as much as the strongest.
    cheapest = max(keys, key=_rank) if keys else _nobody(iterations)
    try:
        prepared = prepare_password(password)
    except PreparationError:
        prepared, cheapest = "refused", _nobody(cheapest.iterations, cheapest.mechanism)
    derived = derive(cheapest.mechanism, prepared, cheapest.salt, cheapest.iterations)
    computed = hashlib.new(HASHES[cheapest.mechanism], derived.client_key).digest()
    return hmac.compare_digest(computed, cheapest.stored_key)


def scram_of(mechanism: str) -> ScramMechanism | None:
    """Return the SCRAM mechanism whose keys this one uses, or None where it is no SCRAM mechanism."""
    base = mechanism.removesuffix(PLUS)
    return next((known for known in HASHES if known == base), None)


def fake_keys(
    secret: bytes, account: str, mechanism: ScramMechanism, iterations: int = DEFAULT_ITERATIONS
) -> ScramKeys:
    """Make the keys that an account which does not exist shows to strangers: always the same, never right.

    Without the server's secret nobody can tell its salt from a random one (RFC 5802 §9: user enumeration).
    """
    seed = f"{mechanism}\0{account}".encode()
    digest = HASHES[mechanism]
    return ScramKeys(
        mechanism=mechanism,
        salt=hmac.digest(secret, b"scram salt\0" + seed, "sha256")[:SALT_OCTETS],
        iterations=iterations,
        stored_key=hmac.digest(secret, b"scram stored key\0" + seed, digest),
        server_key=hmac.digest(secret, b"scram server key\0" + seed, digest),
    )


def _rank(keys: ScramKeys) -> int:
    """Count from the strongest mechanism, which costs the most."""
    return list(HASHES).index(keys.mechanism)


def _nobody(iterations: int, mechanism: ScramMechanism = "SCRAM-SHA-1") -> ScramKeys:
    """Return keys that no password fits, since their stored key has a length that no hash function gives."""
    return ScramKeys(
        mechanism=mechanism, salt=b"nobody", iterations=iterations, stored_key=b"", server_key=b""
    )
