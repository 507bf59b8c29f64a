"""Uploads as a service of every domain, and where their octets are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from socket import socket
from typing import TYPE_CHECKING, Final

from tidings.adapters.directory.blobs import DirectoryBlobs
from tidings.adapters.memory.blobs import MemoryBlobs
from tidings.app.hosts import ServiceKind, without_entities
from tidings.app.options import Config
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.upload import IDENTITY, PREFIX, Uploads
from tidings.ports.blobs import BlobStore

if TYPE_CHECKING:  # loading its library takes a while
    from tidings.adapters.s3.bucket import Bucket

UPLOADS: Final = ServiceKind(
    prefix=PREFIX,
    make_kind=without_entities("upload", IDENTITY),
    features=(Uploads, ServiceDiscovery, XmppPing),
)

_USUAL: Final = {"https": 443, "http": 80}


async def open_blobs(config: Config, stack: AsyncExitStack) -> BlobStore:
    """Open the place where octets are; the stack closes it."""
    if config.is_in_memory:
        return MemoryBlobs()
    if config.files.s3_bucket:
        from tidings.adapters.s3.blobs import S3Blobs  # noqa: PLC0415  # only this place needs its library

        bucket = await stack.enter_async_context(open_files_bucket(config))
        return S3Blobs(bucket, waiting_octets=config.files.s3_waiting_bytes)
    blobs = DirectoryBlobs(config.file_directory)
    stack.push_async_callback(blobs.close)
    return blobs


def open_files_bucket(config: Config) -> AbstractAsyncContextManager[Bucket]:
    """Make what speaks with the bucket that the configuration names."""
    from tidings.adapters.s3.bucket import BucketPlace, open_bucket  # noqa: PLC0415  # as above

    files = config.files
    return open_bucket(
        BucketPlace(
            name=files.s3_bucket,
            endpoint=files.s3_endpoint,
            region=files.s3_region,
            prefix=files.s3_prefix,
            access_key=files.s3_access_key,
            secret_key=files.s3_secret_key,
        )
    )


def listening_url(sockets: Mapping[str, Sequence[socket]], domain: str) -> str:
    """Give the address at which a domain's own name reaches the HTTP doors; "" where none is open."""
    for scheme in ("https", "http"):
        for bound in sockets.get(scheme, ())[:1]:
            port = bound.getsockname()[1]
            return f"{scheme}://{domain}" + ("" if port == _USUAL[scheme] else f":{port}")
    return ""
