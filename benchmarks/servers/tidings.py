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
        """Write the configuration, and the accounts through the store's port."""
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
        asyncio.run(_make_accounts(data / "tidings.sqlite", self.users, self.domain))

    def command(self) -> list[str]:
        """Run the installed command with this interpreter."""
        command = Path(sys.executable).with_name("tidings")
        return [str(command), "serve", "--config", str(self.directory / "tidings.toml")]


async def _make_accounts(database: Path, count: int, domain: str) -> None:
    """Make the accounts; all share one set of keys, since deriving them for each would take minutes."""
    stores = await open_stores(f"sqlite:///{database}")
    keys = make_scram_keys(PASSWORD)
    for number in range(count):
        await stores.accounts.create(Jid.of(user_name(number), domain), keys, time.time())
    await stores.close()
