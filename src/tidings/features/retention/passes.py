"""Passes: archives are brought down to what their domain wants to keep, and forgotten with their owners.

Goes through the archives of the domain in small steps beside the traffic, each a short transaction, with a
pause after each; the domains of a server take turns:

- trims what is older than `keep_days`, and what is more than `keep_messages` or `keep_octets`, as `bounds.py`
  says for the archive; legal hold goes before all of them, and followers that have not read it yet are waited
  for, `follower_days` at most;
- forgets the archive of an account that was removed, also one that a stop of the server left half forgotten;
  whoever registers the address again begins with nothing, in a new epoch, and cannot have it while legal hold
  keeps something of the earlier owner;
- drops what was kept for devices that stay away, and the devices themselves, after their time.
"""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Final

import structlog

from tidings.base.clock import microseconds
from tidings.base.jid import Jid
from tidings.features.retention.bounds import Bounds, bounds_of_account, bounds_of_room, own_bounds
from tidings.features.retention.options import RetentionOptions
from tidings.kernel.accounts import AddressHeld
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import AccountMissed, AccountRemoved, AccountWanted, ArchiveShortened
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.turns import Turns
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger

log = structlog.get_logger("tidings.retention")

FIRST_PASS: Final = 60.0
"""Seconds after the start until the first pass."""
LOOKS: Final = 50
"""Archives that are only looked at between two pauses."""
LOGGED_EVERY: Final = 10_000
"""Archives between two lines in the log that say how far a pass is."""

_DONE: Final = object()
_HOUR: Final = 3_600.0
_DAY: Final = 86_400


