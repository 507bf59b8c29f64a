"""What owners and devices do to an inbox: read, box, mute, pin, and say how far they are."""

from __future__ import annotations

from typing import Any, Final

from tidings.adapters.sql.ledger.caches import Caches, Summary
from tidings.adapters.sql.ledger.conversations import find, stretches
from tidings.adapters.sql.ledger.locks import GONE, UNREAD
from tidings.adapters.sql.ledger.statements import COLUMNS, Asked
from tidings.adapters.sql.ledger.targets import Referring
from tidings.adapters.sql.tables import key_of
from tidings.ports.ledger.batch import CursorMove, InboxChange, ReadMove

DEVICES: Final = 20
"""How many devices of an account are known."""

_INBOX: Final = f"SELECT {', '.join(COLUMNS['inbox'])} FROM inbox WHERE (owner, peer) IN PAIRS"  # noqa: S608  # ours

_DEVICES: Final = "SELECT archive, device, name, position, seen, pulls FROM devices WHERE archive IN LIST"
_FORGET_DEVICE: Final = "DELETE FROM devices WHERE archive = ? AND device = ?"

_DEFAULT_BOX: Final = "inbox"


class Inboxes(Referring):
    """A transaction that keeps inboxes and devices."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401  # as its parent
        super().__init__(*arguments)
        self._inbox: dict[tuple[int, int], Summary | None] = {}
        """Every conversation that was asked for; None where there is none."""
        self.time = 0
        """When the transaction happens."""

    def _load_inbox(self, pairs: set[tuple[int, int]], caches: Caches) -> None:
        self._take_inbox(self._ask_inbox(pairs, caches))

    def _ask_inbox(self, pairs: set[tuple[int, int]], caches: Caches) -> Asked:
        inbox = self._inbox
        remembered = caches.inbox
        missing = []
        for pair in pairs:
            if pair in remembered:
                inbox[pair] = remembered[pair]
            else:
                missing.append(pair)
                inbox[pair] = None
        missing.sort()
        return self._statements.ask(self._connection, _INBOX, missing)

    def _take_inbox(self, asked: Asked) -> None:
        for row in self._statements.answer(asked):
            self._inbox[row[0], row[1]] = Summary(*row[2:])

    def _summary(self, owner: int, peer: int) -> Summary | None:
        """Give a conversation that may not have been loaded."""
        if (owner, peer) not in self._inbox:
            self._load_inbox({(owner, peer)}, Caches())
        return self._inbox[owner, peer]

    def _write_inbox(self) -> None:
        hot: list[Any] = []
        cold: list[Any] = []
        feed = self.feed
        for (owner, peer), summary in self._inbox.items():
            if summary is None:
                continue
            if summary.is_rearranged:
                cold += summary.row(owner, peer, feed)
            elif summary.is_changed:
                hot += summary.hot_row(owner, peer, feed)
            else:
                continue
            summary.is_changed = summary.is_rearranged = False
        self._statements.put_flat(self._connection, "hot_inbox", hot)
        self._statements.put_flat(self._connection, "inbox", cold)

    # -- reading

    def _read(self, read: ReadMove) -> bool:
        """Move a read pointer; tell whether it moved."""
        owner, peer = self._ids[read.owner], self._ids[read.peer]
        source = owner if read.source is None else self._ids[read.source]
        if read.upto == 0:
            last = self._summary(source, peer)
            place = (0, 0) if last is None else (last.position, last.count)
        else:
            place = self._place_in(source, peer, read)
        return self._move(owner, peer, source, *place)

    def _place_in(self, source: int, peer: int, read: ReadMove) -> tuple[int, int]:
        """Give position and count of the last entry of the conversation up to where the owner has read."""
        upto = read.upto
        position = self._target(upto, source, 1) if isinstance(upto, tuple) else upto
        row = self._row(source, position) if position > 0 else None
        if row is None:
            return 0, 0
        if row[0] == peer:
            return position, row[1]
        parts = stretches(self._statements, self._connection, source, peer, 1, position - 1)
        before = find(self._statements, self._connection, parts, "e.position, e.count", newest=True, limit=1)
        return (before[0][0], before[0][1]) if before else (0, 0)

    def _move(self, owner: int, peer: int, source: int, position: int, count: int) -> bool:
        """Move a read pointer; a member's row of a room is made by its first move."""
        summary = self._inbox.get((owner, peer))
        if summary is None:
            if source == owner:
                return False
            summary = self._inbox[owner, peer] = Summary(source)
            summary.is_changed = True
        elif position <= summary.read_position and not (position and summary.flags & UNREAD):
            return False
        if position > summary.read_position:
            summary.read_position, summary.read_count = position, count
        summary.flags &= ~UNREAD
        summary.is_changed = True
        return True

    # -- boxes

    def _change(self, change: InboxChange) -> bool:
        """Change how a conversation stands; tell whether it was there."""
        owner, peer = self._ids[change.owner], self._ids[change.peer]
        summary = self._inbox[owner, peer]
        if summary is None:
            return False
        last = summary if summary.source == owner else self._summary(summary.source, peer)
        position, count = (0, 0) if last is None else (last.position, last.count)
        if summary.flags & GONE:
            if count <= (summary.boxed_count or 0):
                return False
            summary.flags &= ~GONE  # a room has had a message since
            summary.box = None
        summary.is_rearranged = True
        if change.box is not None:
            summary.box = None if change.box == _DEFAULT_BOX else change.box.encode()
            summary.boxed_count = None if summary.box is None else count
            summary.boxed_time = None if summary.box is None else self.time
        if change.muted_until is not None:
            summary.muted_until = change.muted_until or None
        if change.pinned is not None:
            summary.pinned = change.pinned or None
        if change.unread is True:
            summary.flags |= UNREAD
        elif change.unread is False:
            summary.flags &= ~UNREAD
            if position > summary.read_position:
                summary.read_position, summary.read_count = position, count
        return True

    # -- devices

    def _move_cursors(self, moves: list[CursorMove]) -> None:
        archives = sorted({self._ids[move.archive] for move in moves})
        devices: dict[int, dict[bytes, tuple[Any, ...]]] = {archive: {} for archive in archives}
        for archive, device, *row in self._statements.find(self._connection, _DEVICES, archives):
            devices[archive][bytes(device)] = tuple(row)
        changed: dict[tuple[int, bytes], None] = {}
        for move in moves:
            archive, device = self._ids[move.archive], key_of(move.device)
            _, before, _, pulls = devices[archive].get(device, (b"", 0, 0, 0))
            position = max(before, min(move.position, self._heads[archive].position))
            name = move.device.encode()
            devices[archive][device] = (name, position, self.time, int(pulls or move.pulls))
            changed[archive, device] = None
        for archive, known in devices.items():
            for device in self._surplus(known):
                del known[device]
                changed.pop((archive, device), None)
                self._statements.run(self._connection, _FORGET_DEVICE, archive, device)
        rows: list[Any] = []
        for archive, device in changed:
            rows += (archive, device, *devices[archive][device])
        self._statements.put_flat(self._connection, "devices", rows)

    def _surplus(self, known: dict[bytes, tuple[Any, ...]]) -> list[bytes]:
        """Give the devices that were not seen for longest, of those that are too many."""
        if len(known) <= DEVICES:
            return []
        by_age = sorted(known, key=lambda device: known[device][2])
        return by_age[: len(known) - DEVICES]
