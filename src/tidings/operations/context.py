"""What operations work with: the stores, the running server if there is one, and who is asking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from tidings.base.clock import Clock
from tidings.base.errors import StreamError
from tidings.base.jid import Jid, JidError
from tidings.kernel.account import sessions_of
from tidings.kernel.hooks import Fact, Work
from tidings.kernel.host import Host
from tidings.kernel.session import Session
from tidings.messages.router import Router
from tidings.operations.errors import OperationError
from tidings.ports.stores import Stores


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for an operation, and for which domains they may; None stands for all of them."""

    name: str
    domains: frozenset[str] | None

    def may_administer(self, domain: str) -> bool:
        """Tell whether the caller is an administrator of the domain."""
        return self.domains is None or domain in self.domains


OPERATOR = Caller("operator", None)
"""Whoever may use the data directory: the command line."""


@dataclass(frozen=True, slots=True)
class Live:
    """The running server, as far as operations act on it."""

    hosts: Mapping[str, Host]
    router: Router
    started: float
    """When it started, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything an operation may use; `live` is None when it runs on the database alone."""

    domains: tuple[str, ...]
    stores: Stores
    clock: Clock
    live: Live | None = None
    anonymous: frozenset[str] = frozenset()
    """The domains whose accounts are thrown away, so that none can be made by hand."""
    database: str = ""
    """What the database is, for people; without its password."""
    caller: Caller = OPERATOR

    def acting_for(self, caller: Caller) -> Context:
        """Give the same context for somebody else who asks."""
        return replace(self, caller=caller)

    def account(self, text: str) -> Jid:
        """Read a request's account, as the bare address that it is about.

        Raises `OperationError`: `invalid` when it is no account's address, `not-found` when its domain is not
        served, `not-allowed` when the caller may not administer that domain.
        """
        jid = self.address(text)
        if jid.resource:
            raise OperationError("invalid", f"{text} has a resource; write {jid.bare}")
        return jid

    def address(self, text: str) -> Jid:
        """Read the address of an account or of one of its sessions, with the same errors as `account`."""
        try:
            jid = Jid(text)
        except JidError as error:
            raise OperationError("invalid", f"{text!r} is not an address: {error}") from None
        if not jid.local:
            example = f"{jid.domain}@{self.domains[0]}"
            raise OperationError(
                "invalid", f"{text!r} names no account; write name@domain, such as {example}"
            )
        self.domain(jid.domain)
        return jid

    def domain(self, text: str) -> str:
        """Read a request's domain, with the same errors as `account`."""
        try:
            jid = Jid(text)
        except JidError as error:
            raise OperationError("invalid", f"{text!r} is not a domain: {error}") from None
        if jid.local or jid.resource:
            raise OperationError("invalid", f"{text!r} is not a domain; write {jid.domain}")
        if self.caller.domains is not None and not self.caller.may_administer(jid.domain):
            raise OperationError("not-allowed", f"{self.caller.name} may not administer {jid.domain}")
        if jid.domain not in self.domains:
            served = ", ".join(self.domains)
            raise OperationError(
                "not-found", f"{jid.domain} is not a domain of this server (it has {served})"
            )
        return jid.domain

    def domains_for(self, text: str) -> tuple[str, ...]:
        """Give the one domain that a request names, or all that the caller administers."""
        if text:
            return (self.domain(text),)
        return tuple(domain for domain in self.domains if self.caller.may_administer(domain))

    def host(self, domain: str) -> Host | None:
        """Give the running virtual host of a domain."""
        return self.live.hosts.get(domain) if self.live else None

    def sessions(self, domains: Iterable[str]) -> Iterator[Session]:
        """Go through the sessions on these domains."""
        for domain in domains:
            host = self.host(domain)
            if host is not None:
                yield from sessions_of(host)

    def sessions_of(self, jid: Jid) -> list[Session]:
        """Give the sessions of an account, or the one that a full address names."""
        host = self.host(jid.domain)
        account = host.directory.get(jid.bare) if host else None
        if account is None:
            return []
        return [
            session for session in account.sessions.values() if jid.resource in {"", session.jid.resource}
        ]

    def end_sessions(self, jid: Jid, error: StreamError) -> int:
        """End the sessions of an account, or the one that a full address names; tell how many there were."""
        ending = self.sessions_of(jid)
        for session in ending:
            session.close(error)
        return len(ending)

    def forget(self, jid: Jid) -> None:
        """Let the running server read an account anew, since it was made or removed."""
        host = self.host(jid.domain)
        if host is None:
            return
        account = host.directory.get(jid)
        if account is not None:
            account.exists = False  # while it has sessions that are ending; what is stored says the rest
        host.directory.forget(jid)

    async def tell(self, event: Work | Fact, domain: str) -> None:
        """Let the features of a running host do their part of work, or know what has happened."""
        host = self.host(domain)
        if host is None:
            return
        wait = host.hooks.run(event) if isinstance(event, Work) else host.hooks.tell(event)
        if wait is not None:
            await wait
