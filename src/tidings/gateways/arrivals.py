"""Arrivals: what comes on a connection is read as soon as a turn of the event loop has time for it.

Sockets that have something to read are all told of in one turn of the loop, be they thousands. What finds no
time left waits, and so does the socket: nothing more is taken from it before.
"""

from __future__ import annotations

from typing import Protocol

from tidings.kernel.time_slice import TimeSlice


class Reader(Protocol):
    """A connection's transport, as far as reading is concerned."""

    def read(self, data: bytes) -> None:
        """Read what has come."""
        ...

    def stop_reading(self) -> None:
        """Have nothing more come for now."""
        ...

    def go_on_reading(self) -> None:
        """Let more come."""
        ...

    def let_go(self) -> None:
        """Hear that the socket is gone, and that all that came is read."""
        ...


class Arrivals:
    """What comes on one connection, in its order."""

    __slots__ = ("_is_gone", "_is_paused", "_reader", "_time_slice", "_unread")

    def __init__(self, reader: Reader, time_slice: TimeSlice) -> None:
        self._reader = reader
        self._time_slice = time_slice
        self._unread: list[bytes] | None = None
        self._is_paused = False
        self._is_gone = False

    def came(self, data: bytes) -> None:
        """Have this read now if there is time for it, else later."""
        if self._unread is not None:
            self._unread.append(data)
        elif self._time_slice.has_time():
            self._reader.read(data)
        else:
            self._unread = [data]
            self._reader.stop_reading()
            self._time_slice.do_later(self._read)

    def gone(self) -> None:
        """Hear that the socket is gone: the reader lets go when all that came is read."""
        if self._unread is None:
            self._reader.let_go()
        else:
            self._is_gone = True

    def pause(self) -> None:
        """Have nothing more come: who reads it cannot follow."""
        self._is_paused = True
        self._reader.stop_reading()

    def resume(self) -> None:
        """Let more come again."""
        self._is_paused = False
        if self._unread is None:
            self._reader.go_on_reading()

    def _read(self) -> None:
        unread, self._unread = self._unread, None
        assert unread is not None  # or it would not wait
        if not self._is_paused:
            self._reader.go_on_reading()
        try:
            self._reader.read(unread[0] if len(unread) == 1 else b"".join(unread))
        finally:
            if self._is_gone:
                self._reader.let_go()
