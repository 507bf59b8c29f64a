"""Uploaded files in backups: their octets come along, are verified, and stand where they stood."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from tidings.adapters.directory.blobs import DirectoryBlobs
from tidings.adapters.sql import open_stores
from tidings.app import backup
from tidings.app.backup_file import BlobsEntry
from tidings.app.config import load as load_config
from tidings.app.options import Config
from tidings.base.errors import BackupError
from tidings.base.jid import Jid
from tidings.ports.files import FileRecord, Quota

ALICE = Jid("alice@localhost")
OCTETS = {"file-number-one": b"one" * 1_000_000, "file-number-two": b"2", "file-number-three": b""}
ANNOUNCED = "file-to-come-soon"


def ignore(*_: object) -> None:
    """Progress that nobody looks at."""


def config_of(folder: Path) -> Config:
    folder.mkdir()
    file = folder / "tidings.toml"
    file.write_text(f'[server]\ndata_dir = "{folder}/data"\n[database]\nurl = "sqlite:///{folder}/t.db"\n')
    return load_config(str(file), {}, {})


async def fill(config: Config) -> None:
    stores = await open_stores(config.database_url)
    blobs = DirectoryBlobs(config.file_directory)
    await stores.accounts.create(ALICE, (), 1.0)
    record = FileRecord(
        id=ANNOUNCED, owner=ALICE, name="x", size=5, content_type="a/b", created=1.0, expires=1e10
    )
    await stores.files.announce(record, own=Quota(), domain=Quota())
    async with blobs.write(ANNOUNCED, resume=True) as writer:
        await writer.write(b"half")
    for id_, octets in OCTETS.items():
        await stores.files.announce(replace(record, id=id_, size=len(octets)), own=Quota(), domain=Quota())
        async with blobs.write(id_) as writer:
            await writer.write(octets)
            digest = await writer.finish()
        assert await stores.files.complete(id_, sha256=digest, expires=1e10)
    await blobs.close()
    await stores.close()


async def test_octets_are_restored_where_they_stood(tmp_path: Path) -> None:
    first, other = config_of(tmp_path / "first"), config_of(tmp_path / "other")
    await fill(first)
    made = await backup.make(first, tmp_path / "backup", ignore)
    assert made.blobs == BlobsEntry(3, sum(map(len, OCTETS.values())))
    assert backup.verify(tmp_path / "backup", ignore).blobs == made.blobs
    await backup.restore(other, tmp_path / "backup", ignore)
    stores, blobs = await open_stores(other.database_url), DirectoryBlobs(other.file_directory)
    for id_, octets in OCTETS.items():
        record = await stores.files.get(id_)
        assert record is not None
        assert record.sha256 == hashlib.sha256(octets).digest()
        assert b"".join([piece async for piece in blobs.read(id_)]) == octets
    assert await blobs.size(ANNOUNCED) is None
    assert await blobs.offset(ANNOUNCED) == 0
    await blobs.close()
    await stores.close()


async def test_octets_that_are_lost_are_counted(tmp_path: Path) -> None:
    config = config_of(tmp_path / "first")
    await fill(config)
    blobs = DirectoryBlobs(config.file_directory)
    await blobs.delete("file-number-one")
    await blobs.close()
    made = await backup.make(config, tmp_path / "backup", ignore)
    assert (made.blobs.count, made.blobs.missing) == (2, 1)
    assert backup.verify(tmp_path / "backup", ignore).blobs.missing == 1


@pytest.mark.parametrize("changed", [b"3", None])
async def test_octets_that_are_others_are_found(tmp_path: Path, changed: bytes | None) -> None:
    config, other = config_of(tmp_path / "first"), config_of(tmp_path / "other")
    await fill(config)
    await backup.make(config, tmp_path / "backup", ignore)
    with zipfile.ZipFile(tmp_path / "backup") as source, zipfile.ZipFile(tmp_path / "bad", "w") as bad:
        for name in source.namelist():
            content = source.read(name)
            if name == "blobs/file-number-two":
                content = changed  # type: ignore[assignment]
            if content is not None:
                bad.writestr(name, content)
    with pytest.raises(BackupError, match="damaged"):
        await backup.restore(other, tmp_path / "bad", ignore)
    with pytest.raises(BackupError, match="does not exist"):
        await backup.make(other, tmp_path / "nothing", ignore)
