"""The preferences port: whose messages an account wants archived (XEP-0441).

Every method may raise `BackendError`. Asked by the archive preferences feature alone; accounts are named by
bare JIDs, listed addresses may be of any form.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault


class StoredPreferences(msgspec.Struct, frozen=True):
    """What an account has decided."""

    default: ArchiveDefault
    """What happens to messages with those who are in neither list."""
    always: tuple[Jid, ...] = ()
    never: tuple[Jid, ...] = ()
    """Both in the order in which they were given."""


class PreferencesStore(Protocol):
    """Keeps the archive preferences of every account."""

    async def get(self, account: Jid) -> StoredPreferences | None:
        """Give what the account has decided; None where it never did."""
        ...

    async def put(self, account: Jid, preferences: StoredPreferences) -> None:
        """Keep these in place of the ones before. Raises `NoSuchAccount`."""
        ...
