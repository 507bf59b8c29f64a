"""Followers: who reads the feed at its own pace, how far each is, and what it could not do."""

from __future__ import annotations

from typing import Protocol

import msgspec

from tidings.base.errors import StanzaError
from tidings.ports.ledger.feed import Cursor


class FollowerState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a follower is, and whose it is now."""

    name: str
    cursor: Cursor
    moved: int
    """When its cursor moved last."""
    owner: str
    """Who holds the lease, or held it last; empty when it was given back."""
    leased_until: int
    dead_letters: int
    retries: int
    """How many of the dead letters are to be tried again."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A thing of the feed that a follower could not do and went past."""

    cursor: Cursor
    """Where it stands in the feed."""
    reason: str
    time: int
    """When it was put aside."""
    is_retried: bool
    """It is to be tried again."""


class NoSuchFollower(StanzaError):  # noqa: N818  # what it says, as its siblings
    """There is no follower of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("item-not-found", f"there is no follower {name}")


class FollowerStore(Protocol):
    """The followers of a ledger, in its own database. Everything raises `BackendError` when it cannot now.

    Nothing here takes a number of the feed, so no follower wakes another one or itself.
    """

    async def follower(self, name: str) -> FollowerState | None:
        """Give the state of a follower."""
        ...

    async def followers(self) -> tuple[FollowerState, ...]:
        """Give the state of all followers, by name."""
        ...

    async def take_lease(
        self, name: str, owner: str, seconds: float, *, from_now: bool = False
    ) -> FollowerState | None:
        """Become, or stay, the one who does the work of a follower; None while another one does it.

        `owner` is a token that nobody else has. A follower that is new begins with the oldest message that
        the ledger has, or with what comes from now on.
        """
        ...

    async def release(self, name: str, owner: str) -> None:
        """Give the lease back, so that another one need not wait for its end."""
        ...

    async def advance(self, name: str, owner: str, old: Cursor, new: Cursor) -> bool:
        """Move the cursor after the effect; tells whether it stands at `new` now.

        It does not where another one has taken the lease, or the cursor does not stand at `old` any more:
        an owner that was paused, or whose follower was rewound meanwhile, moves nothing.
        """
        ...

    async def rewind(self, name: str, cursor: Cursor) -> None:
        """Let a follower go on elsewhere, earlier or later; raises `NoSuchFollower`.

        Its owner notices when it moves the cursor the next time. What it does again, its readers see again.
        """
        ...

    async def forget_follower(self, name: str) -> bool:
        """Forget a follower with its dead letters; tells whether there was one."""
        ...

    async def put_aside(self, name: str, cursor: Cursor, reason: str) -> None:
        """Note that the thing at this place of the feed could not be done; the same again changes nothing."""
        ...

    async def dead_letters(
        self, name: str, after: Cursor | None = None, limit: int = 100, *, retried_only: bool = False
    ) -> tuple[DeadLetter, ...]:
        """Give the dead letters of a follower in the order of the feed."""
        ...

    async def retry_dead_letters(self, name: str, cursor: Cursor | None = None) -> int:
        """Ask for another try of one dead letter, or of all of them; tells how many there are.

        Raises `NoSuchFollower`.
        """
        ...

    async def remove_dead_letter(self, name: str, cursor: Cursor) -> bool:
        """Forget a dead letter; tells whether it was there."""
        ...
