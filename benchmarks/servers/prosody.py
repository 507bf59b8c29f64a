"""Prosody, configured to route and nothing else, or to archive and copy as well."""

import base64
import hashlib
import hmac
import os
import shutil
from collections.abc import Iterable
from typing import ClassVar

from benchmarks.connection import PASSWORD
from benchmarks.servers.base import Archive, Server, Service, Storage, output_of, user_name

_ITERATIONS = 10_000  # Prosody's own default
_CONFIGURATION = """
run_as_root = true
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
plugin_paths = {{}}
log = {{ {{ levels = {{ min = "warn" }}, to = "file", filename = "{directory}/prosody.log" }} }}
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "websocket" {modules} {nodes} }}
modules_disabled = {{ "s2s", "s2s_auth_certs", "offline" }}
authentication = "internal_hashed"
password_hash = "{password_hash}"
default_storage = "memory"
storage = {{ accounts = "internal", roster = "internal" {archive} }}
{options}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
c2s_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {tcp} }}
c2s_direct_tls_ports = {{ {tls} }}
c2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
ssl = {{ certificate = "{certificate}", key = "{key}" }}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {websocket} }}
https_ports = {{}}
http_default_host = "localhost"
consider_websocket_secure = true
VirtualHost "localhost"
{rooms}
{files}
"""

_FILES = """
Component "upload.localhost" "http_file_share"
http_host = "localhost"
http_file_share_size_limit = 100 * 1024 * 1024
http_file_share_daily_quota = 1024 * 1024 * 1024 * 1024
"""

_ROOMS = """
Component "conference.localhost" "muc"
modules_enabled = { "muc_mam" }
muc_room_locking = false
muc_log_expires_after = "never"
"""

_DRIVERS = {Storage.FILES: "internal", Storage.SQLITE: "sql", Storage.POSTGRESQL: "sql"}


class Prosody(Server):
    """Prosody from Debian's package, with the epoll backend and accounts and rosters in files."""

    name = "prosody"
    websocket_path = "/xmpp-websocket"
    storages: ClassVar = {
        Archive.OFF: (Storage.NOWHERE,),
        Archive.EMBEDDED: (Storage.FILES, Storage.SQLITE),
        Archive.POSTGRESQL: (Storage.POSTGRESQL,),
    }

    @classmethod
    def version(cls) -> str | None:
        """Name the package's version."""
        if shutil.which("prosody") is None:
            return None
        return output_of("dpkg-query", "--show", "--showformat=${Version}", "prosody") or "unknown"

    def prepare(self) -> None:
        """Write the configuration, and accounts and rosters as Prosody's own storage keeps them."""
        certificate, key = self.certificate()
        accounts = self.directory / "data" / self.domain / "accounts"
        accounts.mkdir(parents=True)
        record = _account(self.setting.password_hash)
        for number in range(self.setting.users):
            (accounts / f"{user_name(number)}.dat").write_text(record)
        rosters = accounts.with_name("roster")
        rosters.mkdir()
        contacts = self.setting.contacts
        for number in range(contacts + 1):
            friends = range(1, contacts + 1) if number == 0 else [0]
            (rosters / f"{user_name(number)}.dat").write_text(_roster(friends, self.domain))
        (self.directory / "prosody.cfg.lua").write_text(
            _CONFIGURATION.format(
                directory=self.directory,
                password_hash=self.setting.password_hash,
                certificate=certificate,
                key=key,
                **self._archive(),
                nodes=', "pep"' if Service.NODES in self.setting.services else "",
                files=_FILES if Service.FILES in self.setting.services else "",
                **{door.value: port for door, port in self.ports.items()},
            )
        )

    def command(self) -> list[str]:
        """Run in the foreground."""
        return ["prosody", "-F", "--config", str(self.directory / "prosody.cfg.lua")]

    def _archive(self) -> dict[str, str]:
        """Fill the places of the configuration that make it keep and copy messages."""
        storage, options = self.setting.storage, ""
        if storage is Storage.NOWHERE:
            return {"modules": "", "archive": "", "options": "", "rooms": ""}
        if storage is Storage.SQLITE:
            options = f'sql = {{ driver = "SQLite3", database = "{self.directory}/archive.sqlite" }}'
        if self.database is not None:
            options = (
                f'sql = {{ driver = "PostgreSQL", database = "{self.database.create_database()}", '
                f'username = "tidings", password = "", host = "{self.database.folder}", '
                f"port = {self.database.port} }}"
            )
        return {
            "modules": ', "mam", "carbons"',
            "archive": f', archive = "{_DRIVERS[storage]}", muc_log = "{_DRIVERS[storage]}"',
            "rooms": _ROOMS,
            "options": f'default_archive_policy = true\narchive_expires_after = "never"\n{options}',
        }


def _roster(contacts: Iterable[int], domain: str) -> str:
    """Write a roster with contacts on both sides as a table of Lua."""
    items = (
        f'["{user_name(number)}@{domain}"] = {{ ["subscription"] = "both"; ["groups"] = {{}}; }};'
        for number in contacts
    )
    return f"return {{ [false] = {{ ['version'] = 1; ['pending'] = {{}}; }}; {' '.join(items)} }};\n"


def _account(password_hash: str) -> str:
    """Write the keys of the one password as a table of Lua; all accounts share salt and keys."""
    name = password_hash.replace("-", "").lower()
    salt = base64.b16encode(os.urandom(8)).decode()
    salted = hashlib.pbkdf2_hmac(name, PASSWORD.encode(), salt.encode(), _ITERATIONS)
    stored_key = hashlib.new(name, hmac.digest(salted, b"Client Key", name)).hexdigest()
    server_key = hmac.digest(salted, b"Server Key", name).hex()
    return (
        f'return {{ ["salt"] = "{salt}"; ["iteration_count"] = {_ITERATIONS}; '
        f'["stored_key"] = "{stored_key}"; ["server_key"] = "{server_key}"; }};\n'
    )
