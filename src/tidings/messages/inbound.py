"""Inbound: what a client sends, one stanza after another (RFC 6120 §10.1).

- Messages that arrive together are submitted together; anything else waits until the messages before it are
  committed.
- What needs no waiting for (a ping to the server) overtakes.
- `handled` of the session's flow counts without gaps, in the order in which the stanzas came: a stanza counts
  once it and all before it are dealt with. One that has overtaken, or was refused as soon as it was read,
  leaves a mark in its place and counts when its turn comes.
- A request is not looked at before the client has taken the answers to those before it: see `Pacing`.
- A client that sends faster than the server accepts is not read from until the queue is empty again.
- The queue is the session's: what one connection has brought is dealt with even if that is lost.
- Messages that have been read are submitted even if their session ends meanwhile; what else waits then has
  nobody left to whom it matters, and counts as dealt with.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

from tidings.base.errors import StanzaError
from tidings.kernel.feature import Addressee
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.pacing import Pacing
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.messages.origin import Origin
from tidings.wire.xmpp.stanza import Stanza

_PAUSE_AT = 64
_LARGEST_BATCH = 64
_REQUESTS = {"get", "set"}


class Submitting(Protocol):
    """The router, as a queue knows it."""

    def submit(
        self, origin: Origin, stanzas: Sequence[Stanza], numbers: Sequence[int] = ()
    ) -> MaybeAwaitable:
        """Take messages of one origin that arrived together, or one presence or iq."""
        ...

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza with an error."""
        ...


class Inbound:
    """The queue between a session's client and the router."""

    __slots__ = (
        "_busy",
        "_origin",
        "_pacing",
        "_paused",
        "_router",
        "_supervisor",
        "_waiting",
        "_when_idle",
        "progress",
        "session",
    )

    def __init__(
        self, session: Session, origin: Origin, router: Submitting, supervisor: Supervisor, pacing: Pacing
    ) -> None:
        self.session = session
        self._pacing = pacing
        self._origin = origin
        self._router = router
        self._supervisor = supervisor
        self._waiting: list[Stanza | None] = []  # None: dealt with already, and not yet counted
        self._busy = False
        self._paused = False
        self._when_idle: list[Callable[[], object]] = []
        self.progress: Callable[[], object] | None = None
        """Called each time when something that had to be waited for is dealt with."""

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza that cannot be taken; who refuses it submits None in its place."""
        self._router.refuse(stanza, error)

    def submit(self, stanzas: list[Stanza | None]) -> None:
        """Take what came in one read, with the session's full JID as `from`; None for what was refused."""
        self.session.flow.received += len(stanzas)
        if self._busy:
            for stanza in stanzas:
                if stanza is not None and self._overtakes(stanza):
                    wait = self._router.submit(self._origin, (stanza,))
                    if wait is not None:
                        self._supervisor.start("overtaking", until_done(wait))
                    self._waiting.append(None)
                else:
                    self._waiting.append(stanza)
            self._throttle()
        else:
            self._waiting.extend(stanzas)
            self._go()

    @property
    def idle(self) -> bool:
        """Whether everything that came has been dealt with."""
        return not self._busy and not self._waiting

    @property
    def is_paused(self) -> bool:
        """Whether so much has come that nothing more is read for now."""
        return self._paused

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call this once when everything that came has been dealt with, which it has not yet."""
        self._when_idle.append(callback)

    async def until_idle(self) -> None:
        """Wait until everything that came has been dealt with."""
        while not self.idle:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.when_idle(functools.partial(_resolve, waiting))
            await waiting

    def _overtakes(self, stanza: Stanza) -> bool:
        if stanza.name != "iq" or stanza.kind != "get" or len(stanza.index) != 1:
            return False
        host = self.session.host
        if stanza.to is None:
            return (stanza.payload_tag, Addressee.SELF) in host.immediate
        return stanza.to == host.jid and (stanza.payload_tag, Addressee.SERVER) in host.immediate

    def _go(self) -> None:
        waiting = self._waiting
        while waiting:
            if self.session.ended:
                waiting[:] = [
                    stanza if stanza is not None and stanza.name == "message" else None for stanza in waiting
                ]
            wait, count = self._next()
            if wait is not None:
                self._busy = True
                self._supervisor.when_done("inbound", wait, functools.partial(self._finish, count))
                self._throttle()
                return
            self.session.flow.dealt_with(count)

    def _next(self) -> tuple[MaybeAwaitable, int]:
        """Submit what is at the head of the queue; tell how many places of the queue that takes up."""
        waiting = self._waiting
        first = waiting.pop(0)
        if first is None:
            return None, 1
        if first.name != "message":
            if first.name == "iq" and first.kind in _REQUESTS and not self.session.has_room():
                return self._submit_when_read(first), 1
            return self._router.submit(self._origin, (first,)), 1
        batch = [first]
        count = 1
        for stanza in waiting:
            if stanza is not None:
                if stanza.name != "message" or len(batch) == _LARGEST_BATCH:
                    break
                batch.append(stanza)
            count += 1
        numbers = () if self.session.flow.stream_key is None else self._numbers(count)
        del waiting[: count - 1]
        return self._router.submit(self._origin, batch, numbers), count

    async def _submit_when_read(self, request: Stanza) -> None:
        """Ask nothing more for a client before it has taken what it has asked for already."""
        try:
            await self._pacing.until_room(self.session)
        except StanzaError as error:
            self._router.refuse(request, error)
        else:
            await until_done(self._router.submit(self._origin, (request,)))

    def _numbers(self, count: int) -> Sequence[int]:
        """Number the messages of so many places of the queue, the first of which has been taken from it.

        0 is for one that came before counting began.
        """
        session = self.session
        first = session.flow.handled + 1 - session.flow.counted_from
        numbers = [max(first, 0)]
        if count > 1:
            others = enumerate(self._waiting[: count - 1], first + 1)
            numbers += [max(number, 0) for number, stanza in others if stanza is not None]
        return numbers

    def _finish(self, count: int) -> None:
        """The router is done, which answers its errors itself; if the server stops first, nothing counts."""
        self.session.flow.dealt_with(count)
        self._busy = False
        self._go()
        if self.progress is not None:
            self.progress()
        self._throttle()
        if self.idle and self._when_idle:
            callbacks, self._when_idle = self._when_idle, []
            for callback in callbacks:
                callback()

    def _throttle(self) -> None:
        link = self.session.link
        if link is None:
            self._paused = False  # the next connection begins unpaused
            return
        if not self._paused and len(self._waiting) >= _PAUSE_AT:
            self._paused = True
            link.pause()
        elif self._paused and not self._waiting:
            self._paused = False
            link.resume()


def _resolve(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():  # whoever waited may have given up
        waiting.set_result(None)
