"""Tidings, as `tidings serve` starts it, with every feature loaded."""

import asyncio
import importlib.metadata
import sys
import time
from pathlib import Path

from benchmarks.connection import PASSWORD
from benchmarks.servers.base import Server, user_name
from tidings.adapters.sql.stores import open_stores
from tidings.base.jid import Jid
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xmpp.sasl.keys import make_scram_keys

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
[log]
level = "warning"
"""


class Tidings(Server):
    """The server of this repository, with its embedded database."""

    name = "tidings"
    websocket_path = "/xmpp-websocket"

    @classmethod
    def version(cls) -> str | None:
        """Name the version of the package."""
        return importlib.metadata.version("tidings")

    def prepare(self) -> None:
        """Write the configuration, and accounts and rosters through the ports of the store."""
        certificate, key = self.certificate()
        data = self.directory / "data"
        data.mkdir(mode=0o700)
        (self.directory / "tidings.toml").write_text(
            _CONFIGURATION.format(
                directory=self.directory,
                certificate=certificate,
                key=key,
                **{door.value: port for door, port in self.ports.items()},
            )
        )
        asyncio.run(self._fill(f"sqlite:///{data / 'tidings.sqlite'}"))

    def command(self) -> list[str]:
        """Run the installed command with this interpreter."""
        command = Path(sys.executable).with_name("tidings")
        return [str(command), "serve", "--config", str(self.directory / "tidings.toml")]

    async def _fill(self, database: str) -> None:
        """Make the accounts; all share one set of keys, since deriving them for each would take minutes."""
        stores = await open_stores(database)
        keys = make_scram_keys(PASSWORD)
        jids = [Jid.of(user_name(number), self.domain) for number in range(self.users)]
        for jid in jids:
            await stores.accounts.create(jid, keys, time.time())
        for contact in jids[1 : self.contacts + 1]:
            await stores.roster.put(jids[0], _seen(contact))
            await stores.roster.put(contact, _seen(jids[0]))
        await stores.close()


def _seen(jid: Jid) -> RosterEntry:
    return RosterEntry(jid=jid, subscription=Subscription.BOTH)
