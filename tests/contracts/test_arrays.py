"""What PostgreSQL reads of the arrays that we pack."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.databases import Server
from tidings.adapters.sql import arrays
from tidings.adapters.sql.arrays import Integers, Octets

BIG = 1 << 63

integers = st.integers(-BIG, BIG - 1)
octets = st.binary(max_size=40)


@pytest.fixture
def connection(postgresql_server: Server):
    arrays.register()
    url = postgresql_server.create_database()
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        yield connection
    postgresql_server.drop_database(url)


@given(
    numbers=st.lists(integers) | st.lists(integers | st.none()),
    texts=st.lists(octets) | st.lists(octets | st.none()),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_reads_what_was_packed(connection, numbers: list[int | None], texts: list[bytes | None]):
    row = connection.execute(
        "SELECT %b::bigint[], %b::bytea[]", (Integers(numbers), Octets(texts))
    ).fetchone()
    assert row == (numbers, texts)


def test_mutable_octets_are_octets(connection):
    (found,) = connection.execute("SELECT %b::bytea[]", (Octets([bytearray(b"a"), b"b"]),)).fetchone()
    assert found == [b"a", b"b"]


def test_a_number_that_is_too_large_is_refused():
    with pytest.raises(OverflowError):
        Integers([BIG]).pack()
