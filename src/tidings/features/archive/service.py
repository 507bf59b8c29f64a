"""Archive: an account reads its own history, filtered, in pages, in either direction.

Implements XEP-0313 1.1.3 with XEP-0059 1.0 (`urn:xmpp:mam:1` too), text search (XEP-0431 0.2.0), tombstones
(XEP-0424 0.4.2 and its older forms) and the fields that MongooseIM adds; the marks § point at the sections of
XEP-0313. Folding and the bounds in errors are our own: docs/specs/archive.md. What is archived, and under
which id, is decided where messages are accepted; this feature reads. Left out: archives of rooms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec
import structlog
from msgspec import Meta

from tidings.base.errors import BackendError, StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.base.shares import share
from tidings.features.archive import erasing
from tidings.features.archive.folding import conversations, fold
from tidings.features.archive.results import ArchiveResultWriter, retraction_of, taken_back
from tidings.features.archive.scanning import scan
from tidings.features.archive.selection import UnknownId, bounds_of, fin_of, page_query, wanted_resource
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo, EntryReferenced, SessionBound
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.pulling import pulled
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.messages.shown import shown_body
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Archived, ArchivePage, EntryId, NoSuchEntry, PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import (
    ArchiveForm,
    ArchiveMetadata,
    ArchiveQuery,
    Landmark,
    unknown_id_error,
)
from tidings.wire.xmpp.payloads.data_form import Field, FieldKind
from tidings.wire.xmpp.payloads.references import ReferenceKind

log = structlog.get_logger("tidings.archive")


class ArchiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much an account may have, how much is answered at once, what is shown of what was taken back."""

    max_octets: Annotated[
        int,
        share(
            "Octets of the messages in the archive of one account; 0 is any number. A message that finds no "
            "room, with its sender or its recipient, is refused.",
            ge=0,
        ),
    ] = 0
    default_page: Annotated[
        int, Meta(description="Messages on a page when a client does not say how many.", ge=1, le=1_000)
    ] = 50
    maximum_page: Annotated[
        int, Meta(description="Messages on a page, whatever a client says.", ge=1, le=1_000)
    ] = 50
    page_bytes: Annotated[
        int,
        Meta(
            description="Bytes of messages on a page: it ends before it has more, but with one message at "
            "least, and tells that it is not complete.",
            ge=10_000,
        ),
    ] = 1_048_576
    retracted: Annotated[
        Literal["tombstone", "original", "erase"],
        Meta(
            description="What becomes of a message that its author takes back. `tombstone`: the archive "
            "tells that there was one, and the database keeps the original. `original`: it is shown on. "
            "`erase`: it goes from the database, unless it is held."
        ),
    ] = "tombstone"


_EXTRA_FIELDS: Final = (
    Field("from-id", kind=FieldKind.TEXT_SINGLE),
    Field("to-id", kind=FieldKind.TEXT_SINGLE),
    Field("simple", kind=FieldKind.BOOLEAN),
)
_OF_ACCOUNTS: Final = (
    ns.MAM2_EXTENDED,
    ns.MAM2_GROUPCHAT_FIELD,
    ns.FULLTEXT,
    ns.STANZA_ID,
    ns.RETRACTION0,
    ns.RETRACTION1,
    ns.RETRACTION_BY_STANZA_ID,
    ns.TIDINGS_ARCHIVE,
)
_TOMBSTONES: Final = (f"{ns.RETRACTION0}#tombstone", f"{ns.RETRACTION1}#tombstone")


