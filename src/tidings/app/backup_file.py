"""Backup files: a ZIP archive with one entry for each table and each file, and a list of all at its end.

- `tables/NAME`: rows, each as four octets of its length (big-endian) and a MessagePack array of its values;
- `files/NAME`: files of the data directory;
- `blobs/ID`: octets of the files that people have uploaded; their hashes stand in the table of them;
- `manifest.json`: what the backup is of, and for every entry its size, and the SHA-256 of its content. It is
  written last, so a backup without it is not whole.

The content is that of the data alone: a database gives the same hashes whichever kind it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from tidings.adapters.sql.dump import Row
from tidings.base.errors import BackupError

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_BLOBS: Final = "blobs/"
_PIECE: Final = 1 << 20
_LENGTH_OCTETS: Final = 4
_LEVEL: Final = 1  # of compression: most of it for a fraction of the time
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, msgspec.MsgspecError, KeyError, EOFError, ValueError)
_MOST_MANIFEST: Final = 16 << 20


class TableEntry(msgspec.Struct, frozen=True):
    """A table of a backup."""

    columns: list[str]
    rows: int
    sha256: str


class FileEntry(msgspec.Struct, frozen=True):
    """A file of a backup."""

    octets: int
    sha256: str


class BlobsEntry(msgspec.Struct, frozen=True):
    """The octets of uploaded files in a backup."""

    count: int = 0
    octets: int = 0
    missing: int = 0
    """Files whose octets were not there: they were deleted while the backup was made, or lost before."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is of, and what it has."""

    format: int
    version: str
    """The Tidings that made it."""
    revision: str
    """The schema of its tables."""
    made: datetime
    """When it began: it has all that was accepted before."""
    database: str
    """The kind of database."""
    domains: list[str]
    tables: dict[str, TableEntry]
    """In the order in which they can be put back."""
    files: dict[str, FileEntry]
    blobs: BlobsEntry = BlobsEntry()


class RowDigest:
    """The SHA-256 of rows as a backup has them: the same for the same rows of any database."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._encoder = msgspec.msgpack.Encoder()
        self.rows = 0

    def add(self, row: Row) -> bytes:
        """Add a row, and give it as a backup has it."""
        raw = self._encoder.encode(row)
        framed = len(raw).to_bytes(_LENGTH_OCTETS, "big") + raw
        self._digest.update(framed)
        self.rows += 1
        return framed

    @property
    def hexadecimal(self) -> str:
        """The digest of all that was added."""
        return self._digest.hexdigest()


class BackupWriter:
    """Writes a backup; the file has its name only once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(path.name + ".part")
        self._zip: zipfile.ZipFile

    def __enter__(self) -> Self:
        if self._path.exists():
            raise BackupError(f"{self._path} exists already: choose another name, or move it away")
        try:
            number = os.open(self._beside, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BackupError(f"{self._beside} cannot be written: {error.strerror}") from None
        self._zip = zipfile.ZipFile(os.fdopen(number, "w+b"), "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        file = self._zip.fp
        assert file is not None
        try:
            self._zip.close()
            if kind is None:
                file.flush()
                os.fsync(file.fileno())
                self._beside.replace(self._path)
        finally:
            file.close()
            with contextlib.suppress(FileNotFoundError):
                self._beside.unlink()

    def add_table(self, name: str, columns: list[str], rows: Iterator[Row]) -> TableEntry:
        """Add the rows of a table."""
        digest = RowDigest()
        with self._zip.open(f"tables/{name}", "w", force_zip64=True) as entry:
            for row in rows:
                entry.write(digest.add(row))
        return TableEntry(columns, digest.rows, digest.hexadecimal)

    def add_file(self, name: str, content: bytes) -> FileEntry:
        """Add a small file."""
        self._zip.writestr(f"files/{name}", content)
        return FileEntry(len(content), hashlib.sha256(content).hexdigest())

    async def add_blob(self, id_: str, first: bytes, pieces: AsyncIterator[bytes]) -> None:
        """Add the octets of an uploaded file, as they are: most of them are packed already."""
        info = zipfile.ZipInfo(f"{_BLOBS}{id_}")
        with self._zip.open(info, "w", force_zip64=True) as entry:
            entry.write(first)
            async for piece in pieces:
                entry.write(piece)

    def end(self, manifest: Manifest) -> None:
        """Add the list of all that is there."""
        self._zip.writestr(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


class BackupReader:
    """Reads a backup; raises `BackupError` for what is none, or is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
            raw = self._zip.open(_MANIFEST).read(_MOST_MANIFEST)
            self.manifest = msgspec.json.decode(raw, type=Manifest)
        except FileNotFoundError:
            raise BackupError(f"there is no backup {path}") from None
        except OSError as error:
            raise BackupError(f"the backup {path} cannot be read: {error.strerror}") from None
        except _DAMAGE:
            raise BackupError(f"{path} is no whole backup: it has no readable {_MANIFEST}") from None
        if self.manifest.format != FORMAT:
            raise BackupError(
                f"{path} has the format {self.manifest.format}, this version of Tidings knows {FORMAT}: "
                "use the version that made it"
            )
        self.revision = self.manifest.revision
        self.tables = tuple(self.manifest.tables)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def columns(self, name: str) -> list[str]:
        """Name the columns of a table."""
        return self.manifest.tables[name].columns

    def rows(self, name: str) -> Iterator[Row]:
        """Give the rows of a table, and make sure at their end that they are those that were written."""
        digest, count, expected = hashlib.sha256(), 0, self.manifest.tables[name]
        decoder = msgspec.msgpack.Decoder(tuple)
        with self._damage_told(name), self._zip.open(f"tables/{name}") as entry:
            while head := entry.read(_LENGTH_OCTETS):
                raw = _whole(entry, int.from_bytes(head, "big"))
                digest.update(head)
                digest.update(raw)
                count += 1
                yield decoder.decode(raw)
        if (count, digest.hexdigest()) != (expected.rows, expected.sha256):
            raise self._damaged(name)

    def file(self, name: str) -> bytes:
        """Give the content of a file."""
        with self._damage_told(name):
            content = self._zip.read(f"files/{name}")
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name].sha256:
            raise self._damaged(name)
        return content

    def has_blob(self, id_: str) -> bool:
        """Tell whether the octets of an uploaded file are in it."""
        return f"{_BLOBS}{id_}" in self._zip.NameToInfo

    def blob(self, id_: str, digest: bytes) -> Iterator[bytes]:
        """Give the octets of an uploaded file, and make sure at their end that they are what was uploaded."""
        found = hashlib.sha256()
        with self._damage_told(id_), self._zip.open(f"{_BLOBS}{id_}") as entry:
            while piece := entry.read(_PIECE):
                found.update(piece)
                yield piece
        if found.digest() != digest:
            raise self._damaged(id_)

    def verify(self, on_row: Callable[[], object] = lambda: None) -> None:
        """Read all of it; raises `BackupError` where something is not as it was written."""
        for name in self.tables:
            for _ in self.rows(name):
                on_row()
        for name in self.manifest.files:
            self.file(name)

    @contextlib.contextmanager
    def _damage_told(self, name: str) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise self._damaged(name) from error
        except OSError as error:
            raise BackupError(f"the backup {self._path} cannot be read: {error.strerror}") from None

    def _damaged(self, name: str) -> BackupError:
        return BackupError(
            f"the backup {self._path} is damaged: {name} is not what was written. Use another."
        )


def _whole(entry: IO[bytes], octets: int) -> bytes:
    raw = entry.read(octets)
    if len(raw) != octets:
        raise EOFError("a row is cut short")
    return raw
