"""Devices: each gets every message that is meant for it once, in order, whether it was there or not.

Implements XEP-0160 1.0.1 and XEP-0203 2.0 over the archive; the marks § point at the sections of the former.
There is no second store for offline messages: a device has a cursor over its account's archive, and what lies
behind it is replayed, with the time of each message, when a session of the device becomes available. A
device that is not known gets what no device has seen.

- While a session is `behind`, what is archived reaches it by the replay alone, so nothing live overtakes it.
- A session that does not take what it is sent live falls behind, and reads the rest from the archive.
- The replay goes out in portions: the next one follows when the client has acknowledged the last one, by
  XEP-0198 or by answering a ping. However much a device has missed, it gets all of it, in little memory.
- A cursor moves when the client acknowledges (XEP-0198). A client that does not count has what it was sent
  when it answers, when it sends anything 10 seconds later, or when it ends its stream in order.
- A device that asks for archive, inbox or sync fetches what it missed by itself; it is replayed only what
  came after that, while it was not available and took no copies.
- What a lost connection makes uncertain comes again, with the same archive id.

Left out: §3 for groupchat and headline, which the archive does not keep for accounts.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from tidings.base.clock import microseconds
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.devices.cursors import Cursors
from tidings.features.devices.keeping import CursorKeeper
from tidings.features.devices.progress import LOOK_EVERY, PROGRESS, Progress, device_of
from tidings.features.devices.replay import Replay
from tidings.features.devices.waiting import Waiting, count_waiting
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import (
    AccountRemoved,
    AccountRenaming,
    ArchivePulled,
    CommitUncertain,
    MessageDelivered,
    PresenceSent,
    RequestAnswered,
    SessionBound,
    SessionEnded,
    StanzasAcknowledged,
)
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.pulling import misses, pulled
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.traces import Traces
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.presence import priority_of

log = structlog.get_logger("tidings.devices")


class DeviceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How devices catch up."""

    offline_messages: Annotated[
        int,
        Meta(
            description="Messages that a device is sent of what it missed before it has to acknowledge them; "
            "the rest follows then.",
            ge=1,
            le=500,
        ),
    ] = 100


