"""Room markers: how far each member of a room is, in the form of smart markers.

Who has displayed what is told by the read pointers, which move by every marker, also by one that the room
takes for itself. Other kinds of markers, and those of threads, are looked for among the last entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidings.features.rooms.people import People
from tidings.features.rooms.room import Room
from tidings.kernel.archive_view import ArchiveView
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import EntryId, Head, PageQuery
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.markers import Marker, MarkerKind
from tidings.wire.xmpp.payloads.smart_markers import KeptMarker

MOST_TOLD: Final = 1_000
"""So many who have read last are told of at most."""
SEARCHED: Final = 500
"""How many of the last entries are searched."""
SEARCHED_OCTETS: Final = 4_194_304

KINDS: Final[Mapping[EntryKind, MarkerKind]] = {
    EntryKind.RECEIVED: MarkerKind.RECEIVED,
    EntryKind.DISPLAYED: MarkerKind.DISPLAYED,
    EntryKind.ACKNOWLEDGED: MarkerKind.ACKNOWLEDGED,
}
OTHERS: Final = tuple(kind for kind in EntryKind if kind not in KINDS)
"""The kinds of entries that are no markers."""


async def markers_of(
    ledger: Ledger, view: ArchiveView, room: Room, people: People, thread: str | None
) -> list[KeptMarker]:
    """Give the last marker of each kind of each member whom the asker may know, of a thread or of none."""
    head = await ledger.head(room.jid)
    found = await _searched(ledger, view, head, people, thread)
    if thread is None:
        found = [each for each in found if each.kind is not MarkerKind.DISPLAYED]
        found += await _pointers(ledger, view, head, room, people)
    return found


async def _pointers(
    ledger: Ledger, view: ArchiveView, head: Head, room: Room, people: People
) -> list[KeptMarker]:
    members = room.state.members
    readings = await ledger.readings(room.jid, limit=max(len(members), 1))
    newest = sorted(readings, key=lambda reading: reading.time, reverse=True)
    markers = []
    for reading in newest[:MOST_TOLD]:
        member = members.get(reading.member)
        is_shown = max(view.above, head.first - 1) < reading.position <= head.position
        address = people.address(reading.member)
        if member is None or address is None or not is_shown or not reading.time:
            continue
        if reading.position > member.joined:  # joining moves the pointer, and nothing was read by that
            id_ = EntryId(head.epoch_at(reading.position), reading.position)
            markers.append(KeptMarker(address, str(id_), MarkerKind.DISPLAYED, reading.time))
    return markers


async def _searched(
    ledger: Ledger, view: ArchiveView, head: Head, people: People, thread: str | None
) -> list[KeptMarker]:
    wanted = PageQuery(
        above=max(view.above, head.position - SEARCHED),
        without=OTHERS,
        limit=SEARCHED,
        newest=True,
        flipped=True,
        counted=False,
        octets=SEARCHED_OCTETS,
    )
    newest: dict[tuple[str, MarkerKind], KeptMarker] = {}
    for entry in (await ledger.page(view.archive, wanted)).entries:
        kind = KINDS[entry.kind]
        address = None if entry.sender is None else people.address(entry.sender)
        if entry.body is None or address is None or (address, kind) in newest:
            continue
        message = kept(entry.body)
        child = message.child(ns.MARKERS, kind.value)
        about = message.decode(ns.CLIENT, "thread")
        if child is not None and (None if about is None else about.text or None) == thread:
            marker = Marker.decode(decode(child.raw, ns.CLIENT))
            newest[address, kind] = KeptMarker(address, marker.id, kind, entry.time, thread)
    return list(newest.values())
