"""Message Carbons: every device of an account sees both sides of a conversation.

Implements XEP-0280 1.0.1; the marks § point at its sections. Which messages are copied is told by
`wire/xmpp/classification.py`. A copy carries what the account's own archive says of the message: its id there
and the time. It is sent once, when the message is; what a device misses of it stands in the archive.

Where the document leaves a choice, or leads to a message twice, Tidings decides:

- A message to the own account is copied as received only, and not to the device that sent it.
- A device that has not said yet that it is there, has a negative priority, or is still catching up gets no
  copy of a message that is for all devices: the archive will bring it. One that reads the archive by itself
  gets the copy, since it may have looked already.
- Of errors, those are copied that answer one of the last 128 messages that were copied (§6.1).
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.events import MessageAccepted, MessageDelivered, SessionBound
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.iq import Iq
from tidings.kernel.pulling import WANTS_COPIES, reads_later
from tidings.kernel.reasons import Reason
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.kernel.stored_copy import StoredCopy
from tidings.kernel.traces import Traces
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.classification import is_copied, why_copied
from tidings.wire.xmpp.payloads import arrival
from tidings.wire.xmpp.payloads.carbons import CarbonDirection, DisableCarbons, EnableCarbons, carbon_copy
from tidings.wire.xmpp.stanza import Stanza

REMEMBERED: Final = 128
"""How many copied messages of an account are remembered, so that an error that answers one is copied, too."""


class CopiedMessages:
    """The ids of the messages that were copied last, with the other party and which way they went.

    A hash of each is kept: the ids and addresses are others' words, and may be as long as a stanza. Its key
    is this process's own, so that nobody can choose two that are alike.
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: OrderedDict[int, None] = OrderedDict()

    def add(self, message: Stanza, direction: CarbonDirection) -> None:
        """Remember a message; one without an id can be answered by nothing that names it."""
        peer = _peer(message, direction)
        if message.id is None or peer is None:
            return
        key = hash((direction, peer, message.id))
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)

    def has_answer(self, error: Stanza, direction: CarbonDirection) -> bool:
        """Tell whether an error that goes this way answers one of them, which went the other way."""
        peer = _peer(error, direction)
        if error.id is None or peer is None:
            return False
        other = CarbonDirection.SENT if direction is CarbonDirection.RECEIVED else CarbonDirection.RECEIVED
        return hash((other, peer, error.id)) in self._keys


"""Whether a session has asked for copies; a new one has not (§4)."""

COPIED: Slot[CopiedMessages] = Slot("carbons.copied", factory=CopiedMessages)
"""What was copied of an account while it has been in memory."""


