"""The windows of stream management against a plain model, also where the counters wrap around."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tidings.wire.xml.element import decode
from tidings.wire.xmpp.acks import (
    MODULUS,
    HandledTooHigh,
    RequestRule,
    SentWindow,
    WindowLimits,
)

starts = st.one_of(st.just(0), st.integers(MODULUS - 12, MODULUS - 1), st.integers(0, MODULUS - 1))


def filled(count: int, *, start: int = 0, octets: int = 10) -> SentWindow[int]:
    window: SentWindow[int] = SentWindow(acknowledged=start)
    assert all(window.push(number, octets) for number in range(count))
    return window


class SentWindowMachine(RuleBasedStateMachine):
    """The model keeps every stanza ever sent, counts without end, and remembers what is acknowledged."""

    @initialize(start=starts, stanzas=st.integers(1, 6), octets=st.integers(1, 60))
    def begin(self, start: int, stanzas: int, octets: int) -> None:
        self.limits = WindowLimits(stanzas=stanzas, octets=octets)
        self.window: SentWindow[int] = SentWindow(self.limits, acknowledged=start)
        self.sizes: list[int] = []
        self.start, self.acknowledged, self.asked = start, 0, 0

    def waiting(self) -> range:
        return range(self.acknowledged, len(self.sizes))

    @rule(octets=st.integers(0, 40))
    def send(self, octets: int) -> None:
        waiting = self.waiting()
        total = sum(self.sizes[number] for number in waiting) + octets
        fits = not waiting or (len(waiting) < self.limits.stanzas and total <= self.limits.octets)
        assert self.window.has_room(octets) is fits
        assert self.window.push(len(self.sizes), octets) is fits
        if fits:
            self.sizes.append(octets)

    @rule(data=st.data(), resumes=st.booleans())
    def acknowledge(self, data: st.DataObject, resumes: bool) -> None:
        count = data.draw(st.integers(0, len(self.waiting())))
        h = (self.start + self.acknowledged + count) % MODULUS
        items = self.window.resume(h) if resumes else self.window.acknowledge(h)
        assert items == tuple(self.waiting()[:count])
        self.acknowledged += count
        self.asked = self.acknowledged if resumes else max(self.asked, self.acknowledged)

    @rule(beyond=st.integers(1, 2**31), resumes=st.booleans())
    def acknowledge_too_much(self, beyond: int, resumes: bool) -> None:
        h = (self.start + len(self.sizes) + beyond) % MODULUS
        answer = self.window.resume(h) if resumes else self.window.acknowledge(h)
        assert isinstance(answer, HandledTooHigh)
        assert (answer.handled, answer.sent) == (h, (self.start + len(self.sizes)) % MODULUS)

    @precondition(lambda self: self.acknowledged)
    @rule(data=st.data())
    def take_an_ack_back(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, self.acknowledged))
        h = (self.start + self.acknowledged - count) % MODULUS
        assert isinstance(self.window.acknowledge(h), HandledTooHigh)

    @rule()
    def request(self) -> None:
        self.window.requested()
        self.asked = len(self.sizes)

    @invariant()
    def holds(self) -> None:
        window, waiting = self.window, self.waiting()
        assert window.unacknowledged == tuple(waiting)
        assert len(window) == len(waiting)
        assert window.octets == sum(self.sizes[number] for number in waiting)
        assert window.acknowledged == (self.start + self.acknowledged) % MODULUS
        assert window.sent == (self.start + len(self.sizes)) % MODULUS
        assert window.sent == (window.acknowledged + len(window)) % MODULUS
        assert len(window) <= self.limits.stanzas
        assert window.octets <= self.limits.octets or len(window) == 1
        assert window.is_waiting is (self.asked > self.acknowledged)
        assert window.unrequested == len(self.sizes) - self.asked
        assert window.unrequested_octets == sum(self.sizes[self.asked :])


TestSentWindow = SentWindowMachine.TestCase


def test_the_conversation_of_the_document() -> None:  # §4, example 7
    client: SentWindow[str] = SentWindow()
    assert client.push("<message/>", 10)
    client.requested()
    assert client.acknowledge(1) == ("<message/>",)
    assert (client.sent, client.acknowledged, len(client)) == (1, 1, 0)


def test_the_counter_wraps_around() -> None:  # §4: from 2**32 - 1 back to zero
    window = filled(3, start=MODULUS - 1)
    assert window.sent == 2
    assert window.acknowledge(MODULUS - 1) == ()
    assert window.acknowledge(0) == (0,)
    assert window.acknowledge(2) == (1, 2)


def test_more_than_was_sent() -> None:  # §6, its example
    window = filled(8)
    answer = window.acknowledge(10)
    assert answer == HandledTooHigh(10, 8)
    error = answer.error()
    assert error.condition == "undefined-condition"
    assert error.text == "You acknowledged 10 stanzas, but I only sent you 8 so far."
    payload = decode(b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/>", "")
    assert decode(error.payload, "") == payload
    assert window.unacknowledged == tuple(range(8))


def test_an_acknowledgement_that_goes_back_is_told_as_that() -> None:
    window = filled(8)
    window.acknowledge(5)
    answer = window.acknowledge(3)
    assert isinstance(answer, HandledTooHigh)
    assert answer.error().text == "You acknowledged 3 stanzas, and 5 before that."


def test_a_lone_stanza_may_be_larger_than_the_window() -> None:
    window: SentWindow[int] = SentWindow(WindowLimits(stanzas=5, octets=100))
    assert window.push(1, 1_000)
    assert not window.push(2, 1)
    assert window.acknowledge(1) == (1,)
    assert window.push(2, 60)
    assert window.push(3, 40)
    assert not window.push(4, 1)
    assert window.sent == 3


@pytest.mark.parametrize(
    ("sent", "asked", "is_idle", "wanted"),
    [
        (0, False, True, False),  # nothing to ask for
        (1, False, False, False),  # more is about to follow
        (1, False, True, True),  # the end of a burst
        (4, False, False, False),
        (5, False, False, True),  # enough in one burst
        (4, True, True, False),  # it was asked and has not answered
        (5, True, True, True),  # but so many are asked for again
    ],
)
def test_when_an_ack_is_asked_for(sent: int, asked: bool, is_idle: bool, wanted: bool) -> None:
    window = filled(int(asked))
    if asked:
        window.requested()
    assert all(window.push(number, 10) for number in range(sent))
    rule_ = RequestRule(stanzas=5, octets=1_000)
    assert rule_.wants_request(window, is_idle=is_idle) is wanted


def test_large_stanzas_are_asked_for_sooner() -> None:
    rule_ = RequestRule(stanzas=100, octets=1_000)
    window: SentWindow[int] = SentWindow()
    assert window.push(0, 999)
    assert not rule_.wants_request(window, is_idle=False)
    assert window.push(1, 1)
    assert rule_.wants_request(window, is_idle=False)
    window.requested()
    assert not rule_.wants_request(window, is_idle=True)


@given(st.integers(1, 40), st.integers(1, 10), st.lists(st.booleans(), min_size=40, max_size=40))
def test_a_peer_that_answers_leaves_nothing_unasked(count: int, every: int, idle: list[bool]) -> None:
    """Whatever the bursts are, a peer that answers each request ends with an empty window."""
    rule_ = RequestRule(stanzas=every)
    window: SentWindow[int] = SentWindow(WindowLimits(stanzas=every))
    for number in range(count):
        assert window.push(number, 1)
        if rule_.wants_request(window, is_idle=idle[number] or number == count - 1):
            window.requested()
            window.acknowledge(window.sent)
    assert len(window) == 0


def test_after_a_resumption_it_is_asked_again() -> None:
    window = filled(3)
    window.requested()
    assert window.is_waiting
    assert window.resume(1) == (0,)
    assert not window.is_waiting
    assert (window.unrequested, window.unrequested_octets) == (2, 20)
    assert RequestRule().wants_request(window, is_idle=True)
    assert window.unacknowledged == (1, 2)
