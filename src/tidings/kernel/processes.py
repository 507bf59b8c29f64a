"""Processes: what the system tells of one, from /proc; nothing where there is none of that number."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes(process: int) -> int:
    """Tell how much memory a process has."""
    fields = _stat(process)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def cpu_seconds(process: int) -> float:
    """Tell how much time of the processor a process has taken."""
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _stat(process: int) -> list[bytes]:
    """Give the fields of /proc/PROCESS/stat behind the name, from the state on."""
    if not process:
        return []
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:  # it has just ended, or this system has no such files
        return []
