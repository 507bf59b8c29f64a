"""The checks notice what they are there for."""

import random
from datetime import datetime, timedelta

from tests.faults.archive import Entry
from tests.faults.book import Book, Fate, Sent
from tests.faults.device import Device, Kind
from tests.faults.invariants import check_archive, check_device, check_order, check_presence, unread_of

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
