"""What a look-up of credentials must not tell: whether there is such an account."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.base.jid import Jid
from tidings.streams.login import StoredCredentials
from tidings.wire.xmpp.sasl.keys import DEFAULT_ITERATIONS, make_scram_keys


async def test_an_unknown_account_costs_what_a_wrong_password_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    stores = MemoryStores()
    clock = VirtualClock()
    await stores.accounts.create(Jid("alice@localhost"), make_scram_keys("secret"), clock.now())
    credentials = StoredCredentials(stores.accounts, clock, b"x" * 32)
    derivations: list[tuple[str, int]] = []
    derive = hashlib.pbkdf2_hmac

    def count(name: str, password: bytes, salt: bytes, iterations: int, **rest: Any) -> bytes:
        derivations.append((name, iterations))
        return derive(name, password, salt, iterations, **rest)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", count)
    costs = []
    for account in ("alice@localhost", "nobody@localhost"):
        derivations.clear()
        accepted = await credentials.check_password(Jid(account), "wrong", DEFAULT_ITERATIONS)
        assert accepted == (False, None)
        costs.append(list(derivations))
    assert costs[0] == costs[1] != []
