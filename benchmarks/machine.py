"""What the figures were measured on."""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    """The description that stands beside every result."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    kernel: str
    python: str
    fsync_ms: float
    load_before: float


def describe() -> Machine:
    """Describe this machine as it is now."""
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        system=_system(),
        kernel=platform.release(),
        python=platform.python_version(),
        fsync_ms=round(_fsync_seconds() * 1e3, 2),
        load_before=round(os.getloadavg()[0], 2),
    )


def _field(file: Path, name: str) -> str:
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _fsync_seconds() -> float:
    """Measure what it takes to make four kilobytes durable where temporary files are kept."""
    samples = []
    with tempfile.TemporaryFile() as file:
        for _ in range(30):
            file.write(bytes(4096))
            start = time.perf_counter()
            file.flush()
            os.fsync(file.fileno())
            samples.append(time.perf_counter() - start)
    return statistics.median(samples)
