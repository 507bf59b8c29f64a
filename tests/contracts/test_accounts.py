"""The contract of the accounts port; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.ledger_stories import accept, chat
from tests.contracts.samples import ALICE, BOB, LONGEST, LOOK_ALIKES, keys, long_jid
from tidings.adapters.sql import open_stores
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.jid import Jid
from tidings.ports.accounts import (
    TOKEN_DEVICES,
    AccountExists,
    AccountFilter,
    AccountRecord,
    AccountSummary,
    Ban,
    FastToken,
    NoSuchAccount,
    Promotion,
)
from tidings.ports.stores import Stores


def token(device: str = "phone", digest: bytes = b"\x00\xff" * 16, expires: float = 2e9) -> FastToken:
    return FastToken(device=device, mechanism="HT-SHA-256-ENDP", digest=digest, expires=expires)


async def test_a_created_account_is_given_back(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1", "SCRAM-SHA-256"), 1_700_000_000.125)
    assert await stores.accounts.get(ALICE) == AccountRecord(
        jid=ALICE, keys=keys("SCRAM-SHA-1", "SCRAM-SHA-256"), created=1_700_000_000.125
    )
    assert await stores.accounts.exists(ALICE)


async def test_accounts_are_counted_by_domain(stores: Stores) -> None:
    assert await stores.accounts.count_by_domain() == {}
    for address in ("alice@one.example", "bob@one.example", "alice@two.example"):
        await stores.accounts.create(Jid(address), keys("SCRAM-SHA-1"), 1.0)
    assert await stores.accounts.count_by_domain() == {"one.example": 2, "two.example": 1}


async def test_an_account_that_was_never_made_is_none(stores: Stores) -> None:
    assert await stores.accounts.get(ALICE) is None
    assert not await stores.accounts.exists(ALICE)


async def test_an_address_is_taken_once(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
    with pytest.raises(AccountExists) as caught:
        await stores.accounts.create(ALICE, keys("SCRAM-SHA-512"), 2.0)
    assert caught.value.condition == "conflict"
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.keys == keys("SCRAM-SHA-1")


async def test_many_accounts_are_made_at_once_beside_those_that_exist(stores: Stores) -> None:
    await stores.accounts.create(BOB, keys("SCRAM-SHA-1"), 1.0)
    await stores.documents.put(ALICE, "urn:x", "left", b"by an earlier owner", expected=None)
    made = [
        AccountRecord(
            jid=ALICE,
            keys=keys("SCRAM-SHA-256"),
            created=5.25,
            ban=Ban("spam", 7.0),
            last_activity=6.5,
            last_status="bye",
        ),
        AccountRecord(jid=Jid("carol@example.org"), keys=(), created=6.0),
    ]
    other = AccountRecord(jid=BOB, keys=(), created=9.0)
    assert await stores.accounts.create_all([made[0], other, made[1]]) == {BOB}
    for record in made:
        assert await stores.accounts.get(record.jid) == record
    everybody = [*(record.jid for record in made), BOB]
    assert await stores.accounts.existing([*everybody, Jid("nobody@example.org")]) == frozenset(everybody)
    assert await stores.accounts.existing([]) == frozenset()
    kept = await stores.accounts.get(BOB)
    assert kept is not None
    assert (kept.keys, kept.created) == (keys("SCRAM-SHA-1"), 1.0)
    assert await stores.documents.get(ALICE, "urn:x", "left") is None
    assert await stores.accounts.create_all(made) == {record.jid for record in made}
    assert await stores.accounts.create_all([]) == frozenset()


async def test_accounts_that_are_made_by_several_at_once_are_made_once(database_url: str) -> None:
    first, second = await open_stores(database_url), await open_stores(database_url)
    records = [AccountRecord(jid=Jid(f"u{n}@example.org"), keys=(), created=1.0) for n in range(200)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(stores.accounts.create_all(part))
            for stores in (first, second)
            for part in (records[:120], records[80:])
        ]
    taken = sum(len(task.result()) for task in tasks)
    assert taken == 4 * 120 - 200
    assert await first.accounts.count("example.org") == 200
    await first.close()
    await second.close()


async def test_keys_are_found_by_mechanism_and_never_shown(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1", "SCRAM-SHA-512"), 1.0)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.keys_for("SCRAM-SHA-512") == keys("SCRAM-SHA-512")[0]
    assert record.keys_for("SCRAM-SHA-256") is None
    assert "stored" not in repr(record)


async def test_an_account_may_have_no_keys(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.keys == ()


async def test_new_keys_replace_the_old_and_end_the_tokens(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1", "SCRAM-SHA-256"), 1.0)
    await stores.accounts.store_token(ALICE, token())
    assert await stores.accounts.set_keys(ALICE, keys("SCRAM-SHA-512"))
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.keys == keys("SCRAM-SHA-512")
    assert await stores.accounts.tokens(ALICE, "phone") == ()
    assert not await stores.accounts.set_keys(BOB, keys("SCRAM-SHA-512"))


async def test_a_ban_is_kept_until_it_is_lifted(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
    assert await stores.accounts.ban(ALICE, Ban("spam", 5.0))
    assert await stores.accounts.ban(ALICE, Ban("", 6.5))
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.ban == Ban("", 6.5)
    assert await stores.accounts.unban(ALICE)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.ban is None
    assert not await stores.accounts.ban(BOB, Ban("spam", 5.0))
    assert not await stores.accounts.unban(BOB)


async def test_the_last_activity_is_noted(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
    await stores.accounts.touch_last(ALICE, 1_700_000_000.001, "zu Hause 🏡")
    await stores.accounts.touch_last(BOB, 2.0)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert (record.last_activity, record.last_status) == (1_700_000_000.001, "zu Hause 🏡")
    await stores.accounts.touch_last(ALICE, 1_700_000_009.0)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert (record.last_activity, record.last_status) == (1_700_000_009.0, "")
    assert not await stores.accounts.exists(BOB)


async def test_the_same_write_twice_still_finds_its_account(stores: Stores) -> None:
    # MySQL counts changed rows unless told to count found ones.
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)
    for _ in range(2):
        assert await stores.accounts.set_keys(ALICE, keys("SCRAM-SHA-256"))
        assert await stores.accounts.ban(ALICE, Ban("spam", 5.0))
    for _ in range(2):
        assert await stores.accounts.unban(ALICE)


async def test_accounts_are_listed_by_domain_in_pages(stores: Stores) -> None:
    names = ["b", "a", "z", "é", "aa", "c-1", "ü"]
    for name in names:
        await stores.accounts.create(Jid(f"{name}@example.org"), (), 1.0)
    await stores.accounts.create(Jid("a@example.com"), (), 1.0)
    listed: list[Jid] = []
    after = None
    while page := await stores.accounts.list("example.org", after=after, limit=3):
        assert len(page) <= 3
        listed += page
        after = page[-1]
    assert listed == [Jid(f"{name}@example.org") for name in sorted(names)]
    assert await stores.accounts.list("example.com") == (Jid("a@example.com"),)
    assert await stores.accounts.list("example.net") == ()
    assert await stores.accounts.count("example.org") == len(names)
    assert await stores.accounts.count("example.com") == 1
    assert await stores.accounts.count("example.net") == 0
    assert await stores.accounts.count_by_domain() == {"example.org": len(names), "example.com": 1}


async def test_a_page_begins_after_an_account_that_is_gone(stores: Stores) -> None:
    for name in ("a", "b", "c"):
        await stores.accounts.create(Jid(f"{name}@example.org"), (), 1.0)
    await stores.accounts.remove(Jid("b@example.org"))
    assert await stores.accounts.list("example.org", after=Jid("b@example.org")) == (Jid("c@example.org"),)


async def test_promotions_are_kept_until_they_are_taken_back(stores: Stores) -> None:
    for jid in (BOB, ALICE):
        await stores.accounts.create(jid, (), 1.0)
    here = Promotion(jid=ALICE, domain="example.org", since=5.5, by="operator")
    everywhere = Promotion(jid=ALICE, domain="", since=6.0, by="boss@example.org")
    other = Promotion(jid=BOB, domain="example.com", since=7.0, by="operator")
    for promotion in (here, other, everywhere):
        assert await stores.accounts.promote(promotion)
    assert await stores.accounts.promotions() == (everywhere, here, other)
    again = Promotion(jid=ALICE, domain="example.org", since=9.0, by="somebody else")
    assert await stores.accounts.promote(again)
    assert await stores.accounts.promotions() == (everywhere, here, other)
    assert await stores.accounts.demote(ALICE, "")
    assert not await stores.accounts.demote(ALICE, "")
    assert await stores.accounts.promotions() == (here, other)
    nobody = Promotion(jid=Jid("nobody@example.org"), domain="", since=1.0, by="operator")
    assert not await stores.accounts.promote(nobody)
    assert not await stores.accounts.demote(nobody.jid, "")


async def test_who_is_made_anew_is_not_promoted(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    await stores.accounts.promote(Promotion(jid=ALICE, domain="", since=1.0, by="operator"))
    await stores.accounts.remove(ALICE)
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.accounts.promotions() == ()


# --- lists


def at(name: str, domain: str = "example.org") -> Jid:
    return Jid(f"{name}@{domain}")


async def named(stores: Stores, **chosen: object) -> list[str]:
    found = await stores.accounts.summaries("example.org", chosen=AccountFilter(**chosen))
    return [summary.jid.local for summary in found]


async def test_a_summary_tells_what_is_known_of_an_account(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1_700_000_000.125)
    await stores.accounts.touch_last(ALICE, 1_700_000_009.5)
    await stores.accounts.ban(ALICE, Ban("spam", 1_700_000_010.0))
    await stores.accounts.create(BOB, (), 2.0)
    assert await stores.accounts.summaries(ALICE.domain) == (
        AccountSummary(
            jid=ALICE,
            created=1_700_000_000.125,
            last_activity=1_700_000_009.5,
            ban=Ban("spam", 1_700_000_010.0),
        ),
        AccountSummary(jid=BOB, created=2.0, has_keys=False),
    )


async def test_summaries_come_in_pages_of_one_domain(stores: Stores) -> None:
    names = ["b", "a", "z", "é", "aa", "c-1", "ü"]
    for name in names:
        await stores.accounts.create(at(name), (), 1.0)
    await stores.accounts.create(at("a", "example.com"), (), 1.0)
    listed: list[Jid] = []
    after = None
    while page := await stores.accounts.summaries("example.org", after=after, limit=3):
        assert len(page) <= 3
        listed += [summary.jid for summary in page]
        after = listed[-1]
    assert listed == [at(name) for name in sorted(names)]


async def test_summaries_are_chosen_by_what_holds_of_an_account(stores: Stores) -> None:
    for number, name in enumerate(("anna", "bert", "hanna", "nína", "nina")):
        await stores.accounts.create(at(name), (), float(number))
    await stores.accounts.ban(at("bert"), Ban("spam", 5.0))
    await stores.accounts.ban(at("nina"), Ban("", 6.0))
    await stores.accounts.touch_last(at("anna"), 10.0)
    await stores.accounts.touch_last(at("hanna"), 20.0)
    assert await named(stores, banned=True) == ["bert", "nina"]
    assert await named(stores, banned=False) == ["anna", "hanna", "nína"]
    assert await named(stores, created_before=2.0) == ["anna", "bert"]
    assert await named(stores, unseen_since=10.0) == ["bert", "nina", "nína"]
    assert await named(stores, unseen_since=20.0) == ["anna", "bert", "nina", "nína"]
    assert await named(stores, part="nn") == ["anna", "hanna"]
    assert await named(stores, part="í") == ["nína"]
    for odd in ("%", "_", "\\", "'"):
        assert await named(stores, part=odd) == []
    assert await named(stores, part="n", banned=True, unseen_since=5.0) == ["nina"]


async def test_look_alikes_are_different_accounts(stores: Stores) -> None:
    for number, jid in enumerate(LOOK_ALIKES):
        await stores.accounts.create(jid, (), float(number))
    for number, jid in enumerate(LOOK_ALIKES):
        record = await stores.accounts.get(jid)
        assert record is not None
        assert (record.jid, record.created) == (jid, float(number))
    assert await stores.accounts.count("example.org") == len(LOOK_ALIKES)


async def test_the_longest_addresses_are_different_accounts(stores: Stores) -> None:
    nearly = Jid(LONGEST.local[:-1] + "b@" + LONGEST.domain)
    await stores.accounts.create(LONGEST, keys("SCRAM-SHA-1"), 1.0)
    await stores.accounts.create(nearly, keys("SCRAM-SHA-1"), 2.0)
    assert await stores.accounts.list(LONGEST.domain) == (LONGEST, nearly)
    assert await stores.accounts.remove(LONGEST)
    assert await stores.accounts.exists(nearly)


async def test_a_device_keeps_its_current_token_until_the_new_one_is_used(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    first, lost, second = token(digest=b"1"), token(digest=b"2"), token(digest=b"3")
    await stores.accounts.store_token(ALICE, first)
    assert await stores.accounts.tokens(ALICE, "phone") == (first,)
    assert await stores.accounts.adopt_token(ALICE, first)
    await stores.accounts.store_token(ALICE, lost)
    assert await stores.accounts.adopt_token(ALICE, first)  # the new one never arrived
    await stores.accounts.store_token(ALICE, second)
    assert await stores.accounts.tokens(ALICE, "phone") == (second, first)
    assert not await stores.accounts.adopt_token(ALICE, lost)
    assert await stores.accounts.adopt_token(ALICE, second)
    assert await stores.accounts.tokens(ALICE, "phone") == (second,)
    assert not await stores.accounts.adopt_token(ALICE, first)


async def test_so_many_devices_have_tokens_and_the_one_that_runs_out_first_loses_its(stores: Stores) -> None:
    for account in (ALICE, BOB):
        await stores.accounts.create(account, (), 1.0)
    await stores.accounts.store_token(BOB, token("phone"))
    for number in range(TOKEN_DEVICES):
        held = token(f"device-{number}", expires=2e9 + number)
        await stores.accounts.store_token(ALICE, held)
        await stores.accounts.adopt_token(ALICE, held)
    await stores.accounts.store_token(ALICE, token("device-0", b"renewed", expires=2.1e9))
    await stores.accounts.store_token(ALICE, token("one more", expires=1.9e9))
    lost = [
        number
        for number in range(TOKEN_DEVICES)
        if not await stores.accounts.tokens(ALICE, f"device-{number}")
    ]
    assert lost == [1]
    assert len(await stores.accounts.tokens(ALICE, "device-0")) == 2
    assert await stores.accounts.tokens(ALICE, "one more") == (token("one more", expires=1.9e9),)
    assert await stores.accounts.tokens(BOB, "phone") == (token("phone"),)


async def test_tokens_belong_to_their_device_and_account(stores: Stores) -> None:
    for account in (ALICE, BOB):
        await stores.accounts.create(account, (), 1.0)
    phone, laptop = token("phone", b"p"), token("Phone", b"l")
    await stores.accounts.store_token(ALICE, phone)
    await stores.accounts.store_token(ALICE, laptop)
    assert await stores.accounts.tokens(ALICE, "phone") == (phone,)
    assert await stores.accounts.tokens(ALICE, "Phone") == (laptop,)
    assert await stores.accounts.tokens(BOB, "phone") == ()
    assert await stores.accounts.remove_tokens(ALICE, "phone") == 1
    assert await stores.accounts.remove_tokens(ALICE, "phone") == 0
    assert not await stores.accounts.adopt_token(ALICE, phone)
    assert await stores.accounts.tokens(ALICE, "Phone") == (laptop,)
    await stores.accounts.store_token(ALICE, phone)
    assert await stores.accounts.remove_tokens(ALICE) == 2
    assert await stores.accounts.remove_tokens(BOB) == 0
    assert await stores.accounts.tokens(ALICE, "Phone") == ()


async def test_expired_tokens_are_forgotten_when_asked(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    await stores.accounts.create(BOB, (), 1.0)
    old, good = token("phone", b"o", expires=99.5), token("phone", b"g", expires=100.0)
    await stores.accounts.store_token(ALICE, old)
    await stores.accounts.adopt_token(ALICE, old)
    await stores.accounts.store_token(ALICE, good)
    await stores.accounts.store_token(BOB, old)
    assert await stores.accounts.remove_expired_tokens(100.0) == 2
    assert await stores.accounts.tokens(ALICE, "phone") == (good,)
    assert await stores.accounts.tokens(BOB, "phone") == ()


async def test_a_token_needs_an_account(stores: Stores) -> None:
    with pytest.raises(NoSuchAccount):
        await stores.accounts.store_token(ALICE, token())
    assert await stores.accounts.tokens(ALICE, "phone") == ()


async def test_a_device_id_may_be_long(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    one, other = token("d" * 4000 + "1", b"1"), token("d" * 4000 + "2", b"2")
    await stores.accounts.store_token(ALICE, one)
    await stores.accounts.store_token(ALICE, other)
    assert await stores.accounts.tokens(ALICE, one.device) == (one,)
    assert await stores.accounts.tokens(ALICE, other.device) == (other,)


async def test_the_repr_of_a_token_hides_its_digest() -> None:
    assert "secret" not in repr(token(digest=b"secret"))


async def test_removing_what_is_not_there_says_so(stores: Stores) -> None:
    assert not await stores.accounts.remove(ALICE)
    await stores.accounts.create(ALICE, (), 1.0)
    assert await stores.accounts.remove(ALICE)
    assert not await stores.accounts.remove(ALICE)


def test_the_longest_sample_is_the_longest() -> None:
    full = long_jid("r" * 1023)
    assert len(full.encode()) == 3071


async def test_a_summary_tells_how_large_the_archive_is(fresh_url: str) -> None:
    stores = await open_stores(fresh_url)
    assert isinstance(stores.ledger, SqlLedger)
    for jid in (ALICE, BOB, Jid("carol@example.org")):
        await stores.accounts.create(jid, (), 1.0)
    sent = [chat(BOB, ALICE, "one"), chat(BOB, ALICE, "another one")]
    await accept(stores.ledger, *sent)
    octets = sum(len(append.body) for append in sent)
    found = await stores.accounts.summaries("example.org")
    assert [(summary.entries, summary.octets) for summary in found] == [(2, octets), (2, octets), (0, 0)]
    await stores.close()
