"""Subscriptions: accounts ask to see each other's presence, and grant, refuse, cancel or leave.

Implements RFC 6121 §3; the marks § point at its sections. What each stanza changes is in the tables of
subscription.py; here the change is stored first and told afterwards. Left out: keeping approvals for an
account that is offline (§3.1.6, a MAY), since the roster shows them.

A request with the token of an invitation is granted and returned at once (XEP-0379 0.3.3 §3.5, §3.6), also
where nobody is connected; one with a token that is not the server's is for the account's clients, which may
have made it.

Between members of a shared group, who see each other by that, a request is answered at once and changes
nothing; what ends a subscription ends that which the two have beside the group.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK, Arrangement, entry_after, state_of
from tidings.features.contacts.pushes import INTERESTED, push
from tidings.features.contacts.roster import Rosters
from tidings.features.contacts.showing import hide, show
from tidings.features.contacts.subscription import State, Verb, receive, send
from tidings.kernel.account import Account, account_of
from tidings.kernel.audience import AVAILABLE
from tidings.kernel.events import ContactsAgreed, PresenceArrived, PresenceSent
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.invitations import Invitation, InvitationRefused, Invitations
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn, until_done
from tidings.kernel.session_manager import SessionManager
from tidings.messages.router import Router
from tidings.ports.roster import Subscription, is_visible_change
from tidings.wire.xmpp.payloads.preauth import Preauth
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.contacts")

VERBS = {verb.value: verb for verb in Verb}


class Subscriptions(Feature):
    """Lets contacts ask for each other's presence."""

    spec = (Spec.rfc(6121, note="§3"), Spec.xep(379, version="0.3.3"))
    requires = (Rosters,)

    def __init__(
        self, host: Host, router: Router, sessions: SessionManager, invitations: Invitations
    ) -> None:
        self._host = host
        self._invitations = invitations
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
        if verb is Verb.SUBSCRIBE and event.stanza.has(*Preauth.TAG):
            return self._receive_invited(account, sender.bare, event.stanza)
        return self._receive(account, sender.bare, verb, event.stanza)

    @listens(ContactsAgreed)
    async def on_agreed(self, event: ContactsAgreed) -> None:
        """Put two accounts on each other's rosters, and tell their clients (XEP-0401 §5.5)."""
        rosters = self._host.feature(Rosters)
        assert rosters is not None
        for jid, contact in ((event.inviter, event.invited), (event.invited, event.inviter)):
            account = account_of(await self._host.directory.load(jid))
            wanted = Arrangement(contact=contact, subscription=Subscription.BOTH)
            states = await rosters.arrange(account, wanted)
            await until_done(rosters.show_arranged(account, contact, *states))

    async def _send(self, account: Account, contact: Jid, verb: Verb, stanza: Stanza) -> None:
        book = account[BOOK]
        async with book.changing:
            before, was = book.get(contact), book.state(contact)
            approved = before is not None and before.approved
            if verb is Verb.SUBSCRIBE and stanza.has(*Preauth.TAG):
                # Whoever follows an invitation lets the inviter ask in return (XEP-0379 §3.4).
                approved = send(Verb.SUBSCRIBED, state_of(before), approved=approved).approved
            own = state_of(before)
            is_settled = _settles(verb, was, is_sent=True) and not _settles(verb, own, is_sent=True)
            step = send(verb, was if is_settled else own, approved=approved)
            if is_settled:
                after = before
            else:
                after = entry_after(contact, before, step)
                await book.write(contact, after)
            if is_visible_change(before, after):
                push(self._sessions, account, contact)
            now = book.state(contact)
        stanza = stanza.replace(to=contact, sender=account.jid)  # §3.1.2: subscriptions are between accounts
        wait = in_turn(self._tell_contact(account, contact, was, now, stanza if step.passes else None))
        if wait is not None:
            await wait

    def _tell_contact(
        self, account: Account, contact: Jid, before: State, now: State, stanza: Stanza | None
    ) -> Iterator[MaybeAwaitable]:
        if before.seen_by_contact and not now.seen_by_contact:
            yield hide(self._router, account, contact)  # §3.2.2: before it hears that it may not see us
        if stanza is not None:
            yield self._router.route(stanza)
        if now.seen_by_contact and not before.seen_by_contact:
            yield show(self._router, self._sessions, account, contact)  # §3.1.5

    async def _receive_invited(self, account: Account, contact: Jid, stanza: Stanza) -> None:
        """Take a request that has a token; without a valid one it is as any other (XEP-0379 §4.1)."""
        state = account[BOOK].state(contact)
        invitation = None if state.seen_by_contact else await self._use_invitation(account, contact, stanza)
        if invitation is None:
            return await self._receive(account, contact, Verb.SUBSCRIBE, stanza)
        is_granted = False
        try:
            await self._receive(account, contact, Verb.SUBSCRIBE, stanza, is_invited=True)
            is_granted = True
        finally:
            if not is_granted:
                await self._invitations.give_back(self._host.jid, invitation)
        log.info("invitation_used", account=account.jid.text, contact=contact.text, invitation=invitation.id)
        if not state.sees_contact:
            asked = Stanza.build("presence", kind=Verb.SUBSCRIBE.value, sender=account.jid, to=contact)
            await self._send(account, contact, Verb.SUBSCRIBE, asked)
        return None

    async def _use_invitation(self, account: Account, contact: Jid, stanza: Stanza) -> Invitation | None:
        """Use the invitation of this account whose token a request has; None where there is none."""
        element = stanza.decode(*Preauth.TAG)
        token = "" if element is None else element.get("token") or ""
        try:
            invitation = await self._invitations.find(self._host.jid, token)
            if invitation.contact != account.jid.text:
                raise InvitationRefused("it is somebody else's")
            await self._invitations.take(self._host.jid, invitation)
        except InvitationRefused as refusal:
            log.debug(
                "invitation_ignored", account=account.jid.text, contact=contact.text, reason=refusal.reason
            )
            return None
        return invitation

    async def _receive(
        self, account: Account, contact: Jid, verb: Verb, stanza: Stanza, *, is_invited: bool = False
    ) -> None:
        book = account[BOOK]
        stanza = stanza.replace(to=account.jid, sender=contact)
        request = book.kept_request(stanza) if verb is Verb.SUBSCRIBE else None
        async with book.changing:
            before, was = book.get(contact), book.state(contact)
            state = state_of(before)
            is_settled = _settles(verb, was, is_sent=False) and not _settles(verb, state, is_sent=False)
            if is_settled:
                state = was
            if is_invited:  # a request that waits is granted by this one
                state = State.of(state.subscription, pending_out=state.pending_out, pending_in=False)
            is_approved = is_invited or (before is not None and before.approved)
            step = receive(verb, state, approved=is_approved)
            if is_settled:
                after = before
            else:
                after = entry_after(contact, before, step, request)
                await book.write(contact, after)
            if step.passes:
                # A request is for whoever is there (§3.1.3), the rest for those who show the roster (§3.1.6).
                audience = AVAILABLE if verb is Verb.SUBSCRIBE else INTERESTED
                self._sessions.to_devices(account, audience, stanza)
            if is_visible_change(before, after):
                push(self._sessions, account, contact)
            now = book.state(contact)
        wait = in_turn(self._answer(account, contact, was, now, step.reply))
        if wait is not None:
            await wait

    def _answer(
        self, account: Account, contact: Jid, before: State, now: State, reply: Verb | None
    ) -> Iterator[MaybeAwaitable]:
        if reply is not None:
            answer = Stanza.build("presence", kind=reply.value, sender=account.jid, to=contact)
            yield self._router.route(answer)
            yield show(self._router, self._sessions, account, contact)
        elif before.seen_by_contact and not now.seen_by_contact:
            yield hide(self._router, account, contact)  # §3.3.3


def _settles(verb: Verb, state: State, *, is_sent: bool) -> bool:
    """Tell whether what is asked or granted holds already in this state."""
    asks = verb is Verb.SUBSCRIBE
    if not asks and verb is not Verb.SUBSCRIBED:
        return False
    return state.sees_contact if asks is is_sent else state.seen_by_contact
