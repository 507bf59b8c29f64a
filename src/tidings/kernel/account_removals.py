"""Removals of accounts that wait: they are disabled at once and go by themselves when their time has come.

Until then everything of them stays, and messages to them are kept as for somebody who is away: so taking it
back gives the owner all of it, and nobody else has noticed anything.

Invariants:
- an account whose removal was taken back is never removed: the store removes it only where it is still due;
- what a server that stopped has not done, the next start does; of several nodes each may do it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.accounts import Accounts
from tidings.kernel.clock import Clock
from tidings.kernel.former_names import FormerNames
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.removals import RemovalStore

log = structlog.get_logger("tidings.accounts")

FIRST_LOOK: Final = 30.0
"""Seconds after the start until accounts are looked for whose time has come."""
LOOK_INTERVAL: Final = 600.0
"""Seconds until it is done again."""
STEP: Final = 50
"""Accounts that go at once."""
PAUSE: Final = 0.1
"""Seconds until the next ones go."""


class DueRemovals:
    """Removes the accounts whose time has come, and forgets the names that rest no more."""

    def __init__(
        self,
        accounts: Accounts,
        store: RemovalStore,
        names: FormerNames,
        served: Container[str],
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._accounts = accounts
        self._store = store
        self._names = names
        self._served = served
        self._clock = clock
        self._job = Job("due_removals", self._step, clock, supervisor)

    async def start(self) -> None:
        """Begin soon, with what came due while no server ran."""
        self._job.begin(FIRST_LOOK)

    def wind_down(self) -> None:
        """Remove nothing any more; the next start goes on."""
        self._job.stop()

    async def stop(self) -> None:
        """Remove nothing any more."""
        self.wind_down()

    async def _step(self) -> float:
        now = self._clock.now()
        page = await self._store.due(now, limit=STEP)
        removed = sum([await self._remove(jid, now) for jid in page])
        await self._names.forget_over()
        return PAUSE if removed and len(page) == STEP else LOOK_INTERVAL

    async def _remove(self, jid: Jid, now: float) -> bool:
        """Remove an account, unless that was taken back; tell whether it is gone."""
        try:
            await self._accounts.remove(jid, due=now)
        except NoSuchAccount:  # or another node has done it
            return False
        except StanzaError as error:
            log.warning("account_not_removed", account=jid.text, reason=str(error))
            return False
        if jid.domain not in self._served:  # what is left of others goes beside the traffic
            await self._accounts.forget_archive(jid)
        log.info("account_removed", account=jid.text, reason="its time had come")
        return True
