"""Hosting: takes domains into the running server and out of it again, with their services.

What a domain's hosts are is for the composition to say; here is when they begin and end. A domain that ends
lets nobody in any more, ends its sessions, and only then stops its features.
"""

from __future__ import annotations

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
    """Begins and ends domains while the server runs."""

    def __init__(
        self,
        server: Server,
        domains: Domains,
        store: DomainStore,
        removal: DomainRemoval,
        serve: Callable[[DomainRecord], ServedDomain],
        withdraw: Callable[[Iterable[str]], Sequence[Host]],
    ) -> None:
        self._server = server
        self._domains = domains
        self._store = store
        self._removal = removal
        self._serve = serve
        """Makes the hosts of a domain and routes to them; its people cannot log in yet."""
        self._withdraw = withdraw
        """Routes no more to these hosts, and gives them."""

    async def restore(self) -> None:
        """Serve the domains that were added before, and go on with removing those that are to go."""
        for record in await self._store.list():
            if record.state is DomainState.REMOVING:
                self._removal.begin()
            elif record.domain in self._domains:
                log.warning("domain_named_twice", domain=record.domain, used="the configuration")
            else:
                await self.open(record)

    async def open(self, record: DomainRecord) -> None:
        """Serve a domain from now on; people can log in when this returns, if it is enabled."""
        served = self._serve(record)
        for name in (served.domain, *served.services):
            for feature in self._server.hosts[name].features:
                await feature.start()
        self._server.hosts[served.domain].takes_logins = served.state is DomainState.ENABLED
        self._domains.put(served)
        log.info("domain_opened", domain=record.domain, services=list(served.services))

    async def set_state(self, domain: str, state: DomainState) -> int:
        """Let people log in to a domain or not; tell how many sessions end for that."""
        served = self._domains.get(domain)
        if served is None or served.source is Source.CONFIGURATION:
            return 0
        self._server.hosts[domain].takes_logins = state is DomainState.ENABLED
        self._domains.put(replace(served, state=state))
        log.info("domain_changed", domain=domain, state=state.value)
        return 0 if state is DomainState.ENABLED else await self._end_sessions(domain)

    async def close(self, domain: str) -> int:
        """Serve a domain no more, and begin to remove it; tell how many sessions end for that.

        Its row in the store says that it is being removed.
        """
        served = self._domains.get(domain)
        if served is None or served.source is Source.CONFIGURATION:
            return 0
        self._server.hosts[domain].takes_logins = False
        self._domains.put(replace(served, state=DomainState.REMOVING))
        ended = await self._end_sessions(domain)
        hosts = self._withdraw(self._domains.with_services(domain))
        self._domains.discard(domain)
        for host in hosts:
            for feature in reversed(host.features):
                await feature.stop()
        log.info("domain_closed", domain=domain, sessions=ended)
        self._removal.begin()
        return ended

    async def _end_sessions(self, domain: str) -> int:
        host = self._server.hosts[domain]
        error = StreamError(HOST_GONE, f"{domain} is not served here any more")
        ending = list(sessions_of(host))
        for session in ending:
            await until_done(self._server.expel(session, error))
        return len(ending)
