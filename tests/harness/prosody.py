"""A Prosody server of one's own, from Debian's package, and people who use it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.harness.ports import free_port
from tests.streams.stand import HEADER, Raw, plain

PROSODY: Final = shutil.which("prosody")
_SECONDS: Final = 30

_CONFIGURATION: Final = """
daemonize = false
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ warn = "{folder}/log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
modules_enabled = {{ "roster", "saslauth", "disco", "private", "vcard_legacy", "blocklist", "pep", "mam" }}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "{authentication}"
storage = "{storage}"
sql = {{ driver = "SQLite3", database = "{folder}/prosody.sqlite" }}
archive_expires_after = "never"
VirtualHost "localhost"
VirtualHost "xn--bcher-kva.example"
"""


class Prosody:
    """A server with its data in a folder."""

    def __init__(
        self, folder: Path, *, storage: str = "internal", authentication: str = "internal_hashed"
    ) -> None:
        """Write its configuration."""
        self.folder = folder
        self.port = free_port()
        (folder / "data").mkdir()
        self._file = folder / "prosody.cfg.lua"
        self._file.write_text(
            _CONFIGURATION.format(
                folder=folder, port=self.port, storage=storage, authentication=authentication
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def register(self, name: str, domain: str, password: str) -> None:
        """Make an account."""
        command = ["prosodyctl", "--root", "--config", self._file, "register", name, domain, password]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
        assert not done.returncode, done.stdout + done.stderr

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert PROSODY is not None
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [PROSODY, "--config", self._file], stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, (self.folder / "output").read_text()
                assert time.monotonic() < until, (self.folder / "output").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Stop it, and wait until all is written."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_SECONDS)
            self._process = None

    async def log_in(self, name: str, password: str, domain: str = "localhost") -> Raw:
        """Log in as a client does, with the resource `test`."""
        header = HEADER.replace("localhost", domain)
        client = Raw(*await asyncio.open_connection("127.0.0.1", self.port))
        await client.say(header, until="</stream:features>")
        auth = (
            f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain(name, password)}</auth>"
        )
        await client.say(auth, until="<success")
        await client.say(header, until="</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>test</resource></bind>"
        await client.say(f"<iq type='set' id='bind'>{bind}</iq>", until="</iq>")
        return client
