"""Domain removal: what a domain has left goes in small steps beside the traffic, and survives a restart.

The row of the domain says `removing` until all its accounts, and all archives of it and its services, are
gone. Archives under legal hold stay, and so does the row: the removal looks again every hour.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Final

import structlog

from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.former_names import FormerNames
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.ports.domains import DomainState
from tidings.ports.stores import Stores

log = structlog.get_logger("tidings.domains")

STEP: Final = 100
"""Accounts, or messages of an archive, that go in one step."""
PAUSE: Final = 0.02
"""Seconds between two steps."""
HELD_SECONDS: Final = 3_600.0
"""Seconds until archives under legal hold are looked at again."""

_DONE: Final = object()


class DomainRemoval:
    """Removes the accounts and archives of domains that are being removed."""

    def __init__(
        self,
        stores: Stores,
        clock: Clock,
        supervisor: Supervisor,
        names: FormerNames,
        *,
        services_of: Callable[[str], Iterable[str]],
        is_served: Callable[[str], bool],
        leave_rooms: Callable[[Jid], Awaitable[None]] | None = None,
    ) -> None:
        self._stores = stores
        self._names = names
        self._services_of = services_of
        self._is_served = is_served
        self._leave_rooms = leave_rooms
        """Lets an account leave its rooms at other domains, whose members are told."""
        self._job = Job("domain_removal", self._step, clock, supervisor)
        self._running: AsyncGenerator[None, None] | None = None
        self._held: set[str] = set()
        """Domains in which legal hold has kept something, as this run has found."""

    async def start(self) -> None:
        """Do nothing yet: whoever reads which domains there are says when to begin."""

    def wind_down(self) -> None:
        """Do no step any more; the next start goes on."""
        self._job.stop()

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        self.wind_down()
        if self._running is not None:
            await self._running.aclose()

    def begin(self) -> None:
        """Look at once for domains that are to be removed."""
        self._held.clear()
        self._job.begin(0)

    async def _step(self) -> float | None:
        """Do the next step, and give the pause after it; None when there is nothing to remove."""
        if self._running is None:
            domain = await self._next()
            if domain is None:
                is_waiting, self._held = bool(self._held), set()
                return HELD_SECONDS if is_waiting else None
            self._running = self._remove(domain)
        running, self._running = self._running, None  # one that fails is begun anew
        if await anext(running, _DONE) is not _DONE:
            self._running = running
        return PAUSE

    async def _next(self) -> str | None:
        for record in await self._stores.domains.list():
            if record.state is not DomainState.REMOVING or record.domain in self._held:
                continue
            if self._is_served(record.domain):  # it has been written into the configuration meanwhile
                log.warning("domain_not_removed", domain=record.domain, reason="the configuration names it")
                self._held.add(record.domain)
                continue
            return record.domain
        return None

    async def _remove(self, domain: str) -> AsyncGenerator[None, None]:
        """Do the steps of one domain; every yield is the end of one."""
        count = 0
        while page := await self._stores.accounts.list(domain, limit=STEP):
            for account in page:
                count += await self._stores.accounts.remove(account, noted=self._names.noted)
            yield
        for name in (domain, *self._services_of(domain)):
            async for _ in self._forget_archives(domain, name):
                yield
            await self._stores.documents.clear(Jid(name))
            await self._stores.nodes.clear(Jid(name))
            await self._stores.groups.clear(name)
            await self._stores.files.discard_all(Jid(name))
        if domain in self._held:
            log.warning("domain_held", domain=domain, reason="legal hold keeps messages of it")
            return
        await self._stores.domains.remove(domain)
        log.info("domain_removed", domain=domain, accounts=count)

    async def _forget_archives(self, domain: str, name: str) -> AsyncGenerator[None, None]:
        ledger, after = self._stores.ledger, ""
        while ledger is not None and (page := await ledger.archives(name, after)):
            for archive in page:
                if self._leave_rooms is not None:
                    await self._leave_rooms(archive)
                while await ledger.forget_account(archive, limit=STEP):
                    yield
                await self._stores.documents.clear(archive)
                head = await ledger.head(archive)
                if head.first <= head.position:
                    self._held.add(domain)
            after = page[-1]
            yield
