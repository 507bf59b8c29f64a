"""profanity as a person in a story: in a terminal of its own, used by typing and watched through its log."""

import asyncio
import contextlib
import os
import pty
import re
from collections.abc import AsyncIterator
from pathlib import Path

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import PATIENCE


class Profanity:
    """profanity in a terminal of its own, used through its command line and watched through its log."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int, log: Path) -> None:
        self.process = process
        self._terminal = terminal
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def type(self, line: str) -> None:
        os.write(self._terminal, f"{line}\r".encode())

    async def logs(self, pattern: str) -> str:
        """Wait until the log has a match and give it."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := re.search(pattern, self.log)):
                    assert self.process.returncode is None, f"profanity ended\n{self.log}"
                    await asyncio.sleep(0.05)  # there is no event to wait for in another process
        except TimeoutError:
            raise AssertionError(f"profanity did not log {pattern}:\n{self.log[-5000:]}") from None
        return found[0]


@contextlib.asynccontextmanager
async def profanity_logged_in(
    command: str, server: ServerProcess, account: Account, home: Path
) -> AsyncIterator[Profanity]:
    """profanity logged in as the account; it must quit when told to."""
    data = home / "data" / "profanity"
    data.mkdir(parents=True)
    (data / "accounts").write_text(
        f"[story]\nenabled=true\njid={account.bare}\nserver=localhost\nport={server.tcp_port}\n"
        f"resource=terminal\npassword={account.password}\ntls.policy=force\n",
        encoding="utf-8",
    )
    log = home / "profanity.log"
    terminal, inside = pty.openpty()
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "SSL_CERT_FILE": str(server.authority),
    }
    asyncio.get_running_loop().add_reader(terminal, _drain, terminal)
    process = await asyncio.create_subprocess_exec(
        *(command, "--account", "story", "--log", "DEBUG", "--logfile", str(log)),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=environment,
        start_new_session=True,
    )
    os.close(inside)
    person = Profanity(process, terminal, log)
    try:
        await person.logs("RECV: <presence [^>]*from=.{1,80}/terminal")
        yield person
        person.type("/quit")
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(terminal)
        os.close(terminal)


def _drain(terminal: int) -> None:
    """What is painted on the terminal is not looked at."""
    with contextlib.suppress(OSError):  # the other side is closed
        os.read(terminal, 65536)
