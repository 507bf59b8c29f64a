"""Recent: the last messages of a room in memory, which everybody gets who enters (XEP-0045 §7.2.13).

They are read once from the archive, when somebody enters first; from then on what is said is added. So a
thousand who enter at once read nothing. What is in memory of a room is bounded by its octets, too, so that
neither many rooms nor many who enter cost more than they should.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from tidings.base.clock import SECOND
from tidings.features.rooms.configuration import LONGEST_HISTORY
from tidings.features.rooms.room import Room
from tidings.kernel.slots import Slot
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Accepted, EntryKind
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept, stamped
from tidings.wire.xmpp.payloads.muc import HistoryLimits
from tidings.wire.xmpp.stanza import Stanza


class Said(NamedTuple):
    """A message of the room."""

    message: Stanza
    position: int
    id: str
    time: int


_SHOWN: Final = frozenset({EntryKind.MESSAGE, EntryKind.CORRECTION, EntryKind.REACTIONS, EntryKind.FASTENING})


class _Recent:
    def __init__(self) -> None:
        self.said: deque[Said] = deque()
        self.loading: asyncio.Future[None] | None = None
        self.is_loaded = False
        self.most = 0
        """So many octets it may have."""
        self._octets = 0

    def append(self, said: Said) -> None:
        """Add the newest message, and let go of the oldest ones where it is too much."""
        self.said.append(said)
        self._octets += len(said.message.content)
        while self._octets > self.most or len(self.said) > LONGEST_HISTORY:
            self._octets -= len(self.said.popleft().message.content)

    def remove(self, said: Said) -> None:
        """Let go of one that was taken back."""
        self.said.remove(said)
        self._octets -= len(said.message.content)


_RECENT: Final[Slot[_Recent]] = Slot("rooms.recent", factory=_Recent)


async def load(room: Room, ledger: Ledger, most: int) -> None:
    """Bring the last messages into memory, of at most so many octets, where they are not.

    Raises `BackendError`.
    """
    room[_RECENT].most = most
    while not (recent := room[_RECENT]).is_loaded:
        if recent.loading is not None:  # who gives up waiting takes nothing from the others
            await asyncio.wait((recent.loading,))
            continue
        recent.loading = asyncio.get_running_loop().create_future()
        try:
            await _read(room, recent, ledger)
            recent.is_loaded = True
        finally:
            recent.loading.set_result(None)
            recent.loading = None


def forget(room: Room) -> None:
    """Let go of what is in memory, to be read anew: some of it may be gone from the archive."""
    del room[_RECENT]


async def _read(room: Room, recent: _Recent, ledger: Ledger) -> None:
    query = PageQuery(limit=LONGEST_HISTORY, newest=True, counted=False, octets=recent.most)
    page = await ledger.page(room.jid, query)
    newer = list(recent.said)  # said while the page was read
    for said in newer:
        recent.remove(said)
    for entry in page.entries:
        is_newer = bool(newer) and entry.id.position >= newer[0].position
        if entry.body is None or entry.retracted is not None or is_newer or entry.kind not in _SHOWN:
            continue
        message = kept(entry.body)
        if message.sender is not None and message.sender.resource and not is_subject(message):
            recent.append(Said(message, entry.id.position, str(entry.id), entry.time))
            if entry.sender is not None and room.occupants.last_called(message.sender.resource) is None:
                room.occupants.remember(message.sender.resource, entry.sender)
    for said in newer:
        recent.append(said)


def add(room: Room, message: Stanza, accepted: Accepted, kind: EntryKind) -> None:
    """Add what was said now, or let go of what was taken back with it."""
    recent = room[_RECENT]
    if not recent.is_loaded and recent.loading is None:
        return  # nobody has entered yet: who does reads it
    said = recent.said
    [place] = accepted.places
    if kind is EntryKind.RETRACTION:
        for gone in [each for each in said if each.position in accepted.targets]:
            recent.remove(gone)
    elif kind in _SHOWN:
        recent.append(Said(message, place.position, place.id, accepted.time))


def history(room: Room, wanted: HistoryLimits, now: int, above: int = 0) -> Sequence[Stanza]:
    """Give what somebody gets who enters, within all limits (§7.2.14) and above a position."""
    most = room.configuration.history
    if wanted.stanzas is not None:
        most = min(most, wanted.stanzas)
    since = wanted.since or 0
    if wanted.seconds is not None:
        since = max(since, now - wanted.seconds * SECOND)
    left = wanted.characters
    found: list[Stanza] = []
    for said in reversed(room[_RECENT].said):
        if len(found) >= most or said.time < since or said.position <= above:
            break
        stanza = stamped(said.message, room.jid, said.id, said.time, is_live=False, is_room=True)
        if left is not None:
            left -= len(stanza.to_bytes().decode())
            if left < 0:
                break
        found.append(stanza)
    return found[::-1]


def is_subject(message: Stanza) -> bool:
    """Tell whether a message sets the subject: it has one, and neither a text nor a thread (§8.1)."""
    return (
        message.has(ns.CLIENT, "subject")
        and not message.has(ns.CLIENT, "body")
        and not message.has(ns.CLIENT, "thread")
    )
