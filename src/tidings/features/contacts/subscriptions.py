"""Subscriptions: accounts ask to see each other's presence, and grant, refuse, cancel or leave.

Implements RFC 6121 §3; the marks § point at its sections. What each stanza changes is in the tables of
subscription.py; here the change is stored first and told afterwards. Left out: keeping approvals for an
account that is offline (§3.1.6, a MAY), since the roster shows them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK, entry_after, state_of
from tidings.features.contacts.pushes import INTERESTED, push
from tidings.features.contacts.roster import Rosters
from tidings.features.contacts.showing import hide, show
from tidings.features.contacts.subscription import State, Step, Verb, receive, send
from tidings.kernel.account import Account, account_of
from tidings.kernel.audience import AVAILABLE
from tidings.kernel.events import PresenceArrived, PresenceSent
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.session_manager import SessionManager
from tidings.messages.router import Router
from tidings.ports.roster import is_visible_change
from tidings.wire.xmpp.stanza import Stanza

VERBS = {verb.value: verb for verb in Verb}


class Subscriptions(Feature):
    """Lets contacts ask for each other's presence."""

    spec = Spec.rfc(6121, note="§3")
    requires = (Rosters,)

    def __init__(self, router: Router, sessions: SessionManager) -> None:
        self._router = router
        self._sessions = sessions

    @listens(PresenceSent, stage=Stage.DELIVER)
    def on_sent(self, event: PresenceSent) -> MaybeAwaitable:
        """Take what the account says about a subscription (§3.1.2, §3.1.5, §3.2.2, §3.3.2, §3.4.2)."""
        verb = VERBS.get(event.stanza.kind)
        if verb is None:
            return None
        account = event.session.account
        if event.stanza.to is None:
            raise StanzaError("bad-request", f"a presence of type {verb} needs an address")
        contact = event.stanza.to.bare
        if contact == account.jid:
            raise StanzaError("not-allowed", "an account sees its own presence without a subscription")
        return self._send(account, contact, verb, event.stanza)

    @listens(PresenceArrived, stage=Stage.DELIVER)
    def on_arrived(self, event: PresenceArrived) -> MaybeAwaitable:
        """Take what a contact says about a subscription (§3.1.3, §3.1.6, §3.2.3, §3.3.3)."""
        verb = VERBS.get(event.stanza.kind)
        account, sender = account_of(event.entity), event.stanza.sender
        if verb is None or sender is None or sender.bare == account.jid or not account.exists:
            return None  # §8.5.1: where nobody is, nobody answers
        return self._receive(account, sender.bare, verb, event.stanza)

    async def _send(self, account: Account, contact: Jid, verb: Verb, stanza: Stanza) -> None:
        book = account[BOOK]
        async with book.changing:
            before = book.get(contact)
            step = send(verb, state_of(before), approved=before is not None and before.approved)
            after = entry_after(contact, before, step)
            await book.write(contact, after)
            if is_visible_change(before, after):
                push(self._sessions, account, contact, after)
        stanza = stanza.replace(to=contact, sender=account.jid)  # §3.1.2: subscriptions are between accounts
        wait = in_turn(self._tell_contact(account, contact, state_of(before), step, stanza))
        if wait is not None:
            await wait

    def _tell_contact(
        self, account: Account, contact: Jid, before: State, step: Step, stanza: Stanza
    ) -> Iterator[MaybeAwaitable]:
        if before.seen_by_contact and not step.state.seen_by_contact:
            yield hide(self._router, account, contact)  # §3.2.2: before it hears that it may not see us
        if step.passes:
            yield self._router.route(stanza)
        if step.state.seen_by_contact and not before.seen_by_contact:
            yield show(self._router, self._sessions, account, contact)  # §3.1.5

    async def _receive(self, account: Account, contact: Jid, verb: Verb, stanza: Stanza) -> None:
        book = account[BOOK]
        stanza = stanza.replace(to=account.jid, sender=contact)
        request = book.kept_request(stanza) if verb is Verb.SUBSCRIBE else None
        async with book.changing:
            before = book.get(contact)
            step = receive(verb, state_of(before), approved=before is not None and before.approved)
            after = entry_after(contact, before, step, request)
            await book.write(contact, after)
            if step.passes:
                # A request is for whoever is there (§3.1.3), the rest for those who show the roster (§3.1.6).
                audience = AVAILABLE if verb is Verb.SUBSCRIBE else INTERESTED
                self._sessions.to_devices(account, audience, stanza)
            if is_visible_change(before, after):
                push(self._sessions, account, contact, after)
        wait = in_turn(self._answer(account, contact, state_of(before), step))
        if wait is not None:
            await wait

    def _answer(self, account: Account, contact: Jid, before: State, step: Step) -> Iterator[MaybeAwaitable]:
        if step.reply is not None:
            answer = Stanza.build("presence", kind=step.reply.value, sender=account.jid, to=contact)
            yield self._router.route(answer)
            yield show(self._router, self._sessions, account, contact)
        elif before.seen_by_contact and not step.state.seen_by_contact:
            yield hide(self._router, account, contact)  # §3.3.3
