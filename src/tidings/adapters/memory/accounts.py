"""Accounts in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from tidings.adapters.memory.files import MemoryFiles
from tidings.adapters.memory.groups import MemoryGroups
from tidings.adapters.memory.nodes import forget_nodes
from tidings.adapters.memory.state import (
    Accounts,
    AccountState,
    DeviceTokens,
    Documents,
    FormerAccounts,
    Nodes,
    existing,
)
from tidings.base.jid import Jid
from tidings.ports.accounts import (
    EVERY_ACCOUNT,
    TOKEN_DEVICES,
    AccountExists,
    AccountFilter,
    AccountRecord,
    AccountSummary,
    Ban,
    FastToken,
    Promotion,
    ScramKeys,
)
from tidings.ports.ledger import Ledger


class MemoryAccounts:
    """The accounts port over a dict."""

    def __init__(
        self,
        accounts: Accounts,
        documents: Documents,
        nodes: Nodes,
        former: FormerAccounts,
        ledger: Ledger | None = None,
        groups: MemoryGroups | None = None,
        files: MemoryFiles | None = None,
    ) -> None:
        self._accounts = accounts
        self._documents = documents
        self._nodes = nodes
        self._former = former
        self._ledger = ledger
        self._groups = MemoryGroups(accounts) if groups is None else groups
        self._files = MemoryFiles(accounts) if files is None else files

    async def create(self, jid: Jid, keys: tuple[ScramKeys, ...], now: float) -> None:
        """Make an account; raises `AccountExists`."""
        if jid in self._accounts:
            raise AccountExists(jid)
        self._put(AccountRecord(jid=jid, keys=keys, created=now))

    async def create_all(self, records: Sequence[AccountRecord]) -> frozenset[Jid]:
        """Make accounts; gives those that exist already."""
        taken = set()
        for record in records:
            if record.jid in self._accounts:
                taken.add(record.jid)
            else:
                self._put(record)
        return frozenset(taken)

    def _put(self, record: AccountRecord) -> None:
        self._documents.pop(record.jid, None)  # what somebody kept of the name while there was no account
        self._nodes.pop(record.jid, None)
        self._former.pop(record.jid, None)
        self._accounts[record.jid] = AccountState(record)
        self._groups.join_everybody((record.jid,))

    async def get(self, jid: Jid) -> AccountRecord | None:
        """Give the account, or None."""
        state = self._accounts.get(jid)
        return state.record if state else None

    async def exists(self, jid: Jid) -> bool:
        """Tell whether the account exists."""
        return jid in self._accounts

    async def existing(self, jids: Collection[Jid]) -> frozenset[Jid]:
        """Give those that have accounts."""
        return frozenset(jid for jid in jids if jid in self._accounts)

    async def remove(self, jid: Jid, *, noted: float | None = None, due: float | None = None) -> bool:
        """Remove the account and all that any store holds for it."""
        state = self._accounts.get(jid)
        if state is None or (due is not None and not _is_due(state.record, due)):
            return False
        del self._accounts[jid]
        self._documents.pop(jid, None)
        forget_nodes(self._nodes, jid)
        if noted is not None:
            self._former[jid] = noted
        self._groups.leave_groups(jid)
        self._files.leave(jid)
        return True

    async def set_keys(self, jid: Jid, keys: tuple[ScramKeys, ...]) -> bool:
        """Replace all keys and forget all tokens."""
        if state := self._accounts.get(jid):
            state.record = replace(state.record, keys=keys)
            state.tokens.clear()
        return state is not None

    async def add_keys(self, jid: Jid, keys: tuple[ScramKeys, ...], *, beside: tuple[ScramKeys, ...]) -> bool:
        """Add keys for the password that the account has."""
        state = self._accounts.get(jid)
        if state is None or state.record.keys != beside:
            return False
        state.record = replace(state.record, keys=beside + keys)
        return True

    async def ban(self, jid: Jid, ban: Ban) -> bool:
        """Keep the account from logging in."""
        if state := self._accounts.get(jid):
            state.record = replace(state.record, ban=ban)
        return state is not None

    async def unban(self, jid: Jid) -> bool:
        """Let the account log in again."""
        if state := self._accounts.get(jid):
            state.record = replace(state.record, ban=None)
        return state is not None

    async def promote(self, promotion: Promotion) -> bool:
        """Let an account administer a domain."""
        state = self._accounts.get(promotion.jid)
        if state is not None:
            state.promotions.setdefault(promotion.domain, promotion)
        return state is not None

    async def demote(self, jid: Jid, domain: str) -> bool:
        """Take that back."""
        state = self._accounts.get(jid)
        return state is not None and state.promotions.pop(domain, None) is not None

    async def promotions(self) -> tuple[Promotion, ...]:
        """Give all of them."""
        found = (each for state in self._accounts.values() for each in state.promotions.values())
        return tuple(sorted(found, key=lambda each: (each.jid.text, each.domain)))

    async def list(self, domain: str, *, after: Jid | None = None, limit: int = 100) -> tuple[Jid, ...]:
        """Give a page of the domain's accounts."""
        start = after.local if after else ""
        found = (jid for jid in self._accounts if jid.domain == domain and jid.local > start)
        return tuple(sorted(found, key=lambda jid: jid.local)[:limit])

    async def summaries(
        self,
        domain: str,
        *,
        chosen: AccountFilter = EVERY_ACCOUNT,
        after: Jid | None = None,
        limit: int = 100,
    ) -> tuple[AccountSummary, ...]:
        """Give a page of the domain's accounts that are chosen."""
        start = after.local if after else ""
        records = (state.record for jid, state in self._accounts.items() if jid.domain == domain)
        found = [record for record in records if record.jid.local > start and chosen.takes(record)]
        found.sort(key=lambda record: record.jid.local)
        return tuple([await self._summary(record) for record in found[:limit]])

    async def _summary(self, record: AccountRecord) -> AccountSummary:
        head = None if self._ledger is None else await self._ledger.head(record.jid)
        return AccountSummary(
            jid=record.jid,
            created=record.created,
            ban=record.ban,
            last_activity=record.last_activity,
            removal=record.removal,
            has_keys=bool(record.keys),
            entries=0 if head is None else head.position - head.first + 1,
            octets=0 if head is None else head.octets,
        )

    async def count(self, domain: str) -> int:
        """Count the accounts of the domain."""
        return sum(jid.domain == domain for jid in self._accounts)

    async def count_by_domain(self) -> dict[str, int]:
        """Count the accounts of every domain."""
        return dict(Counter(jid.domain for jid in self._accounts))

    async def touch_last(self, jid: Jid, now: float, status: str = "") -> None:
        """Note when the account was last there."""
        if state := self._accounts.get(jid):
            state.record = replace(state.record, last_activity=now, last_status=status)

    async def store_token(self, jid: Jid, token: FastToken) -> None:
        """Put a token into the `new` slot of its device."""
        tokens = existing(self._accounts, jid).tokens
        tokens.setdefault(token.device, DeviceTokens()).new = token
        others = [device for device in tokens if device != token.device and tokens[device].held()]
        others.sort(key=lambda device: max(held.expires for held in tokens[device].held()))
        for device in others[: max(0, len(others) + 1 - TOKEN_DEVICES)]:
            del tokens[device]

    async def tokens(self, jid: Jid, device: str) -> tuple[FastToken, ...]:
        """Give the tokens of the device, the `new` one first."""
        state = self._accounts.get(jid)
        slots = state.tokens.get(device) if state else None
        return slots.held() if slots else ()

    async def adopt_token(self, jid: Jid, token: FastToken) -> bool:
        """Note that the device has used this token."""
        state = self._accounts.get(jid)
        slots = state.tokens.get(token.device) if state else None
        if slots is None:
            return False
        if slots.new is not None and slots.new.digest == token.digest:
            slots.new, slots.current = None, slots.new
        return slots.current is not None and slots.current.digest == token.digest

    async def remove_tokens(self, jid: Jid, device: str | None = None) -> int:
        """Forget the tokens of one device, or of all."""
        state = self._accounts.get(jid)
        if state is None:
            return 0
        devices = list(state.tokens) if device is None else [device]
        return sum(len(state.tokens.pop(name, DeviceTokens()).held()) for name in devices)

    async def remove_expired_tokens(self, now: float) -> int:
        """Forget every token that ended before `now`."""
        ended = 0
        for state in self._accounts.values():
            for slots in state.tokens.values():
                for slot in ("new", "current"):
                    token = getattr(slots, slot)
                    if token is not None and token.expires < now:
                        setattr(slots, slot, None)
                        ended += 1
        return ended


def _is_due(record: AccountRecord, now: float) -> bool:
    return record.removal is not None and record.removal.due <= now