class Devices(Feature):
    """Replays to each device what it missed, and keeps its cursor."""

    spec = (Spec.xep(160, version="1.0.1", advertises=(ns.OFFLINE,)), Spec.xep(203, version="2.0"))  # §4
    serves_archives = True
    Options = DeviceOptions
    option_name = "devices"

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        supervisor: Supervisor,
        traces: Traces,
        options: Current[DeviceOptions],
    ) -> None:
        self._options = options
        self._clock = clock
        self._ledger = ledger
        self._supervisor = supervisor
        self._cursors = Cursors(ledger)
        self._keeper = CursorKeeper(self._cursors, clock, supervisor, traces)
        self._replay = Replay(
            ledger,
            self._cursors,
            self._keeper,
            clock,
            supervisor,
            self._portion,
        )

    def _portion(self) -> int:
        """Say how many messages a device is sent before it has to acknowledge them."""
        return self._options.now.offline_messages

    async def waiting(self, account: Jid) -> Waiting:
        """Count what the devices of an account have still to be sent."""
        return await count_waiting(self._ledger, account, self._cursors.of(account))

    async def stop(self) -> None:
        """Write the cursors that have moved."""
        await self._keeper.stop()

    # --- sessions come and go

    @listens(SessionBound, first=True)  # before anything can be delivered to it
    def begin(self, event: SessionBound) -> None:
        """Find out which device it is; a resumption does not change that."""
        event.session[PROGRESS] = Progress(device_of(event.session))

    @listens(SessionBound)
    async def know(self, event: SessionBound) -> None:
        """Make a device that is new known for good before it is told that it is there.

        With Bind 2 what it has missed is cleared, since its client reads that in the archive (XEP-0386 §3.2).
        """
        if event.session.account.exists:
            await self._replay.know(event.session)
        if event.is_bind2:
            await pulled(event.session)

    @listens(PresenceSent, first=True)  # before anything counts it as available
    def available(self, event: PresenceSent) -> None:
        """Begin the replay with the first presence of non-negative priority; stop it with its end (§2)."""
        session, presence = event.session, event.stanza
        if presence.to is not None or presence.kind not in {"", "unavailable"}:
            return
        was_there = session.priority is not None and session.priority >= 0
        is_there = presence.kind == "" and priority_of(presence) >= 0
        progress = session[PROGRESS]
        if is_there == was_there or (progress.pulls and progress.is_current):
            return
        progress.is_current = False
        self._replay.halt(session)
        if is_there:
            progress.turn_to_passed()
            session.is_catching_up = True
            self._replay.go_on(session)
            return
        session.forget_held()
        if progress.is_started:
            progress.away_since = microseconds(self._clock.now())
        if progress.pulls:
            progress.passes(progress.upto + 1)

    @listens(SessionEnded, first=True)  # in the same turn as the end: what comes later is not seen
    def end(self, event: SessionEnded) -> None:
        """Keep what the client has acknowledged; the rest is for the device's next session."""
        progress = event.session[PROGRESS]
        self._replay.halt(event.session)
        if event.reason is None and not progress.counts:
            progress.acknowledge_all()
        self._keeper.leave(event.session)

    @listens(ArchivePulled)
    def pulled(self, event: ArchivePulled) -> None:
        """Leave it to the client from here on to fetch what it has missed."""
        session = event.session
        progress = session[PROGRESS]
        if session.ended or (progress.has_pulled and progress.is_current):
            return  # page after page is read, and nothing has come since the first
        progress.pulls = progress.is_current = progress.has_pulled = True
        progress.passed_by = None  # what came while it was away is in what the client reads now
        self._replay.halt(session)
        session.go_live()
        self._supervisor.start("pulled", self._note_pull(session, progress))

    async def _note_pull(self, session: Session, progress: Progress) -> None:
        try:
            head = await self._ledger.head(session.account.jid)
        except BackendError as error:  # it is noted when the device asks again
            log.error("pull_not_noted", session=str(session.jid), reason=str(error))
            progress.has_pulled = False
            return
        if progress.is_current:
            progress.upto = max(progress.upto, head.position)
        if session.account.exists:
            self._cursors.move(session.account.jid, progress.device, head.position, pulls=True)
            self._keeper.note(session)

    @listens(AccountRemoved)
    def forget(self, event: AccountRemoved) -> None:
        """Write no cursor of an account that is gone."""
        self._cursors.forget(event.account)

    @listens(AccountRenaming)
    async def write_before(self, event: AccountRenaming) -> None:
        """Write the cursors of an account while they are those of its archive."""
        await self._cursors.write_of(event.account)

    # --- messages

    @listens(MessageDelivered, first=True)  # in the same turn as the delivery
    def delivered(self, event: MessageDelivered) -> None:
        """Note which sessions have got a message, and which are missing it."""
        stored = event.stored
        if stored is None or stored.place is None:
            return
        position = stored.place.position
        for session in event.account.sessions.values():
            progress = session[PROGRESS]
            if progress.is_current and progress.pulls and session not in event.recipients and misses(session):
                progress.passes(position)
            elif progress.is_current:
                self._keeper.went(session, progress, position)
                if session in event.recipients:
                    progress.live += 1
                    is_due = session.link is None or not progress.live % LOOK_EVERY
                    if is_due and not session.has_room():
                        self._replay.fall_behind(session)
            elif session in event.recipients:
                if session.is_catching_up:
                    progress.missed(position, event.stanza)
                elif position > session.replayed_upto:
                    progress.came_early(position)

    @listens(CommitUncertain)
    def doubt(self, event: CommitUncertain) -> None:
        """Have the devices read in the archive whether there is a message that nobody delivered."""
        for session in event.account.sessions.values():
            self._replay.doubt(session)

    # --- acknowledgements

    @listens(StanzasAcknowledged)
    def acknowledged(self, event: StanzasAcknowledged) -> None:
        """Move the cursor to what the client has (XEP-0198)."""
        progress = event.session[PROGRESS]
        progress.counts = True
        progress.acknowledge(event.sent)
        self._keeper.note(event.session)
        self._replay.acknowledged(event.session, event.sent)

    @listens(RequestAnswered)
    def answered(self, event: RequestAnswered) -> None:
        """Take the answer to our ping as an acknowledgement of all that was written before it."""
        progress = event.session[PROGRESS]
        awaited = progress.awaited
        if progress.ping is None or event.stanza.id != progress.ping or awaited is None:
            return
        progress.acknowledge(awaited)
        self._keeper.note(event.session)
        self._replay.acknowledged(event.session, awaited)
