"""Histograms count each duration once, in the bucket of the first bound that is not shorter."""

import math

from tidings.base.histogram import Histogram


def test_a_duration_falls_into_the_bucket_of_its_bound() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.add(seconds)
    assert histogram.counts == [2, 1, 1]
    assert list(histogram.cumulative()) == [(0.1, 2), (1.0, 3), (math.inf, 4)]
    assert math.isclose(histogram.total, 7.65)
