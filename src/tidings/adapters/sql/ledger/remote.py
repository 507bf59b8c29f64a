"""The group commit in a process of its own, as the server sees it.

The interpreter lock is the server's alone then: a transaction takes no time from the event loop, and a busy
loop none from the transaction. What is submitted in one turn of the event loop goes over in one frame.

- Batches are answered in the order in which the process answers: that of the archives.
- A process that ends is started again; what it had not answered may be committed or not, and fails so.
- A process that does not answer at all is given up after its patience and a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from typing import Final

import msgspec

from tidings.adapters.sql.ledger.frames import Answers, Cutter, WriterSetup, decode_answers, encode
from tidings.adapters.sql.ledger.process_lock import WriterLock
from tidings.adapters.sql.ledger.waiting import WriterState, octets_of
from tidings.base.errors import BackendError
from tidings.ports.ledger.batch import Committed, LedgerBatch

_GRACE: Final = 5.0
"""Seconds beyond its patience after which a process that says nothing is believed to be stuck."""
_CLOSE_SECONDS: Final = 15.0
_READY_SECONDS: Final = 60.0
_AT_ONCE: Final = 100
"""So many messages are sent over although more of this turn may follow: the process works beside the loop."""
_PAUSE: Final = 1.0
_BUFFER: Final = 4 << 20


class _Waiting(msgspec.Struct, eq=False):
    """A batch that the process has."""

    future: asyncio.Future[Committed]
    octets: int
    since: float


class RemoteWriter(asyncio.Protocol):
    """Has batches committed by another process; the same interface as `writer.Writer`."""

    def __init__(
        self, setup: WriterSetup, place: str, *, grace: float = _GRACE, lock: WriterLock | None = None
    ) -> None:
        self.state = WriterState()
        self._setup = setup
        self._limit = setup.patience + grace
        self._place = place
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._cutter = Cutter()
        self._waiting: dict[int, _Waiting] = {}
        self._unsent: list[tuple[int, LedgerBatch]] = []
        self._octets = 0
        self._number = 0
        self._unsent_messages = 0
        # A database server has its own time beside the process: there, the largest groups cost least.
        self._at_once = _AT_ONCE if setup.url.startswith("sqlite") else sys.maxsize
        self._is_sending = False
        self._is_closed = False
        self._is_ready = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._starting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process, if there is one."""
        return None if self._process is None else self._process.pid

    async def ready(self) -> None:
        """Return when the process can write; what an earlier one was committing has ended then.

        Raises `BackendError` when that takes too long.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._is_ready.wait()
        except TimeoutError:
            raise BackendError(f"{self._place}: the process that writes it does not start.") from None

    async def start(self) -> None:
        """Start the process; it opens the database while the server goes on."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with theirs:
            arguments = [sys.executable, "-m", "tidings.adapters.sql.ledger.process", str(theirs.fileno())]
            kept = [theirs.fileno()] if self._lock is None else [theirs.fileno(), self._lock.fileno()]
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  # it forks, and waits for nothing
                arguments,
                pass_fds=kept,
                stdin=subprocess.DEVNULL,
                env=_environment(),
                process_group=0,  # Ctrl-C on the terminal is for the server, which ends it in order
            )
        self.state.process = self._process.pid
        loop = asyncio.get_running_loop()
        self._cutter = Cutter()
        transport: asyncio.Transport
        transport, _ = await loop.connect_accepted_socket(lambda: self, ours)
        transport.set_write_buffer_limits(high=self._setup.queue_octets * 2)
        transport.write(encode(self._setup))
        self._transport = transport

    def submit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        """Queue the batch behind those before it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()
        octets = octets_of(batch)
        if self._transport is None or self._octets + octets > self._setup.queue_octets:
            future.set_exception(BackendError(self._refusal()))
            return future
        self._number += 1
        self._octets += octets
        self._waiting[self._number] = _Waiting(future, octets, loop.time())
        self._unsent.append((self._number, batch))
        self._unsent_messages += len(batch.appends)
        if self._unsent_messages >= self._at_once:
            self._send()
        elif not self._is_sending:
            self._is_sending = True
            loop.call_soon(self._send)
        if self._watch is None:
            self._watch = loop.call_later(self._limit, self._look)
        return future

    def forget(self) -> None:
        """Do nothing: the process sees by itself that others have written."""

    async def close(self) -> None:
        """Let the process finish what it has, and end."""
        open_batches = [waiting.future for waiting in self._waiting.values()]
        if open_batches and self._transport is not None:
            await asyncio.wait(open_batches, timeout=_CLOSE_SECONDS)
        self._is_closed = True
        if self._watch is not None:
            self._watch.cancel()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._process_ends()
        if self._lock is not None:
            self._lock.close()
        self._fail_all(BackendError(f"{self._place} is closed: the server is stopping."))

    # -- the socket

    def data_received(self, data: bytes) -> None:
        """Answer the callers."""
        for frame in self._cutter.feed(data):
            self._answer(decode_answers(frame))

    def eof_received(self) -> None:
        """Let the transport close."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what the process has not answered, and start another one."""
        del exc
        if self._is_closed:
            return
        self._transport = None
        trouble = f"{self._place}: the process that writes it has ended; another one is started."
        if not self.state.trouble:
            self.state.failed(trouble)
        self._fail_all(BackendError(trouble))
        self._starting = asyncio.get_running_loop().create_task(self._start_again())

    async def _start_again(self) -> None:
        await self._process_ends()
        while self._transport is None:
            await asyncio.sleep(_PAUSE)
            with contextlib.suppress(OSError):  # no more processes or files for now
                await self.start()

    async def _process_ends(self) -> None:
        """Wait for the end of a process whose socket is closed."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, _CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    def _send(self) -> None:
        self._is_sending = False
        batches, self._unsent = self._unsent, []
        self._unsent_messages = 0
        if self._transport is not None and batches:
            self._transport.write(encode(batches))

    def _answer(self, answers: Answers) -> None:
        self._is_ready.set()
        counts, state = answers.counts, self.state
        state.batches, state.transactions, state.items = counts.batches, counts.transactions, counts.items
        state.last_seconds, state.longest_seconds = counts.last_seconds, counts.longest_seconds
        state.commits.counts, state.commits.total = counts.commits, counts.commit_seconds
        state.queue_length, state.given_up = counts.queue_length, counts.given_up
        if counts.trouble:
            state.failed(counts.trouble)
        else:
            state.answered()
        state.failures = counts.failures
        state.sent = counts.sent
        for answer in answers.answers:
            waiting = self._waiting.pop(answer.number, None)
            if waiting is None:
                continue
            self._octets -= waiting.octets
            if waiting.future.done():
                continue
            if answer.committed is not None:
                waiting.future.set_result(answer.committed)
            else:
                waiting.future.set_exception((RuntimeError if answer.is_bug else BackendError)(answer.error))
        state.reached(counts.feed)
        state.tell_feed()

    # -- what goes wrong

    def _refusal(self) -> str:
        if self._transport is None:
            return f"{self._place}: the process that writes it is not running."
        return f"{self._place} is too slow: too much waits to be written."

    def _look(self) -> None:
        """Give up what the process has left unanswered for too long."""
        loop = asyncio.get_running_loop()
        self._watch = None
        for waiting in self._waiting.values():
            if waiting.future.done():
                continue
            rest = waiting.since + self._limit - loop.time()
            if rest > 0:
                self._watch = loop.call_later(rest, self._look)
                return
            self.state.given_up += 1
            waiting.future.set_exception(BackendError(f"{self._place} does not answer."))

    def _fail_all(self, error: BackendError) -> None:
        waiting, self._waiting = self._waiting, {}
        self._unsent.clear()
        self._octets = 0
        for each in waiting.values():
            if not each.future.done():
                each.future.set_exception(error)


def _environment() -> dict[str, str]:
    """Let the process find the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
