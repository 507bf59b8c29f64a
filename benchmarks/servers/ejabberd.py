"""ejabberd, configured to route and nothing else, or to archive and copy as well."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from benchmarks.connection import PASSWORD, Door
from benchmarks.servers.base import Archive, Server, Service, Storage, output_of, user_name

_CONFIGURATION = """
hosts: [localhost]
loglevel: warning
certfiles: ["{certificate}", "{key}"]
acme: {{auto: false}}
auth_method: internal
auth_password_format: scram
auth_scram_hash: {password_hash}
listen:
  - {{port: {tcp}, ip: "127.0.0.1", backlog: 4096, module: ejabberd_c2s, shaper: none}}
  - {{port: {tls}, ip: "127.0.0.1", backlog: 4096, module: ejabberd_c2s, shaper: none, tls: true}}
  - port: {websocket}
    ip: "127.0.0.1"
    backlog: 4096
    module: ejabberd_http
    request_handlers: {{/ws: ejabberd_http_ws, /upload: mod_http_upload}}
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{cache_size: 100000}}
{services}{archive}
"""

_NODES = """
  mod_caps: {}
  mod_pubsub: {plugins: [flat, pep], max_items_node: 10}
"""

_FILES = """
  mod_http_upload:
    host: upload.localhost
    put_url: "http://localhost:{port}/upload"
    docroot: "{directory}/upload"
    max_size: infinity
    access: all
"""

_ARCHIVE = """
  mod_carboncopy: {{}}
  mod_mam: {{db_type: {kind}, default: always}}
  mod_muc:
    host: conference.localhost
    max_users: 10000
    max_users_presence: 10000
    max_user_conferences: 1000
    default_room_options: {{mam: true, max_users: 10000}}
"""

_SQLITE = """
sql_type: sqlite
sql_database: "{file}"
"""

# The others use a Unix socket, which its driver cannot.
_POSTGRESQL = """
sql_type: pgsql
sql_server: 127.0.0.1
sql_port: {port}
sql_database: "{database}"
sql_username: tidings
sql_password: ""
"""

_SCHEMAS = Path("/usr/share/ejabberd/sql")

# One account is made as usual; the others get a copy of its keys, since a hash for each would take minutes.
# The roster items are records of mod_roster.
_ACCOUNTS = """
Host = <<"{domain}">>, First = <<"{first}">>,
case mnesia:dirty_read(passwd, {{First, Host}}) of
  [_] -> ok;
  [] ->
    ok = ejabberd_auth:try_register(First, Host, <<"{password}">>),
    [Account] = mnesia:dirty_read(passwd, {{First, Host}}),
    Name = fun(N) -> iolist_to_binary(["{prefix}", integer_to_list(N)]) end,
    See = fun(A, B) ->
      Contact = {{B, Host, <<>>}}, Key = {{A, Host, Contact}},
      ok = mnesia:dirty_write({{roster, Key, {{A, Host}}, Contact, <<>>, both, none, [], <<>>, []}})
    end,
    [begin See(First, Name(N)), See(Name(N), First) end || N <- lists:seq(1, {contacts})],
    [ok = mnesia:dirty_write(setelement(2, Account, {{Name(N), Host}})) || N <- lists:seq(1, {last})]
end,
ok = file:write_file("{done}", <<>>).
"""


class Ejabberd(Server):
    """ejabberd from Debian's package, as an Erlang node without a name: nothing outside can reach it."""

    name = "ejabberd"
    websocket_path = "/ws"
    storages: ClassVar = {
        Archive.OFF: (Storage.NOWHERE,),
        Archive.EMBEDDED: (Storage.MNESIA, Storage.SQLITE),
        Archive.POSTGRESQL: (Storage.POSTGRESQL,),
    }

    @classmethod
    def version(cls) -> str | None:
        """Name the package's version."""
        if shutil.which("erl") is None or not _libraries():
            return None
        return output_of("dpkg-query", "--show", "--showformat=${Version}", "ejabberd") or "unknown"

    def prepare(self) -> None:
        """Write the configuration; accounts and rosters are made by the server at its first start."""
        certificate, key = self.certificate()
        (self.directory / "ejabberd.yml").write_text(
            _CONFIGURATION.format(
                certificate=certificate,
                key=key,
                archive=self._archive(),
                services=self._services(),
                password_hash=self.setting.password_hash.replace("-", "").lower().replace("sha1", "sha"),
                **{door.value: port for door, port in self.ports.items()},
            )
        )

    def _services(self) -> str:
        """Give the modules for what a scenario wants beside messages and presence."""
        wanted = self.setting.services
        files = _FILES.format(port=self.ports[Door.WEBSOCKET], directory=self.directory)
        return (_NODES if Service.NODES in wanted else "") + (files if Service.FILES in wanted else "")

    def _archive(self) -> str:
        """Give the end of the configuration that makes it keep and copy messages."""
        match self.setting.storage:
            case Storage.NOWHERE:
                return ""
            case Storage.SQLITE:
                file = self.directory / "archive.sqlite"
                with contextlib.closing(sqlite3.connect(file)) as database:
                    database.executescript((_SCHEMAS / "lite.sql").read_text())
                return _ARCHIVE.format(kind="sql") + _SQLITE.format(file=file)
            case Storage.POSTGRESQL:
                assert self.database is not None
                name = self.database.create_database()
                self.database.execute((_SCHEMAS / "pg.sql").read_text(), name)
                return _ARCHIVE.format(kind="sql") + _POSTGRESQL.format(
                    port=self.database.port, database=name
                )
            case _:
                return _ARCHIVE.format(kind="mnesia")

    def command(self) -> list[str]:
        """Run with the options of ejabberdctl, except that idle schedulers sleep instead of spinning.

        Spinning costs processor time that no message needs, and that a machine of two cores takes from the
        generator.
        """
        accounts = _ACCOUNTS.format(
            domain=self.domain,
            first=user_name(0),
            prefix=user_name(0).rstrip("0"),
            password=PASSWORD,
            last=self.setting.users - 1,
            contacts=self.setting.contacts,
            done=self._done,
        )
        calm = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
        spool = ["-mnesia", "dir", f'"{self.directory}/spool"']
        start = ["-s", "ejabberd", "-eval", " ".join(accounts.split())]
        return ["erl", "+K", "true", "+P", "250000", *calm, "-noinput", *spool, *start]

    def environment(self) -> dict[str, str]:
        """Name the places that ejabberdctl would name."""
        return {
            "EJABBERD_CONFIG_PATH": str(self.directory / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.directory / "ejabberd.log"),
            "ERL_CRASH_DUMP": str(self.directory / "crash.dump"),
            "ERL_LIBS": str(_libraries()),
            "ERL_MAX_PORTS": "65536",
            "ERL_MAX_ETS_TABLES": "1400",
        }

    def start(self, *doors: Door) -> None:
        """Start, and wait for the accounts as well."""
        self._done.unlink(missing_ok=True)
        super().start(*doors)

    @property
    def _done(self) -> Path:
        return self.directory / "accounts-made"

    def _is_ready(self, doors: Iterable[Door]) -> bool:
        return self._done.exists() and super()._is_ready(doors)


def _libraries() -> Path | None:
    """Find the directory of Erlang libraries that holds ejabberd."""
    return next((path.parent for path in Path("/usr/lib").glob("*/ejabberd-*")), None)
