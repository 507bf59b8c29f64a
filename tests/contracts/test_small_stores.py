"""The contracts of private storage, vCards, block lists and of removing all; every adapter passes them."""

from __future__ import annotations

import pytest

from tests.contracts.samples import ALICE, BOB, LOOK_ALIKES, keys, long_jid
from tidings.base.jid import Jid
from tidings.ports.accounts import FastToken, NoSuchAccount, Removal
from tidings.ports.displayed import Displayed
from tidings.ports.roster import UNTOUCHED, Roster, RosterEntry
from tidings.ports.stores import Stores
from tidings.ports.vcard import SearchField, WantedWord

RAW = "<x xmlns='urn:x'>ü \U0001f4ec &amp; ' \\ %s %(a)s :b</x>".encode() + bytes(range(256))


@pytest.fixture(autouse=True)
async def _alice(stores: Stores) -> None:
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-1"), 1.0)


async def test_private_xml_is_kept_by_namespace_and_name(stores: Stores) -> None:
    assert await stores.private.get(ALICE, "exodus:prefs", "exodus") is None
    await stores.private.put(ALICE, "exodus:prefs", "exodus", RAW)
    await stores.private.put(ALICE, "exodus:prefs", "Exodus", b"<other/>")
    await stores.private.put(ALICE, "exodus:prefs ", "exodus", b"<third/>")
    assert await stores.private.get(ALICE, "exodus:prefs", "exodus") == RAW
    assert await stores.private.get(ALICE, "exodus:prefs", "Exodus") == b"<other/>"
    assert await stores.private.get(ALICE, "exodus:prefs ", "exodus") == b"<third/>"
    await stores.private.put(ALICE, "exodus:prefs", "exodus", b"<new/>")
    assert await stores.private.get(ALICE, "exodus:prefs", "exodus") == b"<new/>"
    assert await stores.private.get(BOB, "exodus:prefs", "exodus") is None


async def test_private_xml_is_not_confused_by_where_the_namespace_ends(stores: Stores) -> None:
    await stores.private.put(ALICE, "urn:a", "bc", b"1")
    await stores.private.put(ALICE, "urn:ab", "c", b"2")
    assert await stores.private.get(ALICE, "urn:a", "bc") == b"1"
    assert await stores.private.get(ALICE, "urn:ab", "c") == b"2"


async def test_private_xml_may_be_big_and_its_namespace_long(stores: Stores) -> None:
    namespace, big = "urn:" + "n" * 100_000, b"\x00'\\" * 400_000
    await stores.private.put(ALICE, namespace, "storage", big)
    assert await stores.private.get(ALICE, namespace, "storage") == big
    assert await stores.private.get(ALICE, namespace + "n", "storage") is None


async def test_private_xml_is_measured_and_removed(stores: Stores) -> None:
    assert await stores.private.sizes(ALICE) == {}
    await stores.private.put(ALICE, "urn:a", "big", b"\x00\xff" * 500_000)
    await stores.private.put(ALICE, "urn:\xfc", "x", "<x>\xfc</x>".encode())
    assert await stores.private.sizes(ALICE) == {("urn:a", "big"): 1_000_000, ("urn:\xfc", "x"): 9}
    assert await stores.private.sizes(BOB) == {}
    await stores.private.remove(ALICE, "urn:a", "big")
    await stores.private.remove(ALICE, "urn:a", "big")
    await stores.private.remove(BOB, "urn:\xfc", "x")
    assert await stores.private.sizes(ALICE) == {("urn:\xfc", "x"): 9}
    assert await stores.private.get(ALICE, "urn:a", "big") is None


async def test_a_vcard_is_kept(stores: Stores) -> None:
    assert await stores.vcards.get(ALICE) is None
    await stores.vcards.put(ALICE, RAW)
    assert await stores.vcards.get(ALICE) == RAW
    await stores.vcards.put(ALICE, b"<vCard xmlns='vcard-temp'/>")
    assert await stores.vcards.get(ALICE) == b"<vCard xmlns='vcard-temp'/>"
    assert await stores.vcards.get(BOB) is None


async def test_vcards_of_several_accounts_are_put_at_once_or_not_at_all(stores: Stores) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    await stores.vcards.put_all({ALICE: b"<a/>", BOB: b"<b/>"})
    await stores.vcards.put_all({})
    assert [await stores.vcards.get(jid) for jid in (ALICE, BOB)] == [b"<a/>", b"<b/>"]
    with pytest.raises(NoSuchAccount):
        await stores.vcards.put_all({ALICE: b"<other/>", Jid("nobody@example.org"): b"<c/>"})
    assert await stores.vcards.get(ALICE) == b"<a/>"


def card(*lines: str) -> bytes:
    return f"<vCard xmlns='vcard-temp'>{''.join(lines)}</vCard>".encode()


