"""MaybeAwaitable: what a function of the hot path answers instead of being a coroutine.

Most stanzas need nothing but memory. A function that returns `None` when it is done, and an awaitable only
when there is something to wait for, costs them no coroutine and no turn of the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

MaybeAwaitable = Awaitable[None] | None
"""Something to wait for, or None where there is nothing."""


async def until_done(wait: MaybeAwaitable) -> None:
    """Wait, where there is something to wait for."""
    if wait is not None:
        await wait


def in_turn(waits: Iterable[MaybeAwaitable]) -> MaybeAwaitable:
    """Take the steps of a generator one after another, awaiting those that must be; the rest starts after."""
    steps = iter(waits)
    for wait in steps:
        if wait is not None:
            return _in_turn(wait, steps)
    return None


async def _in_turn(first: Awaitable[None], steps: Iterable[MaybeAwaitable]) -> None:
    await first
    for wait in steps:
        if wait is not None:
            await wait
