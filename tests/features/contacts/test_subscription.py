"""The state machine against the tables of RFC 6121 Appendix A, row by row, and against §3.1.3 and §3.4."""

import pytest

from tidings.features.contacts.subscription import State, Verb, receive, send
from tidings.ports.roster import Subscription

NAMES = {
    "None": State.NONE,
    "None + Pending Out": State.NONE_OUT,
    "None + Pending In": State.NONE_IN,
    "None + Pending Out+In": State.NONE_OUT_IN,
    "To": State.TO,
    "To + Pending In": State.TO_IN,
    "From": State.FROM,
    "From + Pending Out": State.FROM_OUT,
    "Both": State.BOTH,
}

A_2_1_OUTBOUND_SUBSCRIBE = """
    None                  | MUST     | None + Pending Out
    None + Pending Out    | MUST     | no state change
    None + Pending In     | MUST     | None + Pending Out+In
    None + Pending Out+In | MUST     | no state change
    To                    | MUST     | no state change
    To + Pending In       | MUST     | no state change
    From                  | MUST     | From + Pending Out
    From + Pending Out    | MUST     | no state change
    Both                  | MUST     | no state change
"""
A_2_2_OUTBOUND_UNSUBSCRIBE = """
    None                  | MUST     | no state change
    None + Pending Out    | MUST     | None
    None + Pending In     | MUST     | no state change
    None + Pending Out+In | MUST     | None + Pending In
    To                    | MUST     | None
    To + Pending In       | MUST     | None + Pending In
    From                  | MUST     | no state change
    From + Pending Out    | MUST     | From
    Both                  | MUST     | From
"""
A_2_3_OUTBOUND_SUBSCRIBED = """
    None                  | MUST NOT | pre-approval
    None + Pending Out    | MUST NOT | pre-approval
    None + Pending In     | MUST     | From
    None + Pending Out+In | MUST     | From + Pending Out
    To                    | MUST NOT | pre-approval
    To + Pending In       | MUST     | Both
    From                  | MUST NOT | no state change
    From + Pending Out    | MUST NOT | no state change
    Both                  | MUST NOT | no state change
"""
A_2_4_OUTBOUND_UNSUBSCRIBED = """
    None                  | MUST NOT | no state change
    None + Pending Out    | MUST NOT | no state change
    None + Pending In     | MUST     | None
    None + Pending Out+In | MUST     | None + Pending Out
    To                    | MUST NOT | no state change
    To + Pending In       | MUST     | To
    From                  | MUST     | None
    From + Pending Out    | MUST     | None + Pending Out
    Both                  | MUST     | To
"""
A_3_1_INBOUND_SUBSCRIBE = """
    None                  | MUST     | None + Pending In
    None + Pending Out    | MUST     | None + Pending Out+In
    None + Pending In     | MUST NOT | no state change
    None + Pending Out+In | MUST NOT | no state change
    To                    | MUST     | To + Pending In
    To + Pending In       | MUST NOT | no state change
    From                  | MUST NOT | no state change
    From + Pending Out    | MUST NOT | no state change
    Both                  | MUST NOT | no state change
"""
A_3_2_INBOUND_UNSUBSCRIBE = """
    None                  | MUST NOT | no state change
    None + Pending Out    | MUST NOT | no state change
    None + Pending In     | MUST     | None
    None + Pending Out+In | MUST     | None + Pending Out
    To                    | MUST NOT | no state change
    To + Pending In       | MUST     | To
    From                  | MUST     | None
    From + Pending Out    | MUST     | None + Pending Out
    Both                  | MUST     | To
"""
A_3_3_INBOUND_SUBSCRIBED = """
    None                  | MUST NOT | no state change
    None + Pending Out    | MUST     | To
    None + Pending In     | MUST NOT | no state change
    None + Pending Out+In | MUST     | To + Pending In
    To                    | MUST NOT | no state change
    To + Pending In       | MUST NOT | no state change
    From                  | MUST NOT | no state change
    From + Pending Out    | MUST     | Both
    Both                  | MUST NOT | no state change
"""
A_3_4_INBOUND_UNSUBSCRIBED = """
    None                  | MUST NOT | no state change
    None + Pending Out    | MUST     | None
    None + Pending In     | MUST NOT | no state change
    None + Pending Out+In | MUST     | None + Pending In
    To                    | MUST     | None
    To + Pending In       | MUST     | None + Pending In
    From                  | MUST NOT | no state change
    From + Pending Out    | MUST     | From
    Both                  | MUST     | From
"""


