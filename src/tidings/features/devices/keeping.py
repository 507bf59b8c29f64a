"""Keeping: what the sessions' clients acknowledge becomes the cursors of their devices, now and then."""

from __future__ import annotations

from typing import Final

import structlog

from tidings.base.errors import BackendError
from tidings.features.devices.cursors import Cursors
from tidings.features.devices.progress import PROGRESS, Progress
from tidings.kernel.clock import Clock, Timer
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.traces import Traces

log = structlog.get_logger("tidings.devices")

PERSISTED_WITHIN: Final = 5.0
"""Seconds after which a cursor that has moved is written."""


class CursorKeeper:
    """Looks after the cursors of one host: at most one timer, and one write at a time."""

    def __init__(self, cursors: Cursors, clock: Clock, supervisor: Supervisor, traces: Traces) -> None:
        self._traces = traces
        self._cursors = cursors
        self._clock = clock
        self._supervisor = supervisor
        self._waiting: set[Session] = set()  # sessions with marks
        self._ticked = clock.monotonic()
        self._timer: Timer | None = None

    def went(self, session: Session, progress: Progress, position: int) -> None:
        """Note that a session, which has this progress, has been sent everything up to a position."""
        if session.flow.window is not None:
            progress.counts = True
        if progress.went(position, session.flow.sent, self._clock.monotonic()):
            self.note(session)

    def note(self, session: Session) -> None:
        """Take over what a session's client has acknowledged, and see to it that it is written."""
        progress = session[PROGRESS]
        if progress.cursor > progress.noted:
            progress.noted = progress.cursor
            if self._traces.is_logged:
                log.debug(
                    "device_has",
                    account=session.account.jid.text,
                    device=progress.device,
                    position=progress.cursor,
                )
            if session.account.exists:
                self._cursors.move(session.account.jid, progress.device, progress.cursor)
        if progress.has_marks and not session.ended:
            self._waiting.add(session)
        if self._timer is None and (self._waiting or self._cursors):
            self._ticked = self._clock.monotonic()
            self._timer = self._clock.call_later(PERSISTED_WITHIN, self._tick)

    def leave(self, session: Session) -> None:
        """Write what is known of a session that has ended, and wait for nothing more from it."""
        progress = session[PROGRESS]
        progress.passed(session.account.position)  # over what the account itself has sent
        self.note(session)
        if progress.is_started and session.account.exists:  # so that it was seen until now
            self._cursors.move(session.account.jid, progress.device, progress.cursor)
        self._waiting.discard(session)
        self.hurry()

    def hurry(self) -> None:
        """Write at once what has moved: who is far behind does not begin anew after a crash."""
        if self._cursors:
            self._supervisor.start("cursors", self._write())

    async def stop(self) -> None:
        """Write everything, and do nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        try:
            await self._cursors.write()
        except BackendError as error:
            log.error("cursors_not_written", reason=str(error))

    def _tick(self) -> None:
        """Look at clients that do not count, and write what has moved."""
        self._timer = None
        before, self._ticked = self._ticked, self._clock.monotonic()
        for session in list(self._waiting):
            progress = session[PROGRESS]
            if session.flow.window is not None:
                progress.counts = True
            if not progress.counts:
                progress.heard_of(session.flow.received, before)
            if not progress.has_marks:
                self._waiting.discard(session)
            self.note(session)
        if self._cursors:
            self._supervisor.start("cursors", self._write())
        else:
            self._wind_up()

    async def _write(self) -> None:
        try:
            await self._cursors.write()
        except BackendError as error:
            log.error("cursors_not_written", reason=str(error))
        self._wind_up()

    def _wind_up(self) -> None:
        if self._timer is None and (self._waiting or self._cursors):
            self._timer = self._clock.call_later(PERSISTED_WITHIN, self._tick)
