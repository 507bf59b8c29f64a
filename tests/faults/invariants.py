"""What must hold however the server died: each function adds what it finds wrong to the book."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.faults.archive import Entry
from tests.faults.book import Book, Fate
from tests.faults.device import Device, position_of
from tests.faults.rooms import people_of, room_at


def check_archive(bare: str, entries: Sequence[Entry], book: Book) -> None:
    """Positions are 1 … n, of one history; times never run back; no message is there twice or by itself.

    What has happened in a room before the first message, its owner need not see.
    """
    first = entries[0].position if entries and room_at(bare) else 1
    for expected, entry in enumerate(entries, first):
        if entry.position != expected:
            book.complain(f"{bare}: position {entry.position} where {expected} belongs")
            break
    if len({entry.archive_id.rpartition("-")[0] for entry in entries}) > 1:
        book.complain(f"{bare}: more than one epoch")
    for before, after in itertools.pairwise(entries):
        if after.stamp < before.stamp:
            step = f"from {before.stamp} to {after.stamp} at position {after.position}"
            book.complain(f"{bare}: times run backwards, {step}")
    said = [entry for entry in entries if entry.sender]
    for id_, count in Counter(entry.id for entry in said).items():
        if count > 1:
            book.complain(f"{bare}: {id_} is archived {count} times")
        sent = book.sent.get(id_)
        if sent is None or bare not in sent.archives:
            book.complain(f"{bare}: {id_} was never sent here")
    for entry in said:
        sent = book.sent.get(entry.id)
        if sent is not None and entry.sender != sent.sender:
            book.complain(f"{bare}: {entry.id} is from {entry.sender}")


def check_presence(archives: Mapping[str, Sequence[Entry]], book: Book) -> None:
    """What was acknowledged is in the archives it belongs into; what nobody knows of is in all or in none."""
    found = {bare: {entry.id for entry in entries} for bare, entries in archives.items()}
    for message in book.sent.values():
        there = [message.id in found[bare] for bare in message.archives]
        if len(set(there)) > 1:
            book.complain(f"{message.id} is in one archive only")
        if message.fate is Fate.ACKNOWLEDGED and not all(there):
            book.complain(f"{message.id} was acknowledged and is lost")


def check_order(bare: str, entries: Iterable[Entry], book: Book) -> None:
    """The messages of a device stand in the order in which it sent them."""
    last: dict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        sent = book.sent.get(entry.id)
        if sent is None or sent.was_refused:
            continue
        device = sent.sender, sent.device
        if sent.number < last[device]:
            book.complain(f"{bare}: {entry.id} stands after number {last[device]} of its device")
        last[device] = sent.number


def check_device(device: Device, entries: Iterable[Entry], book: Book) -> None:
    """The device has every message that its account received, no other, in the order of the archive."""
    expected = {entry.archive_id: entry.id for entry in entries if entry.sender != device.bare}
    _check_arrived(device, expected, device.arrived, book)


def check_room_of(device: Device, room: str, entries: Sequence[Entry], book: Book) -> None:
    """The device of a member has every message of a room, its own ones, too, once and in their order."""
    expected = said_in(entries)
    if device.bare not in members_of(room, entries):
        expected = {key: id_ for key, id_ in expected.items() if key in device.rooms.arrived[room]}
    _check_arrived(device, expected, device.rooms.arrived[room], book, f" of {room}")


def _check_arrived(
    device: Device, expected: Mapping[str, str], arrived: Mapping[str, str], book: Book, where: str = ""
) -> None:
    name = f"{device.name}/{device.resource}"
    for archive_id in sorted(expected.keys() - arrived.keys(), key=position_of)[:5]:
        book.complain(f"{name} ({device.kind.name}) never got {archive_id}{where}")
    for archive_id in sorted(arrived.keys() - expected.keys(), key=position_of)[:5]:
        book.complain(f"{name} got {archive_id}{where}, which its account never received")
    wrong = [key for key, id_ in arrived.items() if expected.get(key, id_) != id_]
    if wrong:
        book.complain(f"{name} got {wrong[0]}{where} as another message than the archive has")
    for id_, count in Counter(arrived.values()).items():
        if count > 1:
            book.complain(f"{name} got {id_}{where} {count} times")
    for earlier, later in itertools.pairwise(map(position_of, arrived)):
        if earlier > later:
            book.complain(f"{name} ({device.kind.name}) got {later} after {earlier}{where}")
            break


def said_in(entries: Iterable[Entry]) -> dict[str, str]:
    """Give the messages of a room's archive: what its devices are to have, ids by archive id."""
    return {entry.archive_id: entry.id for entry in entries if entry.sender and not entry.target}


def members_of(room: str, entries: Iterable[Entry]) -> set[str]:
    """Tell who is a member after all of this."""
    members = people_of(room)
    for entry in entries:
        for jid, affiliation in entry.members.items():
            (members.discard if affiliation == "none" else members.add)(jid)
    return members


def unread_in_room(bare: str, room: str, entries: Iterable[Entry]) -> int | None:
    """Count the unread messages of a member from the room's archive alone; None for who is none.

    Who joins has read everything. Read is what stands before the member's last message or the furthest entry
    that the member marked.
    """
    read, is_member = 0, bare in people_of(room)
    others: list[int] = []
    for entry in entries:
        if bare in entry.members:
            was_member, is_member = is_member, entry.members[bare] != "none"
            if is_member and not was_member:
                read = max(read, entry.position)
        elif entry.sender == bare:
            read = max(read, position_of(entry.target) if entry.target else entry.position)
        elif entry.sender and not entry.target:
            others.append(entry.position)
    return sum(position > read for position in others) if is_member else None


def unread_of(bare: str, entries: Iterable[Entry]) -> dict[str, int]:
    """Count the unread messages of each conversation from the archive alone.

    Read is what stands before the owner's last message or the furthest entry that the owner marked.
    """
    received: dict[str, list[int]] = defaultdict(list)
    read: dict[str, int] = defaultdict(int)
    positions: dict[str, int] = {}
    peers: set[str] = set()
    for entry in entries:
        positions[entry.id] = entry.position
        peer = entry.recipient if entry.sender == bare else entry.sender
        if not entry.target:
            peers.add(peer)
        if entry.sender == bare:
            upto = positions.get(entry.target, 0) if entry.target else entry.position
            read[peer] = max(read[peer], upto)
        elif not entry.target:
            received[peer].append(entry.position)
    return {peer: sum(position > read[peer] for position in received[peer]) for peer in peers}
