"""Room claims: what nobody but a room says falls from what people send through it.

Clients believe what comes from the address of a room: status codes, who somebody is, that a message was taken
back by a moderator, or that the list of members has changed. Stanza ids and delays in the name of a room fall
on every message's way (`payloads/arrival.py`), and here from presences.
"""

from __future__ import annotations

from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.presence_writing import written_by_rooms
from tidings.features.rooms.room import Occupant, Room
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import without_forgeries
from tidings.wire.xmpp.stanza import Child, Stanza

_MODERATED: Final = "moderated"
_CLAIMS: Final = written_by_rooms | {
    f"{ns.MODERATION} {_MODERATED}",
    f"{ns.RETRACTION0} retracted",
    f"{ns.RETRACTION1} retracted",
    f"{ns.MUC_LIGHT_AFFILIATIONS} x",
    f"{ns.MUC_LIGHT_CONFIGURATION} x",
    f"{ns.MUC_LIGHT_DESTROY} x",
    f"{ns.TIDINGS_MUC_LIGHT} kicked",
}
_TAKING_BACK: Final = frozenset({f"{ns.RETRACTION1} retract", f"{ns.FASTENING} apply-to"})
"""In these a moderator is named (XEP-0425)."""
_LOOKED_AT: Final = _CLAIMS | _TAKING_BACK


def without_room_claims(stanza: Stanza) -> Stanza:
    """Give what somebody has sent without what only the room may say; the stanza itself, nearly always."""
    for tag, _ in stanza.index:
        if tag in _LOOKED_AT:
            return _cleaned(stanza)
    return stanza


def presence_without_claims(presence: Stanza, room: Jid) -> Stanza:
    """Give the presence of an occupant without what only the room may say."""
    return without_forgeries(without_room_claims(presence), room)


def shown_as_said(room: Room, occupant: Occupant, message: Stanza) -> Stanza:
    """Give a message, which claims nothing in the name of the room, as the room shows it to everybody."""
    named = message.replace(sender=room.address_of(occupant.nick), to=None)
    id_ = b'<occupant-id xmlns="%b" id="%b"/>' % (ns.OCCUPANT_ID.encode(), occupant.id.encode())
    return named.extended(((f"{ns.OCCUPANT_ID} occupant-id", 0),), id_)


def _cleaned(stanza: Stanza) -> Stanza:
    children = stanza.children
    moderated = [each for each in children if _tag(each) in _TAKING_BACK and b"moderated" in each.raw]
    if not moderated:
        return stanza.replace(drop=lambda namespace, name: f"{namespace} {name}" in _CLAIMS)
    kept: list[Element | bytes] = []
    for child in children:
        if _tag(child) not in _TAKING_BACK:
            continue
        if child not in moderated:
            kept.append(child.raw)
            continue
        element = decode(child.raw, ns.CLIENT)
        left = [each for each in element.children if each.name != _MODERATED]
        if left or child.namespace == ns.RETRACTION1:
            kept.append(Element(element.name, element.namespace, element.attributes, *left))
    return stanza.replace(drop=lambda namespace, name: f"{namespace} {name}" in _LOOKED_AT, append=kept)


def _tag(child: Child) -> str:
    return f"{child.namespace} {child.name}"
