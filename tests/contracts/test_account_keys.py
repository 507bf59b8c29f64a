"""Keys that are added to an account for the password that it has; every adapter of the port passes this."""

from __future__ import annotations

from tests.contracts.samples import ALICE, BOB, keys
from tests.contracts.test_accounts import token
from tidings.ports.stores import Stores

OLD = keys("SCRAM-SHA-1")
MORE = keys("SCRAM-SHA-512", "SCRAM-SHA-256")


async def test_added_keys_stand_beside_the_old_and_tokens_stay_good(stores: Stores) -> None:
    await stores.accounts.create(ALICE, OLD, 1.0)
    await stores.accounts.store_token(ALICE, token())
    assert await stores.accounts.add_keys(ALICE, MORE, beside=OLD)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.keys == OLD + MORE
    assert await stores.accounts.tokens(ALICE, "phone") == (token(),)


async def test_keys_of_a_password_that_has_been_changed_are_not_added(stores: Stores) -> None:
    await stores.accounts.create(ALICE, OLD, 1.0)
    new = keys("SCRAM-SHA-256")
    assert await stores.accounts.set_keys(ALICE, new)
    assert not await stores.accounts.add_keys(ALICE, MORE, beside=OLD)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.keys == new


async def test_keys_are_added_to_no_account_that_does_not_exist(stores: Stores) -> None:
    assert not await stores.accounts.add_keys(BOB, MORE, beside=())
    assert await stores.accounts.get(BOB) is None
