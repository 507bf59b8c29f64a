"""An account that came with keys of SCRAM-SHA-1 alone gets the others when its password is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.clock import VirtualClock
from tests.streams.stand import SECRET, Machine, Stand, standing
from tidings.adapters.memory import MemoryStores
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.ports.accounts import Ban
from tidings.streams.login import StoredCredentials
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings
from tidings.wire.xmpp.sasl.keys import ScramKeys, make_scram_keys

ALICE = Jid("alice@localhost")
IMPORTED = make_scram_keys("secret", ["SCRAM-SHA-1"], iterations=5000)
STRONG = "SCRAM-SHA-512-PLUS"


async def log_in(stand: Stand, mechanism: str, password: str = "secret") -> bool:
    """Try to log in over TLS by one mechanism alone; tell whether that went well."""
    assert stand.certificate is not None
    settings = ClientSettings(domain="localhost", account=ALICE, password=password, mechanisms=(mechanism,))
    machine = Machine(await stand.connect(), settings, certificate=stand.certificate, tls=stand.trusting())
    await machine.negotiate(is_encrypted=False)
    return bool(machine.told(values.Established))


async def stored(stores: Any) -> tuple[ScramKeys, ...]:
    record = await stores.accounts.get(ALICE)
    return record.keys


async def test_after_a_log_in_by_plain_the_strongest_mechanism_works(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, tls_required=True) as stand:
        await stand.world.stores.accounts.create(ALICE, IMPORTED, 0)
        assert not await log_in(stand, STRONG)
        assert await log_in(stand, "PLAIN")
        assert await log_in(stand, STRONG)
        assert await log_in(stand, "SCRAM-SHA-256-PLUS")
        assert await log_in(stand, "SCRAM-SHA-1-PLUS")
        keys = await stored(stand.world.stores)
        assert keys[:1] == IMPORTED
        assert {each.iterations for each in keys[1:]} == {
            5000
        }  # the door wants 4096: it is no fewer than before
        assert await log_in(stand, "PLAIN")
        assert await stored(stand.world.stores) == keys


async def test_a_wrong_password_makes_no_keys(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, tls_required=True) as stand:
        await stand.world.stores.accounts.create(ALICE, IMPORTED, 0)
        assert not await log_in(stand, "PLAIN", "guessed")
        assert await stored(stand.world.stores) == IMPORTED


async def test_a_banned_account_gets_no_keys() -> None:
    stores, clock = MemoryStores(), VirtualClock()
    await stores.accounts.create(ALICE, IMPORTED, 0)
    await stores.accounts.ban(ALICE, Ban("spam", 0.0))
    credentials = StoredCredentials(stores.accounts, clock, SECRET)
    assert await credentials.check_password(ALICE, "secret") == (True, "spam")
    assert await stored(stores) == IMPORTED


async def test_a_store_that_cannot_be_written_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stores, clock = MemoryStores(), VirtualClock()
    await stores.accounts.create(ALICE, IMPORTED, 0)

    async def refuse(*_: Any, **__: Any) -> bool:
        raise BackendError("the database takes no writes")

    monkeypatch.setattr(stores.accounts, "add_keys", refuse)
    credentials = StoredCredentials(stores.accounts, clock, SECRET)
    assert await credentials.check_password(ALICE, "secret") == (True, None)
    assert await stored(stores) == IMPORTED


async def test_a_password_that_is_changed_meanwhile_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    stores, clock = MemoryStores(), VirtualClock()
    await stores.accounts.create(ALICE, IMPORTED, 0)
    changed = make_scram_keys("changed", ["SCRAM-SHA-1"], iterations=5000)
    add_keys = stores.accounts.add_keys

    async def change_first(*args: Any, **rest: Any) -> bool:
        await stores.accounts.set_keys(ALICE, changed)
        return await add_keys(*args, **rest)

    monkeypatch.setattr(stores.accounts, "add_keys", change_first)
    credentials = StoredCredentials(stores.accounts, clock, SECRET)
    assert await credentials.check_password(ALICE, "secret") == (True, None)
    assert await stored(stores) == changed
