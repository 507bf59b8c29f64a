"""The service manager hears what the server does, as sd_notify(3) says, and nothing of a loop that hangs."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.extension import write_package
from tests.harness.server_process import ServerProcess
from tests.harness.service_manager import PATIENCE, Manager
from tidings.adapters.file_lock import FileLock
from tidings.app.notify import ServiceManager

STUCK = """
import asyncio
import signal
import time
from pathlib import Path

from tidings.api import Feature, Spec

HERE = Path(__file__).parent


class Stuck(Feature):
    '''Blocks the loop from SIGUSR2 on, until a file is there.'''

    spec = Spec("stuck")
    option_name = "stuck"

    def __init__(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self._block)

    def _block(self) -> None:
        (HERE / "blocked").touch()
        while not (HERE / "go-on").exists():
            time.sleep(0.01)
"""


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(
        f"@tidings-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    )
    yield made
    made.close()


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_it_hears_of_the_start_a_reload_and_the_end_in_order(tmp_path: Path, manager: Manager) -> None:
    server = ServerProcess.start(tmp_path, environment=manager.variables())
    try:
        assert manager.next_with("READY") == {"READY": "1", "STATUS": "serves localhost"}
        before = now()
        server.process.send_signal(signal.SIGHUP)
        begun = manager.next()
        assert begun.pop("RELOADING") == "1"
        assert before <= int(begun.pop("MONOTONIC_USEC")) <= now()
        assert begun == {"STATUS": "reloads its configuration"}
        assert manager.next() == {"READY": "1", "STATUS": "serves localhost"}
    finally:
        server.stop()
    end = manager.next()
    assert end.pop("STOPPING") == "1"
    assert int(end.pop("EXTEND_TIMEOUT_USEC")) > 5_000_000
    assert end == {"STATUS": "stops"}
    assert not manager.has_message()


def test_a_reload_that_fails_ends_too(tmp_path: Path, manager: Manager) -> None:
    server = ServerProcess.start(tmp_path, environment=manager.variables())
    try:
        manager.next_with("READY")
        (server.directory / "tidings.toml").write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        assert "RELOADING" in manager.next()
        assert manager.next() == {"READY": "1", "STATUS": "serves localhost"}
    finally:
        server.stop_troubled()


def test_a_start_that_waits_asks_for_more_time_and_says_why(tmp_path: Path, manager: Manager) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    held = FileLock(tmp_path / "data/tidings.sqlite-writer")
    assert held.take()
    server = ServerProcess.launch(tmp_path, environment=manager.variables())
    try:
        waiting = manager.next_with("EXTEND_TIMEOUT_USEC")
        assert int(waiting["EXTEND_TIMEOUT_USEC"]) > 10_000_000  # it is told again every ten seconds
        assert waiting["STATUS"].startswith("waits for process ")
        held.close()
        assert manager.next_with("READY") == {"READY": "1", "STATUS": "serves localhost"}
    finally:
        server.stop()


def test_it_hears_why_a_server_does_not_start(tmp_path: Path, manager: Manager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        variables = manager.variables(TIDINGS_LISTEN__TCP__PORT=str(taken.getsockname()[1]))
        server = ServerProcess.launch(tmp_path, environment=variables)
        assert server.process.wait(PATIENCE) == 1
    assert "is taken by" in manager.next()["STATUS"]
    assert not manager.has_message()


def test_the_watchdog_hears_a_server_that_has_nothing_to_do_and_not_one_that_is_stuck(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    write_package(tmp_path / "installed", "stuck", STUCK, stuck="Stuck")
    variables = manager.variables(
        WATCHDOG_USEC="400000", PYTHONPATH=os.pathsep.join([str(tmp_path / "installed"), *_path()])
    )
    server = ServerProcess.start(tmp_path, environment=variables | {"TIDINGS_SERVER__EXTENSIONS": "stuck"})
    try:
        manager.next_with("READY")
        begin = time.monotonic()
        manager.drain()
        assert [manager.next() for _ in range(5)] == [{"WATCHDOG": "1"}] * 5
        assert time.monotonic() - begin > 0.5  # five of them, 0.2 s apart: not as fast as it can
        server.process.send_signal(signal.SIGUSR2)
        wait_for(tmp_path / "installed/blocked")
        manager.drain()
        assert not manager.hears_within(1.0), "a stuck loop gave a sign of life"
        (tmp_path / "installed/go-on").touch()
        assert manager.next() == {"WATCHDOG": "1"}
    finally:
        (tmp_path / "installed/go-on").touch()
        server.stop()
        manager.close()


def test_nobody_else_is_told(tmp_path: Path) -> None:
    """What is for another process, such as our parent, is no sign that our loop is looked at."""
    manager = Manager(str(tmp_path / "notify"))
    environment = manager.variables(WATCHDOG_USEC="1000000", WATCHDOG_PID="1")
    told = ServiceManager(environment)
    assert environment == {}  # children inherit nothing of it
    told.watch()
    assert not manager.has_message()
    told.ready("serves\nlocalhost")
    assert manager.next() == {"READY": "1", "STATUS": "serves localhost"}
    told.close()
    manager.close()


def test_a_server_without_a_manager_or_with_one_that_is_gone_runs(tmp_path: Path) -> None:
    for name in ("", str(tmp_path / "nobody")):
        told = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"})
        told.watch()
        told.ready("serves localhost")
        told.close()


def _path() -> list[str]:
    return [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, path
        with contextlib.suppress(OSError):
            select.select([], [], [], 0.01)
