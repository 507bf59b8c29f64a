"""Account and Directory: the accounts of a host that are in memory, with what features keep of them.

Invariants:
- there is at most one Account object for an address, and it stays while it has sessions;
- an account is in memory only with all its loaded slots filled; whoever changes what is stored writes the
  slot, too.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from tidings.base.jid import Jid
from tidings.kernel.slots import Slot, Slotted

if TYPE_CHECKING:
    from tidings.kernel.session import Session

Loader = Callable[[Jid], Awaitable[Any]]


class Account(Slotted):
    """One bare JID of this host, with its sessions by resource.

    `exists` is false for an address that nobody has registered: stanzas to it are answered as to an account,
    so that the difference cannot be told.
    """

    __slots__ = ("exists", "jid", "position", "sessions")

    def __init__(self, jid: Jid, *, exists: bool) -> None:
        super().__init__()
        self.jid = jid
        self.exists = exists
        self.sessions: dict[str, Session] = {}
        self.position = 0
        """The last position of its archive that has been dealt with here; 0 before there was any."""

    @property
    def available(self) -> list[Session]:
        """The sessions that have sent available presence, of any priority."""
        return [session for session in self.sessions.values() if session.priority is not None]

    def __repr__(self) -> str:
        return f"Account({str(self.jid)!r}, {len(self.sessions)} sessions)"


class Directory:
    """The accounts of a host that are in memory: those with sessions, and up to `limit` lately used ones."""

    def __init__(self, exists: Callable[[Jid], Awaitable[bool]], limit: int) -> None:
        self._exists = exists
        self._limit = limit
        self._loaders: list[tuple[Slot[Any], Loader]] = []
        self._pinned: dict[Jid, Account] = {}
        self._recent: OrderedDict[Jid, Account] = OrderedDict()
        self._loading: dict[Jid, asyncio.Future[Account]] = {}
        self._stale: set[Jid] = set()  # changed in the stores while they are being loaded

    def add_loader(self, slot: Slot[Any], loader: Loader) -> None:
        """Fill this slot of every account that comes into memory; each slot has one loader."""
        if any(slot is filled for filled, _ in self._loaders):
            raise ValueError(f"{slot!r} has a loader already")
        self._loaders.append((slot, loader))

    def get(self, jid: Jid) -> Account | None:
        """Give the account of a bare JID if it is in memory; nothing is read."""
        account = self._pinned.get(jid)
        if account is None:
            account = self._recent.get(jid)
            if account is not None:
                self._recent.move_to_end(jid)
        return account

    async def load(self, jid: Jid) -> Account:
        """Give the account of a bare JID, from the stores if need be. Raises `BackendError`."""
        while True:
            account = self.get(jid)
            if account is not None:
                return account
            loading = self._loading.get(jid)
            if loading is None:
                return await self._load(jid)
            # Nobody who gives up takes the account away from the others: neither one who waits, nor the one
            # who loads, whose place the next then takes.
            await asyncio.wait((loading,))
            if not loading.cancelled():
                return loading.result()

    async def _load(self, jid: Jid) -> Account:
        future = self._loading[jid] = asyncio.get_running_loop().create_future()
        try:
            account = await self._read(jid)
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # somebody has looked: it is raised here, too
            else:
                future.cancel()
            raise
        else:
            account = self._pinned.get(jid, account)
            if account.jid not in self._pinned:
                self._recent[jid] = account
            future.set_result(account)
            self._evict()
            return account
        finally:
            del self._loading[jid]
            self._stale.discard(jid)

    async def _read(self, jid: Jid) -> Account:
        """Ask the stores, and ask again when they were changed meanwhile."""
        while True:
            self._stale.discard(jid)
            account = Account(jid, exists=await self._exists(jid))
            await self._fill(account)
            if jid not in self._stale:
                return account

    async def refresh(self, account: Account) -> None:
        """Read anew what is loaded of an account in memory, changed elsewhere; raises `BackendError`."""
        account.exists = await self._exists(account.jid) or account.exists
        await self._fill(account)

    async def _fill(self, account: Account) -> None:
        for slot, loader in self._loaders:
            account[slot] = await loader(account.jid)

    def admit(self, account: Account, session: Session) -> None:
        """Add a session to its account, which stays in memory from now on."""
        account.sessions[session.jid.resource] = session
        self._recent.pop(account.jid, None)
        self._pinned[account.jid] = account

    def dismiss(self, session: Session) -> None:
        """Take a session from its account; a second call does nothing."""
        account = session.account
        if account.sessions.get(session.jid.resource) is not session:
            return
        del account.sessions[session.jid.resource]
        if not account.sessions and self._pinned.pop(account.jid, None) is not None:
            if session.client.anonymous:
                account.exists = False  # it lasts as long as its sessions
            elif account.exists:
                self._recent[account.jid] = account
                self._evict()

    def forget(self, jid: Jid) -> None:
        """Drop what is in memory of an account without sessions, since what is stored has changed."""
        self._recent.pop(jid, None)
        if jid in self._loading:
            self._stale.add(jid)

    def sessions(self) -> Iterator[Session]:
        """Go through all sessions of the host."""
        for account in list(self._pinned.values()):
            yield from list(account.sessions.values())

    @property
    def online(self) -> int:
        """How many accounts have a session."""
        return len(self._pinned)

    def _evict(self) -> None:
        while len(self._recent) > self._limit:
            self._recent.popitem(last=False)
