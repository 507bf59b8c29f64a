"""Absent members: what a room tells of people who are something else now and not in it (XEP-0045 §9, §10).

One message tells of all who were changed together, since a request may be about hundreds; a client that
follows versions is told by which the whole begins and ends (XEP-0463 §5.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Role
from tidings.features.rooms.affiliation_version import VersionStep
from tidings.features.rooms.room import Room
from tidings.wire.xmpp.payloads.muc_user import OccupantItem, VersionMark, about_occupant
from tidings.wire.xmpp.stanza import Stanza

OCTETS_OF_MESSAGE: Final = 65_536
"""So long the items of one message are about, which every server takes; what is left has another one."""
_ITEM: Final = len('<item affiliation="outcast" role="none" jid=""/>')


def told_of_absent(room: Room, jids: Iterable[Jid], steps: Mapping[Jid, VersionStep]) -> Iterator[Stanza]:
    """Give the messages that tell what people are now, whose steps follow each other."""
    for part in _parts(jids):
        items = (
            OccupantItem(affiliation=room.state.affiliation_of(jid).value, role=Role.NONE.value, jid=jid)
            for jid in part
        )
        about = about_occupant(*items, version=_versions(room, [steps[jid] for jid in part if jid in steps]))
        yield Stanza.build("message", sender=room.jid, content=(about,))


def _parts(jids: Iterable[Jid]) -> Iterator[Sequence[Jid]]:
    part: list[Jid] = []
    octets = 0
    for jid in jids:
        octets += _ITEM + len(jid.xml)
        if part and octets > OCTETS_OF_MESSAGE:
            yield part
            part, octets = [], _ITEM + len(jid.xml)
        part.append(jid)
    if part:
        yield part


def _versions(room: Room, steps: Sequence[VersionStep]) -> VersionMark | None:
    """Give what is told of versions, where somebody has asked for it."""
    if not steps or not room.occupants.asking:
        return None
    return VersionMark(since=steps[0].since, until=steps[-1].until)
