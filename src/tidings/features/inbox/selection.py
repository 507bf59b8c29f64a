"""Selection: which conversations a request means, as the ledger is asked for them.

Pure. The words of paging are those of the direction in which entries travel: after a page comes what follows
it, in both orders.
"""

from collections.abc import Sequence
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.ledger import reading
from tidings.wire.xmpp.payloads.boxes import ALL
from tidings.wire.xmpp.payloads.inbox import FetchInbox, Order, format_page_id, read_page_id
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.standard_inbox import StandardInboxQuery

STANDARD_LIMIT: Final = 1_000
"""Conversations in one answer of XEP-0430 at most: whoever has more asks for the next page."""

_ORDERS: Final = {Order.DESCENDING: reading.InboxOrder.NEWEST, Order.ASCENDING: reading.InboxOrder.OLDEST}


def selection(query: FetchInbox, limit: int | None) -> reading.InboxQuery:
    """Give what a fetch asks for; `limit` is what the server sends at most, None for no limit.

    Raises `bad-request` for an id of paging that is none.
    """
    start, end = _times(query)
    return reading.InboxQuery(
        start=start,
        end=end,
        unread_only=query.hides_read,
        boxes=None if query.box in (None, ALL) else (query.box,),
        all_boxes=query.box == ALL,
        order=_ORDERS[query.order],
        after=_beside(query.page.after),
        before=_beside(query.page.before),
        last_page=query.page.before == "",
        limit=_size(query.page, limit),
    )


def standard_selection(query: StandardInboxQuery, limit: int | None) -> reading.InboxQuery:
    """Give what a query of XEP-0430 asks for: the bin is never shown, the last activity comes first."""
    page = query.page
    if page.index is not None:  # XEP-0059 §2.6
        raise StanzaError("feature-not-implemented", "the inbox has no page by index")
    return reading.InboxQuery(
        unread_only=query.unread_only,
        after=_beside(page.after),
        before=_beside(page.before),
        last_page=page.before == "",
        limit=_size(page, min(limit or STANDARD_LIMIT, STANDARD_LIMIT)),
    )


def page_of(rows: Sequence[reading.InboxRow], count: int | None = None) -> Page:
    """Give the ids of the ends of a page."""
    if not rows:
        return Page(count=count)
    first, last = rows[0], rows[-1]
    return Page(format_page_id(first.time, first.peer), format_page_id(last.time, last.peer), count=count)


def _times(query: FetchInbox) -> tuple[int | None, int | None]:
    """Give the bounds of the form, where the page does not say the same better: it wins over the form."""
    start, end, page = query.start, query.end, query.page
    if query.order is Order.DESCENDING:
        return (None if page.before else start), (end if page.after is None else None)
    return (None if page.after else start), (None if page.before else end)


def _beside(page_id: str | None) -> tuple[int, Jid] | None:
    return read_page_id(page_id) if page_id else None


def _size(page: PageRequest, limit: int | None) -> int | None:
    sizes = [size for size in (page.maximum, limit) if size is not None]
    return min(sizes) if sizes else None
