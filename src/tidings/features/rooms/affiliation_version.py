"""Affiliation version: a short name for who is what to a room (XEP-0463).

It is made of the list itself: a sum over its members, which each change moves by what has changed. So it is
the same after a restart, nothing has to be kept, and a list that has changed in a way that nobody has told
of, such as by the removal of an account, has another version. A secret of the room goes into it, so that it
tells nothing of who is a member.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation

_OCTETS: Final = 16
_MASK: Final = (1 << 8 * _OCTETS) - 1


class VersionStep(NamedTuple):
    """From which version to which a change has led."""

    since: str
    until: str


class AffiliationVersion:
    """The version of the list of one room."""

    __slots__ = ("_secret", "_sum")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._sum = 0

    @property
    def text(self) -> str:
        """What clients know it by."""
        return f"{self._sum:032x}"

    def change(self, jid: Jid, before: Affiliation, after: Affiliation) -> None:
        """Let somebody be something else."""
        if before is not after:
            self._sum = self._moved(self._sum, jid, before, after)

    def steps(self, changes: Iterable[tuple[Jid, Affiliation, Affiliation]]) -> dict[Jid, VersionStep]:
        """Give the steps by which it would change, for who is something else before and after."""
        now, found = self._sum, {}
        for jid, before, after in changes:
            if before is not after:
                moved = self._moved(now, jid, before, after)
                found[jid] = VersionStep(f"{now:032x}", f"{moved:032x}")
                now = moved
        return found

    def _moved(self, value: int, jid: Jid, before: Affiliation, after: Affiliation) -> int:
        return (value - self._share(jid, before) + self._share(jid, after)) & _MASK

    def _share(self, jid: Jid, affiliation: Affiliation) -> int:
        """Give what one member adds to the sum."""
        if affiliation is Affiliation.NONE:
            return 0
        what = f"{jid.text} {affiliation.value}".encode()
        return int.from_bytes(hashlib.blake2b(what, digest_size=_OCTETS, key=self._secret[:64]).digest())
