"""Room change: what becomes of a room, and the events that tell both doors of it.

A room has two doors, MUC and MUC Light, and each tells of a change in a form of its own. Whoever changes a
room through one of them need not know the other, which listens to these events on the host of the room.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation_version import VersionStep
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.room import Membership, Room, Subject
from tidings.kernel.hooks import Fact
from tidings.wire.xml.element import Element


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a room."""

    told: Element
    """What the archive tells of it, in a message of the room."""
    members: Mapping[Jid, Membership] = {}
    """By bare JID, what somebody is from now on; an affiliation of none removes a member."""
    steps: Mapping[Jid, VersionStep] = {}
    """The versions of the affiliations before and after, for each who is something else; filled in when it is
    made."""
    configuration: RoomConfiguration | None = None
    """What is set from now on; None leaves it."""
    subject: Subject | None = None
    """What the room is talking about from now on; None leaves it."""
    properties: Mapping[str, bytes] = {}
    """Other properties of the archive, by name, from now on; an empty value removes one."""
    fields: Mapping[str, str] | None = None
    """What was set by MUC Light, by the names of its fields, whether it was something else before or not."""
    door: str = ""
    """The domain under which it was asked for, where that is not the room's own."""
    id: str | None = None
    """The id of the request, which those who are told of it see, where the door has it so."""
    by: Jid | None = None
    """The bare JID of who has asked for it, as far as it matters."""


class RoomChanged(Fact):
    """What is kept of a room has changed.

    It is told in the order of the changes, before the room can be changed again: a handler that wants to
    change it starts a task for that.
    """

    room: Room
    """As it is now."""
    change: Change
    members: Mapping[Jid, Membership]
    """What those were before whom it is about, as far as they were anything."""
    configuration: RoomConfiguration | None
    """What was set before; None for a room that has just been made."""
    version: int
    """The version of its archive before."""


class RoomDestroyed(Fact):
    """A room exists no more; who was in it is still in memory."""

    room: Room
    by: Jid
    id: str | None = None
    """The id of the request."""
