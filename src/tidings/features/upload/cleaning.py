"""File cleaning: files that are gone or have expired lose their octets, and are forgotten then.

The octets go first: a crash in between leaves a file that is still due, and the next step goes on with it.
Several nodes may do the same at the same time.
"""

from __future__ import annotations

from typing import Final

import structlog

from tidings.base.errors import BackendError
from tidings.kernel.clock import Clock
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.ports.blobs import BlobStore
from tidings.ports.files import FileRecord, FileState, FileStore

log = structlog.get_logger("tidings.files")

FIRST_LOOK: Final = 20.0
"""Seconds after the start until files are looked for whose time has come."""
LOOK_INTERVAL: Final = 60.0
"""Seconds until it is done again."""
STEP: Final = 100
"""Files that go at once."""
PAUSE: Final = 0.05
"""Seconds until the next ones go."""


class FileCleaning:
    """Deletes the files of all domains whose time has come."""

    def __init__(self, files: FileStore, blobs: BlobStore, clock: Clock, supervisor: Supervisor) -> None:
        self._files = files
        self._blobs = blobs
        self._clock = clock
        self._job = Job("file_cleaning", self._step, clock, supervisor)

    async def start(self) -> None:
        """Begin soon, with what came due while no server ran."""
        self._job.begin(FIRST_LOOK)

    def begin(self) -> None:
        """Look at once: something has been discarded."""
        self._job.begin(0)

    def wind_down(self) -> None:
        """Delete nothing any more; the next start goes on."""
        self._job.stop()

    async def stop(self) -> None:
        """Delete nothing any more."""
        self.wind_down()

    async def _step(self) -> float:
        due = await self._files.due(self._clock.now(), limit=STEP)
        done = [file.id for file in due if await self._delete(file)]
        if done:
            await self._files.forget(done)
        return PAUSE if done and len(due) == STEP else LOOK_INTERVAL

    async def _delete(self, file: FileRecord) -> bool:
        """Delete the octets of a file; tell whether that could be done."""
        try:
            await self._blobs.delete(file.id)
        except BackendError as error:
            log.warning("file_not_deleted", file=file.id, owner=file.owner.text, reason=str(error))
            return False
        why = "discarded" if file.state is FileState.GONE else "expired"
        log.info("file_deleted", file=file.id, owner=file.owner.text, octets=file.size, reason=why)
        return True
