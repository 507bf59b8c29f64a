"""What a server costs: processor time and resident memory of all its processes, as the kernel counts them."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PPID, _UTIME, _CSTIME, _RSS = 1, 11, 14, 21  # fields of /proc/PID/stat, counted after the command's name


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds spent and octets resident at one moment."""

    cpu: float
    memory: int

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu - earlier.cpu, self.memory - earlier.memory)


def usage(pid: int) -> Usage:
    """Add up the process, its descendants and the children it has already buried."""
    ticks = pages = 0
    for stat in _tree(pid):
        ticks += sum(map(int, stat[_UTIME : _CSTIME + 1]))
        pages += int(stat[_RSS])
    return Usage(ticks / _TICKS, pages * _PAGE)


def _tree(root: int) -> list[list[str]]:
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            stats[int(entry.name)] = stat[stat.rindex(")") + 2 :].split()
    if root not in stats:
        raise ProcessLookupError(f"process {root} has ended")
    family = [root]
    for member in family:  # grows while it is read: children are appended behind their parents
        family += [pid for pid, stat in stats.items() if int(stat[_PPID]) == member]
    return [stats[pid] for pid in family]
