"""Addresses: which are of this machine, and which are one neighbour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.network import is_loopback, network_of, parse_address


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::1%lo", "::ffff:127.0.0.1", ""])
def test_this_machine_has_loopback_addresses_and_unix_sockets(address):
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "0.0.0.0", "::", "localhost", "x"],
)
def test_others_have_all_other_addresses(address):
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_a_neighbour_is_an_ipv4_address_or_a_64_of_ipv6(address, network):
    assert network_of(address) == network


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_the_same_however_the_socket_calls_it(address):
    mapped = f"::ffff:{address}"
    assert parse_address(mapped) == address
    assert network_of(mapped) == network_of(str(address)) == str(address)
    assert is_loopback(mapped) == is_loopback(str(address)) == address.is_loopback


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_addresses_of_one_64_are_one_neighbour(address, interface):
    if address.ipv4_mapped is None:
        other = type(address)(int(address) >> 64 << 64 | interface)
        if other.ipv4_mapped is None:
            assert network_of(str(other)) == network_of(str(address))


@given(st.text())
def test_any_text_has_an_answer(text):
    assert isinstance(is_loopback(text), bool)
    assert isinstance(network_of(text), str)
