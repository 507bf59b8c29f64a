"""OrderedCertificates: the files of certificates that were ordered, and what became of the orders.

The folder of a domain in the certificate directory is a link, to one that has a certificate and its key. A
renewal writes another and changes the link, so that nobody sees a certificate beside the key of another, nor
does a crash leave that behind. A folder that is no such link is somebody else's: nothing is ordered for it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from tidings.app import certificates
from tidings.app.certificates import ORDERED, Pair
from tidings.app.kept_configurations import write_whole

_STATE: Final = "order.json"
_LAST: Final = 2
"""Certificates that are kept of each domain: the one in use and the one before it."""


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the last order for a domain."""

    names: tuple[str, ...] = ()
    """The names that were ordered."""
    failures: int = 0
    """How often in a row it has failed."""
    problem: str = ""
    """Why, the last time."""
    next_try: float = 0.0
    """Not before this, in seconds since the epoch."""
    asked: float = 0.0
    """When the authority was asked last whether it wants the certificate renewed."""
    renew_at: float | None = None
    """When it wants that, where it said so."""


class OrderedCertificates:
    """Certificates by domain, below a certificate directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def pair(self, domain: str) -> Pair | None:
        """Give the certificate that was ordered for a domain and is in use."""
        found = certificates.find_pair(self._directory, domain)
        return found if found is not None and found.is_ordered else None

    def is_free(self, domain: str) -> bool:
        """Tell whether the domain's certificate is ours to order: nobody else has put one there."""
        folder = self._directory / domain
        return certificates.is_ordered_folder(folder) or not folder.exists()

    def has_in_directory(self, pair: Pair) -> bool:
        """Tell whether a certificate was found in the directory, rather than named by the configuration."""
        return pair.certificate.parent.parent == self._directory

    def state(self, domain: str) -> OrderState | None:
        """Tell what became of the last order, None when there was none."""
        try:
            return msgspec.json.decode(self._file(domain).read_bytes(), type=OrderState)
        except (OSError, msgspec.DecodeError):
            return None

    def note(self, domain: str, state: OrderState) -> None:
        """Keep what became of an order."""
        self._home(domain).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._file(domain), msgspec.json.encode(state), 0o600)

    def keep(self, domain: str, chain: bytes, key: bytes) -> None:
        """Keep a certificate with its chain and its key, both PEM, and use it from the next look on."""
        home = self._home(domain)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = self._numbers(home)
        folder = home / str(numbers[-1] + 1 if numbers else 1)
        folder.mkdir(mode=0o700)
        write_whole(folder / "privkey.pem", key, 0o600)
        write_whole(folder / "fullchain.pem", chain, 0o644)
        link = home / "new"
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(folder, self._directory), target_is_directory=True)
        link.replace(self._directory / domain)
        for number in numbers[: max(0, len(numbers) + 1 - _LAST)]:
            shutil.rmtree(home / str(number), ignore_errors=True)

    def _home(self, domain: str) -> Path:
        return self._directory / ORDERED / domain

    def _file(self, domain: str) -> Path:
        return self._home(domain) / _STATE

    @staticmethod
    def _numbers(home: Path) -> list[int]:
        return sorted(int(each.name) for each in home.iterdir() if each.name.isdecimal())
