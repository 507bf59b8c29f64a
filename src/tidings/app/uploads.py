"""Uploads as a service of every domain, and where their octets are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from socket import socket
from typing import Final

from tidings.adapters.directory.blobs import DirectoryBlobs
from tidings.adapters.memory.blobs import MemoryBlobs
from tidings.app.hosts import ServiceKind
from tidings.app.options import Config
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.upload import PREFIX, Uploads, upload_kind
from tidings.ports.blobs import BlobStore

UPLOADS: Final = ServiceKind(
    prefix=PREFIX, make_kind=upload_kind, features=(Uploads, ServiceDiscovery, XmppPing)
)

_USUAL: Final = {"https": 443, "http": 80}


def open_blobs(config: Config, stack: AsyncExitStack) -> BlobStore:
    """Open the place where octets are; the stack closes it."""
    if config.is_in_memory:
        return MemoryBlobs()
    blobs = DirectoryBlobs(config.file_directory)
    stack.push_async_callback(blobs.close)
    return blobs


def listening_url(sockets: Mapping[str, Sequence[socket]], domain: str) -> str:
    """Give the address at which a domain's own name reaches the HTTP doors; "" where none is open."""
    for scheme in ("https", "http"):
        for bound in sockets.get(scheme, ())[:1]:
            port = bound.getsockname()[1]
            return f"{scheme}://{domain}" + ("" if port == _USUAL[scheme] else f":{port}")
    return ""
