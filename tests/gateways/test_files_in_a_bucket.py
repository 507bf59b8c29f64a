"""Files in a bucket of a real object storage: through the door, checked, backed up, and when it is away."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.gateways.test_file_door import OCTETS, Browser, Stand
from tests.gateways.test_http import serving
from tests.harness.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed
from tests.harness.world import World
from tidings.adapters.s3.blobs import S3Blobs
from tidings.adapters.s3.bucket import open_bucket
from tidings.adapters.sql import open_stores
from tidings.app import backup, check_files
from tidings.app.backup_file import BlobsEntry
from tidings.app.config import load as load_config
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config
from tidings.app.uploads import UPLOADS
from tidings.base.jid import Jid
from tidings.features.upload.options import UploadOptions
from tidings.gateways.file_door import FileDoor
from tidings.ports.files import FileRecord, Quota

ALICE = Jid("alice@localhost")
ID = "file-number-one"


@pytest.fixture
def seaweed(tmp_path: Path) -> Iterator[Seaweed]:
    (tmp_path / "seaweed").mkdir()
    with Seaweed(tmp_path / "seaweed").running() as storage:
        yield storage


@pytest.fixture
async def stand(seaweed: Seaweed) -> AsyncIterator[Stand]:
    options = {"upload": UploadOptions(max_file_bytes=100_000_000)}
    async with open_bucket(seaweed.place("files")) as bucket:
        blobs = S3Blobs(bucket, waiting_octets=8 << 20)
        world = await World.start(services=[UPLOADS], options=options, blobs=blobs)
        alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/phone")
        async with serving(body_seconds=20) as served:
            del served.gateway._routes["/files"]  # that of other tests
            FileDoor(served.gateway, world.server.hosts, world.stores.files, world.clock)
            yield Stand(world, Browser(served.gateway, served.port, served.client), alice, bob)
        await world.stop()


async def test_files_come_and_go_until_the_storage_does(stand: Stand, seaweed: Seaweed) -> None:
    slot = await stand.uploaded()
    status, headers, octets = await stand.ask("GET", slot.get)
    assert (status, octets) == (200, OCTETS)
    assert headers["ETag"] == f'"{hashlib.sha256(OCTETS).hexdigest()}"'
    status, _, octets = await stand.ask("GET", slot.get, headers={"Range": "bytes=1000-1999"})
    assert (status, octets) == (206, OCTETS[1_000:2_000])
    assert (await stand.put(slot))[0] == 409

    resumed, other = await stand.slot(), await stand.slot()
    status, _, _ = await stand.put(
        resumed, OCTETS[:100_000], **{"Content-Range": f"bytes 0-99999/{len(OCTETS)}"}
    )
    assert status == 202
    status, _, _ = await stand.put(
        resumed, OCTETS[100_000:], **{"Content-Range": f"bytes 100000-{len(OCTETS) - 1}/{len(OCTETS)}"}
    )
    assert status == 201
    assert (await stand.ask("GET", resumed.get))[2] == OCTETS

    large = await stand.slot(size=250 * len(OCTETS))  # more than waits on the way
    body, its_type = io.BytesIO(OCTETS * 250), {"Content-Type": "image/png"}
    assert (await stand.ask("PUT", large.put, data=body, headers=its_type))[0] == 201
    url = URL(f"http://127.0.0.1:{stand.served.port}{URL(large.get).raw_path}", encoded=True)
    async with stand.served.client.get(url) as response:
        assert response.status == 200
        await response.content.readexactly(1_000)
        seaweed.kill()
        with pytest.raises(aiohttp.ClientPayloadError):  # no other octets in place of the rest
            await response.read()
    for answer in (await stand.ask("GET", slot.get), await stand.put(other)):
        assert answer[0] == 503
        assert answer[1]["Retry-After"] == "30"


def config_of(folder: Path, seaweed: Seaweed, prefix: str, secret: str = SECRET_KEY) -> Config:
    folder.mkdir()
    (folder / "key").write_text(secret + "\n")
    file = folder / "tidings.toml"
    file.write_text(
        f'[server]\ndata_dir = "{folder}/data"\n[database]\nurl = "sqlite:///{folder}/t.db"\n[files]\n'
        f's3_bucket = "files"\ns3_endpoint = "{seaweed.endpoint}"\ns3_prefix = "{prefix}/"\n'
        f's3_access_key = "{ACCESS_KEY}"\ns3_secret_key_file = "{folder}/key"\n'
    )
    return load_config(str(file), {}, {})


def ignore(*_: object) -> None:
    """Progress that nobody looks at."""


async def test_a_backup_has_the_octets_of_a_bucket_and_puts_them_into_another(
    tmp_path: Path, seaweed: Seaweed
) -> None:
    first, other = (config_of(tmp_path / name, seaweed, name) for name in ("first", "other"))
    stores, place = await open_stores(first.database_url), seaweed.place("files")
    await stores.accounts.create(ALICE, (), 1.0)
    record = FileRecord(
        id=ID, owner=ALICE, name="x", size=len(OCTETS), content_type="a/b", created=1.0, expires=1e10
    )
    await stores.files.announce(record, own=Quota(), domain=Quota())
    async with open_bucket(place) as bucket:
        await bucket.put(f"first/{ID}", OCTETS, is_new=True)
        digest = hashlib.sha256(OCTETS).digest()
        assert await stores.files.complete(ID, sha256=digest, expires=1e10)
        await stores.close()
        made = await backup.make(first, tmp_path / "backup", ignore)
        assert made.blobs == BlobsEntry(1, len(OCTETS))
        await backup.restore(other, tmp_path / "backup", ignore)
        restored = b"".join([piece async for piece in bucket.read(f"other/{ID}")])
        assert restored == OCTETS
        assert await bucket.names("") == [f"first/{ID}", f"other/{ID}"]


async def test_check_tells_whether_the_bucket_answers(tmp_path: Path, seaweed: Seaweed) -> None:
    config = config_of(tmp_path / "first", seaweed, "first")
    [found] = await check_files.bucket(config)
    assert (found.status, found.subject) == ("fail", "files")
    assert "make the bucket" in found.mend
    seaweed.place("files")
    [found] = await check_files.bucket(config)
    assert found.status == "ok"
    assert seaweed.endpoint in found.text
    [found] = await check_files.bucket(config_of(tmp_path / "other", seaweed, "x", secret="wrong"))
    assert found.status == "fail"
    assert "wrong" not in found.text
    seaweed.kill()
    [found] = await check_files.bucket(config)
    assert found.status == "fail"
    assert "cannot be reached" in found.text


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('directory = "files"', "`directory` and `s3_bucket`"),
        ('s3_endpoint = "s3.example.org"', "`s3_endpoint` in [files] must be an address"),
        ('s3_access_key = "key"', "belong together"),
        ('s3_secret_key = "a"\ns3_secret_key_file = "b"', "both given"),
    ],
)
def test_what_does_not_fit_together_is_told(tmp_path: Path, lines: str, told: str) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text(f'[files]\ns3_bucket = "files"\n{lines}\n')
    with pytest.raises(ConfigError) as caught:
        load_config(str(file), {}, {})
    assert any(told in str(mistake) for mistake in caught.value.mistakes)
