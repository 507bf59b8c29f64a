"""Times, ids, errors."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.clock import format_utc
from tidings.base.errors import STANZA_ERROR_KINDS, BackendError, StanzaError, StreamError, TidingsError
from tidings.base.ids import token


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1769860800.25, "2026-01-31T12:00:00.250Z"),
        (1769860800.9999, "2026-01-31T12:00:01Z"),
        (951782399.999, "2000-02-28T23:59:59.999Z"),
    ],
)
def test_times_as_xep_0082_writes_them(seconds, text):
    assert format_utc(seconds) == text


@given(st.floats(0, 4_000_000_000))
def test_times_are_right_to_the_millisecond(seconds):
    assert abs(datetime.fromisoformat(format_utc(seconds)).timestamp() - seconds) < 0.00051


def test_tokens_are_long_different_and_safe_anywhere():
    tokens = {token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(len(each) >= 22 and each.replace("-", "").replace("_", "").isalnum() for each in tokens)


def test_a_stanza_error_has_the_type_of_its_condition():
    for condition, kind in STANZA_ERROR_KINDS.items():
        error = StanzaError(condition)
        assert (error.kind, str(error)) == (kind, condition)
    assert StanzaError("not-acceptable", "no", kind="cancel").kind == "cancel"
    with pytest.raises(KeyError):
        StanzaError("no-such-condition")


def test_one_tree_of_errors():
    for error in (StanzaError("gone"), StreamError("reset"), BackendError("database is away")):
        assert isinstance(error, TidingsError)
