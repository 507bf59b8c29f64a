"""Runs Tidings with a sampling profiler: `python -m benchmarks.sampler FILE serve --config …`.

One signal begins to sample, and another one ends it (`benchmarks.signals`) and writes the stacks to FILE, one
a line with its count, the format that flame graph tools read. A sample is taken every two milliseconds of
processor time in the main thread. Time spent in C code counts for the line that called it, and the time of
the event loop for `(loop)`.
"""

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from benchmarks import signals
from tidings.app.cli import main

_INTERVAL = 0.002


class Sampler:
    """Counts stacks while it is on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stacks: Counter[tuple[str, ...]] = Counter()

    def install(self) -> None:
        """Answer to the signals."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signals.BEGIN, self._begin)
        signal.signal(signals.END, self._end)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self._stacks.clear()
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = (f"{';'.join(stack)} {count}\n" for stack, count in self._stacks.most_common())
        partial = self._file.with_suffix(".partial")
        partial.write_text("".join(lines))
        partial.rename(self._file)  # whoever waits for the file finds it whole

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        stack: list[str] = []
        if frame is not None and frame.f_lasti <= _ENTRY:  # the time was that of its caller
            frame = frame.f_back
            if frame is not None and frame.f_code.co_name in _LOOP:
                stack.append("(loop)")
        while frame is not None:
            stack.append(_name(frame))
            frame = frame.f_back
        self._stacks[tuple(reversed(stack))] += 1


_ENTRY = 8  # octets of byte code within which a function has only just been entered
_LOOP = {"run", "run_until_complete", "run_forever", "_run_once"}


def _name(frame: FrameType) -> str:
    code = frame.f_code
    path = Path(code.co_filename)
    parts = path.parts[path.parts.index("tidings") + 1 :] if "tidings" in path.parts else path.parts[-2:]
    return f"{'/'.join(parts)}:{code.co_qualname}:{frame.f_lineno}"


if __name__ == "__main__":
    Sampler(Path(sys.argv[1])).install()
    sys.exit(main(sys.argv[2:]))
