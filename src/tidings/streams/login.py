"""Login: answers what a negotiation asks about credentials, from the account store."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

from tidings.base.clock import TimeSource, format_utc
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.network import is_loopback, network_of
from tidings.kernel.accounts import Accounts
from tidings.ports.accounts import AccountExists, AccountRecord, AccountStore
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS, ScramKeys, verify_password
from tidings.wire.xmpp.sasl.tokens import FastToken, issue_token

_TOKEN_SECONDS = 90 * 86_400


class Found:
    """What a look-up says: the account's record, or None, and why it may not log in."""

    __slots__ = ("banned", "record")

    def __init__(self, record: AccountRecord | None) -> None:
        self.record = record
        self.banned = None if record is None or record.ban is None else record.ban.reason or "banned"


class Credentials(Protocol):
    """Who may log in on a host, and with what; every method may raise `BackendError`."""

    async def find(self, account: Jid) -> Found:
        """Look the account up."""
        ...

    async def check_password(
        self, account: Jid, password: str, iterations: int = DEFAULT_ITERATIONS
    ) -> tuple[bool, str | None]:
        """Tell whether the password is right, and why the account may not log in.

        An account that does not exist costs these iterations, as one that does.
        """
        ...

    async def tokens(self, account: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device, the newest first."""
        ...

    async def token_used(self, account: Jid, token: FastToken, *, invalidate: bool) -> bool:
        """Note that a token was used, or forget it; False means that it has been revoked meanwhile."""
        ...

    async def issue_token(self, account: Jid, device: str, mechanism: str) -> tuple[str, str]:
        """Make a token; give its text and when it ends."""
        ...


class StoredCredentials:
    """The accounts of the store, with their passwords as SCRAM keys."""

    def __init__(self, accounts: AccountStore, clock: TimeSource, secret: bytes) -> None:
        self._accounts = accounts
        self._clock = clock
        self._secret = secret

    async def find(self, account: Jid) -> Found:
        """Look the account up."""
        return Found(await self._accounts.get(account))

    async def check_password(
        self, account: Jid, password: str, iterations: int = DEFAULT_ITERATIONS
    ) -> tuple[bool, str | None]:
        """Compare with what is stored; an unknown account costs as much as a known one."""
        found = Found(await self._accounts.get(account))
        keys: tuple[ScramKeys, ...] | None = None if found.record is None else found.record.keys
        return await asyncio.to_thread(verify_password, password, keys, iterations), found.banned

    async def tokens(self, account: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device."""
        return await self._accounts.tokens(account, device)

    async def token_used(self, account: Jid, token: FastToken, *, invalidate: bool) -> bool:
        """Make the token the current one of its device, or forget the device's tokens."""
        if invalidate:
            return await self._accounts.remove_tokens(account, token.device) > 0
        return await self._accounts.adopt_token(account, token)

    async def issue_token(self, account: Jid, device: str, mechanism: str) -> tuple[str, str]:
        """Make a token and store what verifies it."""
        expires = self._clock.now() + _TOKEN_SECONDS
        text, token = issue_token(self._secret, str(account), device, mechanism, expires)
        await self._accounts.store_token(account, token)
        return text, format_utc(expires)


class OpenCredentials(StoredCredentials):
    """Any name and any password are right and make the account: for tests on loopback only."""

    def __init__(self, store: AccountStore, clock: TimeSource, secret: bytes, accounts: Accounts) -> None:
        super().__init__(store, clock, secret)
        self._life_cycle = accounts

    async def check_password(
        self, account: Jid, password: str, iterations: int = DEFAULT_ITERATIONS
    ) -> tuple[bool, str | None]:
        """Make the account when it is missing."""
        found = await self.find(account)
        if found.record is None:
            try:
                await self._life_cycle.create(account, password, iterations=iterations)
            except AccountExists:
                pass  # another log-in was faster
            except StanzaError:
                return False, None  # no text that could be anybody's password, or an address that is held
        return True, found.banned


class _Record:
    """The failures of one address or account."""

    __slots__ = ("failures", "free_at", "last")

    def __init__(self) -> None:
        self.failures = 0
        self.last = 0.0
        self.free_at = 0.0


class LoginThrottle:
    """Slows down who guesses passwords; the wait comes before an attempt is looked at.

    So it cannot be skipped by hanging up or by guessing on many connections at once.

    - The attempts of an address (of IPv6: of its /64) that has failed `_FREE` times come one after the other,
      with a pause between them that doubles with each further failure, up to `_LONGEST` seconds; when several
      are in the queue, more are refused. This machine's own addresses are not held back: behind them may be
      everybody.
    - An account that others fail to log in to costs a single wait of up to `_LONGEST_ACCOUNT` seconds: its
      owner is never locked out. From an address where the owner has logged in before, nothing waits until
      that pair itself fails too often.
    - After `_FORGET` seconds without a failure all is forgotten. What is remembered is bounded.
    """

    _FREE = 3
    _LONGEST = 8.0
    _LONGEST_ACCOUNT = 2.0
    _QUEUE = 3
    _FORGET = 600.0
    _KEPT = 20_000

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def delay(self, account: str, address: str) -> float | None:
        """Give the seconds that an attempt waits before it is looked at; None refuses it for now."""
        network = _network(address)
        if not self._records or (account, network) in self._known:
            return 0.0
        now = self._clock.monotonic()
        longest = min(self._pause(account, now), self._LONGEST_ACCOUNT)
        pause = self._pause(network, now) if network else 0.0
        if pause:
            record = self._records[network]
            begin = max(record.free_at, now + pause)
            if begin - now > self._QUEUE * pause:
                return None
            record.free_at = begin + pause
            longest = max(longest, begin - now)
        return longest

    def failed(self, account: str, address: str) -> None:
        """Note a failure; either may be empty where it is not known."""
        now = self._clock.monotonic()
        network = _network(address)
        for key in filter(None, (account, network, f"{account} {network}")):
            record = self._records.pop(key, None)
            if record is None or now - record.last > self._FORGET:
                record = _Record()
            record.failures += 1
            record.last = now
            self._records[key] = record
        if self._records[f"{account} {network}"].failures > self._FREE:
            self._known.pop((account, network), None)
        while len(self._records) > self._KEPT:
            self._records.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Remember that the owner of an account comes from this address."""
        network = _network(address)
        self._records.pop(f"{account} {network}", None)
        self._known[account, network] = None
        self._known.move_to_end((account, network))
        if len(self._known) > self._KEPT:
            self._known.popitem(last=False)

    def _pause(self, key: str, now: float) -> float:
        record = self._records.get(key)
        if record is None or record.failures < self._FREE or now - record.last > self._FORGET:
            return 0.0
        return min(0.5 * 2.0 ** min(record.failures - self._FREE, 10), self._LONGEST)


def _network(address: str) -> str:
    """Give what one attacker surely has; "" for this machine."""
    return "" if is_loopback(address) else network_of(address)
