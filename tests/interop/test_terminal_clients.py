"""Debian's terminal clients talk with slixmpp over STARTTLS; the accounts come from the command line.

go-sendxmpp uses the strongest mechanism it knows: in Debian 12 that is PLAIN, later versions have SCRAM.
profanity logs in with SCRAM, and so does slixmpp.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.profanity_client import profanity_logged_in
from tests.interop.slixmpp_client import PATIENCE, logged_in


@pytest.fixture
def go_sendxmpp() -> str:
    command = shutil.which("go-sendxmpp")
    if command is None:
        pytest.skip("go-sendxmpp is missing: run tests/install.sh")
    return command


@pytest.fixture
def account_from_command(server: ServerProcess, next_number: Callable[[], int]) -> Callable[[str], Account]:
    """Makes accounts as an administrator does."""

    return lambda name: made_account(server, f"{name}{next_number()}")


def made_account(server: ServerProcess, name: str) -> Account:
    account = Account(name, "pass word", server.domain)
    done = server.command("account", "register", "--user", account.bare, "--password", account.password)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return account


@contextlib.asynccontextmanager
async def running(
    command: str, server: ServerProcess, account: Account, home: Path, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """go-sendxmpp logged in as the account, ended afterwards if it still runs."""
    process = await asyncio.create_subprocess_exec(
        command,
        "--debug",
        *("--username", account.bare),
        *("--password", account.password),
        *("--jserver", f"localhost:{server.tcp_port}"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HOME": str(home), "SSL_CERT_FILE": str(server.authority)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_go_sendxmpp_sends_to_slixmpp(
    go_sendxmpp: str,
    server: ServerProcess,
    account_from_command: Callable[[str], Account],
    tmp_path: Path,
) -> None:
    sender, receiver = account_from_command("go"), account_from_command("slix")
    async with logged_in(receiver, server) as person:
        person.send_presence()
        await person.takes_presence("available", receiver.bare)
        async with running(go_sendxmpp, server, sender, tmp_path, receiver.bare) as process:
            async with asyncio.timeout(PATIENCE):
                output, _ = await process.communicate("Grüße vom Terminal 🦦\n".encode())
            assert process.returncode == 0, f"{output.decode()}\n{server.log_tail()}"
        message = await person.takes_message(sender.bare)
        assert message["body"].strip() == "Grüße vom Terminal 🦦"
        check_log_in(output.decode())


async def test_slixmpp_sends_to_go_sendxmpp(
    go_sendxmpp: str,
    server: ServerProcess,
    account_from_command: Callable[[str], Account],
    tmp_path: Path,
) -> None:
    sender, receiver = account_from_command("slix"), account_from_command("go")
    async with logged_in(sender, server) as person:
        person.send_presence()
        async with running(go_sendxmpp, server, receiver, tmp_path, "--listen") as process:
            heard = await hear_until(process, "<presence")
            # Its presence may still be on the way, and a stranger learns nothing of it: so we try again.
            async with asyncio.timeout(PATIENCE):
                while "guten Abend" not in heard:
                    person.send_message(mto=receiver.bare, mbody="guten Abend", mtype="chat")
                    heard += await hear_until(process, "guten Abend|service-unavailable")
        check_log_in(heard)


async def hear_until(process: asyncio.subprocess.Process, pattern: str) -> str:
    """What it prints up to a pattern; AssertionError with all of it when it ends before."""
    heard = ""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while not re.search(pattern, heard):
                block = await process.stdout.read(65536)
                assert block, f"go-sendxmpp ended without {pattern}:\n{heard}"
                heard += block.decode()
    except TimeoutError:
        raise AssertionError(f"go-sendxmpp did not print {pattern}:\n{heard}") from None
    return heard


def check_log_in(trace: str) -> None:
    """What go-sendxmpp received shows STARTTLS and, after it, a log-in."""
    assert "<proceed" in trace, trace
    assert "<success" in trace.partition("<proceed")[2], trace


@pytest.fixture(scope="module")
def sha256_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that offers SCRAM-SHA-256 and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDINGS_SERVER__MECHANISMS", "SCRAM-SHA-256")
        running = ServerProcess.start(tmp_path_factory.mktemp("sha256"))
    yield running
    running.stop()


async def test_profanity_talks_with_slixmpp(
    profanity: str, sha256_server: ServerProcess, next_number: Callable[[], int], tmp_path: Path
) -> None:
    """Both log in over STARTTLS with SCRAM-SHA-256."""
    server = sha256_server
    one, other = (made_account(server, f"{name}{next_number()}") for name in ("profane", "slix"))
    async with logged_in(other, server) as person:
        person.send_presence()
        async with profanity_logged_in(profanity, server, one, tmp_path) as terminal:
            assert "proceed" in terminal.log
            assert re.search(r"""SENT: <auth [^>]*mechanism="SCRAM-SHA-256(-PLUS)?\"""", terminal.log), (
                terminal.log[:8000]
            )
            terminal.type(f"/msg {other.bare} Grüße vom Terminal")
            message = await person.takes_message(one.bare)
            assert message["body"] == "Grüße vom Terminal"
            person.send_message(mto=message["from"], mbody="guten Abend", mtype="chat")
            await terminal.logs("RECV: <message .{1,400}guten Abend")
        assert "<not-well-formed" not in terminal.log, terminal.log[-3000:]
