"""Shared groups in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from tidings.adapters.memory.state import Accounts
from tidings.base import ids
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.groups import (
    HISTORY,
    MOST_MEMBERS,
    GroupExists,
    GroupFull,
    Member,
    Membership,
    NoSuchGroup,
    SharedGroup,
    StoredGroups,
)


@dataclass(slots=True)
class DomainGroups:
    """The groups of one domain."""

    epoch: str
    number: int = 0
    pruned: int = 0
    groups: dict[str, SharedGroup] = field(default_factory=dict)
    members: dict[tuple[str, Jid], Membership] = field(default_factory=dict)
    """By group and account, tombstones included."""

    def present(self, group: str) -> dict[Jid, Membership]:
        """Give the members of a group."""
        return {jid: each for (name, jid), each in self.members.items() if name == group and not each.removed}

    def groups_of(self, jid: Jid) -> list[str]:
        """Give the groups that an account is in."""
        return [name for (name, each), found in self.members.items() if each == jid and not found.removed]

    def begin(self) -> int:
        """Give the number of the change that begins."""
        self.number += 1
        return self.number

    def mark(self, names: Iterable[str], *, is_edited: bool = False) -> None:
        """Note that groups, or who is in them, have changed."""
        for name in names:
            group = self.groups.get(name)
            if group is not None:
                edited = self.number if is_edited else group.edited
                self.groups[name] = replace(group, changed=self.number, edited=edited)

    def join(self, group: str, members: Sequence[Member]) -> None:
        """Write members."""
        for jid, name in members_of(members):
            self.members[group, jid] = Membership(
                group=group, jid=jid, name=name, changed=self.number, removed=False
            )
        if members:
            self.mark((group,))

    def leave(self, group: str, jids: Iterable[Jid]) -> int:
        """Make tombstones of memberships; tell how many."""
        count = 0
        for jid in jids:
            found = self.members.get((group, jid))
            if found is not None and not found.removed:
                self.members[group, jid] = replace(found, removed=True, changed=self.number)
                count += 1
        if count:
            self.mark((group,))
        return count

    def prune(self) -> None:
        """Drop the tombstones that no answer needs."""
        old = self.number - HISTORY
        for key, each in list(self.members.items()):
            if each.removed and each.changed <= old:
                del self.members[key]
                self.pruned = old


def members_of(members: Sequence[Member]) -> Iterable[tuple[Jid, str]]:
    """Give addresses and names of members, the last one of an address."""
    return {member.jid: member.name for member in members}.items()


class MemoryGroups:
    """The groups port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._domains: dict[str, DomainGroups] = {}

    async def load(self, domain: str, *, since: int = 0) -> StoredGroups:
        """Give all groups, and the memberships that have changed since."""
        state = self._domains.get(domain)
        if state is None:
            return StoredGroups()
        return StoredGroups(
            epoch=state.epoch,
            number=state.number,
            pruned=state.pruned,
            groups=tuple(sorted(state.groups.values(), key=lambda group: group.name)),
            memberships=tuple(each for each in state.members.values() if each.changed > since),
        )

    async def create(self, domain: str, group: SharedGroup) -> None:
        """Make a group."""
        state = self._domains.get(domain) or DomainGroups(ids.token(6))
        if group.name in state.groups:
            raise GroupExists(domain, group.name)
        everybody = self._everybody(domain, group) if group.for_everybody else []
        self._domains[domain] = state
        state.begin()
        self._keep(state, group, everybody)

    async def change(self, domain: str, group: SharedGroup) -> None:
        """Give a group another label, description and so on."""
        state, before = self._find(domain, group.name)
        everybody: list[Jid] = []
        if group.for_everybody and not before.for_everybody:
            everybody = self._everybody(domain, group)
        state.begin()
        state.mark(before.displayed, is_edited=True)
        self._keep(state, group, everybody)

    async def remove(self, domain: str, name: str) -> None:
        """Have all members leave the group, and forget it."""
        state, before = self._find(domain, name)
        state.begin()
        state.leave(name, state.present(name))
        del state.groups[name]
        showing = {group.name for group in state.groups.values() if name in group.displayed}
        state.mark(before.displayed | showing, is_edited=True)
        state.prune()

    async def add(self, domain: str, name: str, members: Sequence[Member]) -> int:
        """Make accounts members, or give members another name."""
        state, _ = self._find(domain, name)
        for member in members:
            if member.jid not in self._accounts:
                raise NoSuchAccount(member.jid)
        present = state.present(name)
        new = [
            Member(jid, called)
            for jid, called in members_of(members)
            if jid not in present or present[jid].name != called
        ]
        size = len(present.keys() | {member.jid for member in new})
        if size > MOST_MEMBERS:
            raise GroupFull(name, size)
        state.begin()
        state.join(name, new)
        return len(new)

    async def drop(self, domain: str, name: str, jids: Collection[Jid]) -> int:
        """Have accounts leave a group."""
        state, _ = self._find(domain, name)
        state.begin()
        count = state.leave(name, jids)
        state.prune()
        return count

    async def clear(self, domain: str) -> None:
        """Forget all groups of a domain."""
        self._domains.pop(domain, None)

    def join_everybody(self, jids: Iterable[Jid]) -> None:
        """Make accounts that were just made members of the groups for everybody, as far as there is room."""
        for jid in jids:
            state = self._domains.get(jid.domain)
            names = (
                [] if state is None else [each.name for each in state.groups.values() if each.for_everybody]
            )
            if state is not None and names:
                state.begin()
                for name in names:
                    if len(state.present(name)) < MOST_MEMBERS:
                        state.join(name, [Member(jid)])

    def leave_groups(self, jid: Jid) -> None:
        """Have an account that is removed leave all groups."""
        state = self._domains.get(jid.domain)
        names = [] if state is None else state.groups_of(jid)
        if state is not None and names:
            state.begin()
            for name in names:
                state.leave(name, (jid,))

    def rename_member(self, jid: Jid, to: Jid) -> None:
        """Have an account that gets another address be in its groups under that."""
        if jid.domain != to.domain:
            self.leave_groups(jid)
            self.join_everybody((to,))
            return
        state = self._domains.get(jid.domain)
        names = [] if state is None else state.groups_of(jid)
        if state is not None and names:
            state.begin()
            for name in names:
                called = state.members[name, jid].name
                state.leave(name, (jid,))
                state.join(name, [Member(to, called)])

    def _find(self, domain: str, name: str) -> tuple[DomainGroups, SharedGroup]:
        state = self._domains.get(domain)
        if state is None or name not in state.groups:
            raise NoSuchGroup(domain, name)
        return state, state.groups[name]

    def _everybody(self, domain: str, group: SharedGroup) -> list[Jid]:
        found = [jid for jid in self._accounts if jid.domain == domain]
        if len(found) > MOST_MEMBERS:
            raise GroupFull(group.name, len(found))
        return found

    def _keep(self, state: DomainGroups, group: SharedGroup, joining: Sequence[Jid]) -> None:
        state.groups[group.name] = group
        state.mark((group.name, *group.displayed), is_edited=True)
        present = state.present(group.name)
        state.join(group.name, [Member(jid) for jid in joining if jid not in present])
