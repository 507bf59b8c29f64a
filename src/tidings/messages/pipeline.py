"""Messages: a message's way from its sender through the ledger to its recipient.

A message goes load → guard → rewrite → append → ack → deliver → copy → observe; the steps stand in this order
in `submit` and `_accept`. Store first, then deliver: nobody sees a message that could still vanish.

Invariants:
- from guard to commit nothing is awaited; what guard has read is compared again under the ledger's lock;
- what a batch brings is delivered in the callback of the ledger's answer, and the ledger answers in the order
  of the archives: sessions get messages in the order of their positions.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.events import (
    CommitUncertain,
    ConversationAffected,
    MessageAccepted,
    MessageDelivered,
    StanzaArriving,
    StanzaSubmitted,
)
from tidings.kernel.hooks import Dropped
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn, until_done
from tidings.kernel.routing import Routing
from tidings.kernel.stored_copy import stored_copy
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.messages import delivery, entries
from tidings.messages.delivery import Undelivered
from tidings.messages.submission import Submission
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    Committed,
    LedgerBatch,
    Outcome,
    Place,
    Refused,
    Stale,
)
from tidings.wire.xmpp.classification import Storage, classify
from tidings.wire.xmpp.payloads.arrival import live_bytes, without_forgeries
from tidings.wire.xmpp.stanza import KINDS, Stanza

if TYPE_CHECKING:
    from tidings.kernel.session import Session

log = structlog.get_logger("tidings.messages")

BACKEND_TEXT: Final = "the server cannot store this now; try again later"
_MESSAGE_KINDS: Final = KINDS["message"]
_NOT_STORED: Final = Storage.NONE  # looking up a member of an enumeration costs more than a call
_MOST_TRIES: Final = 5


class Messages:
    """Takes messages, from sessions and from elsewhere; works for the router."""

    def __init__(
        self, router: Routing, ledger: Ledger | None, supervisor: Supervisor, telemetry: Telemetry
    ) -> None:
        self._router = router
        self._ledger = ledger
        self._supervisor = supervisor
        self._telemetry = telemetry

    def submit(self, session: Session, messages: list[Stanza], numbers: Sequence[int] = ()) -> MaybeAwaitable:
        """Take messages of a local session that arrived together, stamped. Answers errors; raises nothing.

        `numbers` are theirs on the session's stream, where that is counted.
        """
        self._telemetry.stanzas_in["message"] += len(messages)
        sender = session.account if session.host.has_archives else None
        ways = []
        is_loaded = True
        for message, number in zip(messages, numbers or [0] * len(messages), strict=True):
            way = self._way(message)
            way.number = number
            way.sender = sender
            ways.append(way)
            if way.account is None and way.is_unloaded:
                is_loaded = False
        if not is_loaded:
            return self._load_and_submit(session, ways)
        return self._submit_loaded(session, ways)

    async def _load_and_submit(self, session: Session | None, ways: list[Submission]) -> None:
        """load: what guard needs of the recipients."""
        try:
            for way in ways:
                await way.load()
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            refusal = self._router.refusal(error, "load")
            for way in ways:
                self._router.refuse(way.message, refusal)
            return
        for way in ways:
            way.refresh()
        await until_done(self._submit_loaded(session, ways))

    def _submit_loaded(self, session: Session | None, ways: list[Submission]) -> MaybeAwaitable:
        """guard, classify, append: from here on nothing is awaited but the commit."""
        accepted: list[Submission] = []
        appends: list[Append] = []
        for way in ways:
            try:
                self._guard(session, way)
                self._file(session, way)
            except (StanzaError, BackendError) as error:
                self._router.refuse(way.message, self._router.refusal(error))
                continue
            except Dropped:
                continue
            accepted.append(way)
            if way.append is not None:
                appends.append(way.append)
        if not accepted:
            return None
        if not appends:
            return self._accept(session, accepted, ())
        assert self._ledger is not None  # hosts with archives have one
        try:
            committing = self._ledger.commit(LedgerBatch(appends=tuple(appends)))
        except Exception as error:  # noqa: BLE001  # where a ledger's bug ends
            self._refuse_all(accepted, error)
            return None
        return self._accept_later(committing, session, accepted)

    def _guard(self, session: Session | None, way: Submission) -> None:
        message = way.message
        if message.kind not in _MESSAGE_KINDS:
            raise StanzaError("bad-request", f"a message cannot be of type {message.kind!r}")
        if session is not None:
            session.host.hooks.guard(StanzaSubmitted(session, message))
        if way.account is not None:
            assert way.host is not None
            way.host.hooks.guard(StanzaArriving(way.account, message))

    def _file(self, session: Session | None, way: Submission) -> None:
        """Find out what the message becomes in the ledger; what would reach nobody is refused before."""
        host, account = way.host, way.account
        sender = way.message.sender
        assert sender is not None  # the session's, or verified
        peers = (sender.bare, way.recipient)
        message = way.message = without_forgeries(way.message, *peers)
        way.append = None
        if host is None:
            if not self._router.has_way_to(way.recipient.domain):
                raise StanzaError("remote-server-not-found", f"{way.recipient.domain} is not served here")
        elif account is None:
            return  # the domain reads no messages: `_deliver` says so
        owner = account if account is not None and host is not None and host.has_archives else None
        if owner is not None and not owner.exists:
            owner = None
        if way.sender is not None or owner is not None:
            classification = way.classification = classify(message)
            if classification.storage is not _NOT_STORED and message.kind != "groupchat":
                self._file_stored(session, way, owner, peers)
        if account is None or way.append is not None:
            return
        way.sessions = delivery.recipients(message, account)
        if not way.sessions and delivery.outcome(message) is Undelivered.REFUSE:
            raise StanzaError("service-unavailable")

    def _file_stored(
        self, session: Session | None, way: Submission, owner: Account | None, peers: tuple[Jid, Jid]
    ) -> None:
        """The message is to be stored by somebody, unless its recipient can get it neither now nor later."""
        message, account = way.message, way.account
        if account is not None and not delivery.is_stored(message, account, has_archive=owner is not None):
            return
        found = entries.entries_of(message, way.classification, way.sender, owner, peers)
        if found:
            way.append = entries.append_of(message, way.classification, found, peers, session, way.number)

    def _accept_later(
        self, committing: asyncio.Future[Committed], session: Session | None, ways: list[Submission]
    ) -> Awaitable[None]:
        """Deliver in the very callback of the ledger's answer, which come in the order of the archives.

        A task that awaits the answer would not do: it may find it there when it first runs, and go ahead of
        tasks that have been woken by earlier ones.
        """
        done: asyncio.Future[None] = committing.get_loop().create_future()
        committing.add_done_callback(functools.partial(self._answered, session, ways, done))
        return done

    def _answered(
        self,
        session: Session | None,
        ways: list[Submission],
        done: asyncio.Future[None],
        committing: asyncio.Future[Committed],
    ) -> None:
        if committing.cancelled():
            done.cancel()
            return
        error = committing.exception()
        if error is not None:
            if session is not None and session.ended:
                session.stop_counting = True  # nobody is there to be told of the error
            self._refuse_all(ways, error)
            self._settle(done, in_turn(self._doubt(ways)))
            return
        for way in ways:
            way.sessions = None
            # Nobody is in memory for good: what was loaded before the commit may have been dropped since, and
            # then it has no session.
            way.refresh()
        wait = None
        try:
            wait = self._accept(session, ways, committing.result().outcomes)
        except Exception as bug:  # noqa: BLE001  # else it would end in the event loop, and the session wait
            self._supervisor.report("accept", bug)
        self._settle(done, wait)

    def _settle(self, done: asyncio.Future[None], wait: MaybeAwaitable) -> None:
        """Let those go on who wait for a batch, once the rest of it is done, too."""
        if wait is not None:
            self._supervisor.when_done("accept", wait, functools.partial(self._settle, done, None))
        elif not done.done():  # the server may have given up waiting
            done.set_result(None)

    def _doubt(self, ways: list[Submission]) -> Iterable[MaybeAwaitable]:
        """Tell those whose archives may have a message after all: nobody has delivered it."""
        accounts = {way.account: way.host for way in ways if way.append is not None}
        for account, host in accounts.items():
            if account is not None and host is not None:
                yield host.hooks.tell(CommitUncertain(account))

    def _refuse_all(self, ways: list[Submission], error: BaseException) -> None:
        """Nothing of the batch is accepted: say so to the sender."""
        if isinstance(error, BackendError):
            log.error("commit_failed", messages=len(ways), reason=str(error))
            refusal = StanzaError("resource-constraint", BACKEND_TEXT)
        else:
            self._supervisor.report("commit", error)
            refusal = StanzaError("internal-server-error")
        for way in ways:
            self._router.refuse(way.message, refusal)

    def _accept(
        self, session: Session | None, ways: list[Submission], outcomes: Sequence[Outcome]
    ) -> MaybeAwaitable:
        """ack, deliver, copy, observe: the messages are durable."""
        waits: list[Awaitable[None]] = []
        stale: list[Submission] = []
        answers = iter(outcomes)
        for way in ways:
            outcome = None if way.append is None else next(answers)
            if type(outcome) is Refused:
                self._router.refuse(way.message, StanzaError("not-acceptable", outcome.reason))
                continue
            if type(outcome) is Stale:
                stale.append(way)
                continue
            accepted = outcome if type(outcome) is Accepted else None
            try:
                if accepted is None or not accepted.repeated:
                    wait = self._deliver(way, accepted)
                    if wait is not None:
                        waits.append(wait)
            except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not its batch
                self._supervisor.report("deliver", error)
            if session is not None:
                waits += self._tell_sender(session, way, accepted)
        if stale:
            waits.append(self._submit_again(session, stale))
        return self._all(waits) if waits else None

    def _tell_sender(
        self, session: Session, way: Submission, accepted: Accepted | None
    ) -> Iterable[Awaitable[None]]:
        """copy, observe, on the sender's side."""
        hooks, account = session.host.hooks, session.account
        if accepted is not None and not accepted.repeated and accepted.places[0].archive == account.jid:
            account.position = accepted.places[0].position
        event = MessageAccepted(session, way.message, way.classification, accepted)
        told = hooks.tell(event)
        if accepted is not None and not accepted.repeated and (accepted.targets or accepted.returned):
            stored = event.stored
            if stored is not None and (stored.target or stored.returned):
                affected = ConversationAffected(session.account, way.recipient, stored, session)
                return filter(None, (told, hooks.tell(affected)))
        return () if told is None else (told,)

    async def _submit_again(self, session: Session | None, ways: list[Submission]) -> None:
        """What guard saw had changed before the commit: read it anew and ask guard again."""
        for way in ways:
            way.tries += 1
            if way.tries > _MOST_TRIES:
                self._router.refuse(way.message, StanzaError("resource-constraint", BACKEND_TEXT))
        ways = [way for way in ways if way.tries <= _MOST_TRIES]
        try:
            for way in ways:
                if way.account is not None and way.host is not None:
                    await way.host.directory.refresh(way.account)
                if way.sender is not None and session is not None:
                    await session.host.directory.refresh(way.sender)
        except Exception as error:  # noqa: BLE001  # where a loader's bug ends
            self._refuse_all(ways, error)
            return
        await until_done(self._submit_loaded(session, ways))

    async def _all(self, waits: list[Awaitable[None]]) -> None:
        for wait in waits:
            try:
                await wait
            except Exception as error:  # noqa: BLE001  # one message that cannot be handed over, not its batch
                self._supervisor.report("deliver", error)

    def _deliver(self, way: Submission, accepted: Accepted | None = None) -> MaybeAwaitable:
        """Hand a message that has passed all guards to sessions, a service or the domain."""
        message, host, account = way.message, way.host, way.account
        if host is None:
            return self._router.pass_on(message, way.recipient)
        if account is None:
            return self._router.to_domain(message)
        sessions = delivery.recipients(message, account) if way.sessions is None else way.sessions
        stored = None
        if accepted is not None:
            stored = stored_copy(way.classification, accepted, account.jid)
            if stored.place is not None:
                account.position = stored.place.position
        delivered = MessageDelivered(account, message, sessions, stored)
        if stored is None or stored.place is None:
            for session in sessions:
                session.send(message)
        elif sessions:
            assert way.append is not None
            self._send_live(delivered, way.append.body, stored.place, stored.time)
        if not sessions and stored is None and delivery.outcome(message) is Undelivered.REFUSE:
            return self._router.refuse(message, StanzaError("service-unavailable"))
        told = host.hooks.tell(delivered)
        if stored is not None and (stored.target or stored.returned):
            assert message.sender is not None  # the session's, or verified
            affected = ConversationAffected(account, message.sender.bare, stored, None)
            return in_turn((told, host.hooks.tell(affected)))
        return told

    def _send_live(self, delivered: MessageDelivered, body: bytes, place: Place, time: int) -> None:
        """Send an archived message to the sessions that it is for and that are not reading the archive."""
        raw = live_bytes(body, delivered.account.jid, place.id, time)
        for session in delivered.recipients:
            if session.is_catching_up or place.position <= session.replayed_upto:
                continue
            session.send_written(raw, lambda: delivered.stanza)

    def _way(self, message: Stanza) -> Submission:
        """Find out where a message goes: without an address, to the sender's own account (§10.3.1)."""
        to = message.to if message.to is not None else message.sender
        assert to is not None
        recipient = to.bare
        host = self._router.hosts.get(recipient.domain)
        account = None if host is None or not recipient.local else host.directory.get(recipient)
        return Submission(message, recipient, host, account)

    def arrive(self, message: Stanza, host: Host, account: Account) -> MaybeAwaitable:
        """Take a message that no local session sends, for an account in memory; its `from` is verified.

        The sender's account keeps it, too, where that is local and in memory.
        """
        way = Submission(message, account.jid, host, account)
        sender = message.sender
        home = None if sender is None or not sender.local else self._router.hosts.get(sender.domain)
        if home is not None and home.has_archives and message.kind != "error":
            assert sender is not None
            known = home.directory.get(sender.bare)
            way.sender = known if known is not None and known.exists else None
        return self._submit_loaded(None, [way])
