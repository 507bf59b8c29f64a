"""What the comparison asks of a server: its own configuration and process, and an end by its pid."""

import abc
import contextlib
import enum
import functools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.certificate import write_certificate
from benchmarks.connection import Connection, Door
from benchmarks.processes import Usage, usage
from tests.harness.postgresql import Postgresql, own_postgresql

_PATIENCE = 120.0  # seconds to start in, with thousands of accounts to make


class Archive(enum.Enum):
    """Whether a scenario has messages archived, and by what kind of database."""

    OFF = "off"
    EMBEDDED = "embedded"
    POSTGRESQL = "PostgreSQL"


class Storage(enum.Enum):
    """Where a server keeps its archive."""

    NOWHERE = ""
    FILES = "files"
    MNESIA = "Mnesia"
    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


class History(enum.Enum):
    """What the archive of the first user holds before the server starts, or which room there is."""

    NOTHING = enum.auto()
    THOUSAND = enum.auto()
    MILLION = enum.auto()
    CONVERSATIONS = enum.auto()
    SMALL_LIGHT_ROOM = enum.auto()
    LARGE_LIGHT_ROOM = enum.auto()
    LARGE_ROOM = enum.auto()
    PERSONAL_NODES = enum.auto()


class Service(enum.Enum):
    """What a scenario wants beside messages and presence; the others do without it."""

    NODES = "personal eventing"
    FILES = "HTTP upload"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a server is prepared for."""

    users: int
    password_hash: str = "SHA-1"
    contacts: int = 0
    """The first user and as many users that follow see each other's presence."""
    storage: Storage = Storage.NOWHERE
    history: History = History.NOTHING
    services: frozenset[Service] = frozenset()
    measures_turns: bool = False
    """Whether it is to be asked for the longest turn of its event loop."""


class Server(abc.ABC):
    """A server under measurement, in a directory of its own and on free loopback ports."""

    name: ClassVar[str]
    websocket_path: ClassVar[str]
    domain: ClassVar[str] = "localhost"
    storages: ClassVar[Mapping[Archive, tuple[Storage, ...]]]
    """What it has for each wish of a scenario; each is measured."""
    can_be_filled: ClassVar[bool] = False
    """Whether it can be given a history."""

    def __init__(self, directory: Path, setting: Setting) -> None:
        self.directory = directory
        self.setting = setting
        self.database: Postgresql | None = None
        self.ports = dict(zip(Door, _free_ports(len(Door)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @abc.abstractmethod
    def version(cls) -> str | None:
        """Name the installed version; None if it is not installed."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Write the configuration and, where it can be done without the server, accounts and rosters."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """Give the command line of the server in the foreground."""

    def environment(self) -> dict[str, str]:
        """Give what the server needs beside the inherited environment."""
        return {}

    @property
    def pid(self) -> int:
        """The process that was started; its children belong to the server, too."""
        assert self._process is not None
        return self._process.pid

    def start(self, *doors: Door) -> None:
        """Start the process and return as soon as it accepts connections, by all doors if none is named."""
        log = self.directory / "output.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=os.environ | self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._is_ready(doors or tuple(self.ports)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.005)

    def stop(self) -> None:
        """End the process in order, and by force if it does not within some seconds."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def usage(self) -> Usage:
        """Tell what all processes of the server have used so far."""
        return usage(self.pid)

    def begin_turns(self) -> None:
        """Begin to measure the turns of the event loop; of servers that can be filled."""
        raise NotImplementedError

    def longest_turn(self) -> float:
        """End it, and give the longest turn in seconds of processor time."""
        raise NotImplementedError

    def database_usage(self) -> Usage:
        """Tell what a database server beside it has used so far."""
        return usage(self.database.pid) if self.database is not None else Usage(0.0, 0)

    def connect(self, door: Door = Door.TCP) -> Connection:
        """Open a connection through one of the doors."""
        return Connection(door, self.ports[door], self.domain, self.websocket_path)

    def log_in(self, user: int, door: Door = Door.TCP, mechanism: str = "SCRAM-SHA-1") -> Connection:
        """Give a connection with a bound session of the numbered user, not yet available."""
        connection = self.connect(door)
        connection.log_in(user_name(user), mechanism)
        return connection

    def certificate(self) -> tuple[Path, Path]:
        """Make a certificate for the run and give the files of certificate chain and key."""
        return write_certificate(self.directory, self.domain)

    def _is_ready(self, doors: Iterable[Door]) -> bool:
        return all(_accepts(self.ports[door]) for door in doors)


def user_name(number: int) -> str:
    """Name an account by its number."""
    return f"user{number}"


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Prepare and start a server, and a durable database where it wants one, for the length of a block."""
    with contextlib.ExitStack() as stack:
        if server.setting.storage is Storage.POSTGRESQL:
            server.database = stack.enter_context(own_postgresql(is_durable=True))
        server.prepare()
        server.start()
        stack.callback(server.stop)
        yield server


@functools.cache
def output_of(*command: str) -> str | None:
    """Give the first line that a command prints; None if there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return None
    return done.stdout.strip().partition("\n")[0]


def _free_ports(count: int) -> list[int]:
    """Find free loopback ports; all are held until the last is found, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
