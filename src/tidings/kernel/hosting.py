"""Hosting: takes domains into the running server and out of it again, with their services.

What a domain's hosts are is for the composition to say; here is when they begin and end. A domain that ends
lets nobody in any more, ends its sessions, and only then stops its features.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from tidings.base.errors import StreamError
from tidings.kernel.account import sessions_of
from tidings.kernel.domain_removal import DomainRemoval
from tidings.kernel.domains import Domains, ServedDomain, Source
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.server import Server
from tidings.ports.domains import DomainRecord, DomainState, DomainStore

log = structlog.get_logger("tidings.hosting")

HOST_GONE: Final = "host-gone"  # RFC 6120 §4.9.3.5


class Hosting:
    """Begins and ends domains while the server runs, one change after another."""

    def __init__(
        self,
        server: Server,
        domains: Domains,
        store: DomainStore,
        removal: DomainRemoval,
        serve: Callable[[DomainRecord], ServedDomain],
        withdraw: Callable[[Iterable[str]], Sequence[Host]],
        tell: Callable[[str], object],
    ) -> None:
        self._server = server
        self._domains = domains
        self._store = store
        self._removal = removal
        self._serve = serve
        """Makes the hosts of a domain and routes to them; its people cannot log in yet."""
        self._withdraw = withdraw
        """Routes no more to these hosts, and gives them."""
        self._tell = tell
        """Says to other nodes that a domain has changed."""
        self._changing = asyncio.Lock()

    async def restore(self) -> None:
        """Serve the domains that were added before, and go on with removing those that are to go."""
        count = 0
        async with self._changing:
            for record in await self._store.list():
                if record.state is DomainState.REMOVING:
                    self._removal.begin()
                elif record.domain in self._domains:
                    log.warning("domain_named_twice", domain=record.domain, used="the configuration")
                else:
                    await self._open(record)
                    count += 1
        if count:
            log.info("domains_restored", count=count)

    async def add(self, record: DomainRecord) -> None:
        """Keep a domain and serve it; people can log in when this returns. Raises `DomainExists`."""
        async with self._changing:
            await self._store.add(record)
            try:
                await self._open(record)
            except BaseException:
                await self._store.remove(record.domain)
                raise
            log.info("domain_added", domain=record.domain)
            self._tell(record.domain)

    async def set_state(self, domain: str, state: DomainState) -> int | None:
        """Let people log in to a domain or not; tell how many sessions end, None where it was not added."""
        async with self._changing:
            if not await self._store.set_state(domain, state):
                return None
            served = self._domains.get(domain)
            if served is None or served.source is Source.CONFIGURATION:
                return 0
            self._tell(domain)
            return await self._put_state(served, state)

    async def remove(self, domain: str) -> int | None:
        """Serve a domain no more, and begin to remove what it has; the rest is as with `set_state`."""
        async with self._changing:
            if not await self._store.set_state(domain, DomainState.REMOVING):
                return None
            served = self._domains.get(domain)
            ended = 0
            if served is not None and served.source is not Source.CONFIGURATION:
                self._tell(domain)
                ended = await self._close(served)
            self._removal.begin()
            return ended

    async def reload(self, domain: str) -> None:
        """Make of a domain what is stored of it now: another node has changed that. Raises `BackendError`."""
        async with self._changing:
            record, served = await self._store.get(domain), self._domains.get(domain)
            if served is not None and served.source is Source.CONFIGURATION:
                return
            if record is None or record.state is DomainState.REMOVING:
                if served is not None:
                    await self._close(served)
            elif served is None:
                await self._open(record)
            elif served.state is not record.state:
                await self._put_state(served, record.state)

    async def _put_state(self, served: ServedDomain, state: DomainState) -> int:
        """Let people log in or not; tell how many sessions ended for that."""
        domain = served.domain
        self._server.hosts[domain].takes_logins = state is DomainState.ENABLED
        self._domains.put(replace(served, state=state))
        log.info("domain_changed", domain=domain, state=state.value)
        return 0 if state is DomainState.ENABLED else await self._end_sessions(domain)

    async def _open(self, record: DomainRecord) -> None:
        served = self._serve(record)
        names = (served.domain, *served.services)
        home = self._server.hosts[served.domain]
        home.takes_logins = False
        try:
            for name in names:
                for feature in self._server.hosts[name].features:
                    await feature.start()
        except BaseException:
            self._withdraw(names)
            raise
        home.takes_logins = served.state is DomainState.ENABLED
        self._domains.put(served)

    async def _close(self, served: ServedDomain) -> int:
        self._server.hosts[served.domain].takes_logins = False
        self._domains.put(replace(served, state=DomainState.REMOVING))
        ended = await self._end_sessions(served.domain)
        hosts = self._withdraw((served.domain, *served.services))
        self._domains.discard(served.domain)
        for host in hosts:
            for feature in reversed(host.features):
                await feature.stop()
        log.info("domain_closed", domain=served.domain, sessions=ended)
        return ended

    async def _end_sessions(self, domain: str) -> int:
        host = self._server.hosts[domain]
        error = StreamError(HOST_GONE, f"{domain} is not served here any more")
        ending = list(sessions_of(host))
        for session in ending:
            await until_done(self._server.expel(session, error))
        return len(ending)
