"""The group commit: what waits, from all callers, goes into one transaction, and the next follows at once.

It runs on the database's writer thread, so between two transactions nothing waits for the event loop, and
there is no timer: an idle server commits a lone message immediately, a busy one commits together what arrived
during the transaction before. After each transaction the other writes of the process have their turn.

Groups are made of whole batches, in the order in which they came, and answered in that order: so the futures
of all callers are answered in the order of the positions that they got.

What a caller is told:

- A transaction that lost against another one is run again.
- One that lost its connection during COMMIT is looked up by its batch id before anyone is answered.
- One that the database refuses is halved until the row that it cannot hold is alone; that one is refused.
- While the database does not answer, or its disk is full, batches wait and are tried again and again; each is
  given up with `BackendError` after `patience` seconds. What nobody waits for any more is not tried again.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tidings.adapters.sql.dialects import is_conflict
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.errors import backend_error
from tidings.adapters.sql.ledger.archives import NumbersChanged
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.statements import Sql, driver_errors, statements_for
from tidings.adapters.sql.ledger.transaction import Transaction
from tidings.adapters.sql.ledger.waiting import Result, Waiting, WriterState, is_of_row
from tidings.adapters.sql.ledger.wanted import Item
from tidings.base.errors import BackendError
from tidings.ports.ledger.batch import Append, Committed, LedgerBatch, Refused

GROUP_ITEMS: Final = 1024
GROUP_ARCHIVES: Final = 256
"""How many archives one transaction may lock; without limit in SQLite, which has one lock for everything."""

GROUP_OCTETS: Final = 4 << 20
_LOCKING: Final = "SELECT feed FROM ledger WHERE id = 1"
_ATTEMPTS: Final = 5

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


Part = Sequence[tuple[Waiting, int]]
"""What goes into one transaction: items by their place in their batch."""


class Writer:
    """Takes batches from any thread's event loop and commits them in groups."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], int],
        *,
        window: int,
        patience: float,
        queue_octets: int,
        queue_length: int,
    ) -> None:
        self.state = WriterState()
        self._database = database
        self._statements = statements_for(database.dialect)
        self._has_row_locks = not self._statements.is_sqlite
        self._now = now
        self._window = window
        self._patience = patience
        self._queue_octets = queue_octets
        self._queue_length = queue_length
        self._caches = Caches()
        self._lock = threading.Lock()
        self._queue: deque[Waiting] = deque()
        self._octets = 0
        self._is_scheduled = False
        self._pause = 0.0
        self._unresolved: tuple[int, bytes, Part, Sequence[Result], int] | None = None

    def submit(self, batch: LedgerBatch) -> asyncio.Future[Committed]:
        """Queue the batch behind those before it."""
        waiting = Waiting(batch, asyncio.get_running_loop())
        if not waiting.items:
            waiting.answer()
            return waiting.future
        must_run = False
        with self._lock:
            is_full = self._octets > self._queue_octets or len(self._queue) >= self._queue_length
            if not is_full:
                self._octets += waiting.octets
                self._queue.append(waiting)
                must_run = not self._is_scheduled
                self._is_scheduled = True
        if is_full:
            waiting.fail(BackendError(f"{self._database.place} is too slow: too much waits to be written."))
            return waiting.future
        self.state.queue_length = len(self._queue)
        if must_run:
            self._run_soon()
        if not waiting.future.done():
            self._watch(waiting)
        return waiting.future

    def forget(self) -> None:
        """Forget what is remembered of archives: another part of the process has written; on its thread."""
        self._caches.forget()

    # -- patience, on the event loop

    def _watch(self, waiting: Waiting) -> None:
        """Give up, at the end of patience, what waits then; one timer for each loop."""
        watch = self.state.watches
        if waiting.loop not in watch:
            watch[waiting.loop] = waiting.loop.call_later(self._patience, self._give_up, waiting.loop)

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        self.state.watches.pop(loop, None)
        now = loop.time()
        oldest = None
        text = f"{self._database.place} does not answer: given up after {self._patience:g} s."
        with self._lock:
            mine = [waiting for waiting in (*self.state.group, *self._queue) if waiting.loop is loop]
        for waiting in mine:
            if waiting.future.done():
                continue
            if waiting.since + self._patience <= now:
                self.state.given_up += 1
                waiting.fail(BackendError(self.state.trouble or text))
            else:
                oldest = waiting
                break
        if oldest is not None:
            due = oldest.since + self._patience
            self.state.watches[loop] = loop.call_at(due, self._give_up, loop)

    # -- scheduling

    def _run_soon(self) -> None:
        try:
            self._database.submit(self._run)
        except RuntimeError:  # the thread has ended
            self._close()

    def _close(self) -> None:
        error = BackendError(f"{self._database.place} is closed: the server is stopping.")
        with self._lock:
            group = [*self.state.group, *self._queue]
            self._queue.clear()
            self.state.group = []
            self._octets = 0
            self._is_scheduled = False
        for waiting in group:
            waiting.results = [error] * len(waiting.items)
        self._answer(group)

    # -- on the writer thread

    def _run(self) -> None:
        """Commit one group and come again, behind other writes, while anything waits."""
        group = self._take()
        is_done = True
        if group:
            start, cpu = time.perf_counter(), time.thread_time()
            try:
                is_done = self._commit_group(group)
            except Exception as error:  # noqa: BLE001  # a bug: for the callers to report
                self._caches = Caches()
                for waiting in group:
                    waiting.results = [error] * len(waiting.items)
            if is_done:
                self.state.committed(group, time.perf_counter() - start, time.thread_time() - cpu)
                self.state.group = []
                self._answer(group)
                self.state.tell_feed()
        with self._lock:
            self.state.queue_length = len(self._queue)
            is_idle = is_done and not self._queue
            if is_idle:
                self._is_scheduled = False
        if not is_done:
            self._try_later(group)
        elif not is_idle:
            self._run_soon()

    def _take(self) -> list[Waiting]:
        """Take what waits, as much as one transaction may hold; first of all what could not be written."""
        with self._lock:
            group = [waiting for waiting in self.state.group if waiting.is_wanted()]
            if group or not self._queue:
                self.state.group = group
                return group
            items = octets = 0
            archives: set[object] = set()
            while self._queue:
                waiting = self._queue[0]
                if self._has_row_locks:
                    archives |= waiting.archives()
                items += len(waiting.items)
                octets += waiting.octets
                is_over = items > GROUP_ITEMS or octets > GROUP_OCTETS or len(archives) > GROUP_ARCHIVES
                if group and is_over:
                    break
                self._queue.popleft()
                self._octets -= waiting.octets
                if waiting.is_wanted():
                    group.append(waiting)
            self.state.group = group
        return group

    def _answer(self, group: Sequence[Waiting]) -> None:
        if not group:
            return
        loop = group[0].loop
        if all(waiting.loop is loop for waiting in group):
            self._answer_on(loop, group)
            return
        by_loop: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
        for waiting in group:
            by_loop.setdefault(waiting.loop, []).append(waiting)
        for loop, mine in by_loop.items():
            self._answer_on(loop, mine)

    def _answer_on(self, loop: asyncio.AbstractEventLoop, group: Sequence[Waiting]) -> None:
        if self._database.is_inline:
            _answer_all(group)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_answer_all, group)

    def _try_later(self, group: Sequence[Waiting]) -> None:
        """Come again after a pause; the thread is free for others meanwhile."""
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        loop = group[0].loop
        if loop.is_closed():
            self._close()
            return
        loop.call_soon_threadsafe(loop.call_later, self._pause, self._run_soon)

    # -- transactions

    def _commit_group(self, group: Sequence[Waiting]) -> bool:
        """Write the batches; False when the database cannot now, and what is open is to be tried again."""
        try:
            self._resolve()
            for part in self._parts(group):
                self._commit_or_halve(part)
        except (BackendError, SQLAlchemyError) as error:
            self._caches.forget()
            self.state.failed(self._told(error))
            return False
        self.state.answered()
        self._pause = 0.0
        return True

    def _parts(self, group: Sequence[Waiting]) -> list[Part]:
        """Cut what is too much for one transaction: the batch of one caller that is alone in its group."""
        open_items = [
            (waiting, index) for waiting in group if waiting.is_wanted() for index in waiting.open_items()
        ]
        size = GROUP_ARCHIVES // 2 if self._has_row_locks and len(group) == 1 else GROUP_ITEMS
        return [open_items[start : start + size] for start in range(0, len(open_items), size)]

    def _told(self, error: Exception) -> str:
        return str(error if isinstance(error, BackendError) else backend_error(error, self._database.place))

    def _commit_or_halve(self, part: Part) -> None:
        """Commit the items, halving them where one is refused; raises what concerns the whole database."""
        try:
            self._commit_with_retries(part)
        except Exception as error:
            self._caches.forget()
            if not is_of_row(error):
                raise
            if len(part) == 1:
                waiting, index = part[0]
                waiting.results[index] = _refusal(waiting.items[index], error)
                return
            half = len(part) // 2
            self._commit_or_halve(part[:half])
            self._commit_or_halve(part[half:])

    def _commit_with_retries(self, part: Part) -> None:
        """Commit the items together; raises what the database says when they are surely not committed."""
        items = [waiting.items[index] for waiting, index in part]
        for turn in range(_ATTEMPTS):
            try:
                self._commit_once(part, items)
            except NumbersChanged:
                self._caches.forget()
                if turn == _ATTEMPTS - 1:
                    raise
            except (DBAPIError, BackendError) as error:
                self._caches.forget()
                if not _is_lost(error) and not is_conflict(error):
                    raise
                if self._resolve():
                    return
                if turn == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _commit_once(self, part: Part, items: Sequence[Item]) -> None:
        """Run the transaction; what is unresolved afterwards is a COMMIT without an answer."""
        batch = secrets.token_bytes(16)
        done: list[Transaction] = []
        self._unresolved = None

        def work(connection: Connection) -> None:
            sql = Sql(connection, self._statements)
            transaction = Transaction(sql, self._caches, self._now, self._window)
            with driver_errors(connection), sql.pipelined():
                results = transaction.run(items, batch)
            # From here on the connection may be lost without telling what became of the commit.
            self._unresolved = transaction.feed, batch, part, results, transaction.sent
            done.append(transaction)

        self._database.transact_once(work)
        self._take_results()
        done[0].keep()

    def _take_results(self) -> None:
        if self._unresolved is not None:
            feed, _, part, results, sent = self._unresolved
            for (waiting, index), result in zip(part, results, strict=True):
                waiting.results[index] = result
            self.state.reached(feed)
            self.state.sent += sent
            self._unresolved = None

    def _resolve(self) -> bool:
        """Find out what became of a COMMIT without an answer; tells whether there was one that took effect.

        It held the lock of the ledger's row. Who gets this lock knows that it has ended.
        """
        if self._unresolved is None:
            return False
        feed, batch = self._unresolved[:2]
        if self._statements.is_sqlite:  # what raises there is undone
            self._unresolved = None
            return False
        found = []

        def work(connection: Connection) -> None:
            with driver_errors(connection):
                sql = Sql(connection, self._statements)
                sql.run(_LOCKING + sql.locked).all()
                row = sql.run("SELECT batch FROM commits WHERE feed = ?", feed).first()
            found.append(row is not None and bytes(row[0]) == batch)

        self._database.transact_once(work)
        if found[-1]:
            self._take_results()
        self._unresolved = None
        return found[-1]


def _answer_all(group: Sequence[Waiting]) -> None:
    for waiting in group:
        waiting.answer()


def _is_lost(error: Exception) -> bool:
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def _refusal(item: Item, error: Exception) -> Result:
    if type(item) is not Append:
        return False
    return Refused(f"the database cannot hold it: {error.orig if isinstance(error, DBAPIError) else error}")
