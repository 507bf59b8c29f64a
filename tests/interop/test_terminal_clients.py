"""Debian's go-sendxmpp talks with slixmpp, both over STARTTLS with SCRAM; the accounts come from the command line."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
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

    def make(name: str) -> Account:
        account = Account(f"{name}{next_number()}", "pass word", server.domain)
        done = server.command("account", "register", "--user", account.bare, "--password", account.password)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return account

    return make


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
            # Its presence is on the way; a stranger learns nothing of it, so the message is repeated until it is there.
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
    """The trace of the client shows STARTTLS and then SCRAM."""
    assert "urn:ietf:params:xml:ns:xmpp-tls" in trace, trace
    assert re.search(r"""<auth [^>]*mechanism=["']SCRAM-SHA-(256|512)""", trace), trace
