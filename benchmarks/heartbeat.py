"""Runs Tidings and measures the turns of its event loop: `python -m benchmarks.heartbeat FILE serve …`.

One signal begins and another one ends it (`benchmarks.signals`), which writes the longest turn to FILE, as
seconds of processor time of the main thread. Meanwhile something is always due, so that the loop never waits
and turns are told apart.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from benchmarks import signals
from tidings.app.cli import main


class Heartbeat:
    """Beats once in every turn while it is on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._is_on = False
        self._last = self._longest = 0.0

    def install(self) -> None:
        """Answer to the signals."""
        signal.signal(signals.BEGIN, self._begin)
        signal.signal(signals.END, self._end)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        loop = asyncio.get_running_loop()
        self._is_on, self._longest = True, 0.0
        loop.call_soon_threadsafe(self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._last = time.thread_time()
        loop.call_soon(self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        if self._is_on:
            loop.call_soon(self._beat, loop)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._is_on = False
        partial = self._file.with_suffix(".partial")
        partial.write_text(str(self._longest))
        partial.rename(self._file)  # whoever waits for the file finds it whole


if __name__ == "__main__":
    Heartbeat(Path(sys.argv[1])).install()
    sys.exit(main(sys.argv[2:]))
