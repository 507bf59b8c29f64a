"""The accounts port: who may log in, with which keys, and when somebody was last there.

Secrets are kept as what verifies them, never as what proves them: SCRAM keys for passwords (RFC 5802 §3),
digests for FAST tokens (XEP-0484).

Every method may raise `BackendError` when the store is slow, full or gone. Accounts are named by bare JIDs
with a localpart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from tidings.base.clock import format_utc
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xmpp.sasl.keys import ScramKeys, ScramMechanism
from tidings.wire.xmpp.sasl.tokens import FastToken

__all__ = [
    "AccountExists",
    "AccountFilter",
    "AccountRecord",
    "AccountStore",
    "AccountSummary",
    "Ban",
    "FastToken",
    "NoSuchAccount",
    "Promotion",
    "Removal",
    "ScramKeys",
    "ScramMechanism",
]


TOKEN_DEVICES: Final = 32
"""How many devices of an account have FAST tokens; beyond it, the one that runs out first loses its."""


class AccountExists(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """The address is taken: `conflict`, as XEP-0077 §3.1 answers a registration."""

    def __init__(self, jid: Jid) -> None:
        super().__init__("conflict", f"the account {jid} exists already")
        self.jid = jid


class NoSuchAccount(StanzaError):  # noqa: N818
    """Something was to be stored for an account that does not exist: `item-not-found`."""

    def __init__(self, jid: Jid) -> None:
        super().__init__("item-not-found", f"there is no account {jid}")
        self.jid = jid


class Ban(msgspec.Struct, frozen=True):
    """Why and since when (seconds since the epoch) an account may not log in."""

    reason: str
    since: float


class Removal(msgspec.Struct, frozen=True):
    """Since when an account is to go, and when it goes (seconds since the epoch)."""

    since: float
    due: float


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One account as it is stored; times are seconds since the epoch."""

    jid: Jid
    keys: tuple[ScramKeys, ...]
    created: float
    ban: Ban | None = None
    last_activity: float | None = None
    """When its last session ended, or None when it never had one."""
    last_status: str = ""
    """The status text of the last unavailable presence (XEP-0012 §3)."""
    removal: Removal | None = None
    """When it is to be removed, or None when it stays."""

    @property
    def disabled(self) -> str | None:
        """Why nobody may log in, in words for its owner; None where he may."""
        if self.ban is not None:
            return self.ban.reason or "banned"
        return None if self.removal is None else removal_words(self.removal)

    def keys_for(self, mechanism: str) -> ScramKeys | None:
        """Give the keys of this mechanism, or None when the account has none for it."""
        return next((keys for keys in self.keys if keys.mechanism == mechanism), None)


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One account as lists show it; times are seconds since the epoch."""

    jid: Jid
    created: float
    ban: Ban | None = None
    last_activity: float | None = None
    removal: Removal | None = None
    has_keys: bool = True
    """Whether it has keys, without which nobody logs in by a password."""
    entries: int = 0
    """Of its archive, with the tombstones among them."""
    octets: int = 0
    """Of the messages in its archive."""


class AccountFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are meant: those for which all of this holds."""

    banned: bool | None = None
    """Whether it is banned; None is either."""
    is_leaving: bool | None = None
    """Whether it is to be removed; None is either."""
    created_before: float | None = None
    unseen_since: float | None = None
    """It was last there before this; where it never was, it was made before this."""
    part: str = ""
    """What its localpart contains."""

    def takes(self, account: AccountRecord) -> bool:
        """Tell whether an account is meant."""
        seen = account.created if account.last_activity is None else account.last_activity
        return (
            self.banned in {None, account.ban is not None}
            and self.is_leaving in {None, account.removal is not None}
            and (self.created_before is None or account.created < self.created_before)
            and (self.unseen_since is None or seen < self.unseen_since)
            and self.part in account.jid.local
        )


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody may administer a domain since then (seconds since the epoch), by whose word."""

    jid: Jid
    domain: str
    """Empty for all domains of the server."""
    since: float
    by: str


def removal_words(removal: Removal) -> str:
    """Tell the owner of an account that it is to go."""
    return f"the account will be removed at {format_utc(removal.due)}"


EVERY_ACCOUNT: Final = AccountFilter()


class AccountStore(Protocol):
    """Keeps accounts; asked by negotiation, by the directory and by the account operations."""

    async def create(self, jid: Jid, keys: tuple[ScramKeys, ...], now: float) -> None:
        """Make an account, durable on return; raises `AccountExists` and then changes nothing."""
        ...

    async def create_all(self, records: Sequence[AccountRecord]) -> frozenset[Jid]:
        """Make accounts of different addresses as they are told, in one transaction; durable on return.

        Gives those that exist already, which stay as they are.
        """
        ...

    async def get(self, jid: Jid) -> AccountRecord | None:
        """Give the account, or None; one look-up by primary key, since every log-in asks for it."""
        ...

    async def exists(self, jid: Jid) -> bool:
        """Tell whether the account exists, banned or not."""
        ...

    async def existing(self, jids: Collection[Jid]) -> frozenset[Jid]:
        """Give those of some hundred addresses that have accounts, in one query."""
        ...

    async def remove(self, jid: Jid, *, noted: float | None = None, due: float | None = None) -> bool:
        """Remove the account and all that any store holds for it, at once; tell whether there was one.

        `noted` is the time with which its name is kept as that of a former account. With `due`, it is
        removed only where it was to go by then.

        Its tokens, roster, private XML, vCard, block list, preferences and documents go in the same
        transaction. What other accounts hold about it (their roster entries, their block lists) stays: that
        is their owners'.
        """
        ...

    async def set_keys(self, jid: Jid, keys: tuple[ScramKeys, ...]) -> bool:
        """Replace all SCRAM keys and forget all FAST tokens: a new password. False without an account."""
        ...

    async def add_keys(self, jid: Jid, keys: tuple[ScramKeys, ...], *, beside: tuple[ScramKeys, ...]) -> bool:
        """Add keys of other mechanisms for the same password; FAST tokens stay good.

        `beside` are the keys whose password it is. Where the account has others by now, since somebody has
        given it a new password, nothing changes: False, as without an account.
        """
        ...

    async def ban(self, jid: Jid, ban: Ban) -> bool:
        """Keep the account from logging in; a second ban replaces the first. False without an account."""
        ...

    async def unban(self, jid: Jid) -> bool:
        """Let the account log in again; False without an account."""
        ...

    async def promote(self, promotion: Promotion) -> bool:
        """Let an account administer a domain; a second time changes nothing. False without an account."""
        ...

    async def demote(self, jid: Jid, domain: str) -> bool:
        """Take that back; tell whether there was anything to take back."""
        ...

    async def promotions(self) -> tuple[Promotion, ...]:
        """Give all of them by address and domain; those of removed accounts went with these."""
        ...

    async def list(self, domain: str, *, after: Jid | None = None, limit: int = 100) -> tuple[Jid, ...]:
        """Give at most `limit` accounts of the domain in the order of their localparts' code points.

        `after` is the last account of the page before; it need not exist any more. An empty page is the end.
        """
        ...

    async def summaries(
        self,
        domain: str,
        *,
        chosen: AccountFilter = EVERY_ACCOUNT,
        after: Jid | None = None,
        limit: int = 100,
    ) -> tuple[AccountSummary, ...]:
        """Give at most `limit` accounts of the domain that are chosen, with what is known of them.

        Order and `after` are those of `list`. It is one query, however many accounts there are.
        """
        ...

    async def count(self, domain: str) -> int:
        """Count the accounts of the domain, banned ones included."""
        ...

    async def count_by_domain(self) -> dict[str, int]:
        """Count the accounts of every domain that has any; reads all of them, so it is asked seldom."""
        ...

    async def touch_last(self, jid: Jid, now: float, status: str = "") -> None:
        """Note when the account was last there and its last words; does nothing without an account."""
        ...

    async def store_token(self, jid: Jid, token: FastToken) -> None:
        """Put a token into the `new` slot of its device (XEP-0484 §4), over one that was never used.

        The `current` token, if any, stays good until `adopt_token`. At most `TOKEN_DEVICES` devices keep
        tokens. Raises `NoSuchAccount`.
        """
        ...

    async def tokens(self, jid: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device, at most two: the `new` one first, then the `current` one."""
        ...

    async def adopt_token(self, jid: Jid, token: FastToken) -> bool:
        """Note that the device has used this token: a `new` one becomes `current` and ends the one before.

        Tells whether the token is still one of the device's; False means that it was removed meanwhile and is
        not valid.
        """
        ...

    async def remove_tokens(self, jid: Jid, device: str | None = None) -> int:
        """Forget the tokens of one device, or of all when `device` is None; tell how many there were."""
        ...

    async def remove_expired_tokens(self, now: float) -> int:
        """Forget every token that ended before `now`, of all accounts; tell how many there were."""
        ...
