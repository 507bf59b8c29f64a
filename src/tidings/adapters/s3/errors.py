"""What an object storage answers, as errors of the ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from tidings.base.errors import BackendError
from tidings.ports.blobs import BlobBusy, NoSpace

_FULL: Final = frozenset(
    {
        "QuotaExceeded",  # Ceph
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "XMinioBackendDown.StorageFull",
        "InsufficientStorage",
    }
)
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_TAKEN: Final = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_BEYOND: Final = frozenset({"416", "InvalidRange"})
_STATUS_FULL: Final = 507


def code_of(error: ClientError) -> str:
    """Give the code of a refusal, which is the status where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Tell whether there is no such object."""
    return code_of(error) in _MISSING


def is_beyond(error: ClientError) -> bool:
    """Tell whether a range begins behind the end of an object."""
    return code_of(error) in _BEYOND


@contextmanager
def told(bucket: str) -> Iterator[None]:
    """Raise what a request raises as `BackendError`, `NoSpace` or `BlobBusy`."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in _TAKEN:
            raise BlobBusy(code) from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind = NoSpace if code in _FULL or status == _STATUS_FULL else BackendError
        text = error.response.get("Error", {}).get("Message") or code
        raise kind(f"the bucket {bucket} of files refuses: {text}") from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BackendError(f"the bucket {bucket} of files cannot be reached: {error}") from error
