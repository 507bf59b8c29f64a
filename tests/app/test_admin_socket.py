"""The admin socket: private, orderly, and deaf to nonsense."""

import asyncio
import json
import os
import socket
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.app import admin_client, admin_socket
from tidings.kernel.domains import Domains
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Context
from tidings.operations.errors import OperationError


@pytest.fixture
def context():
    return Context(domains=Domains.of("localhost"), stores=MemoryStores(), clock=VirtualClock())


async def start(context, path):
    served = admin_socket.AdminSocket(path)
    await served.start()
    served.serve(CATALOGUE, context, Supervisor(Telemetry()))
    return served


@pytest.fixture
async def path(tmp_path, context):
    served = await start(context, tmp_path / "admin.sock")
    yield tmp_path / "admin.sock"
    await served.close()


async def call(path, category, name, **arguments):
    return await asyncio.to_thread(admin_client.call, path, category, name, arguments)


async def test_carries_operations_and_their_errors(path):
    assert await call(path, "account", "register", user="alice@localhost", password="x") == {
        "user": "alice@localhost"
    }
    assert (await call(path, "account", "count"))["count"] == 1
    with pytest.raises(OperationError) as caught:
        await call(path, "account", "register", user="alice@localhost", password="x")
    assert (caught.value.code, caught.value.text) == (
        "conflict",
        "the account alice@localhost exists already",
    )


async def test_an_operation_with_many_answers_gives_each(path):
    def export():
        return list(admin_client.stream(path, "account", "export", {}))

    assert await asyncio.to_thread(export) == []
    users = [f"user{number:02d}@localhost" for number in range(20)]
    for user in users:
        await call(path, "account", "register", user=user, password="x")
    assert [each["user"] for each in await asyncio.to_thread(export)] == sorted(users)
    with pytest.raises(OperationError, match="not a domain of this server"):
        await asyncio.to_thread(
            list, admin_client.stream(path, "account", "export", {"domain": "elsewhere.test"})
        )
    assert (await call(path, "account", "count"))["count"] == 20


async def test_is_open_to_its_user_alone_and_gone_at_the_end(tmp_path, context):
    served = await start(context, tmp_path / "admin.sock")
    assert stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode) == 0o600
    await served.close()
    assert not (tmp_path / "admin.sock").exists()
    with pytest.raises(admin_client.NotRunningError):
        admin_client.call(tmp_path / "admin.sock", "account", "count", {})


async def test_a_second_server_is_refused_and_a_dead_one_replaced(path, context):
    with pytest.raises(
        admin_socket.AlreadyRunningError, match="another server is running on the data directory"
    ):
        await start(context, path)
    dead = path.with_name("dead.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    with pytest.raises(admin_client.NotRunningError):
        admin_client.call(dead, "account", "count", {})
    again = await start(context, dead)
    assert (await call(dead, "account", "count"))["count"] == 0
    await again.close()


async def test_works_in_a_directory_with_a_very_long_name(tmp_path, context):
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    served = await start(context, directory / "admin.sock")
    assert (await call(directory / "admin.sock", "account", "count"))["count"] == 0
    await served.close()


async def talk(path: Path, data: bytes, answers: int) -> list[dict]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    found = [json.loads(await reader.readline()) for _ in range(answers)]
    writer.close()
    await writer.wait_closed()
    return found


async def test_answers_come_in_the_order_of_the_requests(path):
    arguments = b'{"user": "a@localhost", "password": "x"}'
    register = b'{"category": "account", "operation": "register", "arguments": %b}\n' % arguments
    count = b'{"category": "account", "operation": "count"}\n'
    first, second, third = await talk(path, count + register + count, 3)
    assert (first["result"]["count"], second["result"]["user"], third["result"]["count"]) == (
        0,
        "a@localhost",
        1,
    )


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[]\n", b"{}\n", b'{"category": 1, "operation": "x"}\n', b"\xff\n"]
)
async def test_nonsense_is_answered(path, line):
    [answer] = await talk(path, line, 1)
    assert answer["error"]["code"] == "invalid"


async def test_an_endless_line_is_cut_off(path):
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * (admin_socket.LINE_BYTES + 1))
    answer = json.loads(await reader.readline())
    assert answer["error"]["text"] == "a request is at most 1048576 bytes long"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_the_audit_log_names_who_uses_the_socket(tmp_path, world):
    served = await start(world.context, tmp_path / "admin.sock")
    with capture_logs() as logs:
        await call(tmp_path / "admin.sock", "account", "register", user="alice@localhost", password="x")
    await served.close()
    [line] = [line for line in logs if line["event"] == "operation"]
    assert (line["by"], line["role"], line["uid"]) == ("operator", "operator", os.getuid())
    assert line["process"] == os.getpid()
