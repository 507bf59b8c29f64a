"""Which conversations a request of the inbox means, and the ids of its pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.inbox.selection import (
    STANDARD_LIMIT,
    page_of,
    selection,
    standard_selection,
)
from tidings.ports.ledger.reading import InboxOrder, InboxQuery, InboxRow
from tidings.wire.xmpp.payloads.inbox import FetchInbox, Order, format_page_id, read_page_id
from tidings.wire.xmpp.payloads.result_set import PageRequest
from tidings.wire.xmpp.payloads.standard_inbox import StandardInboxQuery

OMAR = Jid("omar@clinic.example")
OMAR_AT_5 = format_page_id(5, OMAR)


def test_nothing_said_is_everything_but_the_bin_newest_first() -> None:
    assert selection(FetchInbox(), None) == InboxQuery()


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        (None, InboxQuery()),
        ("all", InboxQuery(all_boxes=True)),
        ("inbox", InboxQuery(boxes=("inbox",))),
        ("bin", InboxQuery(boxes=("bin",))),
        ("work", InboxQuery(boxes=("work",))),
    ],
)
def test_boxes(box: str | None, wanted: InboxQuery) -> None:
    assert selection(FetchInbox(box=box), None) == wanted


@pytest.mark.parametrize(
    ("maximum", "limit", "size"),
    [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7), (0, 7, 0)],
)
def test_a_page_is_the_smaller_of_both_limits(maximum: int | None, limit: int | None, size: int) -> None:
    assert selection(FetchInbox(page=PageRequest(maximum)), limit).limit == size


@pytest.mark.parametrize(
    ("order", "page", "start", "end"),
    [  # §1.4: the page replaces the bound of the form on its side
        (Order.DESCENDING, PageRequest(), 1, 9),
        (Order.DESCENDING, PageRequest(after=OMAR_AT_5), 1, None),
        (Order.DESCENDING, PageRequest(after=""), 1, None),
        (Order.DESCENDING, PageRequest(before=OMAR_AT_5), None, 9),
        (Order.DESCENDING, PageRequest(before=""), 1, 9),
        (Order.ASCENDING, PageRequest(after=OMAR_AT_5), None, 9),
        (Order.ASCENDING, PageRequest(after=""), 1, 9),
        (Order.ASCENDING, PageRequest(before=OMAR_AT_5), 1, None),
        (Order.ASCENDING, PageRequest(before=""), 1, 9),
    ],
)
def test_times_beside_a_page(order: Order, page: PageRequest, start: int | None, end: int | None) -> None:
    wanted = selection(FetchInbox(start=1, end=9, order=order, page=page), None)
    assert (wanted.start, wanted.end) == (start, end)
    assert wanted.order is (InboxOrder.NEWEST if order is Order.DESCENDING else InboxOrder.OLDEST)
    assert wanted.after == ((5, OMAR) if page.after else None)
    assert wanted.before == ((5, OMAR) if page.before else None)
    assert wanted.last_page is (page.before == "")


def test_what_is_read_may_be_hidden() -> None:
    assert selection(FetchInbox(hides_read=True), None) == InboxQuery(unread_only=True)


@pytest.mark.parametrize("page_id", ["5", "x/b21hckBjbGluaWMuZXhhbXBsZQ==", "5/*", "5/QA==", "-5/b21hckBh"])
@pytest.mark.parametrize("side", ["after", "before"])
def test_an_id_that_is_none(side: str, page_id: str) -> None:
    with pytest.raises(StanzaError) as refusal:
        selection(FetchInbox(page=PageRequest(**{side: page_id})), None)
    assert refusal.value.condition == "bad-request"


@given(st.integers(0, 2**53), st.sampled_from(["omar@clinic.example", "clinic.example", "ö@bücher.example"]))
def test_ids_of_pages_survive_the_way(stamp: int, peer: str) -> None:
    assert read_page_id(format_page_id(stamp, Jid(peer))) == (stamp, Jid(peer))


def test_the_ends_of_a_page() -> None:
    rows = [_row(9, "omar@clinic.example"), _row(5, "lea@clinic.example")]
    page = page_of(rows, 40)
    assert (page.first, page.last, page.count) == (
        "9/b21hckBjbGluaWMuZXhhbXBsZQ==",
        "5/bGVhQGNsaW5pYy5leGFtcGxl",
        40,
    )
    assert page_of([]).first is None


def test_the_standard_inbox_has_pages_of_its_own() -> None:
    assert standard_selection(StandardInboxQuery(), None) == InboxQuery(limit=STANDARD_LIMIT)
    query = StandardInboxQuery(unread_only=True, page=PageRequest(3, before=""))
    assert standard_selection(query, 2) == InboxQuery(unread_only=True, last_page=True, limit=2)
    with pytest.raises(StanzaError) as refusal:
        standard_selection(StandardInboxQuery(page=PageRequest(index=4)), None)
    assert refusal.value.condition == "feature-not-implemented"


def _row(time: int, peer: str) -> InboxRow:
    return InboxRow(
        peer=Jid(peer),
        source=Jid("nina@clinic.example"),
        last=None,
        position=1,
        time=time,
        unread=0,
        read_position=0,
        box="inbox",
        muted_until=0,
        pinned=0,
        feed=1,
    )
