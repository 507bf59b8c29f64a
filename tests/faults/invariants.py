"""What must hold however the server died: each function adds what it finds wrong to the book."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.faults.archive import Entry
from tests.faults.book import Book, Fate
from tests.faults.device import Device, position_of


def check_archive(bare: str, entries: Sequence[Entry], book: Book) -> None:
    """Positions are 1 … n, of one history; times never run back; no message is there twice or by itself."""
    for expected, entry in enumerate(entries, 1):
        if entry.position != expected:
            book.complain(f"{bare}: position {entry.position} where {expected} belongs")
            break
    if len({entry.archive_id.rpartition("-")[0] for entry in entries}) > 1:
        book.complain(f"{bare}: more than one epoch")
    for before, after in itertools.pairwise(entries):
        if after.stamp < before.stamp:
            step = f"from {before.stamp} to {after.stamp} at position {after.position}"
            book.complain(f"{bare}: times run backwards, {step}")
    for id_, count in Counter(entry.id for entry in entries).items():
        if count > 1:
            book.complain(f"{bare}: {id_} is archived {count} times")
        sent = book.sent.get(id_)
        if sent is None or bare not in (sent.sender, sent.recipient):
            book.complain(f"{bare}: {id_} was never sent here")


def check_presence(archives: Mapping[str, Sequence[Entry]], book: Book) -> None:
    """What was acknowledged is in both archives; what nobody knows of is in both or in none."""
    found = {bare: {entry.id for entry in entries} for bare, entries in archives.items()}
    for message in book.sent.values():
        there = [message.id in found[bare] for bare in (message.sender, message.recipient)]
        if there[0] != there[1]:
            book.complain(f"{message.id} is in one archive only")
        if message.fate is Fate.ACKNOWLEDGED and not all(there):
            book.complain(f"{message.id} was acknowledged and is lost")


def check_order(bare: str, entries: Iterable[Entry], book: Book) -> None:
    """The messages of a device stand in the order in which it sent them."""
    last: dict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        sent = book.sent[entry.id]
        if sent.was_refused:
            continue
        device = sent.sender, sent.device
        if sent.number < last[device]:
            book.complain(f"{bare}: {entry.id} stands after number {last[device]} of its device")
        last[device] = sent.number


def check_device(device: Device, entries: Iterable[Entry], book: Book) -> None:
    """The device has every message that its account received, no other, in the order of the archive."""
    expected = {entry.archive_id: entry.id for entry in entries if entry.sender != device.bare}
    name = f"{device.name}/{device.resource}"
    for archive_id in sorted(expected.keys() - device.arrived.keys(), key=position_of)[:5]:
        book.complain(f"{name} ({device.kind.name}) never got {archive_id}")
    for archive_id in sorted(device.arrived.keys() - expected.keys(), key=position_of)[:5]:
        book.complain(f"{name} got {archive_id}, which its account never received")
    wrong = [key for key, id_ in device.arrived.items() if expected.get(key, id_) != id_]
    if wrong:
        book.complain(f"{name} got {wrong[0]} as another message than the archive has")
    positions = [position_of(archive_id) for archive_id in device.arrived]
    for earlier, later in itertools.pairwise(positions):
        if earlier > later:
            book.complain(f"{name} ({device.kind.name}) got {later} after {earlier}")
            break


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
