"""Page reader: reads what a query asks for from the ledger, as far as a view of an archive shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tidings.base.jid import Jid
from tidings.features.archive import erasing
from tidings.features.archive.folding import conversations, fold
from tidings.features.archive.options import ArchiveOptions
from tidings.features.archive.results import retraction_of, taken_back
from tidings.features.archive.scanning import scan
from tidings.features.archive.selection import UnknownId, bounds_of, page_query, wanted_resource
from tidings.features.archive.stored import is_with
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.current import Current
from tidings.kernel.supervisor import Supervisor
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Archived, ArchivePage, EntryId, NoSuchEntry, PageQuery
from tidings.wire.xmpp.payloads.archive import ArchiveQuery, unknown_id_error


class PageReader:
    """Reads pages of archives, and what belongs to their entries."""

    def __init__(self, ledger: Ledger, supervisor: Supervisor, options: Current[ArchiveOptions]) -> None:
        self._ledger = ledger
        self._supervisor = supervisor
        self._options = options

    async def page(self, view: ArchiveView, query: ArchiveQuery) -> tuple[PageQuery, ArchivePage]:
        """Read the page; an id that is not there is answered with the bounds of the archive (§4.3.2)."""
        options, archive = self._options.now, view.archive
        try:
            wanted = page_query(
                query,
                default_page=options.default_page,
                maximum_page=options.maximum_page,
                octets=options.page_bytes,
            )
            if not view.is_whole:
                wanted = msgspec.structs.replace(wanted, above=view.above, without=view.without)
            matches = view.matches if query.peer is not None else None
            if matches is not None and query.peer is not None and query.peer != archive:
                peer = query.peer
                wanted = msgspec.structs.replace(wanted, peer=None)
                return wanted, await scan(self._ledger, archive, wanted, lambda entry: matches(entry, peer))
            address = None if matches is not None else wanted_resource(query)
            if address is not None:
                return wanted, await scan(
                    self._ledger, archive, wanted, lambda entry: is_with(entry, address)
                )
            return wanted, await self._ledger.page(archive, wanted)
        except UnknownId:
            raise unknown_id_error(bounds_of(await self._ledger.head(archive))) from None
        except NoSuchEntry as error:
            raise unknown_id_error(bounds_of(error.head)) from None

    async def ends(self, view: ArchiveView) -> tuple[Archived, Archived] | None:
        """Give the first and the last entry that the view shows; None where there is none."""
        if view.is_whole:
            return await self._ledger.ends(view.archive)
        found: list[Archived] = []
        for newest in (False, True):
            wanted = PageQuery(above=view.above, without=view.without, limit=1, newest=newest, counted=False)
            found += (await self._ledger.page(view.archive, wanted)).entries
        return (found[0], found[1]) if len(found) == 2 else None

    async def retractions(self, archive: Jid, page: ArchivePage) -> dict[int, Archived]:
        """Find what took messages of the page back, by their positions; few pages need this second look."""
        wanted = () if self._options.now.retracted == "original" else taken_back(page)
        found = {}
        for entry in await self._with_pointers(archive, wanted) if wanted else ():
            retraction = retraction_of(entry)
            if retraction is not None:
                found[entry.id.position] = retraction
                if entry.body is not None and self._options.now.retracted == "erase":
                    work = erasing.erase(self._ledger, archive, entry.id.position)
                    self._supervisor.start("erase what was retracted", work)
        return found

    async def folds(
        self, archive: Jid, entries: Iterable[Archived], retractions: Mapping[int, Archived]
    ) -> dict[int, bytes]:
        """Give what has become of each entry of the page, written."""
        entries = tuple(entries)
        markers = {peer: await self._ledger.markers(archive, peer) for peer in conversations(entries)}
        return {
            entry.id.position: fold(
                entry,
                archive,
                markers=markers.get(entry.peer, ()),
                retraction=found_for(retractions, entry) or retraction_of(entry),
            ).to_bytes()
            for entry in entries
        }

    async def _with_pointers(self, archive: Jid, ids: tuple[EntryId, ...]) -> tuple[Archived, ...]:
        wanted = PageQuery(ids=ids, limit=len(ids), tombstones=True, counted=False, folded=True)
        try:
            return (await self._ledger.page(archive, wanted)).entries
        except NoSuchEntry:  # trimmed a moment ago: what was told of it before has to do
            return ()


def found_for(retractions: Mapping[int, Archived], entry: Archived) -> Archived | None:
    """Give what took back an entry, or what the entry corrects."""
    return retractions.get(entry.id.position) or retractions.get(entry.target)
