"""What operations work with: the stores, the running server if there is one, and who is asking."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import msgspec

from tidings.base.clock import TimeSource
from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.base.seldom_told import SeldomTold
from tidings.kernel.account import Account, sessions_of
from tidings.kernel.account_renaming import AccountRenamer, Running
from tidings.kernel.accounts import Accounts
from tidings.kernel.administrators import Administrators
from tidings.kernel.cluster import Cluster
from tidings.kernel.domains import Domains
from tidings.kernel.former_names import FormerNames
from tidings.kernel.host import Host
from tidings.kernel.hosting import Hosting
from tidings.kernel.log_levels import LogLevels
from tidings.kernel.reset_links import DEFAULT_HOURS
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.statistics import Statistics
from tidings.messages.entries import keys_of_kept
from tidings.messages.router import Router
from tidings.operations.errors import OperationError
from tidings.ports.stores import Stores


class Role(enum.Enum):
    """In which capacity somebody calls."""

    OPERATOR = "operator"
    """Whoever runs the server: the command line, on the data directory."""
    DOMAIN_ADMINISTRATOR = "domain administrator"
    """An account that the configuration names as an administrator of a domain."""
    USER = "user"
    """The owner of an account, for that account."""
    SERVICE = "service"
    """A program that may do what its scopes say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks for an operation, and for whom."""

    name: str
    role: Role
    domains: frozenset[str] | None = frozenset()
    """The domains for which an administrator or a service may act, services included; None is all."""
    account: Jid | None = None
    """The account of a user."""
    scopes: frozenset[str] = frozenset()
    """What a service may do: `account`, `account:read` for what changes nothing, `account:register`."""
    uid: int | None = None
    """The user of this machine who uses the admin socket."""
    process: int | None = None
    """That user's process."""
    session: Jid | None = None
    """The session in which an administrator asks."""
    address: str = ""
    """The network address of that session's client."""

    @classmethod
    def administrator(
        cls, account: Jid, *domains: str, session: Jid | None = None, address: str = ""
    ) -> Caller:
        """Make an administrator of these domains, who asks in a session."""
        return cls(
            name=account.text,
            role=Role.DOMAIN_ADMINISTRATOR,
            domains=frozenset(domains),
            session=session,
            address=address,
        )

    @classmethod
    def user(cls, account: Jid) -> Caller:
        """Make the owner of an account."""
        return cls(name=account.text, role=Role.USER, account=account)

    @classmethod
    def service(cls, name: str, scopes: Iterable[str], domains: Iterable[str] | None = None) -> Caller:
        """Make a program with these scopes, for these domains or for all."""
        allowed = None if domains is None else frozenset(domains)
        return cls(name=name, role=Role.SERVICE, scopes=frozenset(scopes), domains=allowed)

    @property
    def acts_for_nobody(self) -> bool:
        """Whether the caller is an administrator or a service without any domain."""
        return self.account is None and self.domains is not None and not self.domains

    @property
    def is_for_all(self) -> bool:
        """Whether the caller may act for every domain."""
        return self.domains is None

    def has_scope_for(self, category: str, name: str, *, changes: bool) -> bool:
        """Tell whether a service may call an operation; others need no scopes."""
        if self.role is not Role.SERVICE:
            return True
        wanted = {category, f"{category}:{name}"} | (set() if changes else {f"{category}:read"})
        return not wanted.isdisjoint(self.scopes)


OPERATOR = Caller(name="operator", role=Role.OPERATOR, domains=None)
"""Whoever may use the data directory: the command line."""


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of reading the configuration and its files anew."""

    complete: bool
    """Whether everything could be used."""
    done: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """What cannot be used; the old stays in its place."""
    needs_restart: tuple[str, ...] = ()
    """The options that have changed since the start and hold from the next one on."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An option that the server uses with another value than is configured now."""

    option: str
    """As people write it: `[limits] stanza_bytes`."""
    in_use: str = ""
    """As it would stand in the file."""
    configured: str = ""
    needs_restart: bool
    """Whether a reload leaves it as it is."""


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """What the server uses, compared with what is configured now."""

    same: bool
    differences: tuple[Difference, ...] = ()


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """What came of going back to an earlier configuration."""

    file: str
    """The configuration file, which has its earlier content again."""
    refused: str
    """The file beside it with the content that it had."""
    complete: bool
    """Whether everything in it could be used."""
    done: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


