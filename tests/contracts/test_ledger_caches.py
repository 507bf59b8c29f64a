"""What the writer remembers is bounded in octets, too: others choose how long their addresses are."""

from __future__ import annotations

from tidings.adapters.sql.ledger.caches import JID_OCTETS, Caches


def test_long_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    caches, kept = Caches(), 0
    for number in range(20_000):
        caches.learn({f"a@example.org/{number}".ljust(3_000, "r"): number})
        caches.bound()
        kept = max(kept, sum(map(len, caches.jids)))
    assert JID_OCTETS / 2 < kept <= JID_OCTETS


def test_an_address_that_is_learnt_twice_counts_once() -> None:
    caches, jid = Caches(), "a@example.org/".ljust(3_000, "r")
    for _ in range(20_000):
        caches.learn({jid: 1})
        caches.bound()
    assert caches.jids == {jid: 1}
