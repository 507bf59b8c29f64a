"""The octets of uploaded files in a backup: those of all files that are whole in its database.

Files never change, and the rows of a backup are of one moment; so the octets are those of that moment, but
for files that were deleted since, which are counted as missing and are found by nobody after a restore.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tidings.adapters.directory.blobs import blob_path, make_folders, part_of, sync_directory
from tidings.adapters.sql.dump import Row, Snapshot
from tidings.adapters.sql.tables import files as table
from tidings.app.backup_file import BackupReader, BackupWriter, BlobsEntry
from tidings.base.errors import BackupError
from tidings.ports.files import FileState


class _File(NamedTuple):
    id: str
    size: int
    digest: bytes


def add(writer: BackupWriter, found: Snapshot, directory: Path) -> BlobsEntry:
    """Write the octets of all files, and tell how many there are."""
    count = octets = missing = 0
    columns = [str(column.name) for column in table.columns]
    for file in _whole(columns, found.rows(table)):
        try:
            with blob_path(directory, file.id).open("rb") as source:
                writer.add_blob(file.id, source)
        except FileNotFoundError:
            missing += 1
        except OSError as error:
            raise BackupError(f"the files in {directory} cannot be read: {error.strerror}") from None
        else:
            count, octets = count + 1, octets + file.size
    return BlobsEntry(count, octets, missing)


def verify(reader: BackupReader) -> None:
    """Read all octets; raises `BackupError` where they are not what was uploaded, or are missing."""
    count = 0
    for file in _files_of(reader):
        count += 1
        for _ in reader.blob(file.id, file.digest):
            pass
    if count != reader.manifest.blobs.count:
        raise BackupError(
            f"the backup is damaged: it has {count} of {reader.manifest.blobs.count} uploaded files"
        )


def restore(reader: BackupReader, directory: Path) -> None:
    """Put the octets into the directory of files; raises `BackupError` where that cannot be done."""
    try:
        for file in _files_of(reader):
            _put(reader, file, blob_path(directory, file.id))
    except OSError as error:
        raise BackupError(
            f"the files cannot be put into {directory}: {error.strerror}; empty database and directory, and "
            "restore once more where there is room"
        ) from None


def _put(reader: BackupReader, file: _File, path: Path) -> None:
    make_folders(path)
    part = part_of(path)
    number = os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as opened:
        for piece in reader.blob(file.id, file.digest):
            opened.write(piece)
        opened.flush()
        os.fsync(opened.fileno())
    part.rename(path)
    sync_directory(path.parent)


def _files_of(reader: BackupReader) -> Iterator[_File]:
    """Give the files whose octets are in a backup; one of an earlier version has none."""
    name = str(table.name)
    if name in reader.tables:
        found = _whole(reader.columns(name), reader.rows(name))
        yield from (file for file in found if reader.has_blob(file.id))


def _whole(columns: list[str], rows: Iterator[Row]) -> Iterator[_File]:
    id_, size, state, digest = map(columns.index, ("id", "size", "state", "digest"))
    for row in rows:
        if row[state] == FileState.COMPLETE:
            yield _File(row[id_], row[size], row[digest])
