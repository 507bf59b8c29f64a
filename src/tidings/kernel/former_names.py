"""Former names: the name that an account had is nobody's for a while, where that is configured.

So no stranger gets what was meant for the former owner: messages of people who do not know, and what the
rosters and permissions still allow on which the address stands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from tidings.base.clock import TimeSource, format_utc
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.removals import RemovalStore

_DAY: Final = 86_400.0


class NameRests(StanzaError):  # noqa: N818  # a fact about the name, said in its word
    """An account of this name was removed or renamed not long ago: `conflict`.

    What people read does not tell of the former account; `told` is for administrators.
    """

    def __init__(self, jid: Jid, removed: float, until: float) -> None:
        super().__init__("conflict", "that name is taken")
        self.jid = jid
        self.told = (
            f"an account {jid} was removed or renamed at {format_utc(int(removed))}, and its name rests "
            f"until {format_utc(int(until))} (`name_rest_days` in [server])"
        )


class FormerNames:
    """Tells which names rest; `days` is for how long, now, and with 0 none does."""

    def __init__(self, store: RemovalStore, clock: TimeSource, days: Callable[[], int] = lambda: 0) -> None:
        self._store = store
        self._clock = clock
        self._days = days

    @property
    def noted(self) -> float | None:
        """The time to note with an account that is removed now; None where its name is not to rest."""
        return self._clock.now() if self._days() else None

    async def check(self, jid: Jid) -> None:
        """Raise `NameRests` where nobody can have this address yet."""
        if error := (await self.resting([jid])).get(jid):
            raise error

    async def resting(self, jids: Collection[Jid]) -> dict[Jid, NameRests]:
        """Give those of some hundred addresses that nobody can have yet, and why."""
        span = self._days() * _DAY
        if not span or not jids:
            return {}
        now, former = self._clock.now(), await self._store.former(jids)
        return {
            jid: NameRests(jid, removed, removed + span)
            for jid, removed in former.items()
            if removed + span > now
        }

    async def forget_over(self) -> None:
        """Forget the names that rest no more."""
        await self._store.forget_former(self._clock.now() - self._days() * _DAY)
