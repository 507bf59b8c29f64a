"""One bucket of an object storage: the few requests that keeping blobs takes, with their errors told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from tidings.adapters.s3.errors import is_beyond, is_missing, told
from tidings.base.errors import BackendError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PIECE: Final = 1 << 18
"""Octets that are read at once."""
_ANYWHERE: Final = "us-east-1"  # what storages without regions call theirs
_CONNECTIONS: Final = 100
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 20
_ATTEMPTS: Final = 3


class BucketPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Which bucket it is, and who asks."""

    name: str
    endpoint: str = ""
    """The storage's address; empty is Amazon's."""
    region: str = ""
    prefix: str = ""
    """What all names begin with."""
    access_key: str = ""
    """Empty: what the machine has, as Amazon's own tools find it."""
    secret_key: str = ""


class Bucket:
    """Objects by their names."""

    def __init__(self, client: S3Client, place: BucketPlace) -> None:
        self._client = client
        self._prefix = place.prefix
        self.name = place.name

    async def check(self) -> None:
        """Return when the bucket answers; raises `BackendError` with what is wrong."""
        with told(self.name):
            await self._client.list_objects_v2(Bucket=self.name, Prefix=self._prefix, MaxKeys=1)

    # --- whole objects

    async def put(self, name: str, octets: bytes, *, is_new: bool) -> None:
        """Keep an object; with `is_new` raises `BlobBusy` where there is one of that name."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if is_new else {}
        with told(self.name):
            await self._client.put_object(Bucket=self.name, Key=self._prefix + name, Body=octets, **condition)

    async def size(self, name: str) -> int | None:
        """Tell how many octets an object has; None where there is none."""
        with told(self.name):
            try:
                head = await self._client.head_object(Bucket=self.name, Key=self._prefix + name)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            return head["ContentLength"]

    async def read(self, name: str, start: int = 0, count: int | None = None) -> AsyncIterator[bytes]:
        """Give octets of an object in pieces; raises `BackendError` where there is none."""
        last = "" if count is None else str(start + count - 1)
        wanted: dict[str, Any] = {} if not start and count is None else {"Range": f"bytes={start}-{last}"}
        with told(self.name):
            try:
                found = await self._client.get_object(Bucket=self.name, Key=self._prefix + name, **wanted)
            except ClientError as error:
                if is_beyond(error):
                    return
                if is_missing(error):
                    raise BackendError(f"there are no octets of {name} in the bucket {self.name}") from error
                raise
            async with found["Body"] as body:
                async for piece in body.iter_chunks(PIECE):
                    yield piece

    async def names(self, name: str) -> list[str]:
        """Name all objects whose names begin so, in order."""
        with told(self.name):
            pages = self._client.get_paginator("list_objects_v2")
            return [
                each["Key"].removeprefix(self._prefix)
                async for page in pages.paginate(Bucket=self.name, Prefix=self._prefix + name)
                for each in page.get("Contents", ())
            ]

    async def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        with told(self.name):
            await self._client.delete_object(Bucket=self.name, Key=self._prefix + name)

    # --- objects in parts

    async def begin(self, name: str) -> str:
        """Begin an object that comes in parts; gives the id of its upload."""
        with told(self.name):
            begun = await self._client.create_multipart_upload(Bucket=self.name, Key=self._prefix + name)
            return begun["UploadId"]

    async def put_part(self, name: str, upload: str, number: int, octets: bytes) -> CompletedPartTypeDef:
        """Keep a part of an upload, of 5 MiB at least where it is not the last one."""
        with told(self.name):
            kept = await self._client.upload_part(
                Bucket=self.name, Key=self._prefix + name, UploadId=upload, PartNumber=number, Body=octets
            )
            return {"PartNumber": number, "ETag": kept["ETag"]}

    async def complete(self, name: str, upload: str, parts: list[CompletedPartTypeDef]) -> None:
        """Make an object of the parts; raises `BlobBusy` where there is one of that name."""
        with told(self.name):
            await self._client.complete_multipart_upload(
                Bucket=self.name,
                Key=self._prefix + name,
                UploadId=upload,
                MultipartUpload={"Parts": parts},
                IfNoneMatch="*",
            )

    async def abort(self, name: str, upload: str) -> None:
        """Delete the parts of an upload, if there is one."""
        with told(self.name):
            try:
                await self._client.abort_multipart_upload(
                    Bucket=self.name, Key=self._prefix + name, UploadId=upload
                )
            except ClientError as error:
                if not is_missing(error):
                    raise

    async def uploads(self, name: str) -> list[str]:
        """Give the ids of the uploads of an object that are neither complete nor aborted."""
        key = self._prefix + name
        with told(self.name):
            found = await self._client.list_multipart_uploads(Bucket=self.name, Prefix=key)
            return [each["UploadId"] for each in found.get("Uploads", ()) if each["Key"] == key]


@asynccontextmanager
async def open_bucket(place: BucketPlace) -> AsyncIterator[Bucket]:
    """Make what speaks with a bucket, without asking it anything yet."""
    config = AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path" if place.endpoint else "auto"},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        request_checksum_calculation="when_required",  # other storages than Amazon's do not know them all
        response_checksum_validation="when_required",
    )
    client = get_session().create_client(
        "s3",
        region_name=place.region or (_ANYWHERE if place.endpoint else None),
        endpoint_url=place.endpoint or None,
        aws_access_key_id=place.access_key or None,
        aws_secret_access_key=place.secret_key or None,
        config=config,
    )
    async with client as opened:
        yield Bucket(opened, place)
