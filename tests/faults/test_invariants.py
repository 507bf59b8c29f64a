"""The checks notice what they are there for."""

import random
from datetime import datetime, timedelta

from lxml import etree

from tests.faults.archive import Entry
from tests.faults.book import Book, Fate, Sent
from tests.faults.device import Device, Kind
from tests.faults.invariants import (
    check_archive,
    check_device,
    check_order,
    check_presence,
    check_room_of,
    members_of,
    unread_in_room,
    unread_of,
)
from tests.faults.rooms import LANE, TEA, Visits

ANNA, BEN = "anna@localhost", "ben@localhost"


START = datetime.fromisoformat("2026-01-01T00:00:00Z")


def entry(
    position: int, sender: str = ANNA, *, number: int = 0, target: str = "", seconds: float | None = None
) -> Entry:
    id_ = f"{sender.partition('@')[0]}/{number or position}"
    recipient = BEN if sender == ANNA else ANNA
    stamp = START + timedelta(seconds=position if seconds is None else seconds)
    return Entry(f"e-{position}", stamp, id_, sender, recipient, target)


def book_of(*entries: Entry) -> Book:
    book = Book()
    for each in entries:
        number = int(each.id.partition("/")[2])
        book.sent[each.id] = Sent(
            each.id, each.sender, "phone", each.recipient, number, each.target, Fate.ACKNOWLEDGED
        )
    return book


def complaints(*entries: Entry) -> list[str]:
    book = book_of(*entries)
    check_archive(ANNA, entries, book)
    return book.violations


def device(book: Book, *arrived: Entry) -> Device:
    made = Device("ben", "phone", Kind.RESUMES, book, random.Random(1))
    made.arrived = {each.archive_id: each.id for each in arrived}
    return made


def test_a_right_archive() -> None:
    assert complaints(entry(1), entry(2, BEN), entry(3)) == []


def test_a_hole() -> None:
    assert complaints(entry(1), entry(3)) == [f"{ANNA}: position 3 where 2 belongs"]


def test_a_double() -> None:
    assert f"{ANNA}: anna/1 is archived 2 times" in complaints(entry(1), entry(2, number=1))


def test_time_runs_backwards() -> None:
    (told,) = complaints(entry(1), entry(2, seconds=0.5))
    assert told.startswith(
        f"{ANNA}: times run backwards, from 2026-01-01 00:00:01+00:00 to 2026-01-01 00:00:00.5"
    )


def test_nobody_sent_it() -> None:
    book = Book()
    check_archive(ANNA, [entry(1)], book)
    assert book.violations == [f"{ANNA}: anna/1 was never sent here"]


def test_a_lost_message() -> None:
    book = book_of(entry(1), entry(2))
    check_presence({ANNA: [entry(1), entry(2)], BEN: [entry(1)]}, book)
    assert book.violations == [
        "anna/2 is in one archive only",
        "anna/2 was acknowledged and is lost",
    ]


def test_what_nobody_knows_of_may_be_missing() -> None:
    book = book_of(entry(1))
    book.sent["anna/1"].fate = Fate.REFUSED
    check_presence({ANNA: [], BEN: []}, book)
    assert book.violations == []


def test_the_order_of_a_sender() -> None:
    entries = entry(1, number=2), entry(2, number=1)
    book = book_of(*entries)
    check_order(ANNA, entries, book)
    assert book.violations == [f"{ANNA}: anna/1 stands after number 2 of its device"]


def test_a_device_that_misses_one() -> None:
    book = Book()
    check_device(device(book, entry(1)), [entry(1), entry(2), entry(3, BEN)], book)
    assert book.violations == ["ben/phone (RESUMES) never got e-2"]


def test_a_device_that_got_a_message_that_vanished() -> None:
    book = Book()
    check_device(device(book, entry(1), entry(2)), [entry(1)], book)
    assert book.violations == ["ben/phone got e-2, which its account never received"]


def test_a_device_that_got_them_out_of_order() -> None:
    book = Book()
    check_device(device(book, entry(2), entry(1)), [entry(1), entry(2)], book)
    assert book.violations == ["ben/phone (RESUMES) got 1 after 2"]


def test_unread() -> None:
    received = [entry(1, BEN), entry(2, BEN), entry(3, BEN)]
    assert unread_of(ANNA, received) == {BEN: 3}
    assert unread_of(ANNA, [*received, entry(4, target="ben/2")]) == {BEN: 1}
    assert unread_of(ANNA, [*received, entry(4, target="ben/2"), entry(5, target="ben/1")]) == {BEN: 1}
    assert unread_of(ANNA, [*received, entry(4)]) == {BEN: 0}
    assert unread_of(ANNA, [*received, entry(4, BEN, target="anna/9")]) == {BEN: 3}


# --- rooms


def said(position: int, sender: str = ANNA, *, number: int = 0, target: str = "", room: str = LANE) -> Entry:
    id_ = f"{sender.partition('@')[0]}/{number or position}"
    return Entry(f"r-{position}", START + timedelta(seconds=position), id_, sender, room, target)


def change(position: int, **affiliations: str) -> Entry:
    members = {f"{name}@localhost": affiliation for name, affiliation in affiliations.items()}
    return Entry(f"r-{position}", START + timedelta(seconds=position), "", "", LANE, "", members)


