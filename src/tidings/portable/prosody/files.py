"""The data directory: a folder a domain, in it one a store, in that a file a user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tidings.portable.errors import PortableError
from tidings.portable.prosody.entry import Entry
from tidings.portable.prosody.stanza import element_of
from tidings.portable.prosody.table import Table, read_lua
from tidings.wire.xmpp import ns

_ITEM: Final = "item("
_ENDS: Final = "});"


class DataDirectory:
    """What Prosody's `internal` storage has written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def domains(self) -> Iterator[str]:
        """Give the domains that have accounts."""
        try:
            folders = sorted(self._path.iterdir())
        except OSError as error:
            raise PortableError(f"{self._path} cannot be read: {error.strerror}") from None
        for folder in folders:
            if (folder / "accounts").is_dir():
                yield unquote(folder.name)

    def users(self, domain: str) -> Iterator[str]:
        """Give the names of the accounts of a domain."""
        for file in sorted((self._folder(domain) / "accounts").glob("*.dat")):
            yield unquote(file.stem)

    def stores(self, domain: str, user: str) -> Iterator[str]:
        """Give the stores that have something of a user."""
        for folder in sorted(self._folder(domain).iterdir()):
            if any((folder / f"{encode(user)}.{ending}").exists() for ending in ("dat", "list")):
                yield unquote(folder.name)

    def get(self, domain: str, store: str, user: str) -> Table | None:
        """Give what a store has of a user; None where that is nothing."""
        file = self._folder(domain) / _of_store(store) / f"{encode(user)}.dat"
        if not file.exists():
            return None
        try:
            return read_lua(file.read_text("latin-1"))
        except OSError as error:
            raise PortableError(f"{file} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise PortableError(f"{file}: {error}") from None

    def entries(self, domain: str, store: str, user: str) -> Iterator[Entry]:
        """Give what an archive has of a user, oldest first."""
        file = self._folder(domain) / _of_store(store) / f"{encode(user)}.list"
        for line, text in _items(file):
            try:
                table = read_lua(text)
                element = element_of(table, ns.CLIENT)
            except ValueError as error:
                raise PortableError(f"{file}, line {line}: {error}") from None
            yield Entry(table.text("key"), table.number("when"), table.text("with"), element)

    def _folder(self, domain: str) -> Path:
        return self._path / encode(domain)


def encode(name: str) -> str:
    """Write a name as Prosody does in the names of files."""
    return "".join(
        chr(octet) if chr(octet).isascii() and chr(octet).isalnum() else f"%{octet:02x}"
        for octet in name.encode()
    )


def _of_store(name: str) -> str:
    return "".join(each if each == "_" else encode(each) for each in name)


def _items(file: Path) -> Iterator[tuple[int, str]]:
    """Give the items of a list with the line in which each begins; no string has a line break in it."""
    try:
        with file.open(encoding="latin-1", newline="\n") as opened:
            begin, lines = 1, []
            for number, line in enumerate(opened, start=1):
                lines.append(line)
                ended = line.rstrip()
                if ended == _ENDS or (ended.endswith(_ENDS) and line.startswith(_ITEM)):
                    yield begin, "".join(lines)
                    begin, lines = number + 1, []
    except FileNotFoundError:
        return
    except OSError as error:
        raise PortableError(f"{file} cannot be read: {error.strerror}") from None