class Retention(Feature):
    """Trims, forgets and tidies up, a step at a time."""

    serves_archives = True
    Options = RetentionOptions
    option_name = "retention"

    def __init__(
        self,
        host: Host,
        ledger: Ledger,
        router: Router,
        clock: Clock,
        turns: Turns,
        telemetry: Telemetry,
        options: Current[RetentionOptions],
    ) -> None:
        self._host = host
        self._ledger = ledger
        self._router = router
        self._clock = clock
        self._options = options
        self._sweep = turns.join("retention", self._step)
        self._pass: AsyncGenerator[None, None] | None = None
        self._rests_until = 0.0
        self._removed: dict[Jid, None] = {}
        """Archives that are to be forgotten, the oldest first."""
        self._registrations = 0
        self.trimmed = 0
        self.forgotten = 0
        self.passes = 0
        self.looked_at = 0
        """Archives that the present pass has gone through; 0 between two passes."""
        self._tell(telemetry)

    @property
    def options(self) -> RetentionOptions:
        """What is configured for the domain now."""
        return self._options.now

    async def start(self) -> None:
        """Begin with a pass soon, to go on with what the last run did not end."""
        self._rests_until = self._clock.monotonic() + FIRST_PASS
        self._sweep.begin(FIRST_PASS)

    async def stop(self) -> None:
        """Do no step any more."""
        self._sweep.stop()
        if self._pass is not None:
            await self._pass.aclose()

    # --- accounts

    @listens(AccountRemoved, stage=Stage.STORE)
    async def forget(self, event: AccountRemoved) -> None:
        """Begin to forget the archive at once; the steps go on beside the traffic."""
        self._removed[event.account] = None
        self._sweep.begin(0)

    @listens(AccountWanted, stage=Stage.STORE)
    async def begin_with_nothing(self, event: AccountWanted) -> None:
        """Forget what an earlier owner of the address has left, before there is a new one.

        Where legal hold keeps something of it, the address cannot be used.
        """
        archive = event.account
        if await self._host.kind.exists(archive):
            return
        self._registrations += 1
        await self._tell_missed(archive)
        step = self.options.step
        while count := await self._ledger.forget_account(archive, limit=step, unless_owned=True):
            self.forgotten += count
        self._removed.pop(archive, None)
        head = await self._ledger.head(archive)
        if head.first <= head.position:
            log.warning("address_held", archive=str(archive))
            raise AddressHeld(archive)

    # --- the pass

    async def _step(self) -> float:
        """Do the next step and give the pause after it; removed accounts come first."""
        if self._removed:
            await self._forget_some(next(iter(self._removed)))
            return self.options.pause
        if self._pass is None and (rest := self._rests_until - self._clock.monotonic()) > 0:
            return rest
        running, self._pass = self._pass or self._go_through(), None  # one that fails is begun anew
        if await anext(running, _DONE) is _DONE:
            rest = self.options.interval_hours * _HOUR
            self._rests_until = self._clock.monotonic() + rest
            return rest
        self._pass = running
        return self.options.pause

    async def _go_through(self) -> AsyncGenerator[None, None]:
        """Do one pass; every yield is the end of a step."""
        began, trimmed, after = self._clock.monotonic(), self.trimmed, ""
        self.looked_at = 0
        while page := await self._ledger.archives(self._host.domain, after):
            for archive in page:
                while await self._trim(archive):
                    yield
                self.looked_at += 1
                if self.looked_at % LOOKS == 0:
                    yield
                if self.looked_at % LOGGED_EVERY == 0:
                    log.info("retention_progress", domain=self._host.domain, archives=self.looked_at)
            after = page[-1]
        if self._is_first():
            async for _ in self._tidy():
                yield
        seconds, trimmed = self._clock.monotonic() - began, self.trimmed - trimmed
        if trimmed:
            log.info(
                "retention_pass",
                domain=self._host.domain,
                archives=self.looked_at,
                trimmed=trimmed,
                seconds=round(seconds, 1),
            )
        self.passes += 1
        self.looked_at = 0

    async def _trim(self, archive: Jid) -> int:
        """Do a step in one archive; tell how many messages went."""
        if archive.local and not await self._host.kind.exists(archive):
            return await self._notice_removed(archive)
        bounds = await self._bounds_of(archive)
        keep = bounds.keep_messages or None
        octets = bounds.keep_octets or None
        before = self._time_before(bounds.keep_days) if bounds.keep_days else None
        if not await self._has_too_much(archive, keep, octets, before):
            return 0
        unread = await self._unread_from()
        count = await self._ledger.trim(
            archive, keep=keep, octets=octets, before=before, unread_from=unread, limit=self.options.step
        )
        self.trimmed += count
        if count:
            await until_done(self._host.hooks.tell(ArchiveShortened(archive)))
        return count

    async def _bounds_of(self, archive: Jid) -> Bounds:
        """Give what an archive keeps now; that of a room is read at each step, since it cannot be undone."""
        if self._host.kind.name != "room":
            return bounds_of_account(self.options)
        return bounds_of_room(self.options, own_bounds(await self._ledger.properties(archive)))

    async def _unread_from(self) -> int | None:
        """Give the first transaction that a follower has not read, unless it has stood still for too long."""
        since = self._time_before(self.options.follower_days)
        followers = await self._ledger.followers.followers()
        return min((each.cursor.feed for each in followers if each.moved >= since), default=None)

    async def _has_too_much(
        self, archive: Jid, keep: int | None, octets: int | None, before: int | None
    ) -> bool:
        """Look before anything is locked."""
        if keep is not None or octets is not None:
            head = await self._ledger.head(archive)
            if keep is not None and head.position - head.first >= keep:
                return True
            if octets is not None and head.octets > octets:
                return True
        if before is None:
            return False
        ends = await self._ledger.ends(archive)
        return ends is not None and ends[0].time < before

    async def _notice_removed(self, archive: Jid) -> int:
        """Do a step in the archive of an account that a stop of the server left behind."""
        await self._tell_missed(archive)
        head = await self._ledger.head(archive)
        return await self._forget_some(archive) if head.first <= head.position else 0

    async def _tell_missed(self, account: Jid) -> None:
        """Let an account leave its rooms that was removed while no server ran."""
        if await self._ledger.rooms_of(account, limit=1):
            await until_done(self._host.hooks.tell(AccountMissed(account)))

    async def _forget_some(self, archive: Jid) -> int:
        """Do a step in the archive of a removed account, unless its address is in use again."""
        registrations = self._registrations
        if await self._host.kind.exists(archive):
            self._removed.pop(archive, None)
            return 0
        if registrations != self._registrations:
            return 0  # it may have been this one: look again
        # Another account may get this name at this moment.
        count = await self._ledger.forget_account(archive, limit=self.options.step, unless_owned=True)
        self.forgotten += count
        if not count and archive in self._removed:
            del self._removed[archive]
            log.info("archive_forgotten", archive=str(archive))
        return count

    async def _tidy(self) -> AsyncGenerator[None, None]:
        """Drop what waits or was last used too long ago; the ledger has it for all domains together."""
        all_options = [each.options for each in self._features()]
        offline_only = self._time_before(max(options.offline_only_days for options in all_options))
        stale = self._time_before(max(options.device_days for options in all_options))
        while await self._ledger.forget_offline_only(offline_only, limit=self.options.step):
            yield
        while await self._ledger.forget_stale(stale, limit=self.options.step):
            yield

    def _time_before(self, days: int) -> int:
        return microseconds(self._clock.now() - days * _DAY)

    def _features(self) -> list["Retention"]:
        """Give this feature of every domain."""
        return list(self._every())

    def _every(self) -> Iterator["Retention"]:
        features = (host.feature(Retention) for host in self._router.hosts.values())
        return (feature for feature in features if feature is not None)

    def _is_first(self) -> bool:
        """Tell whether this domain does what is done once for all of them."""
        return next(self._every()) is self

    def _tell(self, telemetry: Telemetry) -> None:
        """Count for all domains together, whichever of them comes last to say so."""
        for name, text, field in (
            ("retention_trimmed", "Messages that went for their age, number or size", "trimmed"),
            ("retention_forgotten", "Messages that went with their account", "forgotten"),
            ("retention_passes", "Passes through all archives of a domain", "passes"),
        ):
            telemetry.total(name, text, partial(self._sum, field))
        telemetry.gauge(
            "retention_looked_at",
            "Archives that the present pass has gone through",
            partial(self._sum, "looked_at"),
        )

    def _sum(self, field: str) -> int:
        return sum(getattr(feature, field) for feature in self._features())
