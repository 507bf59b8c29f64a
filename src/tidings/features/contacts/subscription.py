"""Subscriptions as tables: what each request does to the state between an account and a contact.

Implements RFC 6121 Appendix A with the pre-approval of §3.4; the marks § point at its sections. States and
tables know no roster and no stanza: they say what to do, and the feature does it.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

import msgspec

from tidings.ports.roster import Subscription


class Verb(StrEnum):
    """The presence types that manage subscriptions (§3)."""

    SUBSCRIBE = "subscribe"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBE = "unsubscribe"
    UNSUBSCRIBED = "unsubscribed"


class State(Enum):
    """The nine states of Appendix A.1: subscription, our request waiting, their request waiting."""

    NONE = (Subscription.NONE, False, False)
    NONE_OUT = (Subscription.NONE, True, False)
    NONE_IN = (Subscription.NONE, False, True)
    NONE_OUT_IN = (Subscription.NONE, True, True)
    TO = (Subscription.TO, False, False)
    TO_IN = (Subscription.TO, False, True)
    FROM = (Subscription.FROM, False, False)
    FROM_OUT = (Subscription.FROM, True, False)
    BOTH = (Subscription.BOTH, False, False)

    @classmethod
    def of(cls, subscription: Subscription, *, pending_out: bool, pending_in: bool) -> "State":
        """Give the state for what is stored; a request that the subscription has overtaken counts as none."""
        return cls(
            (
                subscription,
                pending_out and subscription in (Subscription.NONE, Subscription.FROM),
                pending_in and subscription in (Subscription.NONE, Subscription.TO),
            )
        )

    @property
    def subscription(self) -> Subscription:
        """The attribute of the roster item."""
        return self.value[0]

    @property
    def pending_out(self) -> bool:
        """Whether the account has asked and waits: the attribute `ask`."""
        return self.value[1]

    @property
    def pending_in(self) -> bool:
        """Whether the contact has asked and waits: no attribute shows it."""
        return self.value[2]

    @property
    def sees_contact(self) -> bool:
        """Whether the account gets the contact's presence."""
        return self.subscription in (Subscription.TO, Subscription.BOTH)

    @property
    def seen_by_contact(self) -> bool:
        """Whether the contact gets the account's presence."""
        return self.subscription in (Subscription.FROM, Subscription.BOTH)


class Step(msgspec.Struct, frozen=True):
    """What one subscription stanza does: the state and pre-approval after it, and what is sent."""

    state: State
    approved: bool
    passes: bool
    """Outbound: route it to the contact. Inbound: deliver it to the account."""
    reply: Verb | None = None
    """What the server answers at once on the account's behalf."""


_ENDED: Final = {
    State.NONE_IN: State.NONE,
    State.NONE_OUT_IN: State.NONE_OUT,
    State.TO_IN: State.TO,
    State.FROM: State.NONE,
    State.FROM_OUT: State.NONE_OUT,
    State.BOTH: State.TO,
}
"""The contact stops seeing the account, whoever of the two says so."""

_LOST: Final = {
    State.NONE_OUT: State.NONE,
    State.NONE_OUT_IN: State.NONE_IN,
    State.TO: State.NONE,
    State.TO_IN: State.NONE_IN,
    State.FROM_OUT: State.FROM,
    State.BOTH: State.FROM,
}
"""The account stops seeing the contact, whoever of the two says so."""

OUTBOUND: Final[Mapping[Verb, Mapping[State, State]]] = {
    # A.2.1
    Verb.SUBSCRIBE: {
        State.NONE: State.NONE_OUT,
        State.NONE_IN: State.NONE_OUT_IN,
        State.FROM: State.FROM_OUT,
    },
    # A.2.2
    Verb.UNSUBSCRIBE: _LOST,
    # A.2.3
    Verb.SUBSCRIBED: {State.NONE_IN: State.FROM, State.NONE_OUT_IN: State.FROM_OUT, State.TO_IN: State.BOTH},
    # A.2.4
    Verb.UNSUBSCRIBED: _ENDED,
}
"""Appendix A.2: the states that a stanza of the account changes."""

INBOUND: Final[Mapping[Verb, Mapping[State, State]]] = {
    # A.3.1
    Verb.SUBSCRIBE: {State.NONE: State.NONE_IN, State.NONE_OUT: State.NONE_OUT_IN, State.TO: State.TO_IN},
    # A.3.2
    Verb.UNSUBSCRIBE: _ENDED,
    # A.3.3
    Verb.SUBSCRIBED: {State.NONE_OUT: State.TO, State.NONE_OUT_IN: State.TO_IN, State.FROM_OUT: State.BOTH},
    # A.3.4
    Verb.UNSUBSCRIBED: _LOST,
}
"""Appendix A.3: the states that a contact's stanza changes; one that changes nothing is not delivered."""

ALWAYS_ROUTED: Final = frozenset({Verb.SUBSCRIBE, Verb.UNSUBSCRIBE})
"""A.2.1 and A.2.2: these are routed in every state, so that two servers that disagree come to terms."""

_GRANTED_BEFORE: Final = {State.NONE: State.FROM, State.NONE_OUT: State.FROM_OUT, State.TO: State.BOTH}
"""§3.4: where an answer may come before the question, and what the question then makes of it."""


def send(verb: Verb, state: State, *, approved: bool) -> Step:
    """Tell what happens when the account sends this stanza to the contact (A.2, §3.4)."""
    after = OUTBOUND[verb].get(state)
    if verb is Verb.SUBSCRIBED and after is None:
        approved = approved or state in _GRANTED_BEFORE  # §3.4.2: an answer before the question stays here
    elif verb is Verb.UNSUBSCRIBED:
        approved = False  # A.2.4, note 1
    return Step(after or state, approved, passes=after is not None or verb in ALWAYS_ROUTED)


def receive(verb: Verb, state: State, *, approved: bool) -> Step:
    """Tell what happens when this stanza of the contact arrives (A.3, §3.1.3, §3.4)."""
    if verb is Verb.SUBSCRIBE and state.seen_by_contact:
        return Step(state, approved, passes=False, reply=Verb.SUBSCRIBED)  # §3.1.3: it is answered already
    if verb is Verb.SUBSCRIBE and approved and state in _GRANTED_BEFORE:
        # The approval is used up: whoever leaves and comes back has to ask again.
        return Step(_GRANTED_BEFORE[state], approved=False, passes=False, reply=Verb.SUBSCRIBED)
    after = INBOUND[verb].get(state)
    return Step(after or state, approved, passes=after is not None)