NINA = card(
    "<FN>Dr. Nína O'Hara-Weiß</FN><NICKNAME>nin</NICKNAME>",
    "<N><FAMILY>O'Hara-Weiß</FAMILY><GIVEN>Nína</GIVEN></N>",
    "<EMAIL><INTERNET/><USERID>Nina.Weiss@example.org</USERID></EMAIL>",
    "<ORG><ORGNAME>Hospital</ORGNAME><ORGUNIT>Ward 7</ORGUNIT><ORGUNIT>Surgery</ORGUNIT></ORG>",
)


async def search(stores: Stores, *, limit: int = 9, domain: str = "example.org", **words: str) -> list[str]:
    wanted = tuple(WantedWord(SearchField(name), start) for name, start in words.items())
    found = await stores.vcards.search(domain, wanted, limit=limit)
    return sorted(each.account.text for each in found)


async def test_a_vcard_is_found_by_the_beginnings_of_its_words(stores: Stores) -> None:
    await stores.vcards.put(ALICE, NINA)
    for field, word in (
        ("fn", "dr"),
        ("fn", "nina"),
        ("fn", "weiss"),
        ("last", "har"),
        ("first", "n"),
        ("nick", "nin"),
        ("email", "nina.weiss@ex"),
        ("orgname", "hosp"),
        ("orgunit", "7"),
        ("orgunit", "surgery"),
    ):
        assert await search(stores, **{field: word}) == [ALICE.text], (field, word)
    for field, word in (("fn", "ina"), ("last", "nina"), ("nick", "nina"), ("email", "weiss"), ("fn", "%")):
        assert await search(stores, **{field: word}) == [], (field, word)
    assert await search(stores, fn="nina", orgunit="surg", email="nina") == [ALICE.text]
    assert await search(stores, fn="nina", orgunit="ward", nick="x") == []
    assert await search(stores, fn="nina", domain="example.com") == []
    [found] = await stores.vcards.search("example.org", (WantedWord(SearchField.NICK, "n"),), limit=9)
    assert found.values == {
        SearchField.FULL_NAME: "Dr. Nína O'Hara-Weiß",
        SearchField.LAST: "O'Hara-Weiß",
        SearchField.FIRST: "Nína",
        SearchField.NICK: "nin",
        SearchField.EMAIL: "Nina.Weiss@example.org",
        SearchField.ORGANIZATION: "Hospital",
        SearchField.UNIT: "Ward 7 Surgery",
    }


async def test_who_has_changed_his_vcard_is_found_by_the_new_one_alone(stores: Stores) -> None:
    await stores.vcards.put(ALICE, NINA)
    await stores.vcards.put(ALICE, card("<FN>Nina Nina nína</FN>"))
    assert await search(stores, fn="nina") == [ALICE.text]
    assert await search(stores, nick="nin") == []
    for private in (card("<FN>Nina</FN><CLASS><PRIVATE/></CLASS>"), b"<vCard xmlns='vcard-temp'/>", RAW):
        await stores.vcards.put_all({ALICE: private})
        assert await search(stores, fn="nina") == []
        await stores.vcards.put_all({ALICE: NINA})
        assert await search(stores, fn="nina") == [ALICE.text]


async def test_at_most_so_many_are_found_and_nobody_who_is_gone(stores: Stores) -> None:
    people = [Jid(f"nina{number}@example.org") for number in range(5)]
    for jid in people:
        await stores.accounts.create(jid, (), 1.0)
    await stores.vcards.put_all(dict.fromkeys(people, NINA))
    assert len(await search(stores, fn="nina")) == 5
    assert len(await search(stores, fn="nina", limit=3)) == 3
    await stores.removals.schedule(people[0], Removal(since=1.0, due=2.0))
    await stores.accounts.remove(people[1])
    assert await search(stores, fn="nina") == [jid.text for jid in people[2:]]
    await stores.renaming.rename(people[2], Jid("other@example.com"), local={"example.org", "example.com"})
    assert await search(stores, fn="nina") == [jid.text for jid in people[3:]]
    assert await search(stores, fn="nina", domain="example.com") == ["other@example.com"]


async def test_a_word_counts_only_so_far(stores: Stores) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    deseret, ezh = "\U00010428", "ʒ"  # of four octets and of two
    await stores.vcards.put(
        ALICE, card(f"<FN>{ezh * 90} {deseret * 500}</FN><NICKNAME>{'x ' * 5_000}</NICKNAME>")
    )
    await stores.vcards.put(BOB, card(f"<NICKNAME>{deseret * 500}</NICKNAME>"))
    assert await search(stores, fn=ezh * 60) == await search(stores, nick="x") == [ALICE.text]
    assert await search(stores, nick=deseret * 60) == [BOB.text]


