"""What `tidings check` finds out about domains: administrators and accounts of some that are not served."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

from tidings.app.finding import Finding
from tidings.app.options import Config
from tidings.base.jid import Jid


def administrators(config: Config, added: Collection[str]) -> Iterator[Finding]:
    """Tell of administrators who can have no account; `added` are the domains that the database names."""
    served = [*config.domains, *added]
    places = {"[server]": config.server.admins}
    places |= {f'[host."{domain}"]': host.admins for domain, host in config.hosts.items()}
    told: set[str] = set()
    for place, admins in places.items():
        for admin in admins:
            domain = Jid(admin).domain
            if domain in served or admin in told:
                continue
            told.add(admin)
            near = difflib.get_close_matches(domain, served, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            yield Finding(
                status="warn",
                subject="administrators",
                text=f"`admins` in {place} names {admin}, but {domain} is not served here{meant}",
                mend="correct the address, or add the domain to `domains` in [server]",
            )


def former(config: Config, added: Collection[str], accounts: Mapping[str, int]) -> Iterator[Finding]:
    """Tell of domains that have accounts and are served no more."""
    for domain, count in sorted(accounts.items()):
        if domain in config.domains or domain in added:
            continue
        people = "1 account" if count == 1 else f"{count} accounts"
        yield Finding(
            status="warn",
            subject="accounts",
            text=f"{domain} is served no more and still has {people}, who cannot log in",
            mend="add it to `domains` in [server] again, or remove them: "
            f"tidings account list --domain {domain}, tidings account remove",
        )
