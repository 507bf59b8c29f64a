"""Online members: which members of rooms are connected now, of those who know a room by MUC Light.

A message goes to those who are there, whatever the number of members: the index is kept when accounts come
and go and when members change, and nobody who is away has a place in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from typing import Final, Protocol

from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.slots import Slot

_NOBODY: Final[Collection[Account]] = ()
_ROOMS: Final[Slot[dict[Jid, OnlineMembers]]] = Slot("rooms.light.online", factory=dict)
"""The rooms, by their own addresses, that have an account in an index, and which index that is."""
_LEFT: Final[Slot[set[Jid] | None]] = Slot("rooms.light.left", default=None)
"""What an account has left while its rooms are being read; None while they are not."""


class Interest(Protocol):
    """Who is told whether a node has members of a room."""

    def __call__(self, entity: Jid, *, has_some: bool) -> None:
        """Take note of it."""
        ...


class OnlineMembers:
    """The accounts with sessions of this process that know rooms of one host by MUC Light."""

    def __init__(self) -> None:
        self.when_known: Interest | None = None
        """Called with a room when its first member of this node comes, and when the last has gone."""
        self._by_room: dict[Jid, dict[Jid, Account]] = {}

    def of(self, room: Jid) -> Collection[Account]:
        """Give those of a room; who has left it since may be among them for a moment."""
        found = self._by_room.get(room)
        return _NOBODY if found is None else found.values()

    def add(self, account: Account, rooms: Iterable[Jid]) -> None:
        """Note that an account is there, and in these rooms."""
        mine, left = account[_ROOMS], account[_LEFT]
        for room in rooms:
            if left is not None:
                left.discard(room)
            found = self._by_room.get(room)
            if found is None:
                found = self._by_room[room] = {}
                self._tell(room, has_some=True)
            found[account.jid] = account
            mine[room] = self

    def drop(self, account: Account, room: Jid) -> None:
        """Note that an account is not there, or not in a room any more."""
        account[_ROOMS].pop(room, None)
        left = account[_LEFT]
        if left is not None:
            left.add(room)
        found = self._by_room.get(room)
        if found is not None:
            found.pop(account.jid, None)
            if not found:
                del self._by_room[room]
                self._tell(room, has_some=False)

    def forget(self, room: Jid) -> None:
        """Note that a room is no more."""
        found = self._by_room.pop(room, None)
        if found is None:
            return
        for account in found.values():
            account[_ROOMS].pop(room, None)
        self._tell(room, has_some=False)

    def _tell(self, room: Jid, *, has_some: bool) -> None:
        if self.when_known is not None:
            self.when_known(room, has_some=has_some)


@contextlib.contextmanager
def rooms_left(account: Account) -> Iterator[set[Jid]]:
    """Give what an account leaves while its rooms are being read, which may be among them still."""
    left: set[Jid] = set()
    account[_LEFT] = left
    try:
        yield left
    finally:
        account[_LEFT] = None


def leave(account: Account) -> None:
    """Note that an account is not there any more, in any index."""
    for room, index in tuple(account[_ROOMS].items()):
        index.drop(account, room)
