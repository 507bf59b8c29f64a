"""Renaming an account: it gets another address, and everything that it has goes with it.

While it happens there is nobody under either address: sessions have ended, nobody can log in, and messages
are refused. What was accepted before is in the archive, which goes with the account; what was planned before,
and is committed afterwards, finds an archive of another version, is planned anew and refused. The change
itself is one transaction: a server that is killed has done all of it or nothing.

Afterwards what this server has in memory of others who know the account is read anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from tidings.base.errors import BackendError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.account import Account, account_of
from tidings.kernel.accounts import Accounts
from tidings.kernel.administrators import Administrators
from tidings.kernel.cluster import Cluster
from tidings.kernel.events import AccountRenamed, AccountRenaming
from tidings.kernel.former_names import FormerNames
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session_manager import SessionManager
from tidings.ports.accounts import AccountExists, AccountStore, NoSuchAccount
from tidings.ports.bus import Changed, EndSessions
from tidings.ports.ledger.batch import KeysOf
from tidings.ports.renaming import Renamed, RenamingStore


class RenamingDone(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened."""

    sessions: int
    """How many sessions have ended for it."""
    followed: Renamed
    """Who else has the new address now."""


class Running(msgspec.Struct, frozen=True):
    """The parts of a running server that learn of it."""

    hosts: Mapping[str, Host]
    sessions: SessionManager
    cluster: Cluster
    administrators: Administrators


class AccountRenamer:
    """Gives accounts other addresses; `running` is the server, where one runs."""

    def __init__(
        self,
        accounts: Accounts,
        store: AccountStore,
        renaming: RenamingStore,
        names: FormerNames,
        local: Collection[str],
        keys: KeysOf,
        running: Running | None = None,
    ) -> None:
        self._accounts = accounts
        self._store = store
        self._renaming = renaming
        self._names = names
        self._local = local
        self._keys = keys
        self._running = running

    async def rename(self, account: Jid, to: Jid, *, by: str = "", reuses_name: bool = False) -> RenamingDone:
        """Give an account another address; `by` is who has asked for it, for the log.

        `reuses_name`: also where the new name rests. Raises `NoSuchAccount`, `AccountExists`, `NameRests`,
        `AddressHeld`, and StanzaError `not-allowed` where there are no lasting accounts.
        """
        self._accounts.check_address(account)
        self._accounts.check_address(to)
        if not await self._store.exists(account):
            raise NoSuchAccount(account)
        if await self._store.exists(to):
            raise AccountExists(to)
        if not reuses_name:
            await self._names.check(to)
        await self._accounts.begin_with_nothing(to)
        ended = await self._end_sessions(account, to, by)
        with self._closed(account, to):  # nothing is awaited since the last session has ended
            await self._have_written(account, to)
            followed = await self._renaming.rename(
                account, to, local=self._local, keys=self._keys, noted=self._names.noted
            )
        if self._running is not None:
            await self._read_anew(self._running, account, to, followed)
        return RenamingDone(sessions=ended, followed=followed)

    @contextmanager
    def _closed(self, *jids: Jid) -> Iterator[None]:
        """Let nobody be there under these addresses."""
        closed: list[tuple[Host, Jid]] = []
        try:
            for jid in jids:
                host = None if self._running is None else self._running.hosts.get(jid.domain)
                if host is not None:
                    host.directory.close(jid)
                    closed.append((host, jid))
            yield
        finally:
            for host, jid in closed:
                host.directory.reopen(jid)

    async def _end_sessions(self, account: Jid, to: Jid, by: str) -> int:
        """End the sessions of an account on all nodes, also those that begin meanwhile."""
        host = None if self._running is None else self._running.hosts.get(account.domain)
        if self._running is None or host is None:
            return 0
        sessions, cluster, ended = self._running.sessions, self._running.cluster, 0
        error = StreamError("not-authorized", f"the account has another address now: {to}", by=by)
        assert sessions.expel is not None  # the server has set it
        if not sessions.is_alone:  # where else it is is known of an account in memory
            entity = account_of(await host.directory.load(account))
            ended = len(entity.elsewhere)
            for node in entity.nodes_elsewhere:
                await cluster.call(node, EndSessions(account.text, error.condition, error.text, by=by))
        while isinstance(here := host.directory.get(account), Account) and here.sessions:
            await until_done(sessions.expel(next(iter(here.sessions.values())), error))
            ended += 1
        return ended

    async def _have_written(self, account: Jid, to: Jid) -> None:
        """Have features write what they still have of an account."""
        host = None if self._running is None else self._running.hosts.get(account.domain)
        if host is not None:
            await until_done(host.hooks.run(AccountRenaming(account, to)))

    async def _read_anew(self, running: Running, account: Jid, to: Jid, followed: Renamed) -> None:
        """Bring up to date what is in memory of those who know the account, and tell features of it."""
        for jid in (account, to):
            running.cluster.publish(jid)
        others = dict.fromkeys(
            (*followed.rosters, *followed.blocking, *followed.preferences, *followed.rooms)
        )
        await _refresh(running, others)
        await running.administrators.changed("")
        event = AccountRenamed(account, to, followed.rosters, followed.blocking)
        for host in list(running.hosts.values()):
            if host.kind.name == "account":
                await until_done(host.hooks.tell(event))


async def _refresh(running: Running, jids: Iterable[Jid]) -> None:
    """Read anew what guards read of accounts and rooms, here and on other nodes."""
    for jid in jids:
        host = running.hosts.get(jid.domain)
        if host is None:
            continue
        running.cluster.publish(jid)
        entity = host.directory.get(jid)
        if entity is None:
            host.directory.forget(jid)  # it may be loading
            if running.sessions.is_alone:
                continue
        try:
            if entity is None:  # its sessions may be on other nodes, and are told from here
                await host.directory.load(jid)
            else:
                await host.directory.refresh(entity)
        except BackendError:  # it is tried again until it can be read
            running.cluster.changed(Changed(jid.text, ""))
