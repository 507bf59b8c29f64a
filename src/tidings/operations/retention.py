"""Operations on what archives keep: erase, hold, release, trim.

Everything long goes in small steps beside the traffic. What is interrupted has done part of its work and can
be called again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.clock import microseconds
from tidings.base.jid import Jid
from tidings.kernel.events import ArchiveShortened
from tidings.kernel.maybe_awaitable import until_done
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AUDITED, AccountAddress, Address, Domain
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Archived, EntryId, InboxQuery, PageQuery

log = structlog.get_logger("tidings.retention")

STEP: Final = 500
"""The most entries that one step touches."""

_DAY: Final = 86_400
_REPORT_EVERY: Final = 20
"""Steps between two lines in the log that say how far a long operation is."""

User = Annotated[
    AccountAddress, Meta(description="Account or room whose archive is meant, such as alice@example.org.")
]
MessageId = Annotated[
    str, Meta(description="Archive id of the message, as its stanza-id by this account tells: 0k3f9-17.")
]


class OneArchive(msgspec.Struct, frozen=True, kw_only=True):
    """The archive that is meant."""

    user: User


class OneMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of an archive."""

    user: User
    id: MessageId
    everywhere: Annotated[
        bool, Meta(description="Erase it from the archives of all who have it, not from this one alone.")
    ] = False


class OneConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of an archive."""

    user: User
    peer: Annotated[Address, Meta(description="Other party of the conversation; may be of any server.")]


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries of archives were erased, and of how many entries hold kept the content."""

    user: AccountAddress
    erased: int
    held: int = 0


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What to hold or to release."""

    user: User
    id: Annotated[
        str | None,
        Meta(
            description="Archive id of one message; without it, the whole archive and what it gets.",
            extra=AUDITED,
        ),
    ] = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is held or released now; `id` is null for the whole archive."""

    user: AccountAddress
    id: str | None = None


class TrimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to keep, and of which archives: of one account, one domain, or all domains."""

    user: Annotated[AccountAddress | None, Meta(description="Account or room whose archive is trimmed.")] = (
        None
    )
    domain: Annotated[Domain | None, Meta(description="Domain whose archives are trimmed.")] = None
    keep_days: Annotated[int, Meta(ge=0, description="Days to keep; 0 is no limit.")] = 0
    keep_messages: Annotated[
        int, Meta(ge=0, description="Messages to keep in each archive; 0 is no limit.")
    ] = 0
    keep_octets: Annotated[
        int, Meta(ge=0, description="Octets of messages to keep in each archive; 0 is no limit.")
    ] = 0


class Trimmed(msgspec.Struct, frozen=True, kw_only=True):
    """How many archives were gone through, and how many entries went."""

    archives: int
    trimmed: int


@operation(
    "retention",
    "erase-message",
    roles=ADMINISTRATORS,
    subjects=("user",),
    changes=True,
    errors=("conflict",),
    irreversible=True,
)
async def erase_message(context: Context, request: OneMessage) -> Erased:
    """Erase one message from an archive, or from every archive that has it.

    Its position and time stay, so that nobody takes its place for a gap. This cannot be undone.
    """
    archive, ledger = request.user, _ledger(context)
    entry = await _entry(ledger, archive, request.id)
    if request.everywhere:
        if entry.peer.domain in context.domains:
            context.require(entry.peer)  # the other party's archive is its administrators' to erase
        erased = await ledger.erase_everywhere(entry.id, archive)
    else:
        erased = await ledger.erase(archive, (entry.id.position,))
    await _shortened(context, archive)
    if not erased and entry.body is not None:
        raise OperationError("conflict", f"{request.id} is under legal hold; release it first")
    return Erased(user=archive, erased=erased)


@operation(
    "retention",
    "erase-conversation",
    roles=ADMINISTRATORS,
    subjects=("user",),
    changes=True,
    irreversible=True,
)
async def erase_conversation(context: Context, request: OneConversation) -> Erased:
    """Erase a conversation from the archive of one account.

    The other party's archive keeps it. Messages under legal hold stay. This cannot be undone.
    """
    archive, ledger = request.user, _ledger(context)
    peer = request.peer.bare
    erased = await _to_the_end(
        lambda: ledger.erase_conversation(archive, peer, limit=STEP), "erase-conversation", archive
    )
    await _shortened(context, archive)
    left = await ledger.page(archive, PageQuery(peer=peer, limit=0))
    return Erased(user=archive, erased=erased, held=left.total or 0)


@operation(
    "retention",
    "erase-archive",
    roles=ADMINISTRATORS,
    subjects=("user",),
    changes=True,
    irreversible=True,
)
async def erase_archive(context: Context, request: OneArchive) -> Erased:
    """Erase everything that the archive of one account has now; the account stays.

    The archives of other parties keep their side. The conversations leave the inbox. Messages under legal
    hold stay, and their conversations. This cannot be undone.
    """
    archive, ledger = request.user, _ledger(context)
    erased = await _to_the_end(lambda: ledger.trim(archive, keep=0, limit=STEP), "erase-archive", archive)
    erased += await _empty_inbox(ledger, archive)
    await _shortened(context, archive)
    left = await ledger.page(archive, PageQuery(limit=0))
    return Erased(user=archive, erased=erased, held=left.total or 0)


@operation("retention", "hold", roles=ADMINISTRATORS, subjects=("user",), changes=True)
async def hold(context: Context, request: Hold) -> Held:
    """Keep a message, or a whole archive, against every trimming and erasing."""
    return await _set_hold(context, request, is_held=True)


@operation("retention", "release", roles=ADMINISTRATORS, subjects=("user",), changes=True)
async def release(context: Context, request: Hold) -> Held:
    """End the hold of a message or of a whole archive.

    Messages that are held by themselves stay held when their archive is released.
    """
    return await _set_hold(context, request, is_held=False)


@operation(
    "retention",
    "trim",
    roles=ADMINISTRATORS,
    subjects=("user", "domain"),
    without_subject="own",
    changes=True,
    irreversible=True,
)
async def trim(context: Context, request: TrimRequest) -> Trimmed:
    """Forget now what is older than so many days, or more than so many messages or octets.

    What a domain keeps by itself is set in its configuration. Messages under legal hold stay. This cannot be
    undone.
    """
    if not (request.keep_days or request.keep_messages or request.keep_octets):
        raise OperationError(
            "invalid", "say what to keep: give one or more of `keep_days`, `keep_messages`, `keep_octets`"
        )
    ledger = _ledger(context)
    keep, octets = request.keep_messages or None, request.keep_octets or None
    before = None
    if request.keep_days:
        before = microseconds(context.clock.now() - request.keep_days * _DAY)

    async def trim_one(archive: Jid) -> int:
        trimmed = await _to_the_end(
            lambda: ledger.trim(archive, keep=keep, octets=octets, before=before, limit=STEP),
            "trim",
            archive,
        )
        if trimmed:
            await _shortened(context, archive)
        return trimmed

    if request.user:
        return Trimmed(archives=1, trimmed=await trim_one(request.user))
    archives = trimmed = 0
    domains = context.domains_for(request.domain)
    for domain in (name for each in domains for name in context.domains.with_services(each)):
        after = ""
        while page := await ledger.archives(domain, after):
            for archive in page:
                trimmed += await trim_one(archive)
            archives += len(page)
            after = page[-1]
    return Trimmed(archives=archives, trimmed=trimmed)


def _ledger(context: Context) -> Ledger:
    ledger = context.stores.ledger
    if ledger is None:
        raise OperationError("unavailable", "this server keeps no archives")
    return ledger


async def _to_the_end(step: Callable[[], Awaitable[int]], name: str, archive: Jid) -> int:
    """Repeat a step until nothing is left to do, and tell how much it did in all."""
    done = steps = 0
    while count := await step():
        done += count
        steps += 1
        if steps % _REPORT_EVERY == 0:
            log.info("retention_progress", operation=name, archive=str(archive), entries=done)
    return done


async def _shortened(context: Context, archive: Jid) -> None:
    """Tell the running server, which may remember what was erased."""
    host = context.host(archive.domain)
    if host is not None:
        await until_done(host.hooks.tell(ArchiveShortened(archive)))


async def _empty_inbox(ledger: Ledger, archive: Jid) -> int:
    """Take what has no messages left out of the inbox; the rows of rooms are about the rooms' archives."""
    erased, after = 0, None
    while rows := (await ledger.inbox(archive, _inbox_page(after))).rows:
        for row in rows:
            if row.source == archive:
                erased += await ledger.erase_conversation(archive, row.peer, limit=STEP)
        after = rows[-1].time, rows[-1].peer
    return erased


def _inbox_page(after: tuple[int, Jid] | None) -> InboxQuery:
    return InboxQuery(all_boxes=True, after=after, limit=STEP, octets=0)


async def _set_hold(context: Context, request: Hold, *, is_held: bool) -> Held:
    archive, ledger = request.user, _ledger(context)
    if request.id:
        entry = await _entry(ledger, archive, request.id)
        if entry.body is None:
            raise OperationError("not-found", f"{request.id} has been erased")
        await ledger.hold(archive, (entry.id.position,), is_held=is_held)
    else:
        await ledger.hold_archive(archive, is_held=is_held)
    return Held(user=archive, id=request.id)


async def _entry(ledger: Ledger, archive: Jid, text: str) -> Archived:
    """Find a message by its archive id; raises `not-found`, also where it has been trimmed."""
    id_ = EntryId.parse(text)
    if id_ is None:
        raise OperationError("invalid", f"{text!r} is no archive id; one looks like 0k3f9-17")
    query = PageQuery(ids=(id_,), tombstones=True, offline_only=True, counted=False)
    page = await ledger.page(archive, query)
    if not page.entries:
        raise OperationError("not-found", f"the archive of {archive} has no message {text}")
    return page.entries[0]


OPERATIONS = (erase_message, erase_conversation, erase_archive, hold, release, trim)
