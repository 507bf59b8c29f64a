"""vCards in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from tidings.adapters.memory.state import Accounts, AccountState, existing
from tidings.base.jid import Jid
from tidings.ports.vcard import FoundVCard, WantedWord, search_fields, words_of


class MemoryVCards:
    """The vCard port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def get(self, account: Jid) -> bytes | None:
        """Give the vCard element as it was put, or None."""
        state = self._accounts.get(account)
        return state.vcard if state else None

    async def put_all(self, vcards: Mapping[Jid, bytes]) -> None:
        """Keep the vCards of several accounts."""
        states = [(existing(self._accounts, account), raw) for account, raw in vcards.items()]
        for state, raw in states:
            _put(state, raw)

    async def put(self, account: Jid, raw: bytes) -> None:
        """Keep this raw vCard element in place of the one before."""
        _put(existing(self._accounts, account), raw)

    async def search(
        self, domain: str, wanted: tuple[WantedWord, ...], *, limit: int
    ) -> tuple[FoundVCard, ...]:
        """Find accounts of a domain."""
        return tuple(islice(self._found(domain, wanted), limit))

    def _found(self, domain: str, wanted: tuple[WantedWord, ...]) -> Iterator[FoundVCard]:
        for account, state in self._accounts.items():
            if account.domain == domain and state.record.removal is None and _has(state, wanted):
                yield FoundVCard(account, dict(state.searched))


def _put(state: AccountState, raw: bytes) -> None:
    state.vcard = raw
    state.searched = search_fields(raw)


def _has(state: AccountState, wanted: tuple[WantedWord, ...]) -> bool:
    return all(
        any(word.startswith(each.start) for word in words_of(each.field, state.searched.get(each.field, "")))
        for each in wanted
    )
