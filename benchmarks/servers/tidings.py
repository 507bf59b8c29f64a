"""Tidings, as `tidings serve` starts it, with every feature loaded."""

import asyncio
import importlib.metadata
import os
import sys
import time
from pathlib import Path
from typing import ClassVar

from benchmarks import signals
from benchmarks.connection import PASSWORD
from benchmarks.history import fill, fill_nodes, fill_room
from benchmarks.servers.base import Archive, Server, Storage, user_name
from tidings.adapters.sql.stores import open_stores
from tidings.base.jid import Jid
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xmpp.sasl.keys import make_scram_keys

_ROOT = Path(__file__).parents[2]
_PATIENCE = 10.0
_CONFIGURATION = """
[server]
data_dir = "{directory}/data"
domains = ["localhost"]
[listen]
tcp = {{ addresses = ["127.0.0.1"], port = {tcp} }}
tls = {{ addresses = ["127.0.0.1"], port = {tls} }}
http = {{ addresses = ["127.0.0.1"], port = {websocket} }}
https = {{ enabled = false }}
[tls]
certificate = "{certificate}"
key = "{key}"
[limits]
logins_per_second = 0
[features.muc]
locks_new = false
[features.room_limits]
max_rooms_owned = 100_000
rooms_per_hour = 0
messages_per_second = 0
room_messages_per_second = 0
joins_per_minute = 0
room_joins_per_minute = 0
presences_per_minute = 0
[features.upload]
account_bytes = 0
account_files = 0
domain_bytes = 0
slots_per_minute = 0
[log]
level = "warning"
"""
_NO_ARCHIVE = """
[ledger]
enabled = false
"""
_DATABASE = """
[database]
url = "{url}"
"""


class Tidings(Server):
    """The server of this repository, with its embedded database."""

    name = "tidings"
    websocket_path = "/xmpp-websocket"
    storages: ClassVar = {
        Archive.OFF: (Storage.NOWHERE,),
        Archive.EMBEDDED: (Storage.SQLITE,),
        Archive.POSTGRESQL: (Storage.POSTGRESQL,),
    }
    can_be_filled = True

    @classmethod
    def version(cls) -> str | None:
        """Name the version of the package."""
        return importlib.metadata.version("tidings")

    def prepare(self) -> None:
        """Write the configuration, and accounts and rosters through the ports of the store."""
        certificate, key = self.certificate()
        data = self.directory / "data"
        data.mkdir(mode=0o700)
        url = f"sqlite:///{data / 'tidings.sqlite'}"
        if self.database is not None:
            url = self.database.url(self.database.create_database())
        text = _CONFIGURATION.format(
            directory=self.directory,
            certificate=certificate,
            key=key,
            **{door.value: port for door, port in self.ports.items()},
        )
        text += _DATABASE.format(url=url)
        text += _NO_ARCHIVE if self.setting.storage is Storage.NOWHERE else ""
        (self.directory / "tidings.toml").write_text(text)
        asyncio.run(self._fill(url))

    def command(self) -> list[str]:
        """Run the installed command with this interpreter."""
        command = [str(Path(sys.executable).with_name("tidings"))]
        if self.setting.measures_turns:
            command = [sys.executable, "-m", "benchmarks.heartbeat", str(self._turns)]
        return [*command, "serve", "--config", str(self.directory / "tidings.toml")]

    def environment(self) -> dict[str, str]:
        """Let byte code be kept, as where it is installed, even if this shell does not want it."""
        environment = {"PYTHONDONTWRITEBYTECODE": ""}
        if self.setting.measures_turns:
            path = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        return environment

    def begin_turns(self) -> None:
        """Begin to measure the turns of the event loop."""
        self._turns.unlink(missing_ok=True)
        os.kill(self.pid, signals.BEGIN)

    def longest_turn(self) -> float:
        """End it, and give the longest turn in seconds of processor time."""
        os.kill(self.pid, signals.END)
        deadline = time.monotonic() + _PATIENCE
        while not self._turns.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the server does not tell its turns")
            time.sleep(0.05)
        return float(self._turns.read_text())

    @property
    def _turns(self) -> Path:
        return self.directory / "longest-turn"

    async def _fill(self, database: str) -> None:
        """Make the accounts; all share one set of keys, since deriving them for each would take minutes."""
        stores = await open_stores(database)
        keys = make_scram_keys(PASSWORD)
        jids = [Jid.of(user_name(number), self.domain) for number in range(self.setting.users)]
        for jid in jids:
            await stores.accounts.create(jid, keys, time.time())
        for contact in jids[1 : self.setting.contacts + 1]:
            await stores.roster.put(jids[0], _seen(contact))
            await stores.roster.put(contact, _seen(jids[0]))
        await fill(stores.ledger, jids[0], self.setting.history)
        await fill_room(stores.ledger, jids, self.setting.history)
        await fill_nodes(stores.nodes, jids[1:], self.setting.history)
        await stores.close()


def _seen(jid: Jid) -> RosterEntry:
    return RosterEntry(jid=jid, subscription=Subscription.BOTH)
