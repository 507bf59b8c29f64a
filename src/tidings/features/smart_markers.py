"""Smart markers: how far each side of a chat has received, read and acknowledged.

Implements `esl:xmpp:smart-markers:0` of MongooseIM 6.8, as a view of the archive: the markers (XEP-0333) are
messages in it. The marks § point at docs/specs/inbox.md. Where a marker of one kind is hidden behind a newer
one of another thread, the last `SEARCHED` entries of the chat are searched for it. How far the members of a
room are is asked of the room. Left out: `keep_private`.
"""

from collections.abc import Iterable
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.events import MarkersWanted
from tidings.kernel.feature import Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Direction, EntryKind
from tidings.ports.ledger.reading import Archived, PageQuery
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.markers import Marker, MarkerKind
from tidings.wire.xmpp.payloads.smart_markers import KeptMarker, MarkersQuery

SEARCHED: Final = 500
"""How many entries of a chat are searched for markers of a thread."""

SEARCHED_OCTETS: Final = 4_194_304
"""How large they may be together."""

_KINDS: Final = {
    EntryKind.RECEIVED: MarkerKind.RECEIVED,
    EntryKind.DISPLAYED: MarkerKind.DISPLAYED,
    EntryKind.ACKNOWLEDGED: MarkerKind.ACKNOWLEDGED,
}


class SmartMarkers(Feature):
    """Tells the last markers of a chat."""

    spec = Spec(ns.SMART_MARKERS, version="MongooseIM 6.8", advertises=(ns.SMART_MARKERS,))
    serves_archives = True

    def __init__(self, ledger: Ledger, router: Router) -> None:
        self._ledger = ledger
        self._router = router

    @handles(MarkersQuery, kind="get")  # §7
    async def show(self, request: Iq[MarkersQuery]) -> Element:
        """Answer with the last marker of each kind that each side has set."""
        query, owner = request.payload, request.own_account.jid
        host = self._router.hosts.get(query.peer.domain)
        if host is not None and query.peer.local and host.hooks.has(MarkersWanted):
            event = MarkersWanted(query.peer, request.sender, query.thread)
            await until_done(host.hooks.run(event))
            return _shown(query, event.markers)
        newest = await self._ledger.markers(owner, query.peer)
        markers = newest_of(newest, owner, query.thread)
        if len(markers) < len(newest):  # one that is newer, in another thread, stands before them
            wanted = PageQuery(
                peer=query.peer,
                limit=SEARCHED,
                newest=True,
                flipped=True,
                counted=False,
                octets=SEARCHED_OCTETS,
            )
            page = await self._ledger.page(owner, wanted)
            markers = newest_of(page.entries, owner, query.thread)
        return _shown(query, markers)

    @handles(MarkersQuery, kind="set")
    def refuse(self, request: Iq[MarkersQuery]) -> None:  # noqa: ARG002  # nobody may
        """Refuse: markers are set by messages."""
        raise StanzaError("not-allowed")


def _shown(query: MarkersQuery, markers: Iterable[KeptMarker]) -> Element:
    """Answer with those markers that are younger than the client says."""
    found = sorted(markers, key=lambda marker: (marker.stamp, marker.sender, marker.kind))
    since = query.after
    shown = tuple(marker for marker in found if since is None or marker.stamp > since)
    return MarkersQuery(query.peer, query.thread, markers=shown).encode()


def newest_of(entries: Iterable[Archived], owner: Jid, thread: str | None) -> list[KeptMarker]:
    """Give, for each side and kind, the newest marker of a thread, or of none, among these entries."""
    newest: dict[tuple[Direction, EntryKind], tuple[int, KeptMarker]] = {}
    for entry in entries:
        key = entry.direction, entry.kind
        if entry.kind in _KINDS and (key not in newest or newest[key][0] < entry.id.position):
            marker = marker_of(entry, owner)
            if marker is not None and marker.thread == thread:
                newest[key] = entry.id.position, marker
    return [marker for _, marker in newest.values()]


def marker_of(entry: Archived, owner: Jid) -> KeptMarker | None:
    """Give the marker that an entry is; None where it was erased."""
    if entry.body is None:
        return None
    message = kept(entry.body)
    kind = _KINDS[entry.kind]
    child = message.child(ns.MARKERS, kind.value)
    if child is None:
        return None
    marker = Marker.decode(decode(child.raw, ns.CLIENT))
    thread = message.decode(ns.CLIENT, "thread")
    sender = owner if entry.direction is Direction.SENT else entry.peer
    return KeptMarker(sender, marker.id, kind, entry.time, None if thread is None else thread.text or None)
