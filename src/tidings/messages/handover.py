"""Handover: a message's way to the sessions that its account has on other nodes, in the archive's order.

Each node tells its own features of every message of an account that has sessions there, so that carbons and
devices need not know of nodes. The node that has committed a message hands it over to the others.

Positions of an archive are dense, so a node knows which message is next: that at `Account.position` + 1. What
is at or below that has been dealt with; what is above waits a moment for those before it, and if they do not
come they are read from the archive. The same holds for what the node has committed itself. So a message that
the bus loses, delays or doubles costs nothing: it comes once, in order.

- Before the first session of an account is admitted, the head of its archive is read; and again a moment
  later, when every node has heard of the session.
- Where the ledger has not said in time whether it has taken a message, the head is read a few times later.
- What is not archived goes to who is there, without any order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.clock import Clock, Timer
from tidings.kernel.cluster import Cluster
from tidings.kernel.events import MessageAccepted, MessageDelivered
from tidings.kernel.guests import Guests
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, until_done
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.kernel.stored_copy import StoredCopy
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.traces import Traces
from tidings.messages import delivery
from tidings.ports.bus import Delivery, Missed
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Accepted, Direction, Place
from tidings.ports.ledger.reading import Archived, PageQuery
from tidings.wire.xmpp.classification import classify
from tidings.wire.xmpp.payloads.arrival import kept

log = structlog.get_logger("tidings.handover")

WAITS_FOR_EARLIER: Final = 0.05
"""Seconds that a message waits for those before it."""
LOOKS_AGAIN_AFTER: Final = 1.0
"""Seconds after which every node has heard of a session that was bound."""
REMINDS_AFTER: Final = 1.0
"""Seconds after which a node is told again of what it may have missed."""
RETRY_SECONDS: Final = 5.0
DOUBTED_AFTER: Final = (1.0, 5.0, 30.0)
"""Seconds after which it is looked whether an archive has a message that the ledger has not answered for."""
MOST_EARLY: Final = 1_000
"""So many messages of an account wait in memory for earlier ones; the rest is read from the archive."""
PAGE: Final = 100
PAGE_OCTETS: Final = 1_048_576

Tell = Callable[[], MaybeAwaitable]


class Early:
    """What waits at an account for the messages before it."""

    __slots__ = ("is_reading", "timer", "upto", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[Tell, Tell | None]] = {}
        """By position: how to deliver it, and what is to be done where the archive was quicker."""
        self.upto = 0
        """The archive has messages up to here."""
        self.timer: Timer | None = None
        self.is_reading = False

    @property
    def last(self) -> int:
        """The highest position that is known of."""
        return max(self.upto, max(self.waiting, default=0))


EARLY: Slot[Early | None] = Slot("handover.early", default=None)


class Handover:
    """Hands messages over to other nodes, and takes theirs in the order of the archives."""

    def __init__(
        self,
        sessions: SessionManager,
        cluster: Cluster,
        hosts: Mapping[str, Host],
        ledger: Ledger | None,
        clock: Clock,
        supervisor: Supervisor,
        traces: Traces,
    ) -> None:
        self.sessions = sessions
        self._cluster = cluster
        self._hosts = hosts
        self._ledger = ledger
        self._clock = clock
        self._supervisor = supervisor
        self._traces = traces
        self._reminders: dict[str, dict[str, int]] = {}
        self.guests: Guests | None = None
        """Knows who of this node is in a room of another."""
        sessions.when_claimed = self.begin
        cluster.takes(Delivery, self._take, self._give_back)
        cluster.takes(Missed, self._take_missed, self._remind_later)

    # --- what this node has committed

    def deliver(
        self, account: Account, body: bytes, stored: StoredCopy | None, tell: Tell, if_read: Tell
    ) -> MaybeAwaitable:
        """Deliver a message for an account: `tell` does it on this node, when its turn comes.

        `if_read` is called in its place where the message was read from the archive before.
        """
        place = None if stored is None else stored.place
        if account.elsewhere:
            self._hand_over(account, body, place, 0 if stored is None else stored.time)
        return tell() if place is None else self._in_turn(account, place.position, tell, if_read)

    def tell_sender(
        self, host: Host, event: MessageAccepted, body: Callable[[], bytes], *, is_to_self: bool
    ) -> MaybeAwaitable:
        """Tell the features of all nodes that an account's message is accepted, each when its turn comes."""
        account, stored = event.account, event.stored
        tell = functools.partial(host.hooks.tell, event)
        if is_to_self or (stored is not None and stored.repeated):
            return tell()
        place = None if stored is None else stored.place
        if account.elsewhere:
            time = 0 if stored is None else stored.time
            self._hand_over(account, body(), place, time, is_sent=True)
        if place is None:
            return tell()
        # What a session of this node has sent is told by this alone: see `_read_page`.
        return self._in_turn(account, place.position, tell, None if event.session is None else tell)

    def doubt(self, account: Account) -> None:
        """Find out later whether an archive has got a message after all, and have all nodes read it."""
        for seconds in DOUBTED_AFTER:
            self._clock.call_later(seconds, functools.partial(self._tell_head_soon, account))

    def _tell_head_soon(self, account: Account) -> None:
        if account.is_connected:
            self._supervisor.start("tell head", self._tell_head(account))

    async def _tell_head(self, account: Account) -> None:
        position = await self._read_head(account)
        if position is None:
            return
        self.sessions.hand_over(account, Missed(account.jid.text, position))
        if account.sessions:
            self._expect(account, position)

    def _hand_over(
        self, account: Account, body: bytes, place: Place | None, time: int, *, is_sent: bool = False
    ) -> None:
        position, epoch = (0, "") if place is None else (place.position, place.epoch)
        item = Delivery(account.jid.text, body, position, epoch, time, is_sent)
        self.sessions.hand_over(account, item)

    # --- the order

    def _in_turn(
        self, account: Account, position: int, tell: Tell, if_read: Tell | None = None
    ) -> MaybeAwaitable:
        """Deliver what is next; what is not yet waits, and what was read from the archive is done with."""
        if not account.sessions:  # there is nobody for whom to keep an order
            account.position = max(account.position, position)
            return tell()
        if position == account.position + 1:
            account.position = position
            told = tell()
            if account[EARLY] is not None:
                self._drain(account)
            return told
        if position <= account.position:
            return None if if_read is None else if_read()
        early = self._early(account)
        if len(early.waiting) < MOST_EARLY:
            early.waiting.setdefault(position, (tell, if_read))
        else:
            early.upto = max(early.upto, position)
            self._run(if_read)
        self._be_patient(account, early)
        return None

    def _early(self, account: Account) -> Early:
        early = account[EARLY]
        if early is None:
            early = account[EARLY] = Early()
        return early

    def _drain(self, account: Account) -> None:
        """Deliver what was waiting for what has come, and be done with what was read from the archive."""
        early = account[EARLY]
        if early is None:
            return
        while (found := early.waiting.pop(account.position + 1, None)) is not None:
            account.position += 1
            self._run(found[0])
        for position in [each for each in early.waiting if each <= account.position or not account.sessions]:
            self._run(early.waiting.pop(position)[1])
        if not early.is_reading and (early.last <= account.position or not account.sessions):
            if early.timer is not None:
                early.timer.cancel()
            account[EARLY] = None

    def _run(self, tell: Tell | None) -> None:
        try:
            wait = None if tell is None else tell()
        except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not those behind it
            self._supervisor.report("handover", error)
            return
        if wait is not None:
            self._supervisor.start("handover", until_done(wait))

    def _be_patient(self, account: Account, early: Early, seconds: float = WAITS_FOR_EARLIER) -> None:
        if early.timer is None and not early.is_reading:
            early.timer = self._clock.call_later(seconds, functools.partial(self._read_soon, account, early))

    def _read_soon(self, account: Account, early: Early) -> None:
        early.timer = None
        early.is_reading = True
        self._supervisor.start("gap", self._read(account, early))

    # --- from the archive

    async def _read(self, account: Account, early: Early) -> None:
        """Read what has not come, up to the last that is known of."""
        is_done = True
        try:
            while is_done and account.sessions and account.position < early.last:
                is_done = await self._read_page(account, early)
        except BackendError as error:
            log.error("gap_not_read", account=str(account.jid), reason=str(error))
            is_done = False
        finally:
            early.is_reading = False
        self._drain(account)
        if not is_done and account[EARLY] is early:
            self._be_patient(account, early, RETRY_SECONDS)

    async def _read_page(self, account: Account, early: Early) -> bool:
        """Deliver a page, up to what waits here already; tells whether there was anything."""
        assert self._ledger is not None
        query = PageQuery(
            above=account.position, offline_only=True, limit=PAGE, counted=False, octets=PAGE_OCTETS
        )
        page = await self._ledger.page(account.jid, query)
        before = account.position
        upto = min((each for each in early.waiting if each > before), default=early.upto + 1) - 1
        for entry in page.entries:
            if account.position < entry.id.position <= upto:
                account.position = entry.id.position
                if entry.body is not None:
                    self._run(
                        functools.partial(self._tell, account, _delivery(account, entry), from_archive=True)
                    )
        # Positions without an entry in the page are those of what was erased.
        last = page.head.position if page.is_complete else page.entries[-1].id.position
        account.position = max(account.position, min(upto, last))
        log.info("gap_read", account=str(account.jid), above=before, upto=account.position)
        self._drain(account)
        return account.position > before

    def _tell(self, account: Account, item: Delivery, *, from_archive: bool = False) -> MaybeAwaitable:
        """Tell the features of this node of a message, and send it to the sessions that it is for."""
        host = self._hosts.get(account.jid.domain)
        if host is None:
            return None
        message = kept(item.body)
        classification = classify(message)
        place = Place(item.account, item.epoch, item.position) if item.position else None
        guests, sender = self.guests, message.sender
        if item.is_sent:
            session = None if sender is None else account.sessions.get(sender.resource)
            is_here = guests is None or not guests.is_of_guest(message.to)
            if from_archive and session is not None and is_here:
                return None  # this node has committed it, and tells it as soon as it hears of that
            accepted = None if place is None else Accepted(places=(place,), time=item.time, feed=0)
            return host.hooks.tell(MessageAccepted(account, session, message, classification, accepted))
        inside = None if guests is None else guests.recipients(message, account)
        recipients = delivery.recipients(message, account) if inside is None else inside
        if place is not None and message.kind == "error":
            recipients = delivery.available(account)  # what could not arrive elsewhere is told to all devices
        if place is None:
            for session in recipients:
                session.send(message)
            return host.hooks.tell(MessageDelivered(account, message, recipients))
        stored = StoredCopy(classification, place, item.time, repeated=False, target=0, returned=False)
        delivered = MessageDelivered(account, message, recipients, stored)
        if recipients:
            delivery.send_live(delivered, item.body, place, item.time, self._traces)
        return host.hooks.tell(delivered)

    # --- what other nodes have committed

    def _account(self, text: str) -> Account | None:
        """Give an account that has sessions on this node."""
        jid = Jid(text)
        host = self._hosts.get(jid.domain)
        account = None if host is None else host.directory.get(jid)
        return account if isinstance(account, Account) and account.sessions else None

    def _take(self, _node: str, item: Delivery) -> MaybeAwaitable:
        account = self._account(item.account)
        if account is None:  # its last session has ended
            return None
        tell = functools.partial(self._tell, account, item)
        return self._in_turn(account, item.position, tell) if item.position else tell()

    def _take_missed(self, _node: str, item: Missed) -> MaybeAwaitable:
        account = self._account(item.account)
        if account is not None:
            self._expect(account, item.position)
        return None

    def _expect(self, account: Account, position: int) -> None:
        """The archive has a message at this position: it is on its way, or has to be read."""
        if position > account.position:
            early = self._early(account)
            early.upto = max(early.upto, position)
            self._be_patient(account, early)

    # --- what may not have come

    def _give_back(self, node: str, item: Delivery) -> None:
        if item.position:
            self._remind_later(node, Missed(item.account, item.position))

    def _remind_later(self, node: str, item: Missed) -> None:
        """Tell a node of the last message of an account that it may not have, until it says that it knows."""
        reminders = self._reminders.get(node)
        if reminders is None:
            reminders = self._reminders[node] = {}
            self._clock.call_later(REMINDS_AFTER, functools.partial(self._remind_soon, node))
        reminders[item.account] = max(reminders.get(item.account, 0), item.position)

    def _remind_soon(self, node: str) -> None:
        self._supervisor.start("remind", self._remind(node, self._reminders.pop(node, {})))

    async def _remind(self, node: str, reminders: Mapping[str, int]) -> None:
        for account, position in reminders.items():
            if node in await self.sessions.nodes_of(Jid(account)):
                self._cluster.hand_over(node, Missed(account, position))

    # --- a session begins

    async def begin(self, account: Account) -> None:
        """Find out where the archive stands, before the first session of an account is admitted."""
        host = self._hosts.get(account.jid.domain)
        if self._ledger is None or host is None or not host.has_archives or account.sessions:
            return
        head = await self._ledger.head(account.jid)
        if not account.sessions:
            account.position = head.position
        self._clock.call_later(LOOKS_AGAIN_AFTER, functools.partial(self._look_again_soon, account))

    def _look_again_soon(self, account: Account) -> None:
        if account.sessions:
            self._supervisor.start("look again", self._look_again(account))

    async def _look_again(self, account: Account) -> None:
        position = await self._read_head(account)
        if position is None:
            self._clock.call_later(RETRY_SECONDS, functools.partial(self._look_again_soon, account))
            return
        self._expect(account, position)

    async def _read_head(self, account: Account) -> int | None:
        """Give the position at which an archive stands; None, which is logged, where nobody can say."""
        assert self._ledger is not None
        try:
            head = await self._ledger.head(account.jid)
        except BackendError as error:
            log.error("head_not_read", account=str(account.jid), reason=str(error))
            return None
        return head.position


def _delivery(account: Account, entry: Archived) -> Delivery:
    """Give an entry of an archive as the node that has committed it would have handed it over."""
    assert entry.body is not None
    return Delivery(
        account.jid.text,
        entry.body,
        entry.id.position,
        entry.id.epoch,
        entry.time,
        entry.direction is Direction.SENT,
    )
