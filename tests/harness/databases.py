"""Real database servers for the tests, from Debian's packages, on Unix sockets in temporary folders.

A server starts when the first test asks for it and ends with the session; it ends too when the test process
is killed. Durability is switched off: the tests kill connections, not machines.

The packages are `postgresql` and `mariadb-server`; their own services need not run. Neither server runs as
root, so a test session of root starts them as the users that the packages made.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pymysql
import pytest
from sqlalchemy import make_url

START_SECONDS = 60


class Server:
    """A running database server that belongs to the tests."""

    def __init__(self, folder: Path, execute: Callable[[str], list[tuple[object, ...]]], url: str) -> None:
        self.folder = folder
        self._execute = execute
        self._url = url
        self._made = 0

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator, outside of any transaction, and give its rows."""
        return self._execute(statement)

    def create_database(self) -> str:
        """Make an empty database and give its URL."""
        self._made += 1
        name = f"tidings_{os.getpid()}_{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return self._url.replace("NAME", name)

    def drop_database(self, url: str) -> None:
        """Remove a database that nobody uses any more."""
        name = make_url(url).database
        self.execute(f"DROP DATABASE {name}")

    def drop_connections(self, url: str) -> int:
        """Cut every connection to a database from the server's side; tell how many there were."""
        name = make_url(url).database
        if url.startswith("postgresql"):
            return len(
                self.execute(
                    f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
                )
            )
        found = self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        for (number,) in found:
            self.execute(f"KILL {number}")
        return len(found)


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """Run a PostgreSQL server."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        pytest.skip("POSTGRESQL IS NOT TESTED: install Debian's package postgresql")
    with database_folder("postgres") as folder:
        data = folder / "data"
        run_once(
            folder,
            "postgres",
            [programs[-1] / "initdb", "-D", data, "-U", "tidings", "-A", "trust", "-E", "UTF8", "--no-sync"],
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "50",
            "shared_buffers": "32MB",
            "autovacuum": "off",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with _process(folder, "postgres", [programs[-1] / "postgres", "-D", data, *settings]) as process:
            target = f"host={folder} user=tidings dbname=postgres connect_timeout=5"

            def execute(statement: str) -> list[tuple[object, ...]]:
                with psycopg.connect(target, autocommit=True) as connection:
                    cursor = connection.execute(statement.encode())
                    return cursor.fetchall() if cursor.description else []

            until_ready(process, folder, lambda: execute("SELECT 1"), psycopg.OperationalError)
            yield Server(folder, execute, f"postgresql://tidings@/NAME?host={folder}")


def program_of_mariadb() -> str | None:
    """Find the server of MariaDB, if it is installed."""
    return shutil.which("mariadbd", path=_PATH)


@contextlib.contextmanager
def mariadb(*, port: int = 0, certificate: Path | None = None) -> Iterator[Server]:
    """Run a MariaDB server; with a port it listens on loopback, too, with this certificate and its key."""
    program, install = program_of_mariadb(), shutil.which("mariadb-install-db", path=_PATH)
    if program is None or install is None:
        pytest.skip("MARIADB IS NOT TESTED: install Debian's package mariadb-server")
    with database_folder("mysql") as folder:
        data, address = folder / "data", folder / "sock"
        # A server that starts removes what looks like forgotten tables in its tmpdir, be they in use.
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={folder}"]
        run_once(
            folder,
            "mysql",
            [
                install,
                *common,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
        )
        settings = [
            f"--socket={address}",
            *([f"--port={port}", "--bind-address=127.0.0.1"] if port else ["--skip-networking"]),
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--skip-innodb-doublewrite",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            # What an unlucky installation has: the most forgiving comparison of text.
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_general_ci",
        ]
        if certificate is not None:
            for name, source in (("cert", certificate), ("key", certificate.with_suffix(".key"))):
                give(shutil.copy(source, folder / name), "mysql")
                settings.append(f"--ssl-{name}={folder / name}")
        with _process(folder, "mysql", [program, *common, *settings]) as process:

            def execute(statement: str) -> list[tuple[object, ...]]:
                connection = pymysql.connect(unix_socket=str(address), user="root", autocommit=True)
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement)
                    return list(cursor.fetchall())

            def ask() -> None:
                # First by hand: the driver does not close a socket that cannot connect.
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(address))
                execute("SELECT 1")

            until_ready(process, folder, ask, (OSError, pymysql.Error))
            yield Server(folder, execute, f"mariadb://root@localhost/NAME?unix_socket={address}")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL server for the session, started when first asked for."""
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """A MariaDB server for the session, started when first asked for."""
    with mariadb() as server:
        yield server


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin"


@contextlib.contextmanager
def database_folder(user: str) -> Iterator[Path]:
    """A temporary folder that belongs to the user of a database server."""
    # Not pytest's own folder: a socket's path may have 107 octets, and another user must get there.
    folder = Path(tempfile.mkdtemp(prefix="tidings-db-", dir="/tmp"))
    try:
        give(folder, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def give(path: Path, user: str) -> None:
    """Let a file or folder be that user's; without root it stays with the user who runs the tests."""
    if os.getuid() == 0:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)


def as_user(user: str, command: Sequence[str | Path]) -> list[str]:
    """The command as that user runs it; without root as the user who runs the tests."""
    # The server gets the signal when this process dies, however it dies.
    rights = [f"--reuid={user}", f"--regid={user}", "--clear-groups"] if os.getuid() == 0 else []
    return ["setpriv", *rights, "--pdeathsig=KILL", *map(str, command)]


def run_once(folder: Path, user: str, command: Sequence[str | Path]) -> None:
    """Run a command to its end, which must be a good one."""
    done = subprocess.run(as_user(user, command), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout}\n{done.stderr}"


@contextlib.contextmanager
def _process(folder: Path, user: str, command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            as_user(user, command), cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.kill()  # nothing in it is kept
        process.wait()


def until_ready(
    process: subprocess.Popen[bytes],
    folder: Path,
    ask: Callable[[], object],
    not_yet: type[Exception] | tuple[type[Exception], ...],
) -> None:
    """Wait until a server that was started answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            ask()
        except not_yet:
            log = (folder / "log").read_text(errors="replace")
            assert process.poll() is None, f"the server ended at its start:\n{log}"
            assert time.monotonic() < deadline, f"the server does not answer:\n{log}"
            time.sleep(0.05)
        else:
            return
