"""The octets of uploaded files in a backup: those of all files that are whole in its database.

Files never change, and the rows of a backup are of one moment; so the octets are those of that moment, but
for files that were deleted since, which are counted as missing and are found by nobody after a restore.
They come from whichever place the server keeps them in, and go to that of the server that is restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tidings.adapters.sql.dump import Row, Snapshot
from tidings.adapters.sql.tables import files as table
from tidings.app.backup_file import BackupReader, BackupWriter, BlobsEntry
from tidings.base.errors import BackendError, BackupError
from tidings.ports.blobs import BlobStore
from tidings.ports.files import FileState


class _File(NamedTuple):
    id: str
    size: int
    digest: bytes


async def add(writer: BackupWriter, found: Snapshot, blobs: BlobStore) -> BlobsEntry:
    """Write the octets of all files, and tell how many there are."""
    count = octets = missing = 0
    columns = [str(column.name) for column in table.columns]
    for file in _whole(columns, found.rows(table)):
        pieces = blobs.read(file.id)
        try:
            first = await anext(pieces, b"")
        except BackendError as error:
            if await blobs.size(file.id) is not None:
                raise BackupError(f"the files cannot be read: {error}") from None
            missing += 1
        else:
            await writer.add_blob(file.id, first, pieces)
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


async def restore(reader: BackupReader, blobs: BlobStore) -> None:
    """Put the octets where files are; raises `BackupError` where that cannot be done.

    What is there already under the same id and is as long is the same: ids are random, and files never
    change.
    """
    try:
        for file in _files_of(reader):
            if await blobs.size(file.id) != file.size:
                await _put(reader, file, blobs)
    except BackendError as error:
        raise BackupError(
            f"the files cannot be put back: {error}; empty the database, and restore once more where there "
            "is room"
        ) from None


async def _put(reader: BackupReader, file: _File, blobs: BlobStore) -> None:
    await blobs.delete(file.id)
    async with blobs.write(file.id) as writer:
        for piece in reader.blob(file.id, file.digest):
            await writer.write(piece)
        await writer.finish()


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
