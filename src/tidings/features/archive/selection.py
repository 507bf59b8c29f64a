"""Selection: what a query on the wire asks of the ledger, and what the ledger says when it cannot serve it.

Pure functions; the marks § point at the sections of XEP-0313.
"""

from __future__ import annotations

from typing import Final

from tidings.base.errors import StanzaError, TidingsError
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import ArchivePage, EntryId, Head, PageQuery
from tidings.wire.xmpp.payloads.archive import ArchiveBounds, ArchiveFin, ArchiveQuery
from tidings.wire.xmpp.payloads.result_set import Page

WORDS: Final = 32
"""How many words one search may have."""


class UnknownId(TidingsError):  # noqa: N818  # what it says
    """A query names a message by what is no id of any archive of this server."""


def page_query(
    query: ArchiveQuery, *, default_page: int, maximum_page: int, octets: int | None = None
) -> PageQuery:
    """Give what the ledger is asked.

    Raises `UnknownId`, and `StanzaError` for what is not offered: pages by number, nodes, too many words.
    """
    page = query.page
    if page.index is not None:  # XEP-0059 §2.6
        raise StanzaError(
            "feature-not-implemented", "pages are asked for by the id beside them, not by index"
        )
    if query.node:
        raise StanzaError("item-not-found", "an account's archive has no nodes")
    return PageQuery(
        peer=None if query.peer is None else query.peer.bare,
        start=query.start,
        end=query.end,
        from_id=_id(query.from_id),
        to_id=_id(query.to_id),
        after_id=_id(query.after_id),
        before_id=_id(query.before_id),
        after=_id(page.after),
        before=_id(page.before),
        ids=tuple(map(_known, query.ids)) or None,
        words=words_of(query.text),
        groupchat=query.with_groupchat is not False,
        limit=page.size(default=default_page, limit=maximum_page),
        newest=page.is_backward,
        flipped=query.is_flipped,
        counted=not query.is_simple,
        folded=query.is_folded,
        octets=octets,
    )


def words_of(text: str) -> tuple[str, ...]:
    """Split a search text at its spaces, each part once; what a word is knows the ledger."""
    words = tuple(dict.fromkeys(text.split()))
    if len(words) > WORDS:
        raise StanzaError("bad-request", f"the search text has more than {WORDS} words")
    return words


def wanted_resource(query: ArchiveQuery) -> Jid | None:
    """Give the full address that messages must be to or from; None where the bare one decides (§4.1.1)."""
    return query.peer if query.peer is not None and query.peer.resource else None


def bounds_of(head: Head) -> ArchiveBounds | None:
    """Give the hint for a client whose id is unknown; None for an archive that never had an entry."""
    if not head.epochs:
        return None
    epoch = head.epochs[-1][0]
    if head.first > head.position:
        return ArchiveBounds(epoch)
    first, last = (str(EntryId(head.epoch_at(at), at)) for at in (head.first, head.position))
    return ArchiveBounds(epoch, first, last)


def fin_of(query: ArchiveQuery, page: ArchivePage, *, limit: int) -> ArchiveFin:
    """Give the end of a page (§4.3.2); `first` is the older one, also on a flipped page.

    COMPAT(slixmpp 1.8, until it pages backwards by `complete`): a page from the new end tells no index, from
    which that client would conclude that there is nothing more.
    """
    ids = sorted((entry.id for entry in page.entries), key=lambda each: each.position)
    is_complete = page.is_complete if limit else page.total == 0  # §2.7 of XEP-0059: a count alone
    return ArchiveFin(
        Page(
            first=str(ids[0]) if ids else None,
            last=str(ids[-1]) if ids else None,
            index=page.index if ids and not query.page.is_backward else None,
            count=page.total,
        ),
        is_complete=is_complete,
        namespace=query.namespace,
    )


def _id(text: str | None) -> EntryId | None:
    return _known(text) if text else None


def _known(text: str) -> EntryId:
    entry = EntryId.parse(text)
    if entry is None:
        raise UnknownId(text)
    return entry
