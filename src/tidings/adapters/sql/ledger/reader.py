"""What every query on the ledger stands on: archives, entries, and look-ups without an index of their own.

Each statement sees one state; where two are needed, the first one bounds what the second may see. Times and
message numbers grow with the positions of an archive, and positions are dense: a time or a feed number is
found by narrowing over the primary key, so that neither needs an index.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tidings.adapters.sql.ledger.conversations import find, stretches
from tidings.adapters.sql.ledger.encoding import (
    COUNTABLE,
    ERASED,
    GROUPCHAT,
    HELD,
    HIDDEN,
    PER_FEED,
    SENT,
    epoch_text,
)
from tidings.adapters.sql.ledger.statements import Rows, Sql
from tidings.adapters.sql.tables import key_of
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Direction, EntryKind
from tidings.ports.ledger.reading import FOLDED, MARKED, Archived, Device, EntryId, Head
from tidings.wire.xmpp.readdressing import readdressed

EMPTY: Final = Head(first=1, position=0, time=0, version=0, epochs=())

ENTRY: Final = (
    "e.position, e.message, e.time, e.peer, e.kind, e.flags, e.resource, e.count, e.target, m.body, m.sender "
    "FROM entries e LEFT JOIN messages m ON m.id = e.message "
)
"""The columns that `Reader.archived` takes, and where they come from."""

BODY: Final = 9
"""Which of them is the body."""


def retractable(rows: Rows) -> list[int]:
    """Give the positions that may have been taken back: of rows of `ENTRY`, and of what they correct."""
    corrected = {row[8] for row in rows if row[4] == _CORRECTION and row[8]}
    return sorted(corrected.union(row[0] for row in rows)) if corrected else [row[0] for row in rows]


def entry_of(source: str) -> str:
    """Give `ENTRY` with another source of the entries `e`."""
    return ENTRY.replace("entries e", source)


# CROSS JOIN tells SQLite, which has no statistics, what to begin with.
_POINTING: Final = entry_of("message_links p CROSS JOIN entries e")
_LINKED_HERE: Final = (
    "WHERE p.archive = ? AND p.target IN LIST AND e.archive = p.archive AND e.position = p.position "
)
_LINKED: Final = f"FROM message_links p CROSS JOIN entries e {_LINKED_HERE}"
_LINKED_BODIES: Final = (
    "FROM message_links p CROSS JOIN entries e JOIN messages m ON m.id = e.message " + _LINKED_HERE
)

_KINDS: Final = tuple(EntryKind)
_DIRECTIONS: Final = tuple(Direction)
_CORRECTION: Final = +EntryKind.CORRECTION  # the plain number
_MARKERS: Final = (EntryKind.DISPLAYED, EntryKind.RECEIVED, EntryKind.ACKNOWLEDGED)

_HEAD: Final = (
    "SELECT h.archive, h.first, h.position, h.time, h.version, h.octets, e.epoch, e.start FROM jids j "
    "JOIN archives h ON h.archive = j.id LEFT JOIN epochs e ON e.archive = h.archive "
    "WHERE j.digest = ? ORDER BY e.start"
)

_WIDTH: Final = 32
_KNOWN: Final = 100_000


class Addresses:
    """The addresses behind numbers, which change by renaming alone; shared by all readers of a ledger."""

    def __init__(self) -> None:
        self.known: dict[int, Jid] = {}


class Reader:
    """The reading side over one connection."""

    def __init__(self, sql: Sql, addresses: Addresses) -> None:
        self.sql = sql
        self._addresses = addresses

    # -- archives

    def head(self, archive: Jid) -> tuple[int, Head]:
        """Give the number of an archive and its state."""
        rows = self.run(_HEAD, key_of(archive))
        if not rows:
            return 0, EMPTY
        number, first, position, time, version, octets = rows[0][:6]
        epochs = tuple((epoch_text(row[6]), row[7]) for row in rows if row[6] is not None)
        return number, Head(first, position, time, version, epochs, octets)

    def knows(self, address: Jid) -> bool:
        """Tell whether anything is kept of an address."""
        return bool(self.run("SELECT 1 FROM jids WHERE digest = ?", key_of(address)))

    def is_held(self, archive: Jid) -> bool:
        """Tell whether the archive, or an entry of it, is held."""
        number, head = self.head(archive)
        if self.run("SELECT 1 FROM archives WHERE archive = ? AND held <> 0", number):
            return True
        held = (
            f"SELECT 1 FROM entries WHERE archive = ? AND position BETWEEN ? AND ? AND flags & {HELD} <> 0 "  # noqa: S608  # ours
            "LIMIT 1"
        )
        return bool(self.run(held, number, head.first, head.position))

    def ends(self, archive: Jid) -> tuple[Archived, Archived] | None:
        """Give the first and the last entry that queries show."""
        number, head = self.head(archive)
        select = (
            f"SELECT {ENTRY}WHERE e.archive = ? AND e.position BETWEEN ? AND ? AND e.flags & {HIDDEN} = 0"
        )
        found = []
        for order in ("ASC", "DESC"):
            statement = f"{select} ORDER BY e.position {order} LIMIT 1"
            found += self.run(statement, number, head.first, head.position)
        if len(found) < 2:
            return None
        first, last = self.archived(number, head, found)
        return first, last

    def markers(self, owner: Jid, peer: Jid) -> tuple[Archived, ...]:
        """Give the newest markers of each direction of a conversation, oldest first."""
        number, head = self.head(owner)
        parts = stretches(self.sql, number, self.number_of(peer), head.first, head.position)
        rows = find(self.sql, parts, "e.position, e.kind, e.flags", newest=True, limit=MARKED)
        newest: dict[tuple[int, int], int] = {}
        for position, kind, flags in rows:
            if kind in _MARKERS and not flags & HIDDEN:
                newest.setdefault((kind, flags & SENT), position)
        return tuple(self.entries_at(number, head, sorted(newest.values())))

    def archives(self, domain: str, after: str, limit: int) -> tuple[Jid, ...]:
        """List archives of a domain in the order of their numbers."""
        start = self.number_of(after) if after else 0
        statement = (
            "SELECT h.archive, j.jid FROM archives h JOIN jids j ON j.id = h.archive WHERE h.archive > ? "
            "ORDER BY h.archive LIMIT 1000"
        )
        found: list[Jid] = []
        while len(found) < limit and (rows := self.run(statement, start)):
            jids = (Jid(bytes(row[1]).decode()) for row in rows)
            found += [jid for jid in jids if jid.domain == domain]
            start = rows[-1][0]
        return tuple(found[:limit])

    # -- devices and streams

    def devices(self, archive: Jid) -> dict[str, Device]:
        """Give the devices of an account."""
        statement = (
            "SELECT d.name, d.position, d.seen, d.pulls FROM devices d JOIN jids j ON j.id = d.archive "
            "WHERE j.digest = ?"
        )
        return {
            bytes(name).decode(): Device(position, seen, bool(pulls))
            for name, position, seen, pulls in self.run(statement, key_of(archive))
        }

    # -- entries

    def entries_at(self, archive: int, head: Head, positions: Sequence[int]) -> list[Archived]:
        """Give the entries at these positions in order."""
        statement = f"SELECT {ENTRY}WHERE e.archive = ? AND e.position IN LIST"
        return self.archived(archive, head, sorted(self.among(statement, positions, archive)))

    def archived(
        self,
        archive: int,
        head: Head,
        rows: Rows,
        *,
        folded: int = 0,
        offline_only: bool = False,
        retracted: dict[int, int] | None = None,
    ) -> list[Archived]:
        """Make entries of rows of `ENTRY` and tell of each when it was retracted, which may be known.

        `offline_only` shows offline-only entries with their body. Where `folded` is not 0, what refers to the
        entries is given with them, the newest of it, as far as its bodies have so many octets.
        """
        hidden = ERASED if offline_only else HIDDEN
        if retracted is None:
            retracted = self.retracted(archive, retractable(rows))
        pointing = self._pointing(archive, [row[0] for row in rows], folded) if folded and rows else {}
        retracted_too = self.retracted(archive, [row[0] for group in pointing.values() for row in group])
        shown = [row for group in (rows, *pointing.values()) for row in group]
        names = self.names_of({archive, *(row[3] for row in shown), *(row[10] for row in shown if row[10])})
        owner = names.get(archive)
        entries = []
        for row in rows:
            when = retracted.get(row[0])
            if when is None and row[4] == _CORRECTION:
                when = retracted.get(row[8])
            later = pointing.get(row[0])
            if later is None:
                entries.append(_entry(head, owner, names, row, hidden, when))
                continue
            referring = tuple(
                _entry(head, owner, names, each, HIDDEN) for each in later if each[0] not in retracted_too
            )
            entries.append(_entry(head, owner, names, row, hidden, when, referring))
        return entries

    def retracted(self, archive: int, positions: Sequence[int]) -> dict[int, int]:
        """Tell when entries were retracted first; a retraction holds, whether it has its content or not.

        However much refers to the entries, nothing of it can push a retraction out of sight.
        """
        statement = (
            f"SELECT p.target, MIN(e.time) {_LINKED}AND e.kind = {EntryKind.RETRACTION:d} GROUP BY p.target"
        )
        found: dict[int, int] = dict(self.among(statement, positions, archive))
        return found

    def corrections(self, archive: int, positions: Sequence[int]) -> dict[int, int]:
        """Tell which entry corrects each entry last, of those that were not taken back themselves.

        Whoever corrects a message may do so as often as he likes: all but the last are not read.
        """
        statement = (
            f"SELECT p.target, MAX(e.position) {_LINKED}AND e.kind = {EntryKind.CORRECTION:d} "  # noqa: S608  # ours
            f"AND e.flags & {HIDDEN} = 0 AND NOT EXISTS (SELECT 1 FROM message_links r CROSS JOIN entries x "
            "WHERE r.archive = e.archive AND r.target = e.position AND x.archive = r.archive "
            f"AND x.position = r.position AND x.kind = {EntryKind.RETRACTION:d}) GROUP BY p.target"
        )
        found: dict[int, int] = dict(self.among(statement, positions, archive))
        return found

    def _pointing(
        self, archive: int, positions: Sequence[int], octets: int
    ) -> dict[int, list[tuple[Any, ...]]]:
        """Give what refers to entries, oldest first: the newest of it, and of bodies so many octets."""
        room = Room(octets)
        statement = (
            f"SELECT {_POINTING}{_LINKED_HERE}"
            f"AND (e.flags & {HIDDEN} = 0 OR e.kind = {EntryKind.RETRACTION:d}) "
            f"ORDER BY e.position DESC LIMIT {FOLDED}"
        )
        rows = self.run_within(room, *listed(statement, positions, (archive,)))[: room.taken]
        found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for row in reversed(rows):
            found[row[8]].append(row)
        return found

    def pointing_octets(self, archive: int, positions: Sequence[int]) -> dict[int, int]:
        """Tell how many octets the bodies of what refers to entries have, where there are any."""
        statement = (
            f"SELECT p.target, SUM(LENGTH(m.body)) {_LINKED_BODIES}AND e.flags & {HIDDEN} = 0 "
            "GROUP BY p.target"
        )
        return {target: int(octets or 0) for target, octets in self.among(statement, positions, archive)}

    def first_at(self, archive: int, head: Head, column: str, least: int) -> int:
        """Find the first position whose `column` is at least this; one above the head if there is none."""
        statement = f"SELECT position, {column} FROM entries WHERE archive = ? AND position IN LIST"  # noqa: S608  # ours
        low, high = head.first, head.position + 1
        while low < high:
            probes = [*range(low, high, max(1, (high - low) // _WIDTH)), high - 1]
            found: dict[int, int] = dict(self.among(statement, probes, archive))
            # What was trimmed meanwhile is before all.
            index = bisect_left(probes, least, key=lambda position: found.get(position, 0))
            low, high = (
                probes[index - 1] + 1 if index else low,
                probes[index] if index < len(probes) else high,
            )
        return low

    # -- addresses

    def number_of(self, jid: str) -> int:
        """Give the number of an address; 0 for one that the ledger never saw."""
        rows = self.run("SELECT id FROM jids WHERE digest = ?", key_of(jid))
        return int(rows[0][0]) if rows else 0

    def names_of(self, numbers: Iterable[int]) -> dict[int, Jid]:
        """Look up the addresses of these numbers; gives all that are known."""
        if len(self._addresses.known) > _KNOWN:
            self._addresses.known = {}
        known = self._addresses.known
        missing = sorted({number for number in numbers if number not in known})
        for number, jid in self.among("SELECT id, jid FROM jids WHERE id IN LIST", missing):
            known[number] = Jid(bytes(jid).decode())
        return known

    # -- statements

    def run(self, statement: str, *values: object) -> Rows:
        """Run a statement and give its rows."""
        return self.sql.run(statement, *values).all()

    def run_within(self, room: Room, statement: str, *values: object) -> Rows:
        """Run a statement on `ENTRY`, and stop reading behind the first row for which there is no room."""
        if room.is_endless:
            found = self.run(statement, *values)
            room.taken += len(found)
            return found
        with self.sql.each(statement, *values) as rows:
            return room.fill(rows)

    def among(self, statement: str, keys: Sequence[Any], *values: object) -> Rows:
        """Run a statement whose LIST, behind its other values, stands for these keys."""
        if not keys:
            return []
        return self.run(*listed(statement, keys, values))

    def among_within(self, room: Room, statement: str, keys: Sequence[Any], *values: object) -> Rows | None:
        """Do the same with a statement on `ENTRY`; None, and little is read, where all have no room."""
        if not keys:
            return []
        before = room.taken
        rows = self.run_within(room, *listed(statement, keys, values))
        return rows if room.taken - before == len(rows) else None


def listed(statement: str, keys: Sequence[Any], values: Sequence[object]) -> list[Any]:
    """Write a statement whose LIST stands for keys, and give all its values behind it."""
    size = 1 << (len(keys) - 1).bit_length()  # few sizes, so that caches find the statement again
    filled = [*keys, *[keys[-1]] * (size - len(keys))]
    return [statement.replace("LIST", f"({', '.join('?' * size)})"), *values, *filled]


class Room:
    """How many octets of bodies a page still has room for; the first body always fits."""

    __slots__ = ("_left", "taken")

    def __init__(self, octets: int | None) -> None:
        self._left = octets
        self.taken = 0
        """How many rows there was room for."""

    @property
    def is_endless(self) -> bool:
        """Whether everything has room."""
        return self._left is None

    def take(self, octets: int) -> bool:
        """Take one more row, with so many octets; false where there is no room for it."""
        if self._left is not None:
            if octets > self._left and self.taken:
                return False
            self._left = max(self._left - octets, 0)
        self.taken += 1
        return True

    def fill(self, rows: Iterable[tuple[Any, ...]]) -> Rows:
        """Take rows of `ENTRY`, up to the first one that has no room, which is the last one given."""
        found: Rows = []
        for row in rows:
            found.append(row)
            body = row[BODY]
            if not self.take(0 if body is None else len(body)):
                break
        return found


def _addressed(body: bytes, owner: Jid | None, peer: Jid, flags: int) -> bytes:
    """Give a message of an account as that of the addresses that the two have now."""
    if owner is None or flags & GROUPCHAT:  # what is said in a room has the room's address
        return body
    sender, to = (owner, peer) if flags & SENT else (peer, owner)
    return readdressed(body, sender=sender, to=to)


def _entry(
    head: Head,
    owner: Jid | None,
    names: dict[int, Jid],
    row: tuple[Any, ...],
    hidden: int,
    retracted: int | None = None,
    pointers: tuple[Archived, ...] = (),
) -> Archived:
    position, message, time, peer, kind, flags, resource, count, target, body, sender = row
    epoch, start = head.epochs[-1]
    return Archived(
        id=EntryId(epoch if position >= start else head.epoch_at(position), position),
        feed=message // PER_FEED,
        time=time,
        peer=names[peer],
        direction=_DIRECTIONS[flags & SENT],
        kind=_KINDS[kind],
        resource=bytes(resource).decode() if resource else "",
        countable=bool(flags & COUNTABLE),
        count=count,
        target=target,
        body=None if body is None or flags & hidden else _addressed(bytes(body), owner, names[peer], flags),
        sender=names[sender] if sender else None,
        retracted=retracted,
        pointers=pointers,
    )
