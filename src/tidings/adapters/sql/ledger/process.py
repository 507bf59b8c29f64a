"""The writer in a process of its own: `python -m tidings.adapters.sql.ledger.process FD`.

Started by `remote.RemoteWriter`, which talks to it over the socket FD. The process commits what comes, and
ends when the socket ends: a server that is killed leaves nothing behind that could still write, beyond the
transaction that is under way.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from functools import partial
from typing import Final

from tidings.adapters.sql.engine import Database, connect_database
from tidings.adapters.sql.ledger.frames import (
    Answer,
    Answers,
    Counts,
    Cutter,
    WriterSetup,
    decode_batches,
    decode_setup,
    encode,
)
from tidings.adapters.sql.ledger.store import SqlLedger
from tidings.adapters.sql.migrate import current_revision, known_revision
from tidings.base.errors import BackendError
from tidings.ports.ledger.batch import Committed, LedgerBatch

_LOOK_SECONDS: Final = 0.02
"""How often it is looked whether the schema is up to date."""


class WriterProcess(asyncio.Protocol):
    """Commits batches and tells what became of them, many in one frame."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self._ledger: SqlLedger | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early: list[bytes] = []  # frames that came while the database was opened
        self._answers: list[Answer] = []
        self._outage = 0.0
        self._is_answering = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """End at once, whatever waits: nobody is there to be told, and another process may have begun.

        What is under way is then committed whole or not at all, as when the power fails.
        """
        del exc
        os._exit(0)

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        for frame in self._cutter.feed(data):
            if self._opening is None:
                self._opening = asyncio.get_running_loop().create_task(self._open(frame))
            elif self._ledger is None:
                self._early.append(frame)
            else:
                self._commit(frame)

    async def _open(self, frame: bytes) -> None:
        try:
            await self._open_ledger(decode_setup(frame))
        except BackendError as error:
            sys.stderr.write(f"the writer's process: {error}\n")
            os._exit(1)  # it is started again

    async def _open_ledger(self, setup: WriterSetup) -> None:
        database = connect_database(
            setup.url, readers=1, lock_seconds=setup.lock_seconds, writes_as=setup.writes_as
        )
        await _until_migrated(database)
        if database.dialect == "sqlite":  # a server's answers are waited for on a thread
            database.write_on(asyncio.get_running_loop())
        ledger = self._ledger = SqlLedger(
            database,
            window_days=setup.window_days,
            patience=setup.patience,
            queue_octets=setup.queue_octets,
        )
        loop = asyncio.get_running_loop()

        def on_trouble(_: str) -> None:
            loop.call_soon_threadsafe(self._answer_soon)

        def on_recovery(seconds: float) -> None:
            loop.call_soon_threadsafe(self._recovered, seconds)

        ledger.state.on_trouble = on_trouble
        ledger.state.on_recovery = on_recovery
        gc.freeze()
        self._write()  # it is ready
        early, self._early = self._early, []
        for each in early:
            self._commit(each)

    def _commit(self, frame: bytes) -> None:
        assert self._ledger is not None
        for number, batch in decode_batches(frame):
            self._submit(self._ledger, number, batch)

    def _submit(self, ledger: SqlLedger, number: int, batch: LedgerBatch) -> None:
        # Callbacks run in the order in which the futures are answered: that of the archives.
        ledger.commit(batch).add_done_callback(partial(self._answer, number))

    def _answer(self, number: int, future: asyncio.Future[Committed]) -> None:
        error = future.exception()
        if error is None:
            answer = Answer(number, future.result())
        else:
            answer = Answer(number, None, str(error) or repr(error), not isinstance(error, BackendError))
        self._answers.append(answer)
        self._answer_soon()

    def _recovered(self, seconds: float) -> None:
        self._outage = seconds
        self._answer_soon()

    def _answer_soon(self) -> None:
        if not self._is_answering:
            self._is_answering = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._is_answering = False
        assert self._ledger is not None
        assert self._transport is not None
        state = self._ledger.state
        counts = Counts(
            state.batches,
            state.transactions,
            state.items,
            state.last_seconds,
            state.longest_seconds,
            state.queue_length,
            state.failures,
            state.given_up,
            state.trouble,
            self._outage,
            state.feed,
            state.sent,
            state.commits.counts,
            state.commits.total,
        )
        self._outage = 0.0
        answers, self._answers = self._answers, []
        self._transport.write(encode(Answers(answers, counts)))


async def serve(channel: socket.socket) -> None:
    """Commit what comes over the socket, which ends the process when it ends itself."""
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(WriterProcess, channel)
    await loop.create_future()


async def _until_migrated(database: Database) -> None:
    """Wait until the server has brought the schema up to date, and have the right to write then."""
    while await database.read(current_revision) != known_revision():  # noqa: ASYNC110  # the server does it
        await asyncio.sleep(_LOOK_SECONDS)
    await database.write(current_revision)


def main() -> None:
    """Run the process; its server alone decides when it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
