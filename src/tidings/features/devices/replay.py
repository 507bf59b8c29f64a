"""Replay: a session reads what its device has missed from the archive, until it is up with what is live.

A replay is a chain of short tasks. Each reads pages and sends what is meant for the device, and ends when
nothing is left or the portion is full; the acknowledgement of the portion begins the next one. `Progress.run`
is the token of the task that may act; whoever takes it away stops the replay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from tidings.base.clock import SECOND
from tidings.base.errors import BackendError
from tidings.base.ids import token
from tidings.features.devices.cursors import Cursors, start_of
from tidings.features.devices.keeping import CursorKeeper
from tidings.features.devices.progress import PROGRESS, Progress, is_meant_for
from tidings.kernel.clock import Clock
from tidings.kernel.events import DeviceCaughtUp
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import CursorMove, LedgerBatch
from tidings.ports.ledger.reading import Archived, PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept, stamped
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.devices")

RETRY_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 60.0
"""So long a connected client may take to acknowledge a portion before the next one is sent all the same."""
UNCERTAIN: Final = 10 * SECOND
"""So much later than a device has gone, at most, it is written that it was seen."""
PORTION_OCTETS: Final = 262_144
PAGE: Final = 100
PAGE_OCTETS: Final = 2 * PORTION_OCTETS


class Replay:
    """Replays archives to the sessions of one host, so many messages at a time as `portion` says then."""

    def __init__(
        self,
        ledger: Ledger,
        cursors: Cursors,
        keeper: CursorKeeper,
        clock: Clock,
        supervisor: Supervisor,
        portion: Callable[[], int],
    ) -> None:
        self.ledger = ledger
        self._cursors = cursors
        self._keeper = keeper
        self._clock = clock
        self._supervisor = supervisor
        self._portion = portion

    def halt(self, session: Session) -> None:
        """End whatever replay of the session is under way; what is archived goes to it live again."""
        session.is_catching_up = False
        session[PROGRESS].stop()

    def go_on(self, session: Session) -> None:
        """Begin, or go on with what is left, in a task of its own."""
        progress = session[PROGRESS]
        if progress.timer is not None:
            progress.timer.cancel()
            progress.timer = None
        progress.awaited = progress.ping = None
        progress.run = run = object()
        self._supervisor.start("replay", self._replay(session, progress, run))

    def doubt(self, session: Session) -> None:
        """Note that the archive may have got messages that were not delivered; a live session reads them."""
        progress = session[PROGRESS]
        progress.is_doubtful = True
        if progress.is_current or progress.run is not None:
            self.halt(session)
            progress.is_current = False
            progress.first_missed = progress.upto + 1
            session.is_catching_up = True
            self.go_on(session)

    def fall_behind(self, session: Session) -> None:
        """Send nothing more live: the rest is read from the archive, once the client has what it was sent."""
        progress = session[PROGRESS]
        self.halt(session)
        progress.is_current = False
        progress.first_missed = progress.upto + 1
        session.is_catching_up = True
        log.info("fell_behind", session=str(session.jid), octets=session.backlog)
        self._await_client(session, progress)

    async def _replay(self, session: Session, progress: Progress, run: object) -> None:
        is_foreseen = False
        try:
            if not progress.is_started:
                await self._find_start(session, progress, run)
            if progress.is_doubtful:
                await self._until_certain(session, progress)
            await self._catch_up(session, progress, run)
            is_foreseen = True
        except BackendError as error:
            is_foreseen = True
            log.error("replay_delayed", session=str(session.jid), reason=str(error))
            if progress.run is run:
                again = functools.partial(self.go_on, session)
                progress.timer = self._clock.call_later(RETRY_SECONDS, again)
        finally:
            if not is_foreseen and progress.run is run:
                self.halt(session)  # a bug or the end of the server: at least what is live goes on
                session.go_live()

    async def know(self, session: Session) -> None:
        """Find out how far the device is, before its client hears that it is bound.

        A new one is durable then: were the server killed before the device acknowledges anything, others may
        be further when it comes again, and what it has missed would seem to have been seen.
        """
        progress = session[PROGRESS]
        try:
            await self._find_start(session, progress, progress.run)
        except BackendError as error:  # the replay tries again
            log.error("device_unknown", session=str(session.jid), reason=str(error))

    async def _find_start(self, session: Session, progress: Progress, run: object) -> None:
        account = session.account.jid
        progress.start_reading()
        start = await start_of(self.ledger, self._cursors, account, progress.device)
        if start.is_new:
            move = CursorMove(archive=account, device=progress.device, position=start.position)
            await self.ledger.commit(LedgerBatch(cursors=(move,)))
        else:
            self._cursors.move(account, progress.device, start.position)  # so that it has been seen
        if progress.run is not run:
            return
        progress.is_started = True
        progress.away_since = max(start.seen - UNCERTAIN, 0)
        progress.pulls = progress.pulls or start.pulls
        if progress.pulls:  # it is sent what has come since it is there, and nothing from before
            missed = progress.first_missed
            progress.upto = start.position if missed is None else missed - 1
        else:
            progress.upto = max(progress.upto, start.position)
        progress.cursor = progress.noted = start.position
        self._keeper.note(session)

    async def _until_certain(self, session: Session, progress: Progress) -> None:
        """Wait until all that the ledger was asked before has been done, or never will be.

        Its transactions come one after another: once it has taken this one, no earlier one is open.
        """
        progress.is_doubtful = False
        account = session.account.jid
        move = CursorMove(
            archive=account, device=progress.device, position=progress.cursor, pulls=progress.pulls
        )
        try:
            await self.ledger.commit(LedgerBatch(cursors=(move,)))
        except BackendError:
            progress.is_doubtful = True
            raise

    async def _catch_up(self, session: Session, progress: Progress, run: object) -> None:
        """Send page after page, until there is nothing more or the portion is full."""
        if progress.run is run and progress.pulls and progress.first_missed is None:
            self._arrive(session, progress)
        room = _Room(self._portion())
        while progress.run is run and session.is_catching_up:
            progress.start_reading()
            query = PageQuery(
                above=progress.upto, offline_only=True, limit=PAGE, counted=False, octets=PAGE_OCTETS
            )
            page = await self.ledger.page(session.account.jid, query)
            if progress.run is not run:
                return
            progress.is_reading = False
            if not self._send(session, progress, page.entries, room):
                self._await_client(session, progress)
                return
            if page.is_complete and not progress.overflowed:
                self._keeper.went(session, progress, page.head.position)
                self._arrive(session, progress)

    def _send(self, session: Session, progress: Progress, entries: Iterable[Archived], room: _Room) -> bool:
        """Send what of a page is meant for the device; tells whether there was room for all of it."""
        account = session.account
        for entry in entries:
            position = entry.id.position
            if (
                entry.body is not None
                and entry.retracted is None
                and position not in progress.early
                and is_meant_for(entry, session.jid.resource, account.resources)
            ):
                if not room.take(len(entry.body)):
                    return False
                stanza = kept(entry.body)
                session.release(position)
                session.send(stamped(stanza, account.jid, str(entry.id), entry.time, is_live=False))
            self._keeper.went(session, progress, position)
        return True

    def _arrive(self, session: Session, progress: Progress) -> None:
        """The session has everything up to now: send what came while the last page was read, and go live.

        Nothing is awaited here, so nothing can come between.
        """
        held = [(position, stanza) for position, stanza in progress.held if position > progress.upto]
        progress.stop()
        progress.is_current = True
        for position, stanza in held:
            session.release(position)
            session.send(stanza)
            self._keeper.went(session, progress, position)
        session.replayed_upto = progress.upto
        progress.early.clear()
        session.go_live()
        since, progress.away_since = progress.away_since, None
        if since is not None and not progress.pulls:
            caught_up = session.host.hooks.tell(DeviceCaughtUp(session, since))
            if caught_up is not None:
                self._supervisor.start("caught up", until_done(caught_up))

    def _await_client(self, session: Session, progress: Progress) -> None:
        """Wait until the client has what it was sent; one that does not count is asked for a sign of life."""
        if session.flow.window is not None and not len(session.flow.window):
            self.go_on(session)  # it has acknowledged the portion while the next page was read
            return
        progress.awaited = session.flow.sent
        if not progress.counts:
            progress.ping = token(6)
            ping = Stanza.build(
                "iq",
                kind="get",
                to=session.jid,
                sender=session.host.jid,
                id=progress.ping,
                content=(Element("ping", ns.PING),),
            )
            session.send(ping)
        self._be_patient(session, progress)

    def _be_patient(self, session: Session, progress: Progress) -> None:
        give_up = functools.partial(self._lose_patience, session, progress)
        progress.timer = self._clock.call_later(PATIENCE_SECONDS, give_up)

    def _lose_patience(self, session: Session, progress: Progress) -> None:
        progress.timer = None
        if session.detached or not session.has_room():
            self._be_patient(session, progress)
        else:
            self.go_on(session)

    def acknowledged(self, session: Session, count: int) -> None:
        """Go on when the client has the portion that it was sent last."""
        awaited = session[PROGRESS].awaited
        if awaited is not None and count >= awaited:
            self._keeper.hurry()
            self.go_on(session)


class _Room:
    """How much of a portion is left."""

    __slots__ = ("_messages", "_octets")

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._octets = PORTION_OCTETS

    def take(self, octets: int) -> bool:
        """Take room for a message, or tell that there is none; the first one always has."""
        if self._messages <= 0 or self._octets <= 0:
            return False
        self._messages -= 1
        self._octets -= octets
        return True