class Archive(Feature):
    """Answers queries on the archives of this host's accounts, each to its owner alone."""

    spec = (
        Spec.xep(
            313, version="1.1.3", advertises=(ns.MAM2, ns.MAM1, ns.MAM2_EXTENDED, ns.MAM2_GROUPCHAT_FIELD)
        ),
        Spec.xep(59, version="1.0", advertises=(ns.RSM,)),
        Spec.xep(359, version="0.7.0", advertises=(ns.STANZA_ID,)),
        Spec.xep(
            424, version="0.4.2", advertises=(ns.RETRACTION1, ns.RETRACTION0, ns.RETRACTION_BY_STANZA_ID)
        ),
        Spec.xep(431, version="0.2.0", advertises=(ns.FULLTEXT,)),
        Spec(ns.TIDINGS_ARCHIVE, advertises=(ns.TIDINGS_ARCHIVE,), note="docs/specs/archive.md"),
    )
    Options = ArchiveOptions
    fixed_options = ("max_octets",)  # the host has it
    option_name = "archive"
    serves_archives = True

    def __init__(
        self,
        host: Host,
        ledger: Ledger,
        supervisor: Supervisor,
        pacing: Pacing,
        telemetry: Telemetry,
        options: Current[ArchiveOptions],
    ) -> None:
        host.archive_octets = options.now.max_octets
        self._ledger = ledger
        self._pacing = pacing
        self._telemetry = telemetry
        self._supervisor = supervisor
        self._options = options

    @listens(DiscoInfo)  # §8
    def describe(self, event: DiscoInfo) -> None:
        """Say to the owner of an account what its archive can do."""
        if event.node or event.entity is None or event.asker.bare != event.entity.jid:
            return
        event.features += _OF_ACCOUNTS
        if self._options.now.retracted != "original":
            event.features += _TOMBSTONES

    @handles(ArchiveQuery, kind="get")  # §4.1.6
    def show_form(self, request: Iq[ArchiveQuery]) -> Element:
        """Answer with the fields of a query."""
        return ArchiveForm.offered(request.payload.namespace, others=_EXTRA_FIELDS).encode()

    @handles(ArchiveQuery, kind="set")  # §4
    async def search(self, request: Iq[ArchiveQuery]) -> Element:
        """Send the messages of the page, in order, and then its end."""
        query, session, archive = request.payload, request.own_session, request.own_account.jid
        began = self._telemetry.now()
        await pulled(session)
        wanted, page = await self._page(archive, query)
        retractions = await self._retractions(archive, page)
        writer = ArchiveResultWriter(query, archive=archive, to=session.jid, mark=token(9))
        folds = await self._folds(archive, page.entries, retractions) if query.is_folded else None
        self._telemetry.archive_page_seconds.add(self._telemetry.now() - began)

        def results() -> Iterator[Outgoing]:
            for entry in page.entries:
                if self._options.now.retracted == "original":
                    body = entry.body
                elif wanted.words and entry.retracted is not None:
                    continue  # what was taken back is not found by its words
                else:
                    body = shown_body(entry, archive, _found(retractions, entry))
                assert body is not None  # erased entries are on no page
                folded = b"" if folds is None else folds[entry.id.position]
                yield Outgoing.of_written(*writer.message(entry, body, folded))

        await self._pacing.send(session, results())
        return fin_of(query, page, limit=wanted.limit).encode()

    @handles(ArchiveMetadata, kind="get")  # §5
    async def show_metadata(self, request: Iq[ArchiveMetadata]) -> Element:
        """Answer with the first and the last message of the archive."""
        return await self._metadata(request.own_account.jid, request.payload.namespace)

    @listens(SessionBound)  # XEP-0386 §3.2
    async def tell_metadata(self, event: SessionBound) -> None:
        """Tell the same to a client that binds by XEP-0386, which is to read what it has missed."""
        if not event.is_bind2:
            return
        try:
            event.answers.append(await self._metadata(event.session.account.jid, ns.MAM2))
        except BackendError as error:  # it has its session all the same, and asks when it reads
            log.warning("metadata_not_told", session=str(event.session.jid), reason=str(error))

    @handles(ArchiveQuery, kind="get", at=Addressee.ENTITY)
    @handles(ArchiveQuery, kind="set", at=Addressee.ENTITY)
    @handles(ArchiveMetadata, kind="get", at=Addressee.ENTITY)
    def refuse(self, request: Iq[ArchiveQuery | ArchiveMetadata]) -> Element:
        """Refuse somebody else's archive, in MongooseIM's words."""
        del request
        raise StanzaError("not-allowed", "The action is not allowed.")

    @listens(EntryReferenced)
    def erase(self, event: EntryReferenced) -> None:
        """Erase what its author takes back, where that is the policy."""
        reference = event.stored.classification.reference
        if self._options.now.retracted != "erase" or not event.stored.target or reference is None:
            return
        if reference.kind is ReferenceKind.RETRACTION:
            work = erasing.erase(self._ledger, event.account.jid, event.stored.target)
            self._supervisor.start("erase what was retracted", work)

    async def _metadata(self, archive: Jid, namespace: str) -> Element:
        ends = await self._ledger.ends(archive)
        if ends is None:
            return ArchiveMetadata(namespace=namespace).encode()
        start, end = (Landmark(str(entry.id), entry.time) for entry in ends)
        return ArchiveMetadata(start, end, namespace).encode()

    async def _page(self, archive: Jid, query: ArchiveQuery) -> tuple[PageQuery, ArchivePage]:
        """Read the page; an id that is not there is answered with the bounds of the archive (§4.3.2)."""
        options = self._options.now
        try:
            wanted = page_query(
                query,
                default_page=options.default_page,
                maximum_page=options.maximum_page,
                octets=options.page_bytes,
            )
            address = wanted_resource(query)
            if address is not None:
                return wanted, await scan(self._ledger, archive, wanted, address)
            return wanted, await self._ledger.page(archive, wanted)
        except UnknownId:
            raise unknown_id_error(bounds_of(await self._ledger.head(archive))) from None
        except NoSuchEntry as error:
            raise unknown_id_error(bounds_of(error.head)) from None

    async def _retractions(self, archive: Jid, page: ArchivePage) -> dict[int, Archived]:
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

    async def _with_pointers(self, archive: Jid, ids: tuple[EntryId, ...]) -> tuple[Archived, ...]:
        wanted = PageQuery(ids=ids, limit=len(ids), tombstones=True, counted=False, folded=True)
        try:
            return (await self._ledger.page(archive, wanted)).entries
        except NoSuchEntry:  # trimmed a moment ago: what was told of it before has to do
            return ()

    async def _folds(
        self, archive: Jid, entries: Iterable[Archived], retractions: dict[int, Archived]
    ) -> dict[int, bytes]:
        """Give what has become of each entry of the page, written."""
        entries = tuple(entries)
        markers = {peer: await self._ledger.markers(archive, peer) for peer in conversations(entries)}
        return {
            entry.id.position: fold(
                entry,
                archive,
                markers=markers.get(entry.peer, ()),
                retraction=_found(retractions, entry) or retraction_of(entry),
            ).to_bytes()
            for entry in entries
        }


def _found(retractions: Mapping[int, Archived], entry: Archived) -> Archived | None:
    """Give what took back an entry, or what the entry corrects."""
    return retractions.get(entry.id.position) or retractions.get(entry.target)
