"""Operations on followers: who reads the feed of the ledger, how far each is, and what it could not do.

They concern the archives of all domains, so only those may call them who act for every domain.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.operations.catalogue import OPERATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AUDITED, Moment, Page, exact_moment_of
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.feed import Cursor

START: Final = "start"
NOW: Final = "now"

_MICROSECONDS: Final = 1_000_000
_LIMIT: Final = 100

Name = Annotated[str, Meta(description="Name of the follower, as `followers list` shows it.", extra=AUDITED)]


class AllFollowers(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


class FollowerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a follower stands; `lag` counts the transactions that it has not read yet."""

    name: str
    cursor: str
    lag: int
    moved: Moment
    working: bool
    dead_letters: int


class Rewind(msgspec.Struct, frozen=True, kw_only=True):
    """Which follower goes on where."""

    follower: Name
    cursor: Annotated[
        str,
        Meta(
            description="Place in the feed from which it reads again, `start` for all that there is, or "
            "`now` for what comes from here on.",
            extra=AUDITED,
        ),
    ]


class Rewound(msgspec.Struct, frozen=True, kw_only=True):
    """Where the follower stands now."""

    follower: str
    cursor: str


class DeadLettersRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Of which follower."""

    follower: Name
    after: Annotated[str | None, Meta(description="`next` of the page before.")] = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="The most dead letters to give.")] = _LIMIT


class DeadLetterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the follower went past, and why; `retried` says that it is to be tried again."""

    cursor: str
    time: Moment
    reason: str
    retried: bool


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """What to try again."""

    follower: Name
    cursor: Annotated[
        str | None,
        Meta(description="Place of one dead letter; without it all are tried again.", extra=AUDITED),
    ] = None


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """How many dead letters are tried again."""

    follower: str
    dead_letters: int


@operation("followers", "list", roles=OPERATORS, changes=False)
async def list_followers(context: Context, request: AllFollowers) -> Page[FollowerInfo]:
    """List who follows the feed of the ledger, and how far each is."""
    del request
    ledger = _ledger(context)
    _, last = await ledger.feed()
    now = context.clock.now() * _MICROSECONDS
    return Page(
        items=tuple(
            FollowerInfo(
                name=state.name,
                cursor=str(state.cursor),
                lag=max(last + 1 - state.cursor.feed, 0),
                moved=exact_moment_of(state.moved),
                working=bool(state.owner) and state.leased_until > now,
                dead_letters=state.dead_letters,
            )
            for state in await ledger.followers.followers()
        )
    )


@operation("followers", "rewind", roles=OPERATORS, changes=True, errors=("invalid", "not-found"))
async def rewind(context: Context, request: Rewind) -> Rewound:
    """Let a follower read the feed again from another place.

    It does again what it did since then; whoever is told by it is told again. What archives have trimmed
    since is told as a gap.
    """
    ledger = _ledger(context)
    incarnation, last = await ledger.feed()
    if request.cursor == START:
        cursor = Cursor(incarnation)
    elif request.cursor == NOW:
        cursor = Cursor(incarnation, last + 1)
    else:
        cursor = _cursor(request.cursor)
        if cursor.incarnation != incarnation or cursor.feed > last + 1:
            raise OperationError(
                "invalid", f"{request.cursor} is no place in this feed: it ends at {incarnation}-{last}"
            )
    await ledger.followers.rewind(request.follower, cursor)
    return Rewound(follower=request.follower, cursor=str(cursor))


@operation("followers", "dead-letters", roles=OPERATORS, changes=False, errors=("invalid", "not-found"))
async def dead_letters(context: Context, request: DeadLettersRequest) -> Page[DeadLetterInfo]:
    """List what a follower could not do and went past."""
    ledger = _ledger(context)
    if await ledger.followers.follower(request.follower) is None:
        raise OperationError("not-found", f"there is no follower {request.follower}")
    after = _cursor(request.after) if request.after else None
    found = await ledger.followers.dead_letters(request.follower, after, request.limit + 1)
    page = found[: request.limit]
    return Page(
        items=tuple(
            DeadLetterInfo(
                cursor=str(letter.cursor),
                time=exact_moment_of(letter.time),
                reason=letter.reason,
                retried=letter.is_retried,
            )
            for letter in page
        ),
        next=str(page[-1].cursor) if len(found) > len(page) else None,
    )


@operation("followers", "retry", roles=OPERATORS, changes=True, errors=("invalid", "not-found"))
async def retry(context: Context, request: Retry) -> Retried:
    """Let a follower try again what it could not do.

    The running server does so within some seconds. What fails again is a dead letter again.
    """
    ledger = _ledger(context)
    cursor = _cursor(request.cursor) if request.cursor else None
    count = await ledger.followers.retry_dead_letters(request.follower, cursor)
    if cursor is not None and not count:
        raise OperationError("not-found", f"{request.follower} has no dead letter at {request.cursor}")
    return Retried(follower=request.follower, dead_letters=count)


def _ledger(context: Context) -> Ledger:
    ledger = context.stores.ledger
    if ledger is None:
        raise OperationError("unavailable", "this server keeps no archives")
    return ledger


def _cursor(text: str) -> Cursor:
    cursor = Cursor.parse(text)
    if cursor is None:
        raise OperationError("invalid", f"{text!r} is no place in the feed; one looks like abcdefghij-17.0.0")
    return cursor


OPERATIONS = (list_followers, rewind, dead_letters, retry)
