"""FileDoor: files come by PUT, each to its slot, and are had by GET and HEAD, below `/files` (XEP-0363 §7).

Invariants:
- no octet of a body waits in memory for more than the next write to the disk;
- a path is looked up as the id in it, and by nothing else that a client sends;
- what a browser would run is never shown by it: types that are not known to be harmless are for saving, no
  type is guessed, and what is opened all the same is alone in a sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

import msgspec
import structlog
from aiohttp import web

from tidings.base.errors import BackendError
from tidings.base.seldom_told import SeldomTold
from tidings.features.upload import PREFIX, Uploads
from tidings.features.upload.slots import ANY_TYPE, PATH
from tidings.gateways.http import CLOSE, HttpError, HttpGateway, text_response
from tidings.kernel.clock import Clock
from tidings.kernel.host import Host
from tidings.ports.blobs import IS_ID, BlobBusy, BlobWriter, NoSpace
from tidings.ports.files import FileRecord, FileState, FileStore

log = structlog.get_logger("tidings.files")

OFFSET: Final = "Upload-Offset"
"""The header that says how many octets of an upload are there."""

RETRY_SECONDS: Final = 30
"""Seconds after which a client may ask again what a store could not answer."""

_ABOUT: Final = "PUT takes a file to its slot, GET and HEAD give it."
_NOTHING: Final = "There is no such file, or not any more."
_HARMLESS: Final = re.compile(
    r"image/(?:png|jpeg|gif|webp|avif|apng|bmp|heic|heif|jxl)|(?:audio|video)/[a-z0-9.-]+|text/plain"
)
"""Types that browsers show, and run nothing of; none that ends in `+xml`."""
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)
_SHOWN: Final = f"{OFFSET}, Content-Range, Accept-Ranges, ETag, Location"


class _Part(msgspec.Struct, frozen=True):
    """What octets of a file a request brings."""

    first: int
    count: int
    is_resumable: bool


class FileDoor:
    """Takes and gives the octets of the files of all domains."""

    def __init__(
        self, gateway: HttpGateway, hosts: Mapping[str, Host], files: FileStore, clock: Clock
    ) -> None:
        self._gateway = gateway
        self._hosts = hosts
        self._files = files
        self._clock = clock
        self._full_told = SeldomTold(60.0, clock.monotonic)
        gateway.add(
            PATH,
            {"GET": self._give, "HEAD": self._tell, "PUT": self._take},
            about=_ABOUT,
            origins=gateway.options.origins,
            is_prefix=True,
            request_headers="Content-Type, Content-Range, Range, If-None-Match, If-Range",
            shown_headers=_SHOWN,
        )

    async def _find(self, request: web.BaseRequest) -> tuple[FileRecord, Uploads]:
        """Give the file that a path means, and the service that it belongs to; raises `HttpError`."""
        id_, _, name = request.raw_path.partition("?")[0].removeprefix(f"{PATH}/").partition("/")
        if IS_ID.fullmatch(id_) is None:
            raise HttpError(404, _NOTHING, CLOSE)
        try:
            found = await self._files.get(id_)
        except BackendError:
            raise _unavailable("look") from None
        if found is None or found.expires <= self._clock.now() or unquote(name) != found.name:
            raise HttpError(404, _NOTHING, CLOSE)
        host = self._hosts.get(f"{PREFIX}.{found.owner.domain}")
        uploads = None if host is None else host.feature(Uploads)
        if uploads is None:
            raise HttpError(404, _NOTHING, CLOSE)
        return found, uploads

    # --- files come

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        file, uploads = await self._find(request)
        expires = await self._check_slot(request, file, uploads)
        part = _part_of(request, file)
        _check_type(request, file)
        seconds = uploads.slots.upload_seconds
        try:
            await self._files.postpone(file.id, self._clock.now() + seconds)
            async with uploads.blobs.write(file.id, resume=part.is_resumable) as writer:
                if writer.offset != part.first:
                    text = f"There are {writer.offset} octets: go on behind them."
                    raise HttpError(409, text, {OFFSET: str(writer.offset), **CLOSE})
                await self._gateway.take_body(request, part.count, writer.write, seconds=seconds)
                if writer.offset != part.first + part.count:
                    raise HttpError(400, "The body has fewer octets than it should have.", CLOSE)
                if writer.offset < file.size:
                    return web.Response(status=202, headers={OFFSET: str(writer.offset)})
                return await self._finish(writer, file, uploads, expires)
        except BlobBusy:
            raise HttpError(409, "Somebody else uploads this file now.", CLOSE) from None
        except NoSpace as error:
            if self._full_told.kept_quiet("") is not None:
                log.error("no_space_for_files", reason=str(error))
            raise HttpError(507, "The server has no room for this file; try later.", CLOSE) from None
        except BackendError as error:
            log.warning("upload_failed", file=file.id, reason=str(error))
            raise _unavailable("keep this") from None

    async def _check_slot(self, request: web.BaseRequest, file: FileRecord, uploads: Uploads) -> float:
        """Tell until when a file is kept whose slot the request has; raises `HttpError` where it has not."""
        try:
            until = await uploads.slots.until(file, request.query.get("slot", ""))
        except BackendError:
            raise _unavailable("look") from None
        if until is None:
            raise HttpError(403, "This is not the slot of this file.", CLOSE)
        if file.state is not FileState.ANNOUNCED:
            raise HttpError(409, "The file is there already: a slot takes one file.", CLOSE)
        return until

    async def _finish(
        self, writer: BlobWriter, file: FileRecord, uploads: Uploads, expires: float
    ) -> web.StreamResponse:
        digest = await writer.finish()
        if not await self._files.complete(file.id, sha256=digest, expires=expires):
            await uploads.blobs.delete(file.id)  # it was discarded meanwhile: no other stream can finish it
            raise HttpError(404, _NOTHING)
        log.info("file_uploaded", file=file.id, owner=file.owner.text, octets=file.size)
        headers = {"Location": f"{PATH}/{file.id}/{quote(file.name, safe='')}", "ETag": _tag(digest)}
        return text_response("The file is there.", status=201, headers=headers)

    # --- files go

    async def _tell(self, request: web.BaseRequest) -> web.StreamResponse:
        """Tell about a file as GET would; who has its slot is told how many octets there are."""
        if "slot" not in request.query:
            return await self._give(request)
        file, uploads = await self._find(request)
        await self._check_slot(request, file, uploads)
        try:
            offset = await uploads.blobs.offset(file.id)
        except BackendError:
            raise _unavailable("look") from None
        return web.Response(status=204, headers={OFFSET: str(offset), "Cache-Control": "no-store"})

    async def _give(self, request: web.BaseRequest) -> web.StreamResponse:
        file, uploads = await self._find(request)
        if file.state is not FileState.COMPLETE or file.sha256 is None:
            raise HttpError(404, _NOTHING)
        tag = _tag(file.sha256)
        headers = _headers_of(file, tag)
        if _has_tag(request.headers.get("If-None-Match", ""), tag):
            return web.Response(status=304, headers=headers)
        try:
            if await uploads.blobs.size(file.id) != file.size:
                log.warning("file_without_octets", file=file.id, owner=file.owner.text)
                raise HttpError(404, _NOTHING)
            first, count = _range_of(request, file, tag)
            is_part = count != file.size
            response = web.StreamResponse(status=206 if is_part else 200, headers=headers)
            response.content_length = count
            if is_part:
                response.headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{file.size}"
            pieces = uploads.blobs.read(file.id, first, count)
            piece = b"" if request.method == "HEAD" else await anext(pieces, b"")
        except BackendError as error:
            log.warning("file_not_read", file=file.id, reason=str(error))
            raise _unavailable("read this") from None
        await self._gateway.begin(request, response)
        try:
            while piece:
                await response.write(piece)
                piece = await anext(pieces, b"")
        except BackendError as error:  # the rest is missing: no answer can be given in its place
            log.warning("file_not_read", file=file.id, reason=str(error))
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response


def _unavailable(what: str) -> HttpError:
    """Say that a store does not answer now, and when to come again."""
    headers = {"Retry-After": str(RETRY_SECONDS), **CLOSE}
    return HttpError(503, f"The server cannot {what} now; try later.", headers)


def _part_of(request: web.BaseRequest, file: FileRecord) -> _Part:
    """Tell what octets a request brings; raises `HttpError` where these are not those of the slot."""
    length = request.content_length
    if length is None:
        raise HttpError(411, "Say by Content-Length how many octets come.", CLOSE)
    text = request.headers.get("Content-Range")
    if text is None:
        part = _Part(0, file.size, is_resumable=False)
    else:
        found = _CONTENT_RANGE.fullmatch(text)
        first, last, size = map(int, found.groups()) if found is not None else (0, -1, -1)
        if found is None or size != file.size or not first <= last < size:
            raise HttpError(400, f"The Content-Range is none of a file of {file.size} octets.", CLOSE)
        part = _Part(first, last - first + 1, is_resumable=True)
    if length != part.count:
        raise HttpError(
            413 if length > part.count else 400, f"The slot is for {part.count} octets, not {length}.", CLOSE
        )
    return part


def _check_type(request: web.BaseRequest, file: FileRecord) -> None:
    """Raise `HttpError` where the type is another one than was announced (XEP-0363 §7)."""
    given = request.headers.get("Content-Type")
    if given is not None and file.content_type != ANY_TYPE and _essence(given) != _essence(file.content_type):
        raise HttpError(415, f"The slot is for {file.content_type}.", CLOSE)


def _range_of(request: web.BaseRequest, file: FileRecord, tag: str) -> tuple[int, int]:
    """Give the first octet that is wanted, and how many; raises `HttpError` 416."""
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if found is None or not any(found.groups()) or request.headers.get("If-Range", tag) != tag:
        return 0, file.size  # RFC 9110 §14.2: what is not understood is passed over
    start, end = found.groups()
    first = int(start) if start else max(0, file.size - int(end))
    last = min(int(end) if start and end else file.size - 1, file.size - 1)
    if first > last:
        if start and end and int(start) > int(end):  # §14.1.2: no range at all
            return 0, file.size
        raise HttpError(416, "The file has no such part.", {"Content-Range": f"bytes */{file.size}"})
    return first, last - first + 1


def _headers_of(file: FileRecord, tag: str) -> dict[str, str]:
    is_harmless = _HARMLESS.fullmatch(_essence(file.content_type)) is not None
    kind = "inline" if is_harmless else "attachment"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-transform, max-age=86400",
        "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
        "Content-Type": file.content_type,
        "ETag": tag,
        "Referrer-Policy": "no-referrer",
    }


def _has_tag(text: str, tag: str) -> bool:
    """Tell whether this is one of the tags that a client has (RFC 9110 §13.1.2)."""
    return text.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in text.split(",")]


def _tag(digest: bytes) -> str:
    return f'"{digest.hex()}"'


def _essence(content_type: str) -> str:
    """Give a content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()
