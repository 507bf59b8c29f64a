"""What `tidings check` finds out about the machine: directory, disk, open files, memory."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidings.adapters.sql.ledger.caches import JID_OCTETS
from tidings.app import data_directory as directories
from tidings.app import file_systems, memory
from tidings.app.finding import Finding
from tidings.app.options import Config
from tidings.base.jid import CACHE_OCTETS

FULL_BYTES: Final = 64 * 1024 * 1024
FILES_BESIDE: Final = 200
"""Files that are open beside the connections: the database's, libraries, listening sockets."""
SCARCE_BYTES: Final = 1024 * 1024 * 1024

_MOUNTS: Final = Path("/proc/self/mountinfo")


def data_directory(config: Config) -> Iterator[Finding]:
    """Tell whether the data directory can be used, and whether its disk has room."""
    subject = "data directory"
    if not config.server.data_dir:
        yield Finding(status="ok", subject=subject, text="a temporary one, removed when the server stops")
        return
    directory = config.data_dir
    if not directory.exists():
        hindrance = directories.why_not_made(directory)
        if not hindrance:
            yield Finding(status="ok", subject=subject, text=f"{directory} will be made on first start")
        else:
            yield Finding(
                status="fail",
                subject=subject,
                text=f"{directory} does not exist and cannot be made: {hindrance}",
                mend=f"make it for user id {os.geteuid()}, or choose another `data_dir` in [server]",
            )
        return
    try:
        directories.prepare(directory)
    except directories.DataDirectoryError as error:
        text, _, mend = str(error).partition("; ")
        yield Finding(status="fail", subject=subject, text=text, mend=mend)
        return
    yield _space(directory)
    yield from file_system(directory, config)


def file_system(directory: Path, config: Config, mounts: str | None = None) -> Iterator[Finding]:
    """Tell whether SQLite can keep what it is given there; `mounts` is Linux' table of what is mounted."""
    if not config.database_url.startswith("sqlite"):
        return
    try:
        text, mend = file_systems.objection(
            file_systems.kind_of(directory, _MOUNTS.read_text() if mounts is None else mounts)
        )
    except OSError:  # another system than Linux
        return
    if text:
        yield Finding(status="warn", subject="file system", text=f"{directory} is {text}", mend=mend)


def _space(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    text = f"{directory}, {free / 1024**3:.1f} GiB free"
    if free >= SCARCE_BYTES:
        return Finding(status="ok", subject="data directory", text=text)
    return Finding(
        status="fail" if free < FULL_BYTES else "warn",
        subject="data directory",
        text=text,
        mend="free or add disk space; what is accepted must be written",
    )


def files(config: Config) -> Iterator[Finding]:
    """Compare the open files that the system grants with the connections that are let in."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # at start the soft limit is raised to this one
    connections = config.limits.connections
    if connections and most != resource.RLIM_INFINITY and connections + FILES_BESIDE > most:
        yield Finding(
            status="warn",
            subject="open files",
            text=f"{most} at most, too few for `connections` = {connections} in [limits]",
            mend=f"let the process open {connections + FILES_BESIDE} files (LimitNOFILE= of the service, "
            "ulimit -Hn), or lower `connections`",
        )


def memory_held(config: Config, available: int | None = None) -> Iterator[Finding]:
    """Compare what clients can make the server hold together with the memory that there is."""
    available = available or memory.available()
    waiting = config.limits.outbound_total_bytes or memory.outbound_share()
    held = waiting + config.ledger.waiting_bytes + CACHE_OCTETS + JID_OCTETS
    if available is not None and held > available * 3 // 4:
        yield Finding(
            status="warn",
            subject="memory",
            text=f"clients can make the server hold {_mib(held)} of {_mib(available)}: what waits for them "
            f"({_mib(waiting)}) and for the database ({_mib(config.ledger.waiting_bytes)}), and addresses",
            mend="lower `outbound_total_bytes` in [limits] or `waiting_bytes` in [ledger]",
        )


def _mib(octets: int) -> str:
    return f"{octets >> 20:,} MiB"