def visitor(book: Book, *arrived: Entry, name: str = "ben") -> Device:
    made = Device(name, "phone", Kind.RESUMES, book, random.Random(1))
    made.rooms.arrived[LANE] = {each.archive_id: each.id for each in arrived}
    return made


def test_a_right_archive_of_a_room_begins_where_its_people_were_there() -> None:
    entries = [change(4, dora="none"), change(5, dora="member"), said(6), said(7, BEN)]
    book = book_of(entries[2], entries[3])
    check_archive(LANE, entries, book)
    check_presence({LANE: entries}, book)
    assert book.violations == []


def test_a_hole_and_a_double_in_a_room() -> None:
    entries = [said(6), said(8, number=6)]
    book = book_of(entries[0])
    check_archive(LANE, entries, book)
    assert book.violations == [
        f"{LANE}: position 8 where 7 belongs",
        f"{LANE}: anna/6 is archived 2 times",
    ]


def test_a_message_in_another_room_than_it_was_sent_to_or_from_somebody_else() -> None:
    book = book_of(said(6, room=TEA), said(7))
    check_archive(LANE, [said(6), said(7)], book)
    assert book.violations == [f"{LANE}: anna/6 was never sent here"]
    entry = Entry("r-7", START, "anna/7", BEN, LANE, "")
    book = book_of(said(7))
    check_archive(LANE, [entry], book)
    assert book.violations == [f"{LANE}: anna/7 is from {BEN}"]


def test_a_lost_message_of_a_room() -> None:
    book = book_of(said(6), said(7))
    check_presence({LANE: [said(6)]}, book)
    assert book.violations == ["anna/7 was acknowledged and is lost"]


def test_a_device_in_a_room_misses_nothing_and_gets_its_own_messages_too() -> None:
    entries = [said(6), change(7, dora="none"), said(8, BEN), said(9, target="r-6")]
    book = Book()
    check_room_of(visitor(book, entries[0], entries[2]), LANE, entries, book)
    assert book.violations == []
    check_room_of(visitor(book, entries[0]), LANE, entries, book)
    assert book.violations == [f"ben/phone (RESUMES) never got r-8 of {LANE}"]


def test_a_device_in_a_room_got_too_much_or_out_of_order() -> None:
    book = Book()
    check_room_of(visitor(book, said(7), said(6)), LANE, [said(6), said(7)], book)
    assert book.violations == [f"ben/phone (RESUMES) got 6 after 7 of {LANE}"]
    book = Book()
    check_room_of(visitor(book, said(6), said(7, number=6)), LANE, [said(6)], book)
    assert book.violations == [
        f"ben/phone got r-7 of {LANE}, which its account never received",
        f"ben/phone got anna/6 of {LANE} 2 times",
    ]


def test_who_has_left_a_room_needs_nothing_more_of_it() -> None:
    entries = [said(6), change(7, dora="none"), said(8)]
    book = Book()
    check_room_of(visitor(book, entries[0], name="dora"), LANE, entries, book)
    assert book.violations == []
    entries.append(change(9, dora="member"))
    check_room_of(visitor(book, entries[0], name="dora"), LANE, entries, book)
    assert book.violations == [f"dora/phone (RESUMES) never got r-8 of {LANE}"]


def test_unread_in_a_room() -> None:
    received = [said(6), said(7), said(8)]
    assert unread_in_room(BEN, LANE, received) == 3
    assert unread_in_room(BEN, LANE, [*received, said(9, BEN, target="r-7")]) == 1
    assert (
        unread_in_room(BEN, LANE, [*received, said(9, BEN, target="r-7"), said(10, BEN, target="r-6")]) == 1
    )
    assert unread_in_room(BEN, LANE, [*received, said(9, BEN), said(10)]) == 1
    assert unread_in_room(BEN, LANE, [*received, said(9, target="r-8")]) == 3


def test_who_joins_has_read_everything_and_who_has_left_has_nothing_unread() -> None:
    entries = [said(6), change(7, ben="none"), said(8)]
    assert unread_in_room(BEN, LANE, entries) is None
    assert BEN not in members_of(LANE, entries)
    entries += [change(9, ben="member"), said(10)]
    assert unread_in_room(BEN, LANE, entries) == 1
    assert BEN in members_of(LANE, entries)


def test_a_device_notices_what_comes_twice_in_one_session() -> None:
    told: list[str] = []
    visits = Visits("ben", syncs=False, send=told.append, complain=told.append, seen=lambda *_: None)
    lane = LANE.replace("conference", "muclight")
    live = (
        f"<message xmlns='jabber:client' type='groupchat' id='anna/1' from='{lane}/{ANNA}'>"
        f"<body>!</body><stanza-id xmlns='urn:xmpp:sid:0' by='{lane}' id='r-6'/></message>"
    )
    assert visits.take(etree.fromstring(live))
    assert (told, visits.arrived[LANE]) == ([], {"r-6": "anna/1"})
    assert visits.take(etree.fromstring(live))
    [complaint] = told
    assert complaint.startswith(f"got r-6 of {LANE} twice in one session: ")
    assert complaint.count("</message>") == 2
