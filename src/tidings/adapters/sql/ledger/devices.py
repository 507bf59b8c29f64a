"""How far the devices of accounts are."""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.tables import key_of
from tidings.ports.ledger.batch import CursorMove

DEVICES: Final = 20
"""How many devices of an account are known."""

_SELECT: Final = "SELECT archive, device, name, position, seen, pulls FROM devices WHERE archive IN LIST"
_FORGET: Final = "DELETE FROM devices WHERE archive = ? AND device = ?"


class DeviceCursors:
    """The devices that a transaction moves."""

    def __init__(self, sql: Sql, archives: Archives) -> None:
        self._sql = sql
        self._archives = archives

    def move(self, moves: list[CursorMove], time: int) -> None:
        """Move cursors; the device that was not seen for longest goes where there are too many."""
        ids = self._archives.ids
        archives = sorted({ids[move.archive] for move in moves})
        devices: dict[int, dict[bytes, tuple[Any, ...]]] = {archive: {} for archive in archives}
        for archive, device, *row in self._sql.find(_SELECT, archives):
            devices[archive][bytes(device)] = tuple(row)
        changed: dict[tuple[int, bytes], None] = {}
        for move in moves:
            archive, device = ids[move.archive], key_of(move.device)
            _, before, _, pulls = devices[archive].get(device, (b"", 0, 0, 0))
            position = max(before, min(move.position, self._archives.rows[archive].position))
            devices[archive][device] = (move.device.encode(), position, time, int(pulls or move.pulls))
            changed[archive, device] = None
        for archive, known in devices.items():
            for device in _surplus(known):
                del known[device]
                changed.pop((archive, device), None)
                self._sql.run(_FORGET, archive, device)
        rows: list[Any] = []
        for archive, device in changed:
            rows += (archive, device, *devices[archive][device])
        self._sql.put_flat("devices", rows)


def _surplus(known: dict[bytes, tuple[Any, ...]]) -> list[bytes]:
    """Give the devices that were not seen for longest, of those that are too many."""
    if len(known) <= DEVICES:
        return []
    by_age = sorted(known, key=lambda device: known[device][2])
    return by_age[: len(known) - DEVICES]
