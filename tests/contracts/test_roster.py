"""The contract of the roster port; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.samples import ALICE, BOB, LONGEST, LOOK_ALIKES, long_jid
from tidings.adapters.sql import open_stores
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.roster import (
    HISTORY,
    UNTOUCHED,
    Roster,
    RosterChange,
    RosterEntry,
    RosterRemoval,
    RosterStore,
    Subscription,
    parse_version,
)
from tidings.ports.stores import Stores

JULIET = Jid("juliet@example.com")
ROMEO = Jid("romeo@example.net")


@pytest.fixture
async def roster(stores: Stores) -> RosterStore:
    """The roster port with an account for Alice."""
    await stores.accounts.create(ALICE, (), 1.0)
    return stores.roster


def entry(jid: Jid = JULIET, name: str = "", **states: object) -> RosterEntry:
    return RosterEntry(jid=jid, name=name, **states)


def number(version: str) -> int:
    parsed = parse_version(version)
    assert parsed is not None
    return parsed[1]


async def test_a_roster_begins_empty(roster: RosterStore) -> None:
    assert await roster.load(ALICE) == Roster(UNTOUCHED, ())
    assert await roster.load(BOB) == Roster(UNTOUCHED, ())
    assert await roster.changes_since(ALICE, UNTOUCHED) == ()


@pytest.mark.parametrize("subscription", Subscription)
async def test_every_state_is_given_back(roster: RosterStore, subscription: Subscription) -> None:
    full = entry(
        name="Júlia 💌",
        groups=frozenset({"Friends", "friends", "", 'Familie & "Co"'}),
        subscription=subscription,
        ask=True,
        approved=True,
        pending_in=b"<presence type='subscribe'/>\x00\xff",
    )
    version = await roster.put(ALICE, full)
    loaded = await roster.load(ALICE)
    assert loaded == Roster(version, (full,))
    assert isinstance(loaded.entries[0].subscription, Subscription)
    assert isinstance(loaded.entries[0].ask, bool)


async def test_a_put_replaces_the_entry_of_the_contact(roster: RosterStore) -> None:
    await roster.put(ALICE, entry(name="J", groups=frozenset({"a"}), ask=True))
    await roster.put(ALICE, entry(ROMEO))
    version = await roster.put(ALICE, entry(name="Juliet"))
    loaded = await roster.load(ALICE)
    assert loaded.version == version
    assert set(loaded.entries) == {entry(name="Juliet"), entry(ROMEO)}


async def test_versions_count_visible_changes(roster: RosterStore) -> None:
    versions = [
        await roster.put(ALICE, entry()),
        await roster.put(ALICE, entry(name="Juliet")),
        await roster.put(ALICE, entry(ROMEO)),
        await roster.remove(ALICE, JULIET),
    ]
    assert [number(version) for version in versions] == [1, 2, 3, 4]
    assert len({version.rpartition("-")[0] for version in versions}) == 1
    assert await roster.remove(ALICE, JULIET) == versions[-1]
    assert await roster.put(ALICE, entry(ROMEO)) == versions[-1]
    assert await roster.put(ALICE, entry(ROMEO, pending_in=b"<presence/>")) == versions[-1]
    assert (await roster.load(ALICE)).version == versions[-1]


async def test_changes_since_tells_the_last_of_each_contact(roster: RosterStore) -> None:
    start = await roster.put(ALICE, entry())
    await roster.put(ALICE, entry(ROMEO, name="R"))
    renamed = await roster.put(ALICE, entry(name="Juliet"))
    await roster.put(ALICE, entry(BOB))
    removed = await roster.remove(ALICE, BOB)
    end = await roster.put(ALICE, entry(ROMEO, name="Romeo"))
    assert await roster.changes_since(ALICE, start) == (
        RosterChange(renamed, entry(name="Juliet")),
        RosterChange(removed, RosterRemoval(BOB)),
        RosterChange(end, entry(ROMEO, name="Romeo")),
    )
    assert await roster.changes_since(ALICE, removed) == (RosterChange(end, entry(ROMEO, name="Romeo")),)
    assert await roster.changes_since(ALICE, end) == ()


async def test_an_empty_roster_is_a_version_to_go_on_from(roster: RosterStore) -> None:
    end = await roster.put(ALICE, entry())
    assert await roster.changes_since(ALICE, UNTOUCHED) == (RosterChange(end, entry()),)


async def test_a_contact_that_returns_is_no_removal(roster: RosterStore) -> None:
    start = await roster.put(ALICE, entry())
    await roster.remove(ALICE, JULIET)
    end = await roster.put(ALICE, entry(name="again"))
    assert await roster.changes_since(ALICE, start) == (RosterChange(end, entry(name="again")),)


@pytest.mark.parametrize(
    "version", ["", "1", "nonsense", "-1", "-", "x-", "x-1", "x-²", "9" * 40, "x-" + "9" * 40]
)
async def test_a_strange_version_needs_the_whole_roster(roster: RosterStore, version: str) -> None:
    await roster.put(ALICE, entry())
    assert await roster.changes_since(ALICE, version) is None


async def test_a_version_of_the_future_needs_the_whole_roster(roster: RosterStore) -> None:
    version = await roster.put(ALICE, entry())
    epoch = version.rpartition("-")[0]
    assert await roster.changes_since(ALICE, f"{epoch}-2") is None


async def test_a_version_of_a_removed_account_is_not_known_to_its_successor(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    old = await stores.roster.put(ALICE, entry())
    await stores.accounts.remove(ALICE)
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.roster.load(ALICE) == Roster(UNTOUCHED, ())
    assert await stores.roster.changes_since(ALICE, old) is None
    new = await stores.roster.put(ALICE, entry(ROMEO))
    assert number(new) == number(old)
    assert await stores.roster.changes_since(ALICE, old) is None


async def test_a_version_too_old_needs_the_whole_roster(roster: RosterStore) -> None:
    start = await roster.put(ALICE, entry(ROMEO))
    await roster.remove(ALICE, ROMEO)
    for turn in range(HISTORY - 1):
        await roster.put(ALICE, entry(name=str(turn)))
    changes = await roster.changes_since(ALICE, start)
    assert changes is not None
    assert [change.contact for change in changes] == [RosterRemoval(ROMEO), entry(name=str(HISTORY - 2))]
    await roster.remove(ALICE, JULIET)
    assert await roster.changes_since(ALICE, start) is None
    assert await roster.changes_since(ALICE, UNTOUCHED) is None
    assert (await roster.load(ALICE)).entries == ()


async def test_an_unlisted_request_is_kept_but_changes_no_version(roster: RosterStore) -> None:
    request = entry(listed=False, pending_in=b"<presence type='subscribe'/>")
    assert await roster.put(ALICE, request) == UNTOUCHED
    assert await roster.load(ALICE) == Roster(UNTOUCHED, (request,))
    assert await roster.changes_since(ALICE, UNTOUCHED) == ()
    assert await roster.remove(ALICE, JULIET) == UNTOUCHED
    assert await roster.load(ALICE) == Roster(UNTOUCHED, ())


async def test_an_entry_that_becomes_unlisted_is_told_as_a_removal(roster: RosterStore) -> None:
    start = await roster.put(ALICE, entry())
    unlisted = await roster.put(ALICE, entry(listed=False, pending_in=b"<presence/>"))
    assert number(unlisted) == number(start) + 1
    assert await roster.changes_since(ALICE, start) == (RosterChange(unlisted, RosterRemoval(JULIET)),)
    assert await roster.remove(ALICE, JULIET) == unlisted
    assert await roster.changes_since(ALICE, start) == (RosterChange(unlisted, RosterRemoval(JULIET)),)


async def test_a_request_over_a_removed_contact_keeps_the_removal(roster: RosterStore) -> None:
    start = await roster.put(ALICE, entry())
    removed = await roster.remove(ALICE, JULIET)
    await roster.put(ALICE, entry(listed=False, pending_in=b"<presence/>"))
    assert await roster.changes_since(ALICE, start) == (RosterChange(removed, RosterRemoval(JULIET)),)
    listed = await roster.put(ALICE, entry(name="Juliet"))
    assert await roster.changes_since(ALICE, start) == (RosterChange(listed, entry(name="Juliet")),)


async def test_removing_what_is_not_there_changes_nothing(roster: RosterStore) -> None:
    assert await roster.remove(ALICE, JULIET) == UNTOUCHED


async def test_a_roster_needs_an_account(roster: RosterStore) -> None:
    with pytest.raises(NoSuchAccount):
        await roster.put(BOB, entry())
    with pytest.raises(NoSuchAccount):
        await roster.remove(BOB, JULIET)
    assert await roster.load(BOB) == Roster(UNTOUCHED, ())


async def test_rosters_of_two_accounts_are_apart(stores: Stores) -> None:
    for account in (ALICE, BOB):
        await stores.accounts.create(account, (), 1.0)
    ours = await stores.roster.put(ALICE, entry(name="ours"))
    theirs = await stores.roster.put(BOB, entry(name="theirs"))
    await stores.roster.remove(BOB, JULIET)
    assert await stores.roster.load(ALICE) == Roster(ours, (entry(name="ours"),))
    assert await stores.roster.changes_since(ALICE, theirs) is None


async def test_look_alike_contacts_are_different(roster: RosterStore) -> None:
    contacts = [
        *LOOK_ALIKES,
        *(jid.with_resource(name) for jid in LOOK_ALIKES for name in ("Phone", "phone", "phone ", "phoné")),
    ]
    for turn, jid in enumerate(contacts):
        await roster.put(ALICE, entry(jid, name=f"{turn}"))
    loaded = await roster.load(ALICE)
    assert {found.jid: found.name for found in loaded.entries} == {
        jid: f"{turn}" for turn, jid in enumerate(contacts)
    }
    await roster.remove(ALICE, contacts[0])
    assert len((await roster.load(ALICE)).entries) == len(contacts) - 1


async def test_the_longest_contacts_are_different(stores: Stores) -> None:
    await stores.accounts.create(LONGEST, (), 1.0)
    contacts = [long_jid("é" * 511 + end) for end in "ab"]
    assert [len(jid.encode()) for jid in contacts] == [3071, 3071]
    for jid in contacts:
        await stores.roster.put(LONGEST, entry(jid, name="n" * 1023))
    loaded = await stores.roster.load(LONGEST)
    assert set(loaded.entries) == {entry(jid, name="n" * 1023) for jid in contacts}


async def test_trailing_spaces_and_case_of_texts_are_kept(roster: RosterStore) -> None:
    kept = entry(name="Juliet  ", groups=frozenset({"A", "a", "a ", " a"}))
    await roster.put(ALICE, kept)
    assert (await roster.load(ALICE)).entries == (kept,)


async def test_concurrent_writers_count_without_gaps(roster: RosterStore) -> None:
    contacts = [Jid(f"contact{turn}@example.com") for turn in range(40)]
    versions = await asyncio.gather(*(roster.put(ALICE, entry(jid)) for jid in contacts))
    assert sorted(map(number, versions)) == list(range(1, 41))
    assert {found.jid for found in (await roster.load(ALICE)).entries} == set(contacts)


async def test_writers_of_two_processes_count_without_gaps(database_url: str) -> None:
    # Two stores with connections of their own meet in the database as two processes do.
    one, other = (
        await open_stores(database_url, lock_seconds=20),
        await open_stores(database_url, lock_seconds=20),
    )
    try:
        await one.accounts.create(ALICE, (), 1.0)
        versions = await asyncio.gather(
            *(
                stores.roster.put(ALICE, entry(Jid(f"{name}{turn}@example.com")))
                for turn in range(30)
                for name, stores in (("one", one), ("other", other))
            )
        )
        assert sorted(map(number, versions)) == list(range(1, 61))
        loaded = await other.roster.load(ALICE)
        assert len(loaded.entries) == 60
        assert number(loaded.version) == 60
    finally:
        await one.close()
        await other.close()


async def test_a_reader_never_sees_a_version_without_its_entries(database_url: str) -> None:
    stores = await open_stores(database_url)
    try:
        await stores.accounts.create(ALICE, (), 1.0)

        async def write() -> None:
            for turn in range(60):
                await stores.roster.put(ALICE, entry(Jid(f"contact{turn}@example.com")))

        writing = asyncio.ensure_future(write())
        while not writing.done():
            loaded = await stores.roster.load(ALICE)
            assert len(loaded.entries) == number(loaded.version)
        await writing
    finally:
        await stores.close()


async def test_a_big_roster_loads_whole(roster: RosterStore) -> None:
    entries = {
        entry(Jid(f"contact{turn}@example.com"), name=f"Contact {turn}", groups=frozenset({"A", "B"}))
        for turn in range(300)
    }
    for one in entries:
        await roster.put(ALICE, one)
    assert set((await roster.load(ALICE)).entries) == entries


async def test_entries_of_several_accounts_are_put_at_once_or_not_at_all(stores: Stores) -> None:
    for jid in (ALICE, BOB):
        await stores.accounts.create(jid, (), 1.0)
    await stores.roster.put(ALICE, entry(JULIET, "old"))
    first, second = entry(JULIET, "Juliet", groups=frozenset({"x"})), entry(ROMEO)
    await stores.roster.put_all({ALICE: [first, second], BOB: [first]})
    assert set((await stores.roster.load(ALICE)).entries) == {first, second}
    assert (await stores.roster.load(BOB)).entries == (first,)
    known = parse_version((await stores.roster.load(ALICE)).version)
    assert known is not None
    assert known[1] == 3
    with pytest.raises(NoSuchAccount):
        await stores.roster.put_all({ALICE: [entry(ROMEO, "other")], Jid("nobody@example.org"): [first]})
    assert set((await stores.roster.load(ALICE)).entries) == {first, second}
