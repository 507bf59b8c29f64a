"""Nick conflicts: a name is one person's in a room, and so is what looks like it (XEP-0045 §7.2.8, §17.1)."""

from __future__ import annotations

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.room import Room, RoomState


def check_free(room: Room, state: RoomState, jid: Jid, nick: str) -> None:
    """Make sure that a name is nobody else's in a room of which this is kept, or raise `conflict`.

    Members have theirs for good, occupants as long as they are there.
    """
    if state.holder_of(nick) not in {None, jid}:
        raise StanzaError("conflict", f"somebody else is called {nick} here")
    other = room.occupants.looks.like(nick, jid) or state.looks.like(nick, jid)
    if other == nick:
        raise StanzaError("conflict", f"somebody else is called {nick} here")
    if other:
        raise StanzaError("conflict", f"{nick} looks like {other}, as somebody else is called here")
