"""Pacing: an answer of many parts goes out no faster than its client takes it.

Nobody is ended for what he has asked for. An answer may fill half of what may wait for a client; the other
half is left to what it is sent unasked. Then the rest waits until the client has read, and acknowledged where
it counts. A client that takes nothing for a while is answered with an error, and may ask again; so is one
that loses its connection meanwhile, since it can resume its session only when its requests are dealt with.

How much waits is looked at now and then, the less often the longer nothing moves: that costs less than
telling of every octet that leaves.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable
from typing import Final

from tidings.base.errors import StanzaError
from tidings.kernel.clock import Clock
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Session

STRETCH_OCTETS: Final = 131_072
"""After so many octets of an answer others have their turn, and what was written leaves."""

PATIENCE_SECONDS: Final = 60.0
"""So long an answer waits for a client that takes nothing."""

_LOOK_OCTETS: Final = 16_384
"""After so many octets it is looked at whether there is room for more."""

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5


class Pacing:
    """Holds back answers until their clients have taken what they were sent before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def send(self, session: Session, parts: Iterable[Outgoing]) -> None:
        """Send the parts of an answer in order, each when there is room for it.

        Raises `StanzaError` where the session has ended, or its client takes nothing.
        """
        octets, unlooked = 0, _LOOK_OCTETS
        for part in parts:
            size = part.octets
            octets += size
            unlooked += size
            if unlooked >= _LOOK_OCTETS:
                if octets > STRETCH_OCTETS or not session.has_room(size):
                    octets = size
                    await asyncio.sleep(0)
                    await self.until_room(session, size)
                unlooked = 0
            session.send_out(part)

    async def until_room(self, session: Session, octets: int = 0) -> None:
        """Wait until a part of an answer may be sent that is so large; raises `StanzaError`."""
        pause, waited, before = _FIRST_PAUSE, 0.0, session.backlog
        if session.link is not None and not session.has_room(octets):
            session.link.request_ack()
        while not session.has_room(octets):
            if session.ended:
                raise StanzaError("recipient-unavailable", "the session has ended")
            if session.link is None:  # its client takes nothing before it is back, and then it asks again
                raise StanzaError("resource-constraint", "the connection was lost meanwhile")
            if waited >= PATIENCE_SECONDS or (waited and _is_stuck(session)):
                raise StanzaError("resource-constraint", "read and acknowledge what you were sent before")
            await self._sleep(pause)
            waited += pause
            pause = min(pause * 2, _LONGEST_PAUSE)
            backlog = session.backlog
            if backlog < before:
                pause, waited = _FIRST_PAUSE, 0.0
            before = backlog

    async def _sleep(self, seconds: float) -> None:
        moment: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, functools.partial(_resolve, moment))
        try:
            await moment
        finally:
            timer.cancel()


def _is_stuck(session: Session) -> bool:
    """Tell whether the acknowledgements that are waited for stand behind requests that wait for them."""
    return session.flow.window is not None and session.inbound.is_paused


def _resolve(moment: asyncio.Future[None]) -> None:
    if not moment.done():
        moment.set_result(None)