def rows(verb: Verb, table: str):
    for line in table.strip().splitlines():
        before, passes, after = (cell.strip() for cell in line.split("|"))
        yield pytest.param(verb, before, passes == "MUST", after, id=f"{verb}: {before}")


OUTBOUND = [
    *rows(Verb.SUBSCRIBE, A_2_1_OUTBOUND_SUBSCRIBE),
    *rows(Verb.UNSUBSCRIBE, A_2_2_OUTBOUND_UNSUBSCRIBE),
    *rows(Verb.SUBSCRIBED, A_2_3_OUTBOUND_SUBSCRIBED),
    *rows(Verb.UNSUBSCRIBED, A_2_4_OUTBOUND_UNSUBSCRIBED),
]
INBOUND = [
    *rows(Verb.SUBSCRIBE, A_3_1_INBOUND_SUBSCRIBE),
    *rows(Verb.UNSUBSCRIBE, A_3_2_INBOUND_UNSUBSCRIBE),
    *rows(Verb.SUBSCRIBED, A_3_3_INBOUND_SUBSCRIBED),
    *rows(Verb.UNSUBSCRIBED, A_3_4_INBOUND_UNSUBSCRIBED),
]


def test_the_tables_are_whole():
    assert len(OUTBOUND) == len(INBOUND) == 4 * 9


@pytest.mark.parametrize(("verb", "before", "routed", "after"), OUTBOUND)
def test_outbound(verb, before, routed, after):
    step = send(verb, NAMES[before], approved=False)
    assert step.passes == routed
    assert step.reply is None
    assert step.state == NAMES.get(after, NAMES[before])
    assert step.approved == (after == "pre-approval")


@pytest.mark.parametrize(("verb", "before", "delivered", "after"), INBOUND)
def test_inbound(verb, before, delivered, after):
    step = receive(verb, NAMES[before], approved=False)
    assert step.passes == delivered
    assert step.state == NAMES.get(after, NAMES[before])
    assert not step.approved
    answered = verb is Verb.SUBSCRIBE and before in ("From", "From + Pending Out", "Both")  # A.3.1, note 2
    assert step.reply == (Verb.SUBSCRIBED if answered else None)


@pytest.mark.parametrize(
    ("before", "after"),
    [("None", "From"), ("None + Pending Out", "From + Pending Out"), ("To", "Both")],
)
def test_a_pre_approved_request_is_answered_at_once_and_uses_the_approval_up(before, after):
    step = receive(Verb.SUBSCRIBE, NAMES[before], approved=True)
    assert (step.state, step.approved, step.passes, step.reply) == (
        NAMES[after],
        False,
        False,
        Verb.SUBSCRIBED,
    )


@pytest.mark.parametrize("before", ["None", "None + Pending Out", "To"])
def test_unsubscribed_withdraws_a_pre_approval(before):
    step = send(Verb.UNSUBSCRIBED, NAMES[before], approved=True)
    assert (step.state, step.approved, step.passes) == (NAMES[before], False, False)


@pytest.mark.parametrize("verb", [Verb.SUBSCRIBED, Verb.UNSUBSCRIBE, Verb.UNSUBSCRIBED])
@pytest.mark.parametrize("state", State)
def test_only_a_request_touches_a_pre_approval_from_outside(verb, state):
    assert receive(verb, state, approved=True).approved


@pytest.mark.parametrize("state", State)
def test_a_state_is_read_back_from_what_is_stored(state):
    assert State.of(state.subscription, pending_out=state.pending_out, pending_in=state.pending_in) is state


def test_a_request_that_the_subscription_has_overtaken_counts_as_none():
    assert State.of(Subscription.BOTH, pending_out=True, pending_in=True) is State.BOTH
    assert State.of(Subscription.TO, pending_out=True, pending_in=True) is State.TO_IN
    assert State.of(Subscription.FROM, pending_out=True, pending_in=True) is State.FROM_OUT


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("account", State)
@pytest.mark.parametrize("contact", State)
def test_two_sides_that_disagree_never_end_up_showing_more_than_was_granted(verb, account, contact):
    sent = send(verb, account, approved=False)
    got = receive(verb, contact, approved=False) if sent.passes else None
    if verb is not Verb.SUBSCRIBED:
        assert sent.state.seen_by_contact <= account.seen_by_contact
    if got is not None:
        assert got.state.seen_by_contact <= contact.seen_by_contact
        assert got.state.sees_contact <= (contact.sees_contact or contact.pending_out)
