"""A PostgreSQL server of one's own that can be stopped, halted and started again on the same data.

Unlike the one that the contract tests share it can be durable: fsync is on, and what it costs is measured.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg

from tests.harness.databases import as_user, database_folder, run_once, until_ready
from tests.harness.ports import free_port

_USER = "postgres"
_STOP_SECONDS = 30
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
}


class Postgresql:
    """A server with its data in a folder; `start` before use."""

    def __init__(self, folder: Path, programs: Path, *, is_durable: bool) -> None:
        self.folder = folder
        self.port = free_port()
        """Where it listens on loopback, for those who cannot use the socket in its folder."""
        self._programs = programs
        self._options = _OPTIONS | {"unix_socket_directories": str(folder), "port": str(self.port)}
        if not is_durable:
            self._options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    @property
    def pid(self) -> int:
        """The first of the server's processes."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        command = [self._programs / "postgres", "-D", self.folder / "data", *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                as_user(_USER, command), cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until_ready(self._process, self.folder, lambda: self.execute("SELECT 1"), psycopg.OperationalError)

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop it as `pg_ctl stop` does: `fast` breaks its connections, `immediate` recovers at the start."""
        if self._process is None:
            return
        self._process.send_signal(_SIGNALS[mode])
        try:
            self._process.wait(_STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def halt(self) -> None:
        """Let all its processes stand still: connections stay open and nothing answers."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a halt."""
        if self._process is not None:
            self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        """Send a signal to the first process, which then makes no new ones, and to its children."""
        os.kill(self.pid, number)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.pid:
                    os.kill(int(stat.parent.name), number)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the administrator, outside of any transaction, and give the rows of the last."""
        target = f"host={self.folder} port={self.port} user=tidings dbname={database} connect_timeout=5"
        with psycopg.connect(target, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> str:
        """Make an empty database and give its name."""
        self._made += 1
        name = f"tidings_{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """Give the URL by which Tidings knows a database."""
        return f"postgresql://tidings@/{database}?host={self.folder}&port={self.port}"


def programs_of_postgresql() -> Path | None:
    """Find the programs of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


@contextlib.contextmanager
def own_postgresql(*, is_durable: bool) -> Iterator[Postgresql]:
    """Run a server for the length of a block; raises `RuntimeError` where the package is missing."""
    programs = programs_of_postgresql()
    if programs is None:
        raise RuntimeError("PostgreSQL is missing: install Debian's package postgresql")
    with database_folder(_USER) as folder:
        data = folder / "data"
        run_once(
            folder, _USER, [programs / "initdb", "-D", data, "-U", "tidings", "-A", "trust", "-E", "UTF8"]
        )
        server = Postgresql(folder, programs, is_durable=is_durable)
        server.start()
        try:
            yield server
        finally:
            server.go_on()  # a halted process hears no other signal
            server.stop("immediate")
