"""Permissions: whether everybody on this machine may read what is kept of people and their secrets."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from tidings.app.acme_options import ACCOUNT_FILE
from tidings.app.options import Config

_OTHERS: Final = stat.S_IRWXO
"""Everybody who is neither the owner nor in the file's group; a group may be let in on purpose."""


class OpenFile(NamedTuple):
    """A file that everybody on this machine may use, and how to mend that."""

    subject: str
    text: str
    mend: str


def open_files(config: Config) -> Iterator[OpenFile]:
    """Look at the data directory, at each secret file in it, and at a configuration that holds a password.

    The keys of certificates are looked at with their certificates.
    """
    if config.server.data_dir:
        directory = config.data_dir
        if _is_open(directory):
            text = f"{directory} is open to everybody on this machine"
            yield OpenFile("data directory", text, f"chmod 700 {directory}")
        for path in filter(_is_open, _secret_files(config)):
            text = f"{path}, {_CONTENT.get(path.name, 'the database')}, is open to everybody on this machine"
            yield OpenFile("permissions", text, f"chmod 600 {path}")
    named = {
        config.database.url_file: "with the password of the database",
        config.files.s3_secret_key_file: "with the key of the bucket of files",
        config.acme.key_file: "with a key for the certificate authority",
    }
    for name, content in named.items():
        if name and _is_open(Path(name)):
            text = f"{name}, {content}, is open to everybody on this machine"
            yield OpenFile("permissions", text, f"chmod 600 {name}")
    file = Path(config.file)
    if config.file and _is_open(file) and _holds_password(file, config):
        text = f"{file} holds a password and is open to everybody on this machine"
        yield OpenFile("permissions", text, f"chmod 640 {file}, with the server's group")


_CONTENT: Final = {
    "secret": "from which log-in tokens are made",
    "admin.sock": "over which the server is administered",
    ACCOUNT_FILE: "the key of the account at the certificate authority",
}


def _secret_files(config: Config) -> Iterator[Path]:
    yield config.secret_file
    yield config.admin_socket
    yield config.data_dir / ACCOUNT_FILE
    if config.database_url.startswith("sqlite"):
        place = Path(config.database_url.partition(":///")[2].partition("?")[0])
        for ending in ("", "-wal", "-shm", "-journal", "-writer"):
            yield place.with_name(place.name + ending)


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False  # not there, or nothing that can be looked at


def _holds_password(file: Path, config: Config) -> bool:
    """Tell whether a password of this configuration stands in its file, and did not come from elsewhere."""
    secrets = [password for _, password in config.first_accounts()]
    url = config.database.url
    credentials, at, _ = url.partition("://")[2].partition("@")
    if at:
        secrets.append(credentials.partition(":")[2])
    secrets += parse_qs(url.partition("?")[2]).get("password", [])
    secrets.append(config.files.s3_secret_key)
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(secret in text for secret in filter(None, secrets))
