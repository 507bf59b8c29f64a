"""Discovery of rooms: which there are, and what one is like (XEP-0045 §6, XEP-0030).

The marks § point at the sections of XEP-0045. Who is in a room is not told to those who are not (§6.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.public_rooms import public_rooms
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_access import may_list, may_see
from tidings.features.rooms.standing import standing
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.host import Host
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest

OWN_NICK_NODE: Final = "x-roomuser-item"
"""Under this node a room tells somebody the name that is reserved for him (§7.12)."""
DATA_VERSION: Final = f"{{{ns.TIDINGS_ROOMS}}}data_version"
"""A field of our own (XEP-0068 §3.4, docs/specs/rooms.md)."""
TRAFFIC_NODE: Final = f"{ns.MUC}#traffic"
"""Under this node a room would tell what it lets through, if it kept anything back (§18.1.1)."""
STABLE_ID: Final = f"{ns.MUC}#stable_id"
"""A message comes back with the id that its sender gave it (§7.4)."""
MOST_LISTED: Final = 1_000
"""So many rooms one answer names."""
MOST_CONTACTS: Final = 20
"""Of more owners than these none is named as whom to turn to."""


class RoomDiscovery(Feature):
    """Lists public rooms and tells what a room is like."""

    spec = (
        Spec.xep(45, version="1.35.3", advertises=(STABLE_ID,)),  # §7.4
        Spec.xep(421, version="1.0.1", advertises=(ns.OCCUPANT_ID,)),
    )
    requires = (Entrance,)

    def __init__(self, host: Host, ledger: Ledger) -> None:
        self._host = host
        self._ledger = ledger

    @listens(DiscoItems)
    async def list_rooms(self, event: DiscoItems) -> None:
        """Name the rooms that are public, a page at a time where they are many (§6.3)."""
        if event.entity is not None or event.node:
            return
        asked = event.page
        if asked.before is not None or asked.index is not None:
            raise StanzaError("feature-not-implemented", "ask for the rooms that come after one of them")
        size, is_cut = asked.size(default=MOST_LISTED, limit=MOST_LISTED), False
        after = await self._place(asked.after) if asked.after else None
        async for jid, configuration in public_rooms(self._ledger, self._host.domain, after):
            is_cut = len(event.items) >= size
            if is_cut:
                break
            event.items.append((jid, "", configuration.name or jid.local))
        is_first = after is None
        if is_cut or not is_first or (event.items and asked != PageRequest()):
            event.shown = _page(event.items, is_first=is_first, is_whole=is_first and not is_cut)

    async def _place(self, text: str) -> Jid:
        """Give the room behind which a page begins; raises `item-not-found` where there is none."""
        try:
            jid = Jid(text)
        except JidError:
            jid = None
        if jid is None or jid.domain != self._host.domain or not await self._host.kind.exists(jid):
            raise StanzaError("item-not-found", f"there is no room {text} any more: begin anew")
        return jid

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        """Tell what a room is like (§6.4)."""
        room = event.entity
        if not isinstance(room, Room) or not room.exists:
            return
        if event.node == TRAFFIC_NODE:  # §18.1.1
            raise StanzaError("service-unavailable", "the room passes on what it does not know")
        if event.node == OWN_NICK_NODE:  # §7.12
            event.known = True
            member = room.state.members.get(event.asker.bare)
            if member is not None and member.nick:
                event.identities.append(("conference", "text", member.nick))
            return
        if event.node:
            return
        configuration = room.configuration
        event.features += (ns.MUC, ns.OCCUPANT_ID, ns.AFFILIATION_VERSIONS, *features_of(configuration))
        if not may_see(room, event.asker):
            return  # what a hidden room of its members is called and talks about is theirs
        event.identities[:] = [("conference", "text", configuration.name or room.jid.local)]
        event.forms.append(_information(room, self._contacts(room, event.asker)).encode())

    def _contacts(self, room: Room, asker: Jid) -> tuple[str, ...]:
        """Give the addresses of the owners, to who may see the list of them."""
        here, mine = room.occupants.at(asker), standing(self._host, room.state, asker)
        if not may_list(room, mine, None if here is None else here.role, Affiliation.OWNER):
            return ()
        members = room.state.members.items()
        return tuple(sorted(jid.text for jid, each in members if each.affiliation is Affiliation.OWNER))


def _page(items: Sequence[tuple[Jid, str, str]], *, is_first: bool, is_whole: bool) -> Page:
    """Tell which part of the rooms is named; how many there are is known of the whole alone."""
    if not items:
        return Page()
    first, last = items[0][0].text, items[-1][0].text
    return Page(first, last, 0 if is_first else None, len(items) if is_whole else None)


def features_of(configuration: RoomConfiguration) -> tuple[str, ...]:
    """Give the features by which clients tell rooms apart (§16.3)."""
    return (
        "muc_public" if configuration.is_public else "muc_hidden",
        "muc_membersonly" if configuration.is_members_only else "muc_open",
        "muc_moderated" if configuration.is_moderated else "muc_unmoderated",
        "muc_semianonymous" if configuration.is_anonymous else "muc_nonanonymous",
        "muc_passwordprotected" if configuration.password else "muc_unsecured",
        "muc_persistent" if configuration.is_persistent else "muc_temporary",
        STABLE_ID,
        f"{ns.MUC}#self-ping-optimization",
        f"{ns.MUC}#request",
        ns.STANZA_ID,
    )


def _information(room: Room, contacts: tuple[str, ...]) -> DataForm:
    """Give the form of §16.5.4; no room has an LDAP group, a page of logs or a pubsub node."""
    configuration, subject = room.configuration, room.state.subject
    known = {
        "description": configuration.description,
        "lang": configuration.lang,
        "occupants": str(len(room.occupants)),
        "subject": "" if subject is None else decode(subject.content, ns.CLIENT).text,
        "subjectmod": "1" if configuration.may_change_subject else "0",
    }
    fields = [Field("FORM_TYPE", (f"{ns.MUC}#roominfo",), FieldKind.HIDDEN)]
    fields += (
        Field(f"muc#roominfo_{name}", (text,), FieldKind.TEXT_SINGLE) for name, text in known.items() if text
    )
    if 0 < len(contacts) <= MOST_CONTACTS:
        fields.append(Field("muc#roominfo_contactjid", contacts, FieldKind.JID_MULTI))
    if pictures := room.state.properties.pictures:  # XEP-0486 §4.3
        fields.append(Field("muc#roominfo_avatarhash", pictures, FieldKind.TEXT_MULTI))
    if digest := room.state.properties.hats.digest:  # XEP-0317 §2
        fields.append(Field("hats#hash", (digest,), FieldKind.TEXT_SINGLE))
    if version := room.state.properties.data_version:
        fields.append(Field(DATA_VERSION, (str(version),), FieldKind.TEXT_SINGLE))
    fields.append(Field("muc#maxhistoryfetch", (str(configuration.history),), FieldKind.TEXT_SINGLE))
    fields.append(Field("muc#roomconfig_changesubject", (known["subjectmod"],), FieldKind.BOOLEAN))
    return DataForm(FormKind.RESULT, tuple(fields))
