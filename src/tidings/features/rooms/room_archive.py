"""Archives of rooms: who may read what was said in one, and how he is shown it (XEP-0313 §6.1.2).

What tells of members and of the configuration is left out. XEP-0313 asks for messages and subjects alone,
Prosody's mod_muc_mam keeps nothing else, and clients would take it for what is so now: Conversations lets an
`<item/>` from the bare address of the room change what it knows of its members, however old it is.
"""

from __future__ import annotations

from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.room import Room, room_of
from tidings.features.rooms.standing import is_service
from tidings.kernel.archive_view import ArchiveView
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import extended, kept
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, about_occupant

_NOTHING: Final = 1 << 62
"""A position behind which there is nothing."""
CHANGES: Final = (EntryKind.MEMBERSHIP, EntryKind.CONFIGURATION)
"""What tells of the members and of the configuration."""


def view_of(room: Room, asker: Jid) -> ArchiveView:
    """Tell what somebody may read of a room's archive; raises `StanzaError` for nothing."""
    if not room.exists:
        raise StanzaError("item-not-found", "there is no such room")
    if not is_service(room, asker):
        _check(room, asker)
    sees_addresses = may_see_addresses(room, asker)
    authors: dict[Jid, bytes] = {}

    def with_author(entry: Archived, body: bytes) -> bytes:
        sender = entry.sender
        if sender is None or sender == room.jid:
            return body
        about = authors.get(sender)
        if about is None:
            item = OccupantItem(affiliation=room.state.affiliation_of(sender).value, jid=sender)
            about = authors[sender] = about_occupant(item).to_bytes(ns.CLIENT)
        return extended(body, about)

    def matches(entry: Archived, address: Jid) -> bool:
        """Tell whether somebody has said this: an occupant, or who may be asked for by his own address."""
        if address.bare == room.jid:
            return entry.body is not None and (address.is_bare or kept(entry.body).sender == address)
        if not sees_addresses:
            raise StanzaError("forbidden", "only moderators may ask for real addresses in this room")
        return entry.sender == address.bare

    return ArchiveView(
        archive=room.jid,
        above=first_shown(room, asker.bare),
        without=CHANGES,
        shown=with_author if sees_addresses else None,
        matches=matches,
    )


async def freshened(room: Room, router: Router, ledger: Ledger) -> Room:
    """Give a room as it is kept now, which another node may have changed. Raises `BackendError`."""
    seats = router.seats
    if seats is None or seats.is_here(room.jid):
        return room
    if room.exists and room.state.version == (await ledger.head(room.jid)).version:
        return room
    directory = router.hosts[room.jid.domain].directory
    directory.forget(room.jid)
    return room_of(await directory.load(room.jid))


def may_see_addresses(room: Room, asker: Jid) -> bool:
    """Tell whether somebody may know the real addresses of those who speak in the room."""
    if not room.configuration.is_anonymous or room.state.affiliation_of(asker.bare).is_staff:
        return True
    occupant = room.occupants.at(asker)
    return is_service(room, asker) or (occupant is not None and occupant.role is Role.MODERATOR)


def first_shown(room: Room, jid: Jid) -> int:
    """Give the position behind which a bare JID sees what was said; 0 for everything."""
    if room.configuration.history_visibility == "all" or is_service(room, jid):
        return 0
    member = room.state.members.get(jid)
    if member is None or not member.has_joined:
        return _NOTHING
    return 0 if member.affiliation.is_staff else member.joined


def _check(room: Room, asker: Jid) -> None:
    """Let in who may enter now, or raise why not, in the words of the entrance (XEP-0045 §7.2)."""
    configuration, affiliation = room.configuration, room.state.affiliation_of(asker.bare)
    if configuration.is_locked and affiliation is not Affiliation.OWNER:
        raise StanzaError("item-not-found", "the room is not ready yet")
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden", "you are banned from this room")
    if affiliation is not Affiliation.NONE:
        return
    if configuration.is_members_only:
        raise StanzaError("forbidden", "the room is for its members")
    is_present = bool(room.occupants.of(asker.bare))
    if configuration.password and not is_present:
        raise StanzaError("forbidden", "the room asks for a password: enter it first")
    if configuration.history_visibility == "joined":
        raise StanzaError("forbidden", "what was said in this room is for its members")
