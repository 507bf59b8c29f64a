"""Administrators: who may administer a domain while the server runs, beside those that are named for it.

Those that are named are in the configuration, or were named when the domain was added; others were promoted,
which stands in the database. Hosts know both (`Host.admins`), and whoever asks them asks anew each time, so
that a change holds for connected sessions at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidings.base.jid import Jid
from tidings.kernel.domains import DomainChanged, Domains
from tidings.kernel.host import Host
from tidings.kernel.supervisor import Supervisor
from tidings.ports.accounts import AccountStore, Promotion


class Administrators:
    """Tells hosts who was promoted, from the start on and after every change."""

    def __init__(
        self,
        store: AccountStore,
        domains: Domains,
        hosts: Mapping[str, Host],
        supervisor: Supervisor,
        tell: Callable[[str], object],
    ) -> None:
        self._store = store
        self._publish = tell
        """Says to other nodes that something about a domain has changed."""
        self._domains = domains
        self._hosts = hosts
        self._supervisor = supervisor
        self._promotions: tuple[Promotion, ...] = ()
        self._reload_waits = False

    def listen(self) -> None:
        """Tell the hosts of domains that are added from now on, too."""
        self._domains.listen(self._domain_changed)

    async def start(self) -> None:
        """Tell the hosts who was promoted before."""
        await self.reload()

    def wind_down(self) -> None:
        """Do nothing: who may administer does so until the end."""

    async def stop(self) -> None:
        """Do nothing."""

    async def reload(self) -> None:
        """Tell the hosts who is promoted now; raises `BackendError`."""
        self._promotions = await self._store.promotions()
        for domain in self._domains:
            self._tell(domain)

    async def changed(self, domain: str) -> None:
        """Tell the hosts, on all nodes, since somebody was promoted or demoted; "" is for all domains."""
        await self.reload()
        for name in (domain,) if domain else self._domains:
            self._publish(name)

    def forget(self, jid: Jid) -> None:
        """Let an account that is no more administer nothing, whoever has its name next."""
        left = tuple(each for each in self._promotions if each.jid != jid)
        if len(left) < len(self._promotions):
            self._promotions = left
            for domain in self._domains:
                self._tell(domain)
                self._publish(domain)

    def _domain_changed(self, change: DomainChanged) -> None:
        if change.now is None:
            return
        self._tell(change.domain)
        if not self._reload_waits:  # the accounts of a domain that was removed went without a word
            self._reload_waits = True
            self._supervisor.start("administrators", self._reload_soon())

    async def _reload_soon(self) -> None:
        self._reload_waits = False
        await self.reload()

    def _tell(self, domain: str) -> None:
        promoted = [each.jid for each in self._promotions if each.domain in {"", domain}]
        for name in self._domains.with_services(domain):
            host = self._hosts.get(name)
            if host is not None:
                host.promote(promoted)
