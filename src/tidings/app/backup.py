"""`tidings backup` and `tidings restore`: everything that a server keeps, into one file and back.

A backup is made beside a running server, which it asks nothing: it reads the database as it is at one moment.
It has all tables, the octets of the files that people have uploaded, and the secret of the data directory;
configuration and certificates are files of the administrator, and logs are no data.
"""

from __future__ import annotations

import importlib.metadata
import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tidings.adapters.sql.dump import TABLES, snapshot
from tidings.adapters.sql.load import load
from tidings.app import backup_blobs, data_directory
from tidings.app.backup_file import FORMAT, BackupReader, BackupWriter, Manifest
from tidings.app.options import Config
from tidings.app.row_progress import OnProgress, RowProgress
from tidings.app.uploads import open_blobs
from tidings.base.errors import BackupError

SECRET: Final = "secret"  # noqa: S105  # its name in a backup
"""The file of the data directory whose loss ends all tokens for a log-in without password."""


async def make(config: Config, path: Path, on_progress: OnProgress) -> Manifest:
    """Write a backup; raises `BackupError`, or `BackendError` where the database does not answer."""
    if config.is_in_memory:
        raise BackupError("there is nothing to back up: this server keeps everything in memory")
    began = datetime.now(UTC)
    with snapshot(config.database_url) as found, BackupWriter(path) as writer:
        counts = {table.name: found.count(table) for table in TABLES}
        progress = RowProgress(sum(counts.values()), on_progress)
        tables = {}
        for table in TABLES:
            name, columns = str(table.name), [str(each.name) for each in table.columns]
            tables[name] = writer.add_table(name, columns, progress.through(name, found.rows(table)))
        async with AsyncExitStack() as stack:
            blobs = await backup_blobs.add(writer, found, await open_blobs(config, stack))
        files = {}
        secret = config.secret_file
        if secret.is_file():
            files[SECRET] = writer.add_file(SECRET, secret.read_bytes())
        manifest = Manifest(
            format=FORMAT,
            version=importlib.metadata.version("tidings"),
            revision=found.revision,
            made=began,
            database=found.dialect,
            domains=list(config.domains),
            tables=tables,
            files=files,
            blobs=blobs,
        )
        writer.end(manifest)
    return manifest


def verify(path: Path, on_progress: OnProgress) -> Manifest:
    """Read a backup to its end; raises `BackupError` where it is not what was written."""
    with BackupReader(path) as reader:
        progress = RowProgress(_rows_of(reader.manifest), on_progress)
        reader.verify(lambda: progress.step("reading"))
        backup_blobs.verify(reader)
        return reader.manifest


async def restore(config: Config, path: Path, on_progress: OnProgress) -> Manifest:
    """Put a backup into an empty database and data directory, while no server runs on them.

    All of it is read before the first row is written. Raises `BackupError` where there is data already, or
    where the backup is damaged.
    """
    if config.is_in_memory:
        raise BackupError("a server that keeps everything in memory has nowhere to restore a backup to")
    verify(path, on_progress)
    async with data_directory.without_server(config.data_dir):
        with BackupReader(path) as reader:
            _refuse_another_secret(config, reader)
            progress = RowProgress(_rows_of(reader.manifest), on_progress)
            await load(config.database_url, reader, lambda: progress.step("writing"))
            async with AsyncExitStack() as stack:
                await backup_blobs.restore(reader, await open_blobs(config, stack))
            _restore_secret(config, reader)
            return reader.manifest


def _refuse_another_secret(config: Config, reader: BackupReader) -> None:
    """Make sure that no server has begun here with a secret of its own."""
    file = config.secret_file
    if SECRET in reader.manifest.files and file.exists() and file.read_bytes() != reader.file(SECRET):
        raise BackupError(
            f"{file} is not the secret of the backup, so this directory is another server's: name an empty "
            "one with --data-dir, or move that file away"
        )


def _restore_secret(config: Config, reader: BackupReader) -> None:
    file = config.secret_file
    if SECRET not in reader.manifest.files or file.exists():
        return
    number = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as opened:
        opened.write(reader.file(SECRET))


def _rows_of(manifest: Manifest) -> int:
    return sum(entry.rows for entry in manifest.tables.values())
