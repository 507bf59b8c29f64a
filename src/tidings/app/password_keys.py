"""SCRAM keys of many passwords, made by several processes: each key costs milliseconds by design.

They make way for everything else on the machine, such as the server that the keys are for.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from tidings.wire.xmpp.sasl.keys import make_scram_keys
from tidings.wire.xmpp.sasl.prepare import PreparationError

_MOST_PROCESSES: Final = 8
_NICENESS: Final = 10
_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha512": hashes.SHA512,
}

Keys = list[dict[str, Any]]
"""The keys of one password, as an import has them."""


class KeyMakers:
    """Processes that make keys; there are none before the first password."""

    def __init__(self) -> None:
        self._processes: ProcessPoolExecutor | None = None

    def submit(self, passwords: Sequence[str]) -> Future[list[Keys | str]]:
        """Begin to make keys; the answer has them for each password, or why it can be none."""
        if self._processes is None:
            count = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
            spawning = multiprocessing.get_context("spawn")
            self._processes = ProcessPoolExecutor(count, mp_context=spawning, initializer=_make_way)
        return self._processes.submit(make, list(passwords))

    def close(self) -> None:
        """End the processes; what is not made yet is not made."""
        if self._processes is not None:
            self._processes.shutdown(cancel_futures=True)


def make(passwords: Sequence[str]) -> list[Keys | str]:
    """Make the keys of passwords, one after another."""
    return [_keys_of(password) for password in passwords]


def _keys_of(password: str) -> Keys | str:
    import base64  # noqa: PLC0415  # hardly ever needed

    def text(octets: bytes) -> str:
        return base64.b64encode(octets).decode()

    try:
        keys = make_scram_keys(password, pbkdf2=_pbkdf2)
    except PreparationError as error:
        return str(error)
    return [
        {
            "mechanism": each.mechanism,
            "iterations": each.iterations,
            "salt": text(each.salt),
            "stored_key": text(each.stored_key),
            "server_key": text(each.server_key),
        }
        for each in keys
    ]


def _pbkdf2(name: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    """Derive as `hashlib` does, in six tenths of the time where that stands on OpenSSL 3.0."""
    algorithm = _HASHES[name]()
    kdf = PBKDF2HMAC(algorithm=algorithm, length=algorithm.digest_size, salt=salt, iterations=iterations)
    return kdf.derive(password)


def _make_way() -> None:
    os.nice(_NICENESS)
