"""Bin cleaning: conversations that have been in the bin for long enough leave the inbox.

The time counts from the move into the bin (docs/specs/inbox.md §1.9), and their messages stay in the archive.
"""

from tidings.base.clock import SECOND, microseconds
from tidings.features.inbox.options import InboxOptions
from tidings.kernel.clock import Clock, Timer
from tidings.kernel.feature import Feature
from tidings.kernel.host import Host
from tidings.kernel.supervisor import Supervisor
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import InboxQuery
from tidings.wire.xmpp.payloads.boxes import BIN

_DAY = 86_400 * SECOND


class BinCleaning(Feature):
    """Empties the bins of a domain's accounts now and then, one account after another."""

    Options = InboxOptions
    option_name = "inbox"
    serves_archives = True

    def __init__(
        self, host: Host, ledger: Ledger, clock: Clock, supervisor: Supervisor, options: InboxOptions
    ) -> None:
        self._host = host
        self._ledger = ledger
        self._clock = clock
        self._supervisor = supervisor
        self._options = options
        self._timer: Timer | None = None

    async def start(self) -> None:
        """Begin; the first round is one interval from now."""
        self._set_timer()

    async def stop(self) -> None:
        """Begin no further round."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._timer = self._clock.call_later(self._options.bin_clean_hours * 3_600, self._begin)

    def _begin(self) -> None:
        self._supervisor.start("bin cleaning", self._round())

    async def _round(self) -> None:
        try:
            await self._clean()
        finally:
            if self._timer is not None:  # not stopped meanwhile
                self._set_timer()

    async def _clean(self) -> None:
        before = microseconds(self._clock.now()) - self._options.bin_ttl_days * _DAY
        after = ""
        while owners := await self._ledger.archives(self._host.domain, after):
            for owner in owners:
                # Looking costs less than a transaction: most bins are empty.
                found = await self._ledger.inbox(owner, InboxQuery(boxes=(BIN,), limit=1))
                while found.rows and await self._ledger.empty_bin(owner, before=before):
                    pass
            after = owners[-1]
