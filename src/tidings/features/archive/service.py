"""Archive: accounts read their own history, and rooms give theirs, filtered, in pages, either way.

Implements XEP-0313 1.1.3 with XEP-0059 1.0 (`urn:xmpp:mam:1` too), text search (XEP-0431 0.2.0), tombstones
(XEP-0424 0.4.2 and its older forms) and the fields that MongooseIM adds; the marks § point at the sections of
XEP-0313. Folding and the bounds in errors are our own: docs/specs/archive.md. What is archived, and under
which id, is decided where messages are accepted; this feature reads. Who may read an archive, and what of it,
is said by the kind of its entity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import structlog

from tidings.base.errors import BackendError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.archive import erasing
from tidings.features.archive.options import ArchiveOptions
from tidings.features.archive.page_reader import PageReader, found_for
from tidings.features.archive.results import ArchiveResultWriter
from tidings.features.archive.selection import fin_of
from tidings.kernel.account import Account
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo, EntryReferenced, EntryRetracted, SessionBound
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.pacing import Pacing
from tidings.kernel.pulling import pulled
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.messages.router import Router
from tidings.messages.shown import shown_body
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveForm, ArchiveMetadata, ArchiveQuery, Landmark
from tidings.wire.xmpp.payloads.data_form import Field, FieldKind
from tidings.wire.xmpp.payloads.references import ReferenceKind

log = structlog.get_logger("tidings.archive")


_EXTRA_FIELDS: Final = (
    Field("from-id", kind=FieldKind.TEXT_SINGLE),
    Field("to-id", kind=FieldKind.TEXT_SINGLE),
    Field("simple", kind=FieldKind.BOOLEAN),
)
_OF_ARCHIVES: Final = (
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
    """Answers queries on the archives of this host's entities to those who may read them."""

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
        router: Router,
        supervisor: Supervisor,
        pacing: Pacing,
        telemetry: Telemetry,
        options: Current[ArchiveOptions],
    ) -> None:
        host.archive_octets = options.now.max_octets
        self._host = host
        self._ledger = ledger
        self._router = router
        self._reader = PageReader(ledger, supervisor, options)
        self._pacing = pacing
        self._telemetry = telemetry
        self._supervisor = supervisor
        self._options = options

    @listens(DiscoInfo)  # §8
    def describe(self, event: DiscoInfo) -> None:
        """Say what an archive can do: that of an account to its owner, that of a room to everybody."""
        entity = event.entity
        if event.node or entity is None or not entity.exists:
            return
        if isinstance(entity, Account) and event.asker.bare != entity.jid:
            return
        event.features += _OF_ARCHIVES
        if self._options.now.retracted != "original":
            event.features += _TOMBSTONES

    @handles(ArchiveQuery, kind="get", at=Addressee.SELF | Addressee.ENTITY)  # §4.1.6
    async def show_form(self, request: Iq[ArchiveQuery]) -> Element:
        """Answer with the fields of a query."""
        await self._view(request)
        return ArchiveForm.offered(request.payload.namespace, others=_EXTRA_FIELDS).encode()

    @handles(ArchiveQuery, kind="set", at=Addressee.SELF | Addressee.ENTITY)  # §4
    async def search(self, request: Iq[ArchiveQuery]) -> Element:
        """Send the messages of the page, in order, and then its end."""
        query, session, shown_as = request.payload, request.session, request.to.bare
        began = self._telemetry.now()
        view = await self._view(request)
        if session is not None and session.account is request.entity:
            await pulled(session)
        wanted, page = await self._reader.page(view, query)
        retractions = await self._reader.retractions(view.archive, page)
        writer = ArchiveResultWriter(query, archive=shown_as, to=request.sender, mark=token(9))
        folds = await self._reader.folds(view.archive, page.entries, retractions) if query.is_folded else None
        self._telemetry.archive_page_seconds.add(self._telemetry.now() - began)

        def results() -> Iterator[Outgoing]:
            for entry in page.entries:
                if self._options.now.retracted == "original":
                    body = entry.body
                elif wanted.words and entry.retracted is not None:
                    continue  # what was taken back is not found by its words
                else:
                    body = shown_body(entry, view.archive, found_for(retractions, entry))
                assert body is not None  # erased entries are on no page
                if view.shown is not None:
                    body = view.shown(entry, body)
                folded = b"" if folds is None else folds[entry.id.position]
                yield Outgoing.of_written(*writer.message(entry, body, folded))

        if session is not None:
            await self._pacing.send(session, results())
        else:  # a page is all that is under way to another server at a time
            for result in results():
                await until_done(self._router.pass_on(result.stanza, request.sender))
        return fin_of(query, page, limit=wanted.limit).encode()

    @handles(ArchiveMetadata, kind="get", at=Addressee.SELF | Addressee.ENTITY)  # §5
    async def show_metadata(self, request: Iq[ArchiveMetadata]) -> Element:
        """Answer with the first and the last message of the archive."""
        return await self._metadata(await self._view(request), request.payload.namespace)

    @listens(SessionBound)  # XEP-0386 §3.2
    async def tell_metadata(self, event: SessionBound) -> None:
        """Tell the same to a client that binds by XEP-0386, which is to read what it has missed."""
        if not event.is_bind2:
            return
        try:
            own = ArchiveView(archive=event.session.account.jid)
            event.answers.append(await self._metadata(own, ns.MAM2))
        except BackendError as error:  # it has its session all the same, and asks when it reads
            log.warning("metadata_not_told", session=str(event.session.jid), reason=str(error))

    @listens(EntryReferenced)
    def on_referenced(self, event: EntryReferenced) -> None:
        """Erase what its author takes back from an account's archive, where that is the policy."""
        reference = event.stored.classification.reference
        if event.stored.target and reference is not None and reference.kind is ReferenceKind.RETRACTION:
            self._erase(event.account.jid, event.stored.target)

    @listens(EntryRetracted)
    def on_retracted(self, event: EntryRetracted) -> None:
        """Do the same in a room's archive."""
        self._erase(event.entity.jid, event.position)

    def _erase(self, archive: Jid, position: int) -> None:
        if self._options.now.retracted == "erase":
            work = erasing.erase(self._ledger, archive, position)
            self._supervisor.start("erase what was retracted", work)

    async def _view(self, request: Iq[ArchiveQuery] | Iq[ArchiveMetadata]) -> ArchiveView:
        """Find out what the asker may read; raises `StanzaError` for nothing."""
        assert request.entity is not None  # of handlers at SELF and ENTITY
        return await self._host.kind.archive_view(request.entity, request.sender)

    async def _metadata(self, view: ArchiveView, namespace: str) -> Element:
        ends = await self._reader.ends(view)
        if ends is None:
            return ArchiveMetadata(namespace=namespace).encode()
        start, end = (Landmark(str(entry.id), entry.time) for entry in ends)
        return ArchiveMetadata(start, end, namespace).encode()
