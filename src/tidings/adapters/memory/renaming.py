"""An account that gets another address, in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec.structs import replace

from tidings.adapters.memory.files import MemoryFiles
from tidings.adapters.memory.groups import MemoryGroups
from tidings.adapters.memory.nodes import forget_nodes
from tidings.adapters.memory.roster import put_entry, remove_entry
from tidings.adapters.memory.state import Accounts, AccountState, Documents, FormerAccounts, Nodes
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountExists, NoSuchAccount
from tidings.ports.displayed import Displayed
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import KeysOf
from tidings.ports.renaming import Renamed, moved, parted
from tidings.wire.xmpp.readdressing import readdressed


class MemoryRenaming:
    """The renaming port over the state of the memory stores."""

    def __init__(
        self,
        accounts: Accounts,
        documents: Documents,
        nodes: Nodes,
        former: FormerAccounts,
        groups: MemoryGroups,
        files: MemoryFiles,
        ledger: Ledger | None,
    ) -> None:
        self._accounts = accounts
        self._documents = documents
        self._nodes = nodes
        self._former = former
        self._groups = groups
        self._files = files
        self._ledger = ledger

    async def rename(
        self,
        account: Jid,
        to: Jid,
        *,
        local: Collection[str],
        keys: KeysOf | None = None,
        noted: float | None = None,
    ) -> Renamed:
        """Give an account another address."""
        if account not in self._accounts:
            raise NoSuchAccount(account)
        if to in self._accounts:
            raise AccountExists(to)
        # It may refuse, and comes first.
        rooms = () if self._ledger is None else await self._ledger.rename(account, to, keys)
        state = self._accounts[to] = self._accounts.pop(account)
        state.record = replace(state.record, jid=to)
        state.promotions = {name: replace(each, jid=to) for name, each in state.promotions.items()}
        self._documents.pop(to, None)
        if account in self._documents:
            self._documents[to] = self._documents.pop(account)
        forget_nodes(self._nodes, to)
        if account in self._nodes:
            self._nodes[to] = self._nodes.pop(account)
        _move_people(self._nodes, account, to)
        self._former.pop(to, None)
        if noted is not None:
            self._former[account] = noted
        self._groups.rename_member(account, to)
        self._files.rename(account, to)
        self._part_from_strangers(state, to, local)
        for jid, each in self._accounts.items():
            _move_positions(each, account, to, is_own=jid == to)
        return Renamed(
            rosters=tuple(self._move_contact(account, to)),
            blocking=tuple(self._move_blocked(account, to)),
            preferences=tuple(self._move_preferences(account, to)),
            rooms=rooms,
        )

    def _part_from_strangers(self, state: AccountState, to: Jid, local: Collection[str]) -> None:
        for entry in list(state.roster.entries.values()):
            if entry.jid.domain not in local:
                if entry.listed:
                    put_entry(state.roster, parted(entry))
                else:
                    remove_entry(state.roster, entry.jid)
            elif entry.pending_in is not None:
                put_entry(state.roster, replace(entry, pending_in=readdressed(entry.pending_in, to=to)))

    def _move_contact(self, account: Jid, to: Jid) -> Iterator[Jid]:
        for owner, state in self._accounts.items():
            entry = state.roster.entries.get(account)
            if entry is not None:
                request = entry.pending_in
                pending = None if request is None else readdressed(request, sender=to)
                remove_entry(state.roster, account)
                put_entry(state.roster, replace(entry, jid=to, pending_in=pending))
                yield owner

    def _move_blocked(self, account: Jid, to: Jid) -> Iterator[Jid]:
        for owner, state in self._accounts.items():
            after = {moved(jid, account, to) for jid in state.blocked}
            if after != state.blocked:
                state.blocked = after
                yield owner

    def _move_preferences(self, account: Jid, to: Jid) -> Iterator[Jid]:
        for owner, state in self._accounts.items():
            before = state.preferences
            if before is None:
                continue
            always, never = (
                tuple(dict.fromkeys(moved(jid, account, to) for jid in listed))
                for listed in (before.always, before.never)
            )
            state.preferences = replace(before, always=always, never=never)
            if state.preferences != before:
                yield owner


def _move_people(nodes: Nodes, account: Jid, to: Jid) -> None:
    """Let the new address own, publish, and be affiliated and subscribed where the former one was."""
    for state in (state for kept in nodes.values() for state in kept.values()):
        owner = moved(state.node.owner, account, to)
        state.node = replace(state.node, owner=owner)
        for id_, item in state.items.items():
            state.items[id_] = replace(item, publisher=moved(item.publisher, account, to))
        state.affiliations = {moved(jid, account, to): each for jid, each in state.affiliations.items()}
        state.subscriptions = {
            now: replace(each, jid=now)
            for jid, each in state.subscriptions.items()
            for now in (moved(jid, account, to),)
        }


def _move_positions(state: AccountState, account: Jid, to: Jid, *, is_own: bool) -> None:
    kept: dict[Jid, Displayed] = {}
    for chat, each in state.displayed.items():
        by = to if is_own and each.by == account else each.by
        if chat == account:
            kept[to] = replace(each, chat=to, by=by)
        elif chat != to or account not in state.displayed:
            kept[chat] = replace(each, by=by)
    state.displayed = kept
