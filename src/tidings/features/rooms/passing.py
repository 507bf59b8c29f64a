"""Passing: requests from one occupant to another, and their answers, under the names of the room.

A ping of somebody's own name is answered by the room itself: it tells a client whether it is still in the
room (XEP-0410). What asks for a vCard goes to the account, other requests to the device that spoke last.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms.room import Occupant, Room
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.slots import Slot
from tidings.messages.router import Router
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

MOST_WAITING: Final = 1_000
"""So many requests of a room wait for an answer; beyond it the oldest are forgotten."""
_PING: Final = (ns.PING, "ping")
_DISCO: Final = ((ns.DISCO_INFO, "query"), (ns.DISCO_ITEMS, "query"))
_VCARD: Final = (ns.VCARD, "vCard")


class _Passed(NamedTuple):
    asker: Jid
    asked: Jid
    nick: str
    """What was asked is called."""
    id: str | None


_WAITING: Final[Slot[OrderedDict[str, _Passed]]] = Slot("rooms.passing", factory=OrderedDict)


class Passing:
    """Passes requests on in the rooms of one domain."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def take(self, room: Room, stanza: Stanza) -> MaybeAwaitable:
        """Take an iq for an occupant; raises `StanzaError` to refuse."""
        assert stanza.sender is not None
        assert stanza.to is not None
        if stanza.kind in {"result", "error"}:
            return self._take_back(room, stanza)
        asker, asked = room.occupants.at(stanza.sender), room.occupants.called(stanza.to.resource)
        if asker is None:
            is_disco = stanza.payload_tag in _DISCO  # XEP-0045 §6.6
            raise StanzaError("bad-request" if is_disco else "not-acceptable", "you are not in the room")
        if asked is None:
            raise StanzaError("item-not-found", f"nobody here is called {stanza.to.resource}")
        if asked is asker and stanza.payload_tag == _PING:
            return self._router.route(stanza.result())
        return self._pass_on(room, stanza, asker, asked)

    def _pass_on(self, room: Room, stanza: Stanza, asker: Occupant, asked: Occupant) -> MaybeAwaitable:
        assert stanza.sender is not None
        to = asked.jid if stanza.payload_tag == _VCARD else next(reversed(asked.devices))
        waiting, id_ = room[_WAITING], token(12)
        waiting[id_] = _Passed(stanza.sender, to, asked.nick, stanza.id)
        while len(waiting) > MOST_WAITING:
            waiting.popitem(last=False)
        return self._router.route(stanza.replace(sender=room.address_of(asker.nick), to=to, id=id_))

    def _take_back(self, room: Room, stanza: Stanza) -> MaybeAwaitable:
        """Take an answer to who has asked; one that nobody waits for goes nowhere."""
        passed = room[_WAITING].get(stanza.id or "")
        if passed is None or passed.asked != stanza.sender:
            return None
        del room[_WAITING][stanza.id or ""]
        answer = stanza.replace(sender=room.address_of(passed.nick), to=passed.asker, id=passed.id)
        return self._router.route(answer)
