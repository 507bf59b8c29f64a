"""Login: answers what a negotiation asks about credentials, from the account store."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import Protocol

from tidings.base.clock import Clock, format_utc
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountExists, AccountRecord, AccountStore
from tidings.wire.xmpp.sasl.keys import ScramKeys, make_scram_keys, verify_password
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

    async def check_password(self, account: Jid, password: str) -> tuple[bool, str | None]:
        """Tell whether the password is right, and why the account may not log in."""
        ...

    async def tokens(self, account: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device, the newest first."""
        ...

    async def token_used(self, account: Jid, token: FastToken, *, invalidate: bool) -> None:
        """Note that a token was used, or forget it."""
        ...

    async def issue_token(self, account: Jid, device: str, mechanism: str) -> tuple[str, str]:
        """Make a token; give its text and when it ends."""
        ...


class StoredCredentials:
    """The accounts of the store, with their passwords as SCRAM keys."""

    def __init__(self, accounts: AccountStore, clock: Clock, secret: bytes) -> None:
        self._accounts = accounts
        self._clock = clock
        self._secret = secret

    async def find(self, account: Jid) -> Found:
        """Look the account up."""
        return Found(await self._accounts.get(account))

    async def check_password(self, account: Jid, password: str) -> tuple[bool, str | None]:
        """Compare with the stored keys; an unknown account costs as much as a known one."""
        found = Found(await self._accounts.get(account))
        keys: tuple[ScramKeys, ...] | None = None if found.record is None else found.record.keys
        return await asyncio.to_thread(verify_password, password, keys), found.banned

    async def tokens(self, account: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device."""
        return await self._accounts.tokens(account, device)

    async def token_used(self, account: Jid, token: FastToken, *, invalidate: bool) -> None:
        """Make the token the current one of its device, or forget the device's tokens."""
        if invalidate:
            await self._accounts.remove_tokens(account, token.device)
        else:
            await self._accounts.adopt_token(account, token)

    async def issue_token(self, account: Jid, device: str, mechanism: str) -> tuple[str, str]:
        """Make a token and store what verifies it."""
        expires = self._clock.now() + _TOKEN_SECONDS
        text, token = issue_token(self._secret, str(account), device, mechanism, expires)
        await self._accounts.store_token(account, token)
        return text, format_utc(expires)


class OpenCredentials(StoredCredentials):
    """Any name and any password are right and make the account: for tests on loopback only."""

    async def check_password(self, account: Jid, password: str) -> tuple[bool, str | None]:
        """Make the account when it is missing."""
        found = await self.find(account)
        if found.record is None:
            keys = await asyncio.to_thread(make_scram_keys, password)
            with contextlib.suppress(AccountExists):  # another log-in was faster
                await self._accounts.create(account, keys, self._clock.now())
        return True, found.banned


class Brake:
    """Slows down who guesses passwords: failures of an address or an account delay the answer to the next.

    The first `_FREE` failures cost nothing, each further one twice the wait of the one before, up to
    `_LONGEST` seconds; after `_FORGET` seconds without a failure all is forgotten.
    """

    _FREE = 3
    _LONGEST = 8.0
    _FORGET = 600.0
    _KEPT = 20_000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, *keys: str) -> float:
        """Note a failure of these names and addresses; give the seconds to wait before saying so."""
        now = self._clock.monotonic()
        longest = 0.0
        for key in filter(None, keys):
            count, last = self._failures.pop(key, (0, now))
            count = 1 if now - last > self._FORGET else count + 1
            self._failures[key] = (count, now)
            if count > self._FREE:
                longest = max(longest, min(0.5 * 2.0 ** (count - self._FREE - 1), self._LONGEST))
        while len(self._failures) > self._KEPT:
            self._failures.popitem(last=False)
        return longest

    def succeeded(self, account: str) -> None:
        """Forget the failures of an account that has logged in."""
        self._failures.pop(account, None)
