"""An ejabberd server of one's own, from Debian's package, which writes down all that it has."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.harness.ports import free_port
from tests.streams.stand import AUTH, HEADER, Raw, plain

ERLANG: Final = shutil.which("erl") if Path("/usr/sbin/ejabberdctl").exists() else None
_SCHEMA: Final = Path("/usr/share/ejabberd/sql/lite.sql")
_SECONDS: Final = 60

_CONFIGURATION: Final = """
hosts: [localhost]
loglevel: warning
acme: {{auto: false}}
auth_method: {method}
auth_password_format: scram
auth_scram_hash: sha
default_db: {storage}
sql_type: sqlite
sql_database: "{folder}/ejabberd.sqlite"
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, shaper: none}}
modules:
  mod_disco: {{}}
  mod_roster: {{}}
  mod_caps: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_private: {{}}
  mod_vcard: {{}}
  mod_blocking: {{}}
  mod_privacy: {{}}
  mod_last: {{}}
  mod_offline: {{}}
  mod_mam: {{default: always, assume_mam_usage: true}}
"""

# What `ejabberdctl` would ask of a node with a name, which nothing outside can reach here.
_WORK: Final = """
[ok = ejabberd_auth:try_register(User, <<"localhost">>, Password) || {{User, Password}} <- [{accounts}]],
ok = file:write_file("{folder}/ready", <<>>),
Wait = fun Wait() ->
  case filelib:is_file("{folder}/write") of true -> ok; false -> timer:sleep(50), Wait() end
end,
Wait(),
ejabberd_admin:dump_to_textfile("{folder}/dump.txt"),
ejabberd_piefxis:export_server("{folder}"),
ok = file:write_file("{folder}/written", <<>>).
"""


class Ejabberd:
    """A server with its data in a folder; `storage` is `mnesia` or `sql`."""

    def __init__(self, folder: Path, storage: str, accounts: dict[str, str]) -> None:
        """Write its configuration. `accounts` are names and passwords, made at the start."""
        self.folder = folder
        self._accounts = accounts
        self.port = free_port()
        (folder / "ejabberd.yml").write_text(
            _CONFIGURATION.format(
                folder=folder,
                port=self.port,
                storage=storage,
                method="sql" if storage == "sql" else "internal",
            )
        )
        with closing(sqlite3.connect(folder / "ejabberd.sqlite")) as database:
            database.executescript(_SCHEMA.read_text())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until its accounts are made."""
        assert ERLANG is not None
        accounts = ", ".join(
            f'{{<<"{name}">>, <<"{password}">>}}' for name, password in self._accounts.items()
        )
        work = " ".join(_WORK.format(folder=self.folder, accounts=accounts).split())
        environment = {
            **os.environ,
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "log"),
            "ERL_LIBS": ":".join(map(str, Path("/usr/lib").glob("*-linux-gnu"))),
            "HOME": str(self.folder),
        }
        command = [ERLANG, "+sbwt", "none", "-noinput", "-mnesia", "dir", f'"{self.folder}/db"']
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*command, "-s", "ejabberd", "-eval", work],
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )
        self._until("ready")

    def write_down(self) -> None:
        """Let it write its dump and its portable export."""
        (self.folder / "write").touch()
        self._until("written")

    def export(self) -> Path:
        """Give the main file of the portable export."""
        [main] = (file for file in self.folder.glob("*.xml") if "localhost" not in file.name)
        return main

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_SECONDS)
            self._process = None

    def _until(self, name: str) -> None:
        assert self._process is not None
        until = time.monotonic() + _SECONDS
        while not (self.folder / name).exists():
            assert self._process.poll() is None, (self.folder / "output").read_text()
            assert time.monotonic() < until, (self.folder / "output").read_text()
            time.sleep(0.05)

    async def log_in(self, name: str, password: str) -> Raw:
        """Log in as a client does, with the resource `test`."""
        client = Raw(*await asyncio.open_connection("127.0.0.1", self.port))
        await client.say(HEADER, until="</stream:features>")
        await client.say(AUTH.format(plain(name, password)), until="<success")
        await client.say(HEADER, until="</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>test</resource></bind>"
        await client.say(f"<iq type='set' id='bind'>{bind}</iq>", until="</iq>")
        session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
        await client.say(f"<iq type='set' id='session'>{session}</iq>", until="id='session'")
        return client
