"""Machine figures: what a scrape shows of the server's processes and of the disk with its data."""

from __future__ import annotations

import shutil
from pathlib import Path

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector

from tidings.kernel.processes import cpu_seconds, resident_bytes
from tidings.kernel.telemetry import Telemetry
from tidings.ports.ledger import LedgerState


def watch_machine(telemetry: Telemetry, data_dir: Path, ledger: LedgerState | None) -> None:
    """Let a scrape show the memory, time and files of this process, of the writer's, and the disk's room."""
    registry = telemetry.registry
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    if ledger is not None:
        telemetry.gauge(
            "writer_resident_memory_bytes",
            "Memory of the process that writes the database; 0 where the server does it itself",
            lambda: resident_bytes(ledger.process),
        )
        telemetry.total(
            "writer_cpu_seconds",
            "Time of the processor that the process has taken which writes the database",
            lambda: cpu_seconds(ledger.process),
        )
    telemetry.gauge(
        "disk_free_bytes", "Room that is left on the disk of the data directory", lambda: _disk(data_dir)[0]
    )
    telemetry.gauge("disk_size_bytes", "Size of the disk of the data directory", lambda: _disk(data_dir)[1])


def _disk(directory: Path) -> tuple[int, int]:
    """Give what is free for this user, and the size; nothing where there is no such directory."""
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return 0, 0
    return usage.free, usage.total