class Carbons(Feature):
    """Copies eligible messages to the devices that asked for them."""

    spec = Spec.xep(280, version="1.0.1", advertises=(ns.CARBONS, ns.CARBONS_RULES))  # §3, §6.2
    inline = (ns.CARBONS,)

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    @listens(SessionBound)  # XEP-0386 §3.2
    def begin(self, event: SessionBound) -> None:
        """Start with copies where the client asks for them together with its session."""
        for element in event.inline:
            if (element.namespace, element.name) == EnableCarbons.TAG:
                event.session[WANTS_COPIES] = True

    @handles(
        EnableCarbons, kind="set", at=Addressee.SELF | Addressee.ENTITY
    )  # §4, §10.1: as often as one likes
    def enable(self, request: Iq[EnableCarbons]) -> None:
        """Copy to this session from now on."""
        _session_of(request)[WANTS_COPIES] = True

    @handles(DisableCarbons, kind="set", at=Addressee.SELF | Addressee.ENTITY)  # §5, §10.1
    def disable(self, request: Iq[DisableCarbons]) -> None:
        """Copy to this session no more."""
        del _session_of(request)[WANTS_COPIES]

    @listens(MessageDelivered, stage=Stage.COPY)  # §7
    def copy_received(self, event: MessageDelivered) -> None:
        """Send a copy to each device that wants one and has not got the message itself."""
        account, stored = event.account, event.stored
        if len(account.sessions) <= len(event.recipients) or (stored is not None and stored.repeated):
            return
        devices = [
            session
            for session in account.sessions.values()
            if session[WANTS_COPIES]
            and session not in event.recipients
            and session.jid != event.stanza.sender
            and not (reads_later(session) and is_for_all_devices(event.stanza, stored, account))
        ]
        is_eligible = bool(devices) and _is_eligible(event.stanza, stored, account, CarbonDirection.RECEIVED)
        if is_eligible:
            _copy(event.stanza, account, CarbonDirection.RECEIVED, devices)
        if self._traces.is_on:
            self._tell_received(event, devices if is_eligible else ())

    @listens(MessageAccepted, stage=Stage.COPY)  # §8: they do not wait for a recipient
    def copy_sent(self, event: MessageAccepted) -> None:
        """Send a copy to each of the sender's other devices that wants one."""
        account, session, message = event.account, event.session, event.stanza
        if len(account.sessions) == (session is not None):
            return
        stored = event.stored
        if stored is not None and stored.repeated:
            return
        devices = [each for each in account.sessions.values() if each[WANTS_COPIES] and each is not session]
        is_own = is_to_own_account(message, account.jid)
        is_eligible = (
            bool(devices) and not is_own and _is_eligible(message, stored, account, CarbonDirection.SENT)
        )
        if self._traces.is_on and not is_own:
            self._tell_sent(event, devices if is_eligible else ())
        if is_eligible:
            if stored is not None and stored.place is not None:
                message = arrival.stamped(message, account.jid, stored.place.id, stored.time, is_live=True)
            _copy(message, account, CarbonDirection.SENT, devices)

    # --- for logs and `explain`

    def _tell_received(self, event: MessageDelivered, copied: Collection[Session]) -> None:
        """Tell of each device that the message was not for why it got a copy, or got none."""
        stanza, account = event.stanza, event.account
        for session in account.sessions.values():
            if session in event.recipients:
                continue
            if session in copied:
                reason: str = Reason.COPIED
            elif session.jid == stanza.sender:
                reason = Reason.OWN_MESSAGE
            elif not session[WANTS_COPIES]:
                reason = Reason.WANTS_NO_COPIES
            elif reads_later(session) and is_for_all_devices(stanza, event.stored, account):
                reason = Reason.ARCHIVE_BRINGS_IT
            else:
                reason = _rule(stanza, account, CarbonDirection.RECEIVED)
            self._traces.note(
                event.traced, "copied" if session in copied else "not_copied", reason, session.jid
            )

    def _tell_sent(self, event: MessageAccepted, copied: Collection[Session]) -> None:
        """Tell of each other device of the sender why it got a copy, or got none."""
        for session in event.account.sessions.values():
            if session is event.session:
                continue
            if session in copied:
                reason: str = Reason.COPIED
            elif not session[WANTS_COPIES]:
                reason = Reason.WANTS_NO_COPIES
            else:
                reason = _rule(event.stanza, event.account, CarbonDirection.SENT)
            self._traces.note(
                event.traced, "copied" if session in copied else "not_copied", reason, session.jid
            )


def is_to_own_account(message: Stanza, account: Jid) -> bool:
    """Tell whether a message of the account goes to the account itself, as one without an address does."""
    return message.to is None or message.to.bare == account


def is_for_all_devices(message: Stanza, stored: StoredCopy | None, account: Account) -> bool:
    """Tell whether every device finds the message in the archive: one for a device is for that one alone."""
    if stored is None or stored.place is None:
        return False
    return message.to is None or not account.has(message.to.resource)


def _session_of(request: Iq[EnableCarbons] | Iq[DisableCarbons]) -> Session:
    """Give the session that asks; nobody decides for the devices of others (§4, §5)."""
    session = request.session
    if session is None or session.account is not request.entity:
        raise StanzaError("not-allowed", "only a client of the account may ask for copies")
    return session


def _is_eligible(
    message: Stanza, stored: StoredCopy | None, account: Account, direction: CarbonDirection
) -> bool:
    """Follow §6.1 and §9."""
    if stored is not None:
        classification = stored.classification
        return (
            classification.is_copied_sent
            if direction is CarbonDirection.SENT
            else classification.is_copied_received
        )
    answers = message.kind == "error" and account[COPIED].has_answer(message, direction)
    return is_copied(message, direction, answers_copied=answers)


def _rule(message: Stanza, account: Account, direction: CarbonDirection) -> str:
    answers = message.kind == "error" and account[COPIED].has_answer(message, direction)
    return why_copied(message, direction, answers_copied=answers)


def _copy(message: Stanza, account: Account, direction: CarbonDirection, devices: Iterable[Session]) -> None:
    copy = carbon_copy(message, account.jid, direction)
    for session in devices:
        session.send(copy, session.jid)
    account[COPIED].add(message, direction)


def _peer(message: Stanza, direction: CarbonDirection) -> Jid | None:
    """Give the other party's account: an answer may come from it or from one of its devices."""
    peer = message.to if direction is CarbonDirection.SENT else message.sender
    return None if peer is None else peer.bare
