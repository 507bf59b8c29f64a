"""The connection limiter: what it says of those that it refuses."""

from __future__ import annotations

from structlog.testing import capture_logs

from tidings.base.seldom_told import MOST_TOLD
from tidings.gateways.connection_limiter import TOLD_EVERY, ConnectionLimiter


def test_the_log_tells_of_an_address_once_a_minute_with_a_count() -> None:
    now = 0.0
    limiter = ConnectionLimiter(per_address=1, now=lambda: now)
    assert limiter.admit("192.0.2.1")
    assert limiter.admit("2001:db8::1")
    with capture_logs() as told:
        for _ in range(100):
            assert not limiter.admit("192.0.2.1")
            assert not limiter.admit("2001:db8::2")  # the same subscriber
        now += TOLD_EVERY
        assert not limiter.admit("192.0.2.1")
    assert [(each["address"], each["more"]) for each in told] == [
        ("192.0.2.1", 0),
        ("2001:db8::2", 0),
        ("192.0.2.1", 99),
    ]


def test_the_log_tells_once_a_minute_that_nobody_else_may_come_in() -> None:
    now = 0.0
    limiter = ConnectionLimiter(total=1, now=lambda: now)
    with capture_logs() as told:
        for _ in range(100):  # whoever makes room, and fills it again
            assert limiter.admit("192.0.2.1")
            assert not limiter.admit("192.0.2.1")
            limiter.leave("192.0.2.1")
        now += TOLD_EVERY
        assert limiter.admit("192.0.2.1")
        assert not limiter.admit("192.0.2.1")
    assert [(each["event"], each["more"]) for each in told] == [
        ("too_many_connections", each) for each in (0, 99)
    ]


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    limiter = ConnectionLimiter(per_address=1, now=lambda: 0.0)
    with capture_logs():
        for number in range(2 * MOST_TOLD):
            address = f"10.0.{number // 256}.{number % 256}"
            assert limiter.admit(address)
            assert not limiter.admit(address)
    assert len(limiter._refused) == MOST_TOLD
