"""Results: archived messages as they are sent, written from their bytes without parsing (XEP-0313 §4.2)."""

from __future__ import annotations

from collections.abc import Callable

from tidings.base.jid import Jid
from tidings.features.archive.stored import written_sender
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived, ArchivePage, EntryId
from tidings.wire.xmpp.payloads.archive import ArchiveQuery
from tidings.wire.xmpp.payloads.arrival import forwarded
from tidings.wire.xmpp.payloads.forwarding import ResultMessages, query_attribute
from tidings.wire.xmpp.stanza import Stanza


class ArchiveResultWriter:
    """Writes the results of one query to one asker."""

    def __init__(self, query: ArchiveQuery, *, archive: Jid, to: Jid, mark: str) -> None:
        """Prepare what all results share; `mark` begins the ids of their messages."""
        namespace = query.namespace
        self._opening = b'<result xmlns="%b"%b id="' % (namespace.encode(), query_attribute(query.query_id))
        self._archive = archive
        self._messages = ResultMessages((namespace, "result"), to=to, sender=archive, mark=mark)

    def message(
        self, entry: Archived, body: bytes, folded: bytes = b""
    ) -> tuple[bytes, Callable[[], Stanza]]:
        """Give the message that brings one entry: written, and how it is made where somebody looks at it.

        `body` is the stanza that it shows.
        """
        id_ = str(entry.id)
        raw = b'%b%b">%b%b</result>' % (
            self._opening,
            id_.encode(),
            forwarded(body, self._archive, id_, entry.time, sender=written_sender(body)),
            folded,
        )
        return self._messages.around(raw)


def taken_back(page: ArchivePage) -> tuple[EntryId, ...]:
    """Give the messages whose retractions have to be read before the page can be shown.

    These are the retracted ones on the page, and what the corrections among them correct.
    """
    found: dict[EntryId, None] = {}
    for entry in page.entries:
        if entry.retracted is not None:
            found[entry.id] = None
            if entry.kind is EntryKind.CORRECTION and page.head.first <= entry.target <= page.head.position:
                found[EntryId(page.head.epoch_at(entry.target), entry.target)] = None
    return tuple(found)


def retraction_of(entry: Archived) -> Archived | None:
    """Give what took an entry back, of those that refer to it; the newest, None where none was read."""
    return next((each for each in reversed(entry.pointers) if each.kind is EntryKind.RETRACTION), None)