async def test_a_vcard_may_be_big(stores: Stores) -> None:
    await stores.vcards.put(ALICE, b"\xff\x00" * 600_000)
    assert await stores.vcards.get(ALICE) == b"\xff\x00" * 600_000


async def test_blocked_addresses_are_a_set(stores: Stores) -> None:
    assert await stores.blocking.list(ALICE) == frozenset()
    spammer, server = Jid("spam@example.com"), Jid("example.net")
    await stores.blocking.add(ALICE, [spammer, server, spammer])
    await stores.blocking.add(ALICE, (jid for jid in [spammer, BOB]))
    await stores.blocking.add(ALICE, [])
    assert await stores.blocking.list(ALICE) == {spammer, server, BOB}
    await stores.blocking.remove(ALICE, [server, Jid("never@example.com")])
    await stores.blocking.remove(ALICE, [])
    found = await stores.blocking.list(ALICE)
    assert found == {spammer, BOB}
    assert all(isinstance(jid, Jid) for jid in found)
    assert await stores.blocking.list(BOB) == frozenset()
    await stores.blocking.clear(ALICE)
    assert await stores.blocking.list(ALICE) == frozenset()
    await stores.blocking.remove(BOB, [spammer])
    await stores.blocking.clear(BOB)


async def test_look_alikes_are_blocked_one_by_one(stores: Stores) -> None:
    cases = {
        *LOOK_ALIKES,
        Jid("a@example.org/Phone"),
        Jid("a@example.org/phone"),
        Jid("a@example.org/phone "),
    }
    await stores.blocking.add(ALICE, cases)
    assert await stores.blocking.list(ALICE) == cases
    await stores.blocking.remove(ALICE, [Jid("nina@example.org"), Jid("a@example.org/phone")])
    assert await stores.blocking.list(ALICE) == cases - {Jid("nina@example.org"), Jid("a@example.org/phone")}


async def test_the_longest_addresses_are_blocked_one_by_one(stores: Stores) -> None:
    longest = {long_jid("r" * 1022 + end) for end in "ab"}
    await stores.blocking.add(ALICE, longest)
    assert await stores.blocking.list(ALICE) == longest


async def test_nothing_is_stored_for_an_account_that_does_not_exist(stores: Stores) -> None:
    with pytest.raises(NoSuchAccount) as caught:
        await stores.private.put(BOB, "urn:x", "x", RAW)
    assert caught.value.condition == "item-not-found"
    with pytest.raises(NoSuchAccount):
        await stores.vcards.put(BOB, RAW)
    with pytest.raises(NoSuchAccount):
        await stores.blocking.add(BOB, [ALICE])
    await stores.accounts.create(BOB, (), 1.0)
    assert await stores.private.get(BOB, "urn:x", "x") is None
    assert await stores.vcards.get(BOB) is None
    assert await stores.blocking.list(BOB) == frozenset()


async def test_removing_an_account_clears_every_store_and_leaves_the_others(stores: Stores) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    token = FastToken(device="phone", mechanism="HT-SHA-256-NONE", digest=b"d", expires=2e9)
    version = ""
    for account, other in ((ALICE, BOB), (BOB, ALICE)):
        await stores.accounts.store_token(account, token)
        version = await stores.roster.put(account, RosterEntry(jid=other))
        await stores.private.put(account, "urn:x", "x", RAW)
        await stores.displayed.put(account, Displayed(other, "e-1", other), chats=9, octets=9_999)
        await stores.vcards.put(account, RAW)
        await stores.blocking.add(account, [other])
        await stores.documents.put(account, "urn:x", "x", RAW, expected=None)
    assert await stores.accounts.remove(ALICE)
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.accounts.tokens(ALICE, "phone") == ()
    assert await stores.roster.load(ALICE) == Roster(UNTOUCHED, ())
    assert await stores.private.get(ALICE, "urn:x", "x") is None
    assert await stores.displayed.list(ALICE) == ()
    assert await stores.vcards.get(ALICE) is None
    assert await stores.blocking.list(ALICE) == frozenset()
    assert await stores.documents.get(ALICE, "urn:x", "x") is None
    assert await stores.accounts.tokens(BOB, "phone") == (token,)
    assert await stores.roster.load(BOB) == Roster(version, (RosterEntry(jid=ALICE),))
    assert await stores.private.get(BOB, "urn:x", "x") == RAW
    assert await stores.displayed.list(BOB) == (Displayed(ALICE, "e-1", ALICE),)
    assert await stores.vcards.get(BOB) == RAW
    assert await stores.blocking.list(BOB) == {ALICE}
    kept = await stores.documents.get(BOB, "urn:x", "x")
    assert kept is not None
    assert kept.value == RAW


async def test_stores_answer_a_ping_and_close_twice(stores: Stores) -> None:
    await stores.ping()
    await stores.close()
    await stores.close()
