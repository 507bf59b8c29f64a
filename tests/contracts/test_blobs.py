"""The contract of the blobs port; every adapter passes it."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.harness.seaweed import Seaweed
from tidings.adapters.directory.blobs import DirectoryBlobs
from tidings.adapters.memory.blobs import MemoryBlobs
from tidings.adapters.s3.blobs import PART, S3Blobs
from tidings.adapters.s3.bucket import Bucket, BucketPlace, open_bucket
from tidings.base.errors import BackendError
from tidings.base.ids import token
from tidings.ports.blobs import BlobBusy, BlobStore, NoSpace

ID = "AAbb-_0123456789abcdef"
OCTETS = bytes(range(256)) * 4_000
WAITING = 8 << 20


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """An object storage."""
    with Seaweed(tmp_path_factory.mktemp("seaweed")).running() as storage:
        yield storage


@pytest.fixture(scope="module")
def place(seaweed: Seaweed) -> BucketPlace:
    """A bucket of it."""
    return seaweed.place("files")


@pytest.fixture
async def bucket(place: BucketPlace) -> AsyncIterator[Bucket]:
    """An empty part of it."""
    async with open_bucket(replace(place, prefix=f"{token()}/")) as opened:
        yield opened


@pytest.fixture(params=["memory", "directory", "s3"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    """Every adapter, empty."""
    match request.param:
        case "memory":
            yield MemoryBlobs()
        case "directory":
            opened = DirectoryBlobs(tmp_path / "files")
            yield opened
            await opened.close()
        case _:
            place: BucketPlace = request.getfixturevalue("place")
            async with open_bucket(replace(place, prefix=f"{token()}/")) as bucket:
                yield S3Blobs(bucket, waiting_octets=WAITING)


async def put(blobs: BlobStore, id_: str, octets: bytes) -> bytes:
    async with blobs.write(id_) as writer:
        for at in range(0, len(octets), 100_000):
            await writer.write(octets[at : at + 100_000])
            assert writer.offset == min(at + 100_000, len(octets))
        return await writer.finish()


async def octets_of(blobs: BlobStore, id_: str, start: int = 0, count: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(id_, start, count)])


async def test_what_is_written_is_read(blobs: BlobStore) -> None:
    assert await blobs.size(ID) is None
    assert await put(blobs, ID, OCTETS) == hashlib.sha256(OCTETS).digest()
    assert await blobs.size(ID) == len(OCTETS)
    assert await octets_of(blobs, ID) == OCTETS
    assert await blobs.offset(ID) == 0
    for start, count in ((0, 1), (1, 262_144), (262_143, 2), (len(OCTETS) - 1, 1), (500, 700_000)):
        assert await octets_of(blobs, ID, start, count) == OCTETS[start : start + count]
    assert await octets_of(blobs, ID, 1_000_000) == OCTETS[1_000_000:]
    assert await octets_of(blobs, ID, len(OCTETS)) == b""


async def test_nobody_finds_what_is_not_finished(blobs: BlobStore) -> None:
    async with blobs.write(ID) as writer:
        await writer.write(b"half")
        assert await blobs.size(ID) is None
        with pytest.raises(BackendError):
            await octets_of(blobs, ID)
    assert await blobs.size(ID) is None
    assert await blobs.offset(ID) == 0


async def test_a_later_stream_goes_on_where_an_earlier_one_has_ended(blobs: BlobStore) -> None:
    for at in range(0, len(OCTETS), 300_000):
        assert await blobs.offset(ID) == at
        async with blobs.write(ID, resume=True) as writer:
            assert writer.offset == at
            await writer.write(OCTETS[at : at + 300_000])
            if writer.offset == len(OCTETS):
                assert await writer.finish() == hashlib.sha256(OCTETS).digest()
    assert await octets_of(blobs, ID) == OCTETS
    assert await blobs.offset(ID) == 0


async def test_one_that_begins_anew_forgets_what_there_was(blobs: BlobStore) -> None:
    async with blobs.write(ID, resume=True) as writer:
        await writer.write(b"something else")
    assert await put(blobs, ID, b"x") == hashlib.sha256(b"x").digest()
    assert await octets_of(blobs, ID) == b"x"


async def test_one_stream_at_a_time_writes(blobs: BlobStore) -> None:
    async with blobs.write(ID, resume=True) as writer:
        for resume in (True, False):
            with pytest.raises(BlobBusy):
                async with blobs.write(ID, resume=resume):
                    pass
        await writer.write(b"mine")
        async with blobs.write(ID + "x") as other:
            await other.write(b"yours")
            await other.finish()
    assert await blobs.offset(ID) == 4
    async with blobs.write(ID, resume=True) as writer:
        assert writer.offset == 4


async def test_a_finished_blob_is_never_written_over(blobs: BlobStore) -> None:
    await put(blobs, ID, b"first")
    with pytest.raises(BlobBusy):
        await put(blobs, ID, b"other")
    assert await octets_of(blobs, ID) == b"first"
    await blobs.delete(ID)
    await put(blobs, ID, b"other")


async def test_a_blob_is_deleted_whether_it_is_finished_or_not(blobs: BlobStore) -> None:
    await blobs.delete(ID)
    await put(blobs, ID, b"octets")
    await blobs.delete(ID)
    assert await blobs.size(ID) is None
    async with blobs.write(ID, resume=True) as writer:
        await writer.write(b"half")
    await blobs.delete(ID)
    assert await blobs.offset(ID) == 0


async def test_an_empty_blob_is_one(blobs: BlobStore) -> None:
    await put(blobs, ID, b"")
    assert await blobs.size(ID) == 0
    assert await octets_of(blobs, ID) == b""


@pytest.mark.parametrize(
    "id_", ["", "short", "../../../../etc/passwd", "aaaaaaaa/b", "aaaaaaaa\0", "a" * 65, ".." * 8, "ä" * 20]
)
async def test_nothing_but_an_id_gets_as_far_as_a_store(blobs: BlobStore, id_: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        async with blobs.write(id_):
            pass


async def test_a_large_blob_goes_in_parts(bucket: Bucket) -> None:
    blobs, octets = S3Blobs(bucket, waiting_octets=WAITING), OCTETS * 12
    assert len(octets) > 2 * PART
    assert await put(blobs, ID, octets) == hashlib.sha256(octets).digest()
    assert await octets_of(blobs, ID, PART - 3, 6) == octets[PART - 3 : PART + 3]
    assert await octets_of(blobs, ID) == octets
    with pytest.raises(BlobBusy):
        await put(blobs, ID, octets[:-1])
    assert await bucket.uploads(ID) == []
    async with blobs.write(ID + "r", resume=True) as writer:
        await writer.write(octets[: PART + 1])
    async with blobs.write(ID + "r", resume=True) as writer:
        assert writer.offset == PART + 1
        await writer.write(octets[PART + 1 :])
        assert await writer.finish() == hashlib.sha256(octets).digest()
    assert await octets_of(blobs, ID + "r") == octets
    assert await bucket.names("") == [ID, ID + "r"]


async def test_what_breaks_off_leaves_no_parts_in_a_bucket(bucket: Bucket) -> None:
    blobs = S3Blobs(bucket, waiting_octets=WAITING)
    async with blobs.write(ID) as writer:
        await writer.write(OCTETS * 6)
        assert len(await bucket.uploads(ID)) == 1
    assert await bucket.uploads(ID) == []
    left = await bucket.begin(ID)  # by a process that was killed
    await bucket.put_part(ID, left, 1, OCTETS)
    await blobs.delete(ID)
    assert await bucket.uploads(ID) == []
    assert await bucket.names("") == []


async def test_of_two_nodes_one_finishes_a_blob(bucket: Bucket) -> None:
    first, second = (S3Blobs(bucket, waiting_octets=WAITING) for _ in range(2))
    for octets, other in ((b"one", b"two"), (OCTETS * 6, OCTETS * 7)):
        async with first.write(ID) as writer, second.write(ID) as late:
            await writer.write(octets)
            await late.write(other)
            await writer.finish()
            with pytest.raises(BlobBusy):
                await late.finish()
        assert await octets_of(second, ID) == octets
        await second.delete(ID)
    await bucket.put(ID, b"one", is_new=True)
    with pytest.raises(BlobBusy):  # between the look and the end of the other
        await bucket.put(ID, b"two", is_new=True)


async def test_what_waits_for_a_bucket_is_bounded(bucket: Bucket) -> None:
    blobs = S3Blobs(bucket, waiting_octets=1_000)
    async with blobs.write(ID) as writer, blobs.write(ID + "x") as other:
        await writer.write(b"a" * 600)
        with pytest.raises(BackendError, match="too many uploads"):
            await other.write(b"b" * 600)
    await put(blobs, ID, b"c" * 1_000)  # all of it has been given back
    await put(blobs, ID + "x", b"d" * 1_000)


async def test_a_bucket_that_is_away_or_refuses_is_told(place: BucketPlace) -> None:
    places = (
        replace(place, endpoint="http://127.0.0.1:1"),
        replace(place, name="nothing-like-this"),
        replace(place, secret_key="another"),
    )
    for wrong in places:
        async with open_bucket(wrong) as bucket:
            blobs = S3Blobs(bucket, waiting_octets=WAITING)
            for attempt in (bucket.check, partial(put, blobs, ID, b"x"), partial(octets_of, blobs, ID)):
                with pytest.raises(BackendError, match=f"the bucket {wrong.name} of files"):
                    await attempt()


async def test_files_are_for_this_user_alone_and_spread_over_folders(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "files")
    await put(blobs, ID, b"octets")
    (found,) = files_in(tmp_path)
    assert found.relative_to(tmp_path) == Path("files/AA/bb") / ID
    assert found.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in found.parents[:3]} == {0o700}
    await blobs.close()


async def test_a_stream_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    blobs, began = DirectoryBlobs(tmp_path), asyncio.Event()

    async def write() -> None:
        async with blobs.write(ID) as writer:
            await writer.write(b"half")
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    await blobs.close()  # what was begun is done
    assert files_in(tmp_path) == []


async def test_who_is_cancelled_while_a_file_is_opened_leaves_none_open(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    await put(blobs, ID + "x", b"to read")
    before = open_files()

    async def write() -> None:
        async with blobs.write(ID):
            await asyncio.Event().wait()

    for number in range(40):
        for task in (asyncio.create_task(write()), asyncio.create_task(octets_of(blobs, ID + "x"))):
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
    await blobs.close()
    async with asyncio.timeout(10):
        while open_files() > before:
            await asyncio.sleep(0)
    again = DirectoryBlobs(tmp_path)
    await put(again, ID, b"nobody holds it")
    await again.close()


async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as full as a disk gets in a test
    try:
        with pytest.raises(NoSpace, match=str(tmp_path)):
            await put(blobs, ID, OCTETS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await put(blobs, ID + "x", b"there is room again")
    await blobs.close()
    assert [path.name for path in files_in(tmp_path)] == [ID + "x"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
