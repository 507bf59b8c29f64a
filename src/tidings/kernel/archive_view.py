"""Archive view: what somebody may read of an archive, and how its messages are shown to him.

Whoever reads archives for people asks the kind of the entity for it, and needs to know nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.base.jid import Jid
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived


class ArchiveView(msgspec.Struct, frozen=True, kw_only=True):
    """One archive as one reader sees it."""

    archive: Jid
    """Where the ledger has it."""
    above: int = 0
    """Only what stands behind this position is shown; 0 shows all."""
    without: tuple[EntryKind, ...] = ()
    """What is not shown at all."""
    shown: Callable[[Archived, bytes], bytes] | None = None
    """Gives a message as the reader sees it, from its entry and its bytes; None shows it as it is kept."""
    matches: Callable[[Archived, Jid], bool] | None = None
    """Tells whether an entry is of somebody whom the reader asks for (XEP-0313 §4.1.1), and raises
    `StanzaError` where he may not ask for that; None leaves it to the conversations of the archive."""

    @property
    def is_whole(self) -> bool:
        """Whether every entry that queries show is shown."""
        return not self.above and not self.without
