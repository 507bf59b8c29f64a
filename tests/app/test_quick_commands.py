"""Commands are quick: what they load is counted, since seconds depend on the machine."""

import asyncio
import os
import sys

import pytest

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.app import admin_socket, config, whereabouts
from tidings.kernel.domains import Domains
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Context

SLOW = {
    "aiohttp",
    "alembic",
    "asyncio",
    "cryptography",
    "importlib.metadata",
    "msgspec",
    "prometheus_client",
    "rich",
    "sqlalchemy",
    "structlog",
    "tidings.adapters",
    "tidings.features",
    "tidings.gateways",
    "tidings.kernel",
    "tidings.messages",
    "tidings.operations.catalogue",
    "tidings.ports",
    "tidings.streams",
    "tidings.wire.xmpp",
}
"""What the command line needs only where it does the work itself."""

PROGRAM = r"""
import sys
from tidings.app import cli
try:
    code = cli.main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print("\nloaded:", *sys.modules)
sys.exit(code)
"""


@pytest.fixture
async def server(tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    context = Context(domains=Domains.of("localhost"), stores=MemoryStores(), clock=VirtualClock())
    served = admin_socket.AdminSocket(tmp_path / "data/admin.sock")
    await served.start()
    served.serve(CATALOGUE, context, Supervisor(Telemetry()))
    yield tmp_path
    await served.close()


async def run(directory, *arguments):
    """Run the command in a process of its own; gives its exit code, what it says, and what it has loaded."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *arguments,
        cwd=directory,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    shown, told = await process.communicate()
    said, _, modules = shown.decode().rpartition("\nloaded: ")
    return process.returncode, said + told.decode(), set(modules.split())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("account register --user alice@localhost --password x", 0, "alice@localhost has been made."),
        ("account count --json", 0, '"count": 0'),
        ("account export", 0, ""),
        ("account check --user nobody@localhost", 1, "no"),
        ("server status", 1, "localhost"),
        ("domain list", 0, "localhost"),
        ("account register --user bad@@localhost --password x", 1, "is not an address"),
        ("session list", 3, "the server is not running"),
        ("--help", 0, "commands:"),
        ("account --help", 0, "change-password"),
        ("account ban --help", 0, "--reason"),
        ("completion bash", 0, "complete -F _tidings tidings"),
        ("completion candidates account unb", 0, "unban"),
        ("completion candidates acc", 0, "account"),
        ("acount list", 2, "did you mean `account`?"),
        ("account lst", 2, "did you mean `list`?"),
        ("account list --domian localhost", 2, "did you mean `--domain`?"),
    ],
)  # fmt: skip
async def test_a_command_for_the_running_server_loads_nothing_of_it(server, words, code, said):
    ended, shown, loaded = await run(server, *words.split())
    assert (ended, said in shown) == (code, True), shown
    assert loaded & SLOW == set()


async def test_the_file_that_is_needed_to_find_the_server_is_all_that_is_read_of_the_configuration(server):
    (server / "elsewhere").mkdir()
    (server / "elsewhere/my.toml").write_text('[server]\ndata_dir = "../data"\n[log]\nlevel = "nonsense"\n')
    code, shown, loaded = await run(server, "account", "count", "--config", "elsewhere/my.toml")
    assert (code, shown) == (0, "0\n")
    assert loaded & SLOW == set()


async def test_without_a_server_the_work_is_done_on_the_database(tmp_path):
    (tmp_path / "data").mkdir()
    code, shown, loaded = await run(tmp_path, "account", "count")
    assert (code, shown) == (0, "0\n")
    assert "sqlalchemy" in loaded


async def test_a_server_that_starts_loads_nothing_that_is_for_terminals(tmp_path):
    (tmp_path / "tidings.toml").write_text("[server]\nno_such_option = 1\n")
    code, shown, loaded = await run(tmp_path, "serve")
    assert (code, "no_such_option" in shown) == (2, True), shown
    assert {"structlog", "tidings.app.server"} <= loaded
    assert loaded & {"rich", "pygments", "aiohttp"} == set()


@pytest.mark.parametrize(
    ("file", "environment", "data_dir"),
    [
        ("", {}, None),
        ('[server]\ndata_dir = "there"\n', {}, None),
        ('[server]\ndata_dir = "/there"\n', {}, None),
        ('[server]\ndata_dir = "there"\n', {"TIDINGS_SERVER__DATA_DIR": "here"}, None),
        ('[server]\ndata_dir = "there"\n', {"TIDINGS_Server__data_dir": "here"}, None),
        ('[server]\ndata_dir = "there"\n', {"TIDINGS_SERVER__DATA_DIR": "here"}, "flag"),
        ("", {}, "flag/below"),
        ("[listen.tcp]\nport = 1\n", {"TIDINGS_LOG__LEVEL": "debug"}, None),
    ],
)  # fmt: skip
def test_the_server_is_found_where_the_configuration_has_it(tmp_path, file, environment, data_dir):
    (tmp_path / "my.toml").write_text(file)
    path = str(tmp_path / "my.toml")
    flags = {"server.data_dir": data_dir} if data_dir else {}
    found = whereabouts.find(path, data_dir, environment)
    assert found is not None
    assert found.admin_socket == config.load(path, environment, flags).admin_socket
    assert not found.has_extensions


def test_the_server_is_found_without_a_file_and_by_the_variable_that_names_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert whereabouts.find(None, None, {}) == (config.load(None, {}).admin_socket, False)
    (tmp_path / "my.toml").write_text('[server]\ndata_dir = "there"\n')
    environment = {"TIDINGS_CONFIG": str(tmp_path / "my.toml")}
    found = whereabouts.find(None, None, environment)
    assert found == (config.load(None, environment).admin_socket, False)


@pytest.mark.parametrize(
    ("file", "environment"),
    [
        ('[server]\nextensions = ["acme"]\n', {}),
        ("", {"TIDINGS_SERVER__EXTENSIONS": "acme"}),
    ],
)
def test_extensions_are_noticed(tmp_path, file, environment):
    (tmp_path / "my.toml").write_text(file)
    found = whereabouts.find(str(tmp_path / "my.toml"), None, environment)
    assert found is not None
    assert found.has_extensions


@pytest.mark.parametrize(
    "file", ["[server", "server = 1", "[server]\ndata_dir = 1", '[server]\ndata_dir = ""', "\xff"]
)
def test_what_is_unusual_is_left_to_the_whole_configuration(tmp_path, file):
    (tmp_path / "my.toml").write_text(file, encoding="latin-1")
    assert whereabouts.find(str(tmp_path / "my.toml"), None, {}) is None
    assert whereabouts.find(str(tmp_path / "missing.toml"), None, {}) is None
