"""Accounts: their life cycle in one place, from making one to removing it, whoever asks for it.

Operations, clients (XEP-0077) and the configuration make, change and remove accounts here. So it is the same
for all of them what features are told, which sessions end and why, and what the server forgets.

- Passwords become keys off the event loop, since that is slow by design; no password is kept.
- Features of the domain do their part before an account is made (`AccountWanted`), and are told afterwards
  what has happened. Where no server runs, or the domain is not served, nobody is told.
- The session that asked for it ends last, after it has got its answer; it survives a new password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

import structlog

from tidings.base.clock import TimeSource
from tidings.base.errors import StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.kernel.account import account_of
from tidings.kernel.administrators import Administrators
from tidings.kernel.clock import Clock
from tidings.kernel.cluster import Cluster
from tidings.kernel.events import AccountRegistered, AccountRemoved, AccountWanted, PasswordChanged
from tidings.kernel.former_names import FormerNames, NameRests
from tidings.kernel.hooks import Fact
from tidings.kernel.host import Host
from tidings.kernel.job import Job
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.password_check import check_password
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.supervisor import Supervisor
from tidings.ports.accounts import (
    AccountExists,
    AccountRecord,
    AccountStore,
    Ban,
    NoSuchAccount,
    Removal,
    ScramKeys,
    removal_words,
)
from tidings.ports.ledger import Ledger
from tidings.ports.removals import RemovalStore
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS, make_scram_keys
from tidings.wire.xmpp.sasl.prepare import PreparationError

log = structlog.get_logger("tidings.accounts")

FIRST_CLEANING: Final = 300.0
"""Seconds from the start until tokens that have run out are removed."""
CLEANING_INTERVAL: Final = 6 * 3_600.0
"""Seconds until it is done again."""

_ACCOUNT: Final = "account"
"""The name of the kind of hosts that people log in to."""


class AddressHeld(StanzaError):  # noqa: N818  # a fact about the archive, said in its word
    """Legal hold keeps messages of an earlier owner, so that nobody can have the address: `conflict`.

    What people read does not tell of the hold.
    """

    def __init__(self, jid: Jid) -> None:
        super().__init__("conflict", "that name is taken")
        self.jid = jid


class Accounts:
    """Makes, changes and removes accounts; `hosts` are those of the running server, if there is one."""

    def __init__(
        self,
        store: AccountStore,
        removals: RemovalStore,
        ledger: Ledger | None,
        clock: TimeSource,
        *,
        names: FormerNames | None = None,
        hosts: Mapping[str, Host] | None = None,
        supervisor: Supervisor | None = None,
        is_anonymous: Callable[[str], bool] = lambda _domain: False,
        sessions: SessionManager | None = None,
        cluster: Cluster | None = None,
        administrators: Administrators | None = None,
    ) -> None:
        self._store = store
        self._removals = removals
        self._names = names or FormerNames(removals, clock)
        self._ledger = ledger
        self._clock = clock
        self._hosts = {} if hosts is None else hosts
        self._supervisor = supervisor
        self._is_anonymous = is_anonymous
        self._sessions = sessions
        self._cluster = cluster
        self._administrators = administrators

    async def create(
        self,
        jid: Jid,
        password: str,
        *,
        iterations: int = DEFAULT_ITERATIONS,
        reuses_name: bool = False,
    ) -> None:
        """Make an account, which begins with nothing of an earlier one.

        `reuses_name`: also where the name rests. Raises `AccountExists`; `NameRests`; `AddressHeld`;
        StanzaError `not-allowed` where accounts are thrown away, and `not-acceptable` for a text that can be
        no password; and what features refuse.
        """
        self.check_address(jid)
        if await self._store.exists(jid):
            raise AccountExists(jid)
        if not reuses_name:
            await self._names.check(jid)
        keys = await make_keys(password, iterations)
        await self.begin_with_nothing(jid)
        await self._store.create(jid, keys, self._clock.now())
        self._forget(jid)
        await self._tell(jid, AccountRegistered(jid))

    def check_address(self, jid: Jid) -> None:
        """Raise StanzaError `not-allowed` where nobody can make an account of this address."""
        if self._is_anonymous(jid.domain):
            told = f"{jid.domain} is for anonymous guests and has no lasting accounts"
            raise StanzaError("not-allowed", told)
        self._must_have_accounts(jid.domain)

    async def create_all(
        self,
        records: Sequence[AccountRecord],
        fill: Callable[[frozenset[Jid]], Awaitable[None]],
        *,
        reuses_names: bool = False,
    ) -> dict[Jid, StanzaError]:
        """Make accounts of different addresses in one transaction; give those that cannot be made, and why.

        `fill` stores what the others begin with, before anybody is told of them. `reuses_names`: also names
        that rest.
        """
        existing = await self._store.existing([record.jid for record in records])
        refused: dict[Jid, StanzaError] = {jid: AccountExists(jid) for jid in existing}
        if not reuses_names:
            refused |= await self._names.resting([r.jid for r in records if r.jid not in existing])
        wanted: list[AccountRecord] = []
        for record in records:
            if record.jid in refused:
                continue
            try:
                self.check_address(record.jid)
                await self.begin_with_nothing(record.jid)
                wanted.append(record)
            except StanzaError as error:
                refused[record.jid] = error
        taken = await self._store.create_all(wanted) if wanted else frozenset()
        refused |= {jid: AccountExists(jid) for jid in taken}
        made = frozenset(record.jid for record in wanted) - taken
        await fill(made)
        for jid in made:
            self._forget(jid)
            await self._tell(jid, AccountRegistered(jid))
        return refused

    async def remove(self, jid: Jid, *, asked_by: Session | None = None, due: float | None = None) -> int:
        """Remove an account and all that is stored for it; tell how many sessions end.

        With `due`, only where it was to go by then. Raises `NoSuchAccount`.
        """
        self._must_have_accounts(jid.domain)
        host = self._hosts.get(jid.domain)
        if host is None:
            await self._remove_stored(jid, due)
            return 0
        # It stays in memory meanwhile: features learn from it whom to tell, and nobody reads it anew.
        account = account_of(await host.directory.load(jid))
        host.directory.pin(account)
        try:
            await self._remove_stored(jid, due)
            account.exists = False
            self._publish(jid)
            try:
                await self._tell(jid, AccountRemoved(jid))
            finally:
                ended = await self._end(jid, "the account has been removed", asked_by)
        finally:
            if not account.sessions:
                host.directory.unpin(account)
        return ended

    async def forget_archive(self, jid: Jid) -> None:
        """Forget what the archive of an account holds, as far as legal hold lets it go.

        On a domain that is served, retention does that beside the traffic.
        """
        while self._ledger is not None and await self._ledger.forget_account(jid):
            pass

    def _must_have_accounts(self, domain: str) -> None:
        """Refuse what is about a service, whose entities are made otherwise."""
        host = self._hosts.get(domain)
        if host is not None and host.kind.name != _ACCOUNT:
            raise StanzaError("not-allowed", f"{domain} has no accounts")

    async def remove_later(self, jid: Jid, seconds: float, *, by: str = "") -> tuple[float, int]:
        """Disable an account and have it removed after so many seconds; tell when, and how many sessions end.

        `by` is who has asked for it, for the log. Raises `NoSuchAccount`.
        """
        self._must_have_accounts(jid.domain)
        now = self._clock.now()
        removal = Removal(now, now + seconds)
        if not await self._removals.schedule(jid, removal):
            raise NoSuchAccount(jid)
        return removal.due, await self._end(jid, removal_words(removal), by=by)

    async def restore(self, jid: Jid) -> bool:
        """Take back that an account is to be removed; False where it is not to be, or is gone."""
        return await self._removals.cancel(jid)

    async def _remove_stored(self, jid: Jid, due: float | None) -> None:
        if not await self._store.remove(jid, noted=self._names.noted, due=due):
            raise NoSuchAccount(jid)
        if self._administrators is not None:
            self._administrators.forget(jid)

    async def set_password(self, jid: Jid, password: str, *, asked_by: Session | None = None) -> int:
        """Give an account another password and forget its tokens; tell how many sessions end.

        The session that asked goes on. Raises `NoSuchAccount`, and StanzaError `not-acceptable`.
        """
        if not await self._store.exists(jid):
            raise NoSuchAccount(jid)
        return await self.set_keys(jid, await make_keys(password), asked_by=asked_by)

    async def set_keys(
        self, jid: Jid, keys: tuple[ScramKeys, ...], *, asked_by: Session | None = None
    ) -> int:
        """Give an account the keys of another password; the rest is as with `set_password`."""
        if not await self._store.set_keys(jid, keys):
            raise NoSuchAccount(jid)
        try:
            await self._tell(jid, PasswordChanged(jid))
        finally:
            ended = await self._end(jid, "the password has been changed", asked_by, goes_on=True)
        return ended

    async def ban(self, jid: Jid, reason: str = "", *, by: str = "") -> int:
        """Keep an account from logging in; tell how many sessions end. Raises `NoSuchAccount`.

        `by` is who has asked for it, for the log.
        """
        if not await self._store.ban(jid, Ban(reason, self._clock.now())):
            raise NoSuchAccount(jid)
        text = f"the account is banned: {reason}" if reason else "the account is banned"
        return await self._end(jid, text, by=by)

    async def unban(self, jid: Jid) -> None:
        """Let a banned account log in again; raises `NoSuchAccount`."""
        if not await self._store.unban(jid):
            raise NoSuchAccount(jid)

    async def has_password(self, jid: Jid, password: str) -> bool:
        """Tell whether this is the password of an account, which then gets the SCRAM keys that it lacks.

        Raises `NoSuchAccount`.
        """
        record = await self._store.get(jid)
        if record is None:
            raise NoSuchAccount(jid)
        return await check_password(self._store, record, password)

    async def begin_with_nothing(self, jid: Jid) -> None:
        """Let features clear what an earlier owner of the address has left; without a server, do it here."""
        host = self._hosts.get(jid.domain)
        if host is not None:
            await until_done(host.hooks.run(AccountWanted(jid)))
        elif self._ledger is not None:
            while await self._ledger.forget_account(jid, unless_owned=True):
                pass
            head = await self._ledger.head(jid)
            if head.first <= head.position:
                raise AddressHeld(jid)

    async def _tell(self, jid: Jid, event: Fact) -> None:
        host = self._hosts.get(jid.domain)
        if host is not None:
            await until_done(host.hooks.tell(event))

    def _forget(self, jid: Jid) -> None:
        """Let the running server read an account anew, since it was made or removed."""
        host = self._hosts.get(jid.domain)
        if host is not None:
            host.directory.forget(jid)
        self._publish(jid)

    def _publish(self, jid: Jid) -> None:
        """Have other nodes find out anew whether an account exists."""
        if self._cluster is not None:
            self._cluster.publish(jid)

    async def _end(
        self, jid: Jid, text: str, asked_by: Session | None = None, *, goes_on: bool = False, by: str = ""
    ) -> int:
        """End the sessions of an account on all nodes; the one that asked ends last, or goes on."""
        host = self._hosts.get(jid.domain)
        if host is None or self._sessions is None or not self._sessions.may_be_connected(jid):
            return 0
        account = account_of(await host.directory.load(jid))
        error = StreamError("not-authorized", text, by=by)
        ended = self._sessions.end_sessions(account, error, keep=asked_by)
        if asked_by is not None and not goes_on and self._supervisor is not None:
            self._supervisor.start("end session", _end(asked_by, error))
            ended += 1
        return ended


async def make_keys(password: str, iterations: int = DEFAULT_ITERATIONS) -> tuple[ScramKeys, ...]:
    """Make the keys to store for a password, off the event loop.

    Raises StanzaError `not-acceptable` for a text that can be no password.
    """
    try:
        return await asyncio.to_thread(make_scram_keys, password, iterations=iterations)
    except PreparationError as error:
        raise StanzaError("not-acceptable", str(error)) from None


async def make_first_accounts(accounts: Accounts, wanted: Iterable[tuple[Jid, str]]) -> None:
    """Make the accounts that the configuration names, as far as they are missing and can be made."""
    for jid, password in wanted:
        try:
            await accounts.create(jid, password)
        except AccountExists:
            continue
        except AddressHeld:
            log.warning("first_account_not_made", account=str(jid), reason="legal hold on an earlier owner")
        except NameRests as error:
            log.warning("first_account_not_made", account=str(jid), reason=error.told)


class TokenCleaning:
    """Removes log-in tokens that have run out, of all accounts, now and then (XEP-0484 §4)."""

    def __init__(self, store: AccountStore, clock: Clock, supervisor: Supervisor) -> None:
        self._store = store
        self._clock = clock
        self._job = Job("expired_tokens", self._remove, clock, supervisor)

    async def start(self) -> None:
        """Begin soon after the start."""
        self._job.begin(FIRST_CLEANING)

    def wind_down(self) -> None:
        """Remove nothing any more."""
        self._job.stop()

    async def stop(self) -> None:
        """Remove nothing any more."""
        self.wind_down()

    async def _remove(self) -> float:
        await self._store.remove_expired_tokens(self._clock.now())
        return CLEANING_INTERVAL


async def _end(session: Session, error: StreamError) -> None:
    """Close a session; a task of its own, so that its client gets the answer first."""
    session.close(error)
