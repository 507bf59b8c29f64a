"""Cursors: what the devices of a host have acknowledged and the ledger does not know yet.

Moves gather and are written together; what is on its way to the ledger is still told by `of`, so that a
device which comes back at once does not begin behind itself. A move is forgotten when it is durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import CursorMove, LedgerBatch

MOST_AT_ONCE: Final = 500


class Cursors:
    """Gathers the moves of one host's devices."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._moves: dict[Jid, dict[str, CursorMove]] = {}
        self._is_writing = False

    def __bool__(self) -> bool:
        return bool(self._moves)

    def move(self, account: Jid, device: str, position: int, *, pulls: bool = False) -> None:
        """Note that a device has everything up to a position; a smaller one than before changes nothing."""
        moves = self._moves.setdefault(account, {})
        before = moves.get(device)
        if before is not None:
            position, pulls = max(position, before.position), pulls or before.pulls
        moves[device] = CursorMove(archive=account, device=device, position=position, pulls=pulls)

    def of(self, account: Jid) -> dict[str, CursorMove]:
        """Give the moves of an account that are not durable yet, by device."""
        return dict(self._moves.get(account, {}))

    def forget(self, account: Jid) -> None:
        """Drop the moves of an account that is gone."""
        self._moves.pop(account, None)

    async def write_of(self, account: Jid) -> None:
        """Write what has gathered for one account; raises `BackendError`, and then keeps it."""
        while moves := tuple(self._moves.get(account, {}).values()):
            await self._commit(moves)

    async def write(self) -> None:
        """Write what has gathered; raises `BackendError`, and then keeps it.

        While one call writes, another one returns at once: what has gathered meanwhile is written, too.
        """
        if self._is_writing:
            return
        self._is_writing = True
        try:
            while self._moves:
                await self._write_some()
        finally:
            self._is_writing = False

    async def _write_some(self) -> None:
        moves = [move for of_account in self._moves.values() for move in of_account.values()][:MOST_AT_ONCE]
        await self._commit(moves)

    async def _commit(self, moves: Sequence[CursorMove]) -> None:
        await self._ledger.commit(LedgerBatch(cursors=tuple(moves)))
        for move in moves:
            of_account = self._moves.get(move.archive)
            if of_account is not None and of_account.get(move.device) is move:
                del of_account[move.device]
                if not of_account:
                    del self._moves[move.archive]


class Start(msgspec.Struct, frozen=True):
    """Where a device begins."""

    position: int
    pulls: bool = False
    is_new: bool = False
    """The ledger does not know the device."""
    seen: int = 0
    """When it was here last, or any other where it is new, in microseconds since 1970."""


async def start_of(ledger: Ledger, cursors: Cursors, account: Jid, device: str) -> Start:
    """Find out how far a device is; one that is unknown begins at what no device has seen."""
    found = await ledger.devices(account)
    known = {name: (each.position, each.pulls) for name, each in found.items()}
    for name, move in cursors.of(account).items():
        position, pulls = known.get(name, (0, False))
        known[name] = max(position, move.position), pulls or move.pulls
    if device in known:
        seen = found[device].seen if device in found else 0
        return Start(*known[device], seen=seen)
    seen = max((each.seen for each in found.values()), default=0)
    return Start(max((position for position, _ in known.values()), default=0), is_new=True, seen=seen)
