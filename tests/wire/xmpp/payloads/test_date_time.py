"""Moments as XEP-0082 writes them, to the microsecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.wire.xmpp.payloads.date_time import EARLIEST, LATEST, format_date_time, read_date_time

MOON = -14_159_025 * SECOND


@pytest.mark.parametrize("text", ["1969-07-21T02:56:15Z", "1969-07-20T21:56:15-05:00"])
def test_examples_of_the_document(text: str) -> None:
    assert read_date_time(text, "stamp") == MOON


@given(st.integers(EARLIEST, LATEST))
def test_round_trips_to_the_microsecond(moment: int) -> None:
    assert read_date_time(format_date_time(moment), "stamp") == moment


@given(st.lists(st.integers(0, LATEST), min_size=2, max_size=2))
def test_texts_of_one_precision_sort_as_moments_do(moments: list[int]) -> None:
    early, late = sorted(moments)
    assert format_date_time(early)[:19] <= format_date_time(late)[:19]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T00:00:01.25Z", 1_250_000),
        ("1970-01-01T00:00:00.0000019Z", 1),  # cut off, not rounded
        ("1970-01-01T05:30:00+05:30", 0),
        ("0001-01-01T00:00:00Z", EARLIEST),
        ("9999-12-31T23:59:59.999999Z", LATEST),
    ],
)
def test_fractions_and_zones(text: str, moment: int) -> None:
    assert read_date_time(text, "stamp") == moment


def test_a_fraction_is_written_where_there_is_one() -> None:
    assert format_date_time(0) == "1970-01-01T00:00:00Z"
    assert format_date_time(1_773_044_042_551_300) == "2026-03-09T08:14:02.551300Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2010-07-10",
        "2010-07-10T23:08:25",
        "2010-07-10 23:08:25Z",
        "2010-07-10T24:00:00Z",
        "2010-07-10T23:60:00Z",
        "2016-12-31T23:59:60Z",
        "2010-02-30T00:00:00Z",
        "2010-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-2010-07-10T23:08:25Z",
        "12010-07-10T23:08:25Z",
        "2010-07-10T23:08:25.Z",
        "2010-07-10T23:08:25z",
        "2010-07-10T23:08:25+5:30",
        "2010-07-10T23:08:25+14:01",
        "2010-07-10T23:08:25+15:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "٢٠١٠-07-10T23:08:25Z",
        "20100710T23:08:25",
        " 2010-07-10T23:08:25Z",
        "2010-07-10T23:08:25Z\n",
        "2010-07-10T23:08:25." + "1" * 100 + "Z",
    ],
)
def test_nonsense(text: str) -> None:
    with pytest.raises(StanzaError, match="stamp must be a time") as error:
        read_date_time(text, "stamp")
    assert error.value.condition == "bad-request"
