"""The groups port: shared groups of a domain, whose members are on each other's rosters unasked.

Each domain numbers the changes of its groups 1, 2, 3, …; every group and every membership says which change
was its last one, and those that have left stay for a while as tombstones. So whoever has the groups at a
number in memory reads only what came after it, and a client that was away is told what it has missed.

Every method may raise `BackendError`. Members are accounts of the domain: one that is removed leaves all
groups, and one that is made joins those that are for everybody, each in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid

HISTORY: Final = 500
"""How many changes back those who have left a group are still known."""

LONGEST_NAME: Final = 255
"""Octets of UTF-8 of the name of a group, which callers keep to."""

MOST_MEMBERS: Final = 5_000
"""So many members a group can have; accounts beyond that are not in a group that is for everybody."""


class NoSuchGroup(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """The domain has no group of this name: `item-not-found`."""

    def __init__(self, domain: str, name: str) -> None:
        super().__init__("item-not-found", f"{domain} has no group {name!r}")


class GroupExists(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """The domain has a group of this name already: `conflict`."""

    def __init__(self, domain: str, name: str) -> None:
        super().__init__("conflict", f"{domain} has a group {name!r} already")


class GroupFull(StanzaError):  # noqa: N818  # a decision of the store
    """The group would have more than `MOST_MEMBERS`: `policy-violation`."""

    def __init__(self, name: str, members: int) -> None:
        super().__init__(
            "policy-violation", f"the group {name!r} would have {members} members; it can have {MOST_MEMBERS}"
        )


class SharedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group as it is kept."""

    name: str
    """What operators call it; it never changes."""
    label: str = ""
    """What clients show as the group of its members."""
    description: str = ""
    for_everybody: bool = False
    """Every account of the domain is a member."""
    displayed: frozenset[str] = frozenset()
    """Other groups, whose members are on the rosters of the members of this one."""
    changed: int = 0
    """The last change of it or of its members."""
    edited: int = 0
    """The last change of the group itself; whoever knows only what was before gets a whole roster."""


class Member(msgspec.Struct, frozen=True):
    """Who is to be a member, and how the others' rosters call him; an empty name is the local part."""

    jid: Jid
    name: str = ""


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """An account in a group, or one that has left it."""

    group: str
    jid: Jid
    name: str
    changed: int
    """When it joined, got another name, or left."""
    removed: bool


class StoredGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of a domain, and the memberships that have changed since a number."""

    epoch: str = ""
    """Made with the first group of the domain; another one means that nothing known before holds."""
    number: int = 0
    """The last change that is certainly in it."""
    pruned: int = 0
    """Those who have left up to this change may be forgotten."""
    groups: tuple[SharedGroup, ...] = ()
    memberships: tuple[Membership, ...] = ()


class GroupStore(Protocol):
    """Keeps the shared groups of all domains."""

    async def load(self, domain: str, *, since: int = 0) -> StoredGroups:
        """Give all groups of a domain, and its memberships that have changed since that change."""
        ...

    async def create(self, domain: str, group: SharedGroup) -> None:
        """Make a group; one for everybody has all accounts at once. Raises `GroupExists`, `GroupFull`."""
        ...

    async def change(self, domain: str, group: SharedGroup) -> None:
        """Give a group another label, description and so on; raises `NoSuchGroup`, `GroupFull`.

        Where it is not for everybody any more, its members stay.
        """
        ...

    async def remove(self, domain: str, name: str) -> None:
        """Have all members leave the group, and forget it; raises `NoSuchGroup`."""
        ...

    async def add(self, domain: str, name: str, members: Sequence[Member]) -> int:
        """Make accounts members, or give members another name; tell how many have changed.

        All or none: raises `NoSuchGroup`, `GroupFull`, and `NoSuchAccount` for the first one that is missing.
        """
        ...

    async def drop(self, domain: str, name: str, jids: Collection[Jid]) -> int:
        """Have accounts leave a group; tell how many were in it. Raises `NoSuchGroup`."""
        ...

    async def clear(self, domain: str) -> None:
        """Forget all groups of a domain, which is no more."""
        ...