class Configuration(Protocol):
    """The configuration of the running server, and where it is read from; all raise `OperationError`."""

    async def reload(self) -> Reloaded:
        """Read it anew and use what can be used without a restart."""
        ...

    async def preview(self) -> Reloaded:
        """Tell what a reload would do; a configuration that cannot be used is a problem of the answer."""
        ...

    async def differences(self) -> Differences:
        """Compare what is used with what is configured."""
        ...

    async def roll_back(self) -> RolledBack:
        """Go back to the file that was good before the present one, and reload."""
        ...


class ShownCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate that clients of a domain are shown."""

    file: str
    ends: float
    """In seconds since the epoch."""
    source: Literal["configuration", "directory", "ordered", "self-signed"]
    problem: str = ""
    """Why the last order for the domain has failed."""
    next_try: float = 0.0
    """When it is tried again, in seconds since the epoch."""


class ShownCertificates(Protocol):
    """The certificates of the running server."""

    async def show(self, domain: str) -> ShownCertificate:
        """Tell which certificate a domain has."""
        ...

    async def renew(self, domain: str) -> None:
        """Order another, and use it; raises `OperationError`."""
        ...


@dataclass(frozen=True, slots=True)
class Live:
    """The running server, as far as operations act on it."""

    hosts: Mapping[str, Host]
    router: Router
    started: float
    """When it started, in seconds since the epoch."""
    hosting: Hosting
    sessions: SessionManager
    cluster: Cluster
    logs: LogLevels
    """What the log of this node has."""
    statistics: Statistics
    """What this node does at this moment."""
    audit_limit: SeldomTold
    """How often its audit log tells of callers who are refused."""
    administrators: Administrators
    configuration: Configuration | None = None
    """What it was started with, where that can be read anew."""
    certificates: ShownCertificates | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Everything an operation may use; `live` is None when it runs on the database alone."""

    domains: Domains
    stores: Stores
    clock: TimeSource
    live: Live | None = None
    database: str = ""
    """What the database is, for people; without its password."""
    public_url: Callable[[], str] = lambda: ""
    """How the doors over HTTP are reached from outside; nothing where that is not known."""
    reset_link_hours: Callable[[], int] = lambda: DEFAULT_HOURS
    """For how long a link holds by which somebody chooses another password."""
    name_rest_days: Callable[[], int] = lambda: 0
    """For how many days nobody has the name of a removed account."""
    caller: Caller = OPERATOR
    without_server: str = ""
    """Where no server runs and what is known instead, for people who expected one."""

    def acting_for(self, caller: Caller) -> Context:
        """Give the same context for somebody else who asks."""
        return replace(self, caller=caller)

    def may_act_for(self, subject: Jid) -> bool:
        """Tell whether the caller may act for an account, one of its sessions, or a domain."""
        caller = self.caller
        if caller.account is not None:
            return subject.bare == caller.account
        return caller.domains is None or self.domains.owner(subject.domain) in caller.domains

    def require(self, subject: Jid, *, or_was_served: bool = False) -> None:
        """Raise `OperationError` unless the caller may act for the subject, and its domain is served.

        `not-allowed` comes first: which domains exist is not told to an administrator of another. With
        `or_was_served`, who may act for every domain may do so for one that is served no more.
        """
        if not self.may_act_for(subject):
            told = subject.domain if self.caller.account is None else subject
            raise OperationError("not-allowed", f"{self.caller.name} may not administer {told}")
        if subject.domain not in self.domains and not (or_was_served and self.caller.is_for_all):
            raise self.not_served(subject.domain)

    def require_no_more_rights(self, subject: Jid) -> None:
        """Raise `OperationError` where an account administers a domain for which the caller may not act.

        Whoever can change its password could act for that domain.
        """
        if self.live is None or self.caller.is_for_all or self.caller.account is not None:
            return
        for domain in self.domains:
            host = self.live.hosts.get(domain)
            if host is not None and subject.bare in host.admins and not self.may_act_for(host.jid):
                told = f"{subject.bare} administers {domain}, and {self.caller.name} does not"
                raise OperationError("not-allowed", told)

    def configuration(self) -> Configuration:
        """Give what the running server was started with; raises `OperationError` where that is not known."""
        if self.live is None or self.live.configuration is None:
            raise OperationError("unavailable", "this server has no configuration to read")
        return self.live.configuration

    def not_served(self, domain: str) -> OperationError:
        """Make what is raised for a domain that is not served."""
        served = ", ".join(self.domains)
        told = f"{domain} is not a domain of this server (it has {served})"
        if self.without_server:
            told = f"{domain} is not among the domains here ({served}): {self.without_server}"
        return OperationError("not-found", told)

    def domains_for(self, domain: Jid | None) -> tuple[str, ...]:
        """Give the one domain that a request names, or all that the caller administers."""
        if domain is not None:
            return (domain.domain,)
        return tuple(each for each in self.domains if self.may_act_for(Jid(each)))

    @property
    def names(self) -> FormerNames:
        """The names of accounts that were removed."""
        return FormerNames(self.stores.removals, self.clock, self.name_rest_days)

    @property
    def accounts(self) -> Accounts:
        """The life cycle of accounts, on the running server or on the database alone."""
        return Accounts(
            self.stores.accounts,
            self.stores.removals,
            self.stores.ledger,
            self.clock,
            names=self.names,
            hosts=self.live.hosts if self.live else None,
            is_anonymous=self.domains.is_anonymous,
            sessions=self.live.sessions if self.live else None,
            cluster=self.live.cluster if self.live else None,
            administrators=self.live.administrators if self.live else None,
        )

    @property
    def renamer(self) -> AccountRenamer:
        """What gives accounts other addresses, on the running server or on the database alone."""
        live, stores = self.live, self.stores
        running = None
        if live is not None:
            running = Running(live.hosts, live.sessions, live.cluster, live.administrators)
        local = {name for domain in self.domains for name in self.domains.with_services(domain)}
        return AccountRenamer(
            self.accounts,
            stores.accounts,
            stores.renaming,
            self.names,
            frozenset(local),
            keys_of_kept,
            running,
        )

    def host(self, domain: str) -> Host | None:
        """Give the running virtual host of a domain."""
        return self.live.hosts.get(domain) if self.live else None

    async def exists(self, jid: Jid) -> bool:
        """Tell whether there is an account or another entity of a bare address on this server."""
        host = self.host(jid.domain)
        return await (self.stores.accounts.exists(jid) if host is None else host.kind.exists(jid))

    def sessions(self, domains: Iterable[str]) -> Iterator[Session]:
        """Go through the sessions on these domains."""
        for domain in domains:
            host = self.host(domain)
            if host is not None:
                yield from sessions_of(host)

    def sessions_of(self, jid: Jid) -> list[Session]:
        """Give the sessions of an account on this node, or the one that a full address names."""
        host = self.host(jid.domain)
        account = host.directory.get(jid.bare) if host else None
        if not isinstance(account, Account):
            return []
        return [
            session for session in account.sessions.values() if jid.resource in {"", session.jid.resource}
        ]

    def is_connected(self, jid: Jid) -> bool:
        """Tell whether an account may have sessions, on any node."""
        host = self.host(jid.domain)
        entity = None if host is None else host.directory.get(jid.bare)
        if self.live is None or (entity is not None and not isinstance(entity, Account)):
            return False
        return self.live.sessions.may_be_connected(jid)

    async def sessions_now(self, jid: Jid) -> int:
        """Tell how many sessions an account has, on all nodes, with those that wait for their clients."""
        host = self.host(jid.domain)
        if host is None or self.live is None or not self.live.sessions.may_be_connected(jid):
            return 0
        account = await host.directory.load(jid)
        return len(account.resources) if isinstance(account, Account) else 0

    async def end_sessions(self, jid: Jid, error: StreamError) -> int:
        """End the sessions of an account, or the one that a full address names; tell how many there were.

        It does so on all nodes. Raises `BackendError`.
        """
        host = self.host(jid.domain)
        if host is None or self.live is None or not self.live.sessions.may_be_connected(jid):
            return 0
        account = await host.directory.load(jid.bare)
        if not isinstance(account, Account):
            return 0
        return self.live.sessions.end_sessions(account, error, resource=jid.resource)
