"""Slots: the right to upload one file, of one size, type and name, once and soon.

A slot is the row of a file that is announced, and a signature over all that it is bound to, in the address
to which the octets go. The signing secret is a document of the service, the same on every node.

Invariants:
- a path that names a file is made of the id, which is ours; the name is for people, and what browsers or
  proxies could take for a part of the path is not in it;
- whoever has the address of a file can have the file, and cannot put anything there.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import math
import re
import secrets
from typing import Final
from urllib.parse import quote

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.base.token_bucket import Rate, TokenBuckets
from tidings.features.upload.options import UploadOptions
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.public_address import PublicAddress
from tidings.ports.documents import DocumentConflict, DocumentStore
from tidings.ports.files import (
    FOR_EVER,
    LONGEST_NAME,
    LONGEST_TYPE,
    FileRecord,
    FileStore,
    Quota,
    QuotaExceeded,
)
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.http_upload import Slot, file_too_large, retry_at

PATH: Final = "/files"
"""Where the HTTP doors have files."""
ANY_TYPE: Final = "application/octet-stream"
"""What a file is whose type nobody has named."""

_DAY: Final = 86_400
_SECRET: Final = "secret"  # noqa: S105  # the key of a document
_OF_PATHS: Final = re.compile(r"[\x00-\x1f\x7f/\\]|^\.{1,2}$")
_TYPE: Final = re.compile(
    r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+"
    r"(?:[ \t]{0,9};[ \t]{0,9}[a-z0-9_.+-]+=(?:[a-z0-9_.+-]+|\"[a-z0-9_.+ -]*\"))*",
    re.IGNORECASE | re.ASCII,
)


class WantedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that somebody wants to upload."""

    name: str
    size: int
    content_type: str = ""
    expire_before: float | None = None
    """When it must not be there any more at the latest."""


class Slots:
    """Gives slots of one service, and knows them again."""

    def __init__(
        self,
        service: Jid,
        files: FileStore,
        documents: DocumentStore,
        address: PublicAddress,
        clock: Clock,
        options: Current[UploadOptions],
    ) -> None:
        self._service = service
        self._files = files
        self._documents = documents
        self._address = address
        self._clock = clock
        self._options = options
        self._given: TokenBuckets[Jid] = TokenBuckets()
        self._secret = b""

    async def give(self, owner: Jid, wanted: WantedFile, *, seconds: int | None = None) -> Slot:
        """Announce a file of an account, or of the domain itself, and say where it goes.

        The slot waits `seconds`, or as long as all of them. Raises `StanzaError` as XEP-0363 §6 has it.
        """
        options, now = self._options.now, self._clock.now()
        if wanted.size > options.max_file_bytes:
            raise StanzaError(
                "not-acceptable",
                f"File too large. The maximum file size is {options.max_file_bytes} bytes",
                payload=file_too_large(options.max_file_bytes),
            )
        if wanted.expire_before is not None and wanted.expire_before <= now:
            raise StanzaError("bad-request", "the time before which the file is to go is over")
        content_type, name = read_type(wanted.content_type), clean_name(wanted.name)
        base = self._address.at(owner.domain, PATH)
        if not base:
            raise StanzaError("service-unavailable", "this server can be reached by no HTTP")
        if owner.local:
            self._count(owner, options, now)
        record = FileRecord(
            id=token(),
            owner=owner,
            name=name,
            size=wanted.size,
            content_type=content_type,
            created=now,
            expires=now + (seconds or options.slot_seconds),
        )
        own = options.account_quota if owner.local else Quota()
        try:
            await self._files.announce(record, own=own, domain=options.domain_quota)
        except QuotaExceeded as error:
            raise _refusal(error) from None
        url = f"{base}/{record.id}/{quote(name, safe='')}"
        until = 0 if wanted.expire_before is None else math.floor(wanted.expire_before)
        return Slot(f"{url}?slot={await self._sign(record, until)}", url)

    async def until(self, record: FileRecord, slot: str) -> float | None:
        """Tell until when a file is kept whose slot this is, from now on; None where it is not its slot."""
        text, _, _ = slot.partition(".")
        until = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
        if not hmac.compare_digest(slot.encode(errors="replace"), (await self._sign(record, until)).encode()):
            return None
        days = self._options.now.keep_days
        kept = self._clock.now() + days * _DAY if days else FOR_EVER
        return min(kept, until) if until else kept

    @property
    def upload_seconds(self) -> int:
        """How long a request may take."""
        return self._options.now.upload_seconds

    def _count(self, owner: Jid, options: UploadOptions, now: float) -> None:
        rate = Rate(options.slots_per_minute / 60, options.slots_per_minute)
        wait = self._given.take(owner, rate, self._clock.monotonic())
        if wait:
            raise StanzaError(
                "resource-constraint",
                f"You can only upload {options.slots_per_minute} files in a minute",
                payload=retry_at(math.ceil(now + wait)),
            )

    async def _sign(self, record: FileRecord, until: int) -> str:
        """Write the slot of a file: until when it is kept, and a signature over all that it is bound to."""
        if not self._secret:
            self._secret = await self._load()
        bound = (record.id, record.owner.text, str(record.size), record.content_type, record.name, str(until))
        digest = hmac.digest(self._secret, "\0".join(bound).encode(), hashlib.sha256)
        return f"{until}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    async def _load(self) -> bytes:
        """Give the secret of the service, which is made once; another node may be faster."""
        found = await self._documents.get(self._service, ns.HTTP_UPLOAD, _SECRET)
        while found is None:
            with contextlib.suppress(DocumentConflict):
                made = secrets.token_bytes(32)
                await self._documents.put(self._service, ns.HTTP_UPLOAD, _SECRET, made, expected=None)
            found = await self._documents.get(self._service, ns.HTTP_UPLOAD, _SECRET)
        return found.value


def _refusal(error: QuotaExceeded) -> StanzaError:
    whose = "You have" if error.holder.local else "All people here together have"
    return StanzaError(
        "resource-constraint",
        f"{whose} as many files as there may be, or as large ones",
        payload=b"" if error.until is None or error.until >= FOR_EVER else retry_at(math.ceil(error.until)),
    )


def read_type(text: str) -> str:
    """Give a content type in the form in which it is kept; raises `bad-request` for what is none."""
    if not text:
        return ANY_TYPE
    if len(text) > LONGEST_TYPE or _TYPE.fullmatch(text) is None:
        raise StanzaError("bad-request", "the content type is none, such as image/png")
    return text


def clean_name(text: str) -> str:
    """Give the name of a file without what a path could be made of; raises `bad-request` for a long one."""
    if not text:
        raise StanzaError("bad-request", "the name of the file is missing")
    if len(text.encode(errors="replace")) > LONGEST_NAME:
        raise StanzaError("bad-request", f"the name of a file may have {LONGEST_NAME} octets")
    return _OF_PATHS.sub("_", text.encode(errors="replace").decode())
