"""Login: answers what a negotiation asks about credentials, from the account store."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from tidings.base.clock import TimeSource, format_utc
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.accounts import Accounts
from tidings.kernel.password_check import check_password
from tidings.ports.accounts import AccountExists, AccountRecord, AccountStore
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS
from tidings.wire.xmpp.sasl.tokens import FastToken, issue_token

_TOKEN_SECONDS = 90 * 86_400


class Found:
    """What a look-up says: the account's record, or None, and why it may not log in."""

    __slots__ = ("banned", "record")

    def __init__(self, record: AccountRecord | None) -> None:
        self.record = record
        self.banned = None if record is None else record.disabled


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


CredentialQuestion: TypeAlias = (
    values.LookUpKeys | values.CheckPassword | values.CheckAccount | values.LookUpTokens
)
"""What a negotiation asks about an account."""


async def answer_credentials(
    question: CredentialQuestion,
    negotiation: ServerNegotiation,
    credentials: Credentials,
    iterations: int,
    now: float,
) -> None:
    """Find out what a negotiation asks, and tell it; raises `BackendError`."""
    match question:
        case values.LookUpKeys(account):
            found = await credentials.find(account)
            keys = None if found.record is None else found.record.keys
            negotiation.keys_found(keys, banned=found.banned)
        case values.CheckPassword(account, password):
            right, banned = await credentials.check_password(account, password, iterations)
            negotiation.checked(right, banned=banned)
        case values.CheckAccount(account):
            found = await credentials.find(account)
            negotiation.checked(found.record is not None, banned=found.banned)
        case values.LookUpTokens(account, device):
            found = await credentials.find(account)
            tokens = await credentials.tokens(account, device)
            negotiation.tokens_found(tokens, now=now, banned=found.banned)


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
        """Compare with what is stored; a right password gives the account the SCRAM keys that it lacks."""
        found = Found(await self._accounts.get(account))
        return await check_password(self._accounts, found.record, password, iterations), found.banned

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
