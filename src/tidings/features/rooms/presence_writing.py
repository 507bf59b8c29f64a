"""How rooms show occupants: presence with what they are in the room (XEP-0045 §7.2, XEP-0421)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.affiliation_version import VersionStep
from tidings.features.rooms.room import Occupant, Room, WrittenPresence
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.muc_user import (
    Destruction,
    OccupantItem,
    Status,
    VersionMark,
    about_occupant,
)
from tidings.wire.xmpp.stanza import Stanza

written_by_rooms: Final = frozenset(
    {f"{ns.MUC} x", f"{ns.MUC_USER} x", f"{ns.OCCUPANT_ID} occupant-id", f"{ns.HATS} hats"}
)
"""What nobody but the room says: it falls from what occupants send."""
_NOT_SHOWN: Final = written_by_rooms | {f"{ns.PREAUTH} preauth"}
"""And what is between an occupant and the room."""


def presence_of(
    room: Room,
    occupant: Occupant,
    presence: Stanza,
    *,
    jid: Jid | None = None,
    statuses: Iterable[int] = (),
    actor: str = "",
    reason: str = "",
    step: VersionStep | None = None,
) -> Stanza:
    """Give the presence of an occupant as the room shows it; with the real address where `jid` is one.

    `step` is that of the affiliations, where the occupant's has changed.
    """
    affiliation = room.state.affiliation_of(occupant.jid)
    item = OccupantItem(
        affiliation=affiliation.value, role=occupant.role.value, jid=jid, actor=actor, reason=reason
    )
    statuses = tuple(statuses)
    version = _mark_of(room, step)
    if Status.SELF in statuses and step is None and room.occupants.asking:
        version = VersionMark(until=room.state.affiliations.text)
    about = about_occupant(item, statuses=statuses, version=version)
    hats = room.state.properties.hats.of(occupant.jid)  # XEP-0317 §3.1
    told = (Element("hats", ns.HATS, None, *(hat.encode() for hat in hats)),) if hats else ()
    return _around(room.address_of(occupant.nick), presence, occupant.id, about, *told)


def known_presence_of(room: Room, occupant: Occupant, jid: Jid | None) -> Stanza:
    """Give the presence of an occupant as it is, for somebody who enters; written once for all who do.

    Of a thousand occupants this takes a fifth of the time.
    """
    presence, nick, role = occupant.presence, occupant.nick, occupant.role
    state = room.state
    of = (nick, jid, state.affiliation_of(occupant.jid), role, state.properties.hats.of(occupant.jid))
    known = occupant.written.get(jid is not None)
    if known is not None and known.presence is presence and known.of == of:
        return known.shown
    shown = presence_of(room, occupant, presence, jid=jid)
    occupant.written[jid is not None] = WrittenPresence(shown, presence, of)
    return shown


def absence_of(  # each is told
    room: Room,
    occupant: Occupant,
    presence: Stanza | None = None,
    *,
    affiliation: Affiliation | None = None,
    jid: Jid | None = None,
    statuses: Iterable[int] = (),
    before: str = "",
    actor: str = "",
    reason: str = "",
    destroyed: Destruction | None = None,
    step: VersionStep | None = None,
) -> Stanza:
    """Give the presence by which the room shows that an occupant is there no more, at least by a name.

    `presence` is what the occupant has said at leaving; `before` the name that he had who goes on by another.
    """
    if affiliation is None:
        affiliation = Affiliation.NONE if destroyed is not None else room.state.affiliation_of(occupant.jid)
    item = OccupantItem(
        affiliation=affiliation.value,
        role=(occupant.role if before else Role.NONE).value,
        jid=jid,
        nick=occupant.nick if before else "",
        actor=actor,
        reason=reason,
    )
    gone = Stanza.build("presence", kind="unavailable") if presence is None else presence
    about = about_occupant(item, statuses=statuses, destroyed=destroyed, version=_mark_of(room, step))
    return _around(room.address_of(before or occupant.nick), gone, occupant.id, about)


def _mark_of(room: Room, step: VersionStep | None) -> VersionMark | None:
    """Give what is told of versions, where somebody has asked for it."""
    is_told = step is not None and room.occupants.asking
    return None if step is None or not is_told else VersionMark(since=step.since, until=step.until)


def stranger_kicked(room: Room, presence: Stanza) -> Stanza:
    """Give the answer to who says something of himself to a room that he is not in (§7.2.18)."""
    item = OccupantItem(
        affiliation=Affiliation.NONE.value, role=Role.NONE.value, reason="You are not in the room."
    )
    about = about_occupant(item, statuses=(Status.SELF, Status.KICKED, Status.ERROR))
    assert presence.to is not None
    sender = room.jid.with_resource(presence.to.resource)
    return Stanza.build("presence", kind="unavailable", sender=sender, to=presence.sender, content=(about,))


def _around(address: Jid, presence: Stanza, id_: str, *told: Element) -> Stanza:
    return presence.replace(
        sender=address,
        to=None,
        drop=lambda namespace, name: f"{namespace} {name}" in _NOT_SHOWN,
        append=(Element("occupant-id", ns.OCCUPANT_ID, {"id": id_}), *told),
    )
