"""Operations on uploaded files: slots for them, what there is, and how much of it (XEP-0363)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.upload import PREFIX, Uploads, WantedFile
from tidings.features.upload.slots import Slots
from tidings.operations.catalogue import ADMINISTRATORS, EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import Code, OperationError
from tidings.operations.values import AccountAddress, Domain, Moment, Page, moment_of
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.files import FOR_EVER, FileRecord, FileState

MOST: Final = 1_000
"""The most files that one page lists."""

_CODES: Final[dict[str, Code]] = {
    "bad-request": "invalid",
    "not-acceptable": "invalid",
    "resource-constraint": "conflict",
}
"""How an operation says what a slot is refused with; all else is `unavailable`."""

User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]
Name = Annotated[str, Meta(min_length=1, max_length=255, description="Name of the file, for people.")]
Size = Annotated[int, Meta(ge=1, le=2**63 - 1, description="Octets that the file has.")]
Type = Annotated[
    Annotated[str, Meta(max_length=255)] | None,
    Meta(description="Content type, such as image/png; without it, application/octet-stream."),
]
Timeout = Annotated[
    Annotated[int, Meta(ge=1, le=86_400)] | None,
    Meta(description="Seconds that the slot waits; without it, as `slot_seconds` says."),
]


class WantedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """The file that is to come, of a domain as a whole."""

    domain: Annotated[Domain, Meta(description="Domain whose file it is to be.")]
    filename: Name
    size: Size
    content_type: Type = None
    timeout: Timeout = None


class WantedOwnSlot(msgspec.Struct, frozen=True, kw_only=True):
    """The file that is to come, of an account."""

    user: User
    filename: Name
    size: Size
    content_type: Type = None
    timeout: Timeout = None


class FileUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the octets go, by PUT and with these headers, and where everybody has them then."""

    put_url: str
    get_url: str
    header: tuple[str, ...] = ()


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whose files."""

    user: User


class OneDomain(msgspec.Struct, frozen=True, kw_only=True):
    """The domain whose files are meant, those of its accounts included."""

    domain: Annotated[Domain, Meta(description="Domain to look at.")]


class FileUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How many files there are, and how many octets they have; what is announced counts, too."""

    files: int
    octets: int


class ListFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Whose files to list, and which page of them."""

    user: User
    after: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="Begin behind this file: the `next` of the page before."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most files to list.")] = 100


class OneFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an account."""

    user: User
    id: Annotated[str, Meta(max_length=64, description="Id of the file, as `list` shows it.")]


class FileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A file: what it is, since when, and until when; `complete` when all its octets are there.

    `expires` is null for what does not expire. `references` is how many entries of archives name it.
    """

    id: str
    name: str
    size: int
    content_type: str
    created: Moment
    expires: Moment | None
    complete: bool
    sha256: str | None
    references: int


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """The file that is gone."""

    user: AccountAddress
    id: str


@operation(
    "http-upload",
    "get-url",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    changes=True,
    errors=("conflict",),
    needs_server=True,
)
async def get_url(context: Context, request: WantedSlot) -> FileUrls:
    """Give a slot for a file of a domain, which belongs to none of its accounts."""
    return await _slot(context, request.domain, request)


@operation(
    "http-upload",
    "get-own-url",
    roles=EVERYBODY,
    subjects=("user",),
    changes=True,
    errors=("conflict",),
    needs_server=True,
)
async def get_own_url(context: Context, request: WantedOwnSlot) -> FileUrls:
    """Give a slot for a file of an account, within the limits that hold for it."""
    return await _slot(context, request.user, request)


@operation("http-upload", "usage", roles=EVERYBODY, subjects=("user",), changes=False)
async def usage(context: Context, request: OneUser) -> FileUsage:
    """Tell how many files an account has, and how large they are together."""
    await _must_exist(context, request.user)
    return await _usage(context, request.user)


@operation("http-upload", "domain-usage", roles=ADMINISTRATORS, subjects=("domain",), changes=False)
async def domain_usage(context: Context, request: OneDomain) -> FileUsage:
    """Tell how many files a domain has with all its accounts, and how large they are together."""
    return await _usage(context, request.domain)


@operation("http-upload", "list", roles=EVERYBODY, subjects=("user",), changes=False)
async def list_files(context: Context, request: ListFiles) -> Page[FileInfo]:
    """List the files of an account, a page at a time."""
    await _must_exist(context, request.user)
    found = await context.stores.files.list(request.user, after=request.after or "", limit=request.limit + 1)
    shown = found[: request.limit]
    return Page(items=tuple(map(_info, shown)), next=shown[-1].id if len(found) > len(shown) else None)


@operation("http-upload", "remove", roles=EVERYBODY, subjects=("user",), changes=True, irreversible=True)
async def remove(context: Context, request: OneFile) -> Removed:
    """Remove a file of an account: nobody can have it any more.

    Its octets are deleted within a minute. This cannot be undone.
    """
    found = await context.stores.files.get(request.id)
    if found is None or found.owner != request.user:
        raise OperationError("not-found", f"{request.user} has no file {request.id}")
    await context.stores.files.discard([found.id])
    return Removed(user=request.user, id=found.id)


async def _slot(context: Context, owner: Jid, request: WantedSlot | WantedOwnSlot) -> FileUrls:
    wanted = WantedFile(name=request.filename, size=request.size, content_type=request.content_type or "")
    try:
        slot = await _slots(context, owner).give(owner, wanted, seconds=request.timeout)
    except NoSuchAccount:
        raise OperationError("not-found", f"there is no account {owner}") from None
    except StanzaError as error:
        reason = "file_too_large_error" if error.condition == "not-acceptable" else ""
        raise OperationError(
            _CODES.get(error.condition, "unavailable"), error.text or str(error), reason=reason
        ) from None
    headers = tuple(f"{name}: {value}" for name, value in slot.headers)
    return FileUrls(put_url=slot.put, get_url=slot.get, header=headers)


def _slots(context: Context, owner: Jid) -> Slots:
    host = context.host(f"{PREFIX}.{owner.domain}")
    uploads = None if host is None else host.feature(Uploads)
    if uploads is None:
        raise OperationError("unavailable", f"no files are uploaded to {owner.domain}")
    return uploads.slots


async def _usage(context: Context, holder: Jid) -> FileUsage:
    found = await context.stores.files.usage(holder)
    return FileUsage(files=found.files, octets=found.octets)


async def _must_exist(context: Context, user: Jid) -> None:
    if not await context.stores.accounts.exists(user):
        raise OperationError("not-found", f"there is no account {user}")


def _info(file: FileRecord) -> FileInfo:
    return FileInfo(
        id=file.id,
        name=file.name,
        size=file.size,
        content_type=file.content_type,
        created=moment_of(file.created),
        expires=None if file.expires >= FOR_EVER else moment_of(file.expires),
        complete=file.state is FileState.COMPLETE,
        sha256=None if file.sha256 is None else file.sha256.hex(),
        references=file.references,
    )


OPERATIONS = (get_url, get_own_url, usage, domain_usage, list_files, remove)
"""The operations of this file."""
