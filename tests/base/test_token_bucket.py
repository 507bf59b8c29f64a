"""How fast something may be done, and how many buckets are remembered."""

from __future__ import annotations

from tidings.base.token_bucket import KEPT, Rate, TokenBucket, TokenBuckets

RATE = Rate(2, 4)


def test_what_may_be_done_at_once_comes_back_at_the_rate() -> None:
    bucket = TokenBucket(RATE, 100)
    assert [bucket.take(RATE, 100) for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take(RATE, 100) == 0.5
    assert bucket.take(RATE, 100.25) == 0.25  # who asks too soon waits no longer for it
    assert bucket.take(RATE, 100.5) == 0
    assert bucket.take(RATE, 100.5, 3) == 1.5
    assert [bucket.take(RATE, 200) for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_some_of_it_can_be_kept_for_others() -> None:
    bucket = TokenBucket(RATE, 0)
    assert [bucket.take(RATE, 0, spare=2) for _ in range(3)] == [0, 0, 0.5]
    assert [bucket.take(RATE, 0) for _ in range(3)] == [0, 0, 0.5]


def test_a_rate_that_changes_counts_from_then_on() -> None:
    bucket, slower = TokenBucket(RATE, 0), Rate(0.5, 1)
    assert bucket.take(slower, 0) == 0
    assert bucket.take(slower, 0) == 2


def test_buckets_that_are_full_again_are_forgotten() -> None:
    buckets: TokenBuckets[int] = TokenBuckets()
    for number in range(10 * KEPT):
        assert buckets.take(number, RATE, number / 1_000) == 0
    assert len(buckets) <= 2 * 2 * 1_000 + KEPT  # as many as are used in the two seconds that one needs
    assert [buckets.take(-1, RATE, 10, 4), buckets.take(-1, RATE, 10)] == [0, 0.5]
    assert buckets.take(-1, Rate(0, 0), 10, 100) == 0  # no limit
