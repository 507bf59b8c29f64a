"""The contract of the groups port; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.samples import LOOK_ALIKES
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountRecord, NoSuchAccount
from tidings.ports.groups import (
    HISTORY,
    GroupExists,
    GroupFull,
    Member,
    NoSuchGroup,
    SharedGroup,
    StoredGroups,
)
from tidings.ports.stores import Stores

DOMAIN = "example.org"
ALICE, BOB, CAROL = (Jid(f"{name}@{DOMAIN}") for name in ("alice", "bob", "carol"))
SALES = SharedGroup(name="sales", label="Sales & more 💌", description="Who sells")


@pytest.fixture
async def three(stores: Stores) -> Stores:
    """Stores with three accounts."""
    for jid in (ALICE, BOB, CAROL):
        await stores.accounts.create(jid, (), 1.0)
    return stores


async def members(stores: Stores, name: str) -> dict[str, str]:
    state = await stores.groups.load(DOMAIN)
    return {
        each.jid.local: each.name for each in state.memberships if each.group == name and not each.removed
    }


async def group(stores: Stores, name: str) -> SharedGroup:
    return next(each for each in (await stores.groups.load(DOMAIN)).groups if each.name == name)


async def test_a_domain_begins_without_groups(stores: Stores) -> None:
    assert await stores.groups.load(DOMAIN) == StoredGroups()


async def test_a_group_is_given_back_as_it_was_made_and_changed(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    found = await group(three, "sales")
    assert (found.label, found.description, found.for_everybody, found.displayed) == (
        "Sales & more 💌",
        "Who sells",
        False,
        frozenset(),
    )
    with pytest.raises(GroupExists):
        await three.groups.create(DOMAIN, SALES)
    await three.groups.change(DOMAIN, SharedGroup(name="sales", label="S", displayed=frozenset({"b", "a"})))
    changed = await group(three, "sales")
    assert (changed.label, changed.description, changed.displayed) == ("S", "", {"a", "b"})
    assert changed.edited > found.edited
    with pytest.raises(NoSuchGroup):
        await three.groups.change(DOMAIN, SharedGroup(name="none"))
    assert await three.groups.load("other.example") == StoredGroups()


async def test_members_join_are_renamed_and_leave(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    assert await three.groups.add(DOMAIN, "sales", [Member(ALICE, "Alice"), Member(BOB)]) == 2
    assert await members(three, "sales") == {"alice": "Alice", "bob": ""}
    assert await three.groups.add(DOMAIN, "sales", [Member(ALICE, "Alice"), Member(BOB, "Bob")]) == 1
    assert await members(three, "sales") == {"alice": "Alice", "bob": "Bob"}
    assert await three.groups.drop(DOMAIN, "sales", [BOB, CAROL]) == 1
    assert await members(three, "sales") == {"alice": "Alice"}
    assert await three.groups.add(DOMAIN, "sales", [Member(BOB)]) == 1
    assert await members(three, "sales") == {"alice": "Alice", "bob": ""}


async def test_all_members_join_or_none(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    nobody = Jid(f"nobody@{DOMAIN}")
    with pytest.raises(NoSuchAccount):
        await three.groups.add(DOMAIN, "sales", [Member(ALICE), Member(nobody)])
    with pytest.raises(NoSuchGroup):
        await three.groups.add(DOMAIN, "none", [Member(ALICE)])
    with pytest.raises(NoSuchGroup):
        await three.groups.drop(DOMAIN, "none", [ALICE])
    assert await members(three, "sales") == {}


async def test_a_group_holds_only_so_many(three: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tidings.adapters.sql.groups", "tidings.adapters.memory.groups"):
        monkeypatch.setattr(f"{module}.MOST_MEMBERS", 2)
    await three.groups.create(DOMAIN, SALES)
    with pytest.raises(GroupFull):
        await three.groups.add(DOMAIN, "sales", [Member(ALICE), Member(BOB), Member(CAROL)])
    assert await members(three, "sales") == {}
    with pytest.raises(GroupFull):
        await three.groups.create(DOMAIN, SharedGroup(name="all", for_everybody=True))
    await three.accounts.remove(CAROL)
    await three.groups.create(DOMAIN, SharedGroup(name="all", for_everybody=True))
    await three.accounts.create(CAROL, (), 1.0)
    assert set(await members(three, "all")) == {"alice", "bob"}


async def test_what_has_changed_since_is_told_with_those_who_left(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    await three.groups.add(DOMAIN, "sales", [Member(ALICE), Member(BOB)])
    known = await three.groups.load(DOMAIN)
    await three.groups.drop(DOMAIN, "sales", [BOB])
    await three.groups.add(DOMAIN, "sales", [Member(CAROL)])
    later = await three.groups.load(DOMAIN, since=known.number)
    assert later.epoch == known.epoch
    assert later.number > known.number
    assert {(each.jid, each.removed) for each in later.memberships} == {(BOB, True), (CAROL, False)}
    (found,) = later.groups
    assert found.changed == max(each.changed for each in later.memberships)
    assert found.edited <= known.number
    assert (await three.groups.load(DOMAIN, since=later.number)).memberships == ()


async def test_those_who_left_long_ago_are_forgotten(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    await three.groups.add(DOMAIN, "sales", [Member(ALICE), Member(BOB)])
    await three.groups.drop(DOMAIN, "sales", [ALICE])
    left = (await three.groups.load(DOMAIN)).number
    for _ in range(HISTORY):
        await three.groups.drop(DOMAIN, "sales", [CAROL])
    state = await three.groups.load(DOMAIN)
    assert [each.jid for each in state.memberships] == [BOB]
    assert state.pruned >= left


async def test_a_removed_group_is_left_by_all(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    await three.groups.add(DOMAIN, "sales", [Member(ALICE), Member(BOB)])
    before = (await three.groups.load(DOMAIN)).number
    await three.groups.remove(DOMAIN, "sales")
    state = await three.groups.load(DOMAIN, since=before)
    assert state.groups == ()
    assert {(each.jid, each.removed) for each in state.memberships} == {(ALICE, True), (BOB, True)}
    with pytest.raises(NoSuchGroup):
        await three.groups.remove(DOMAIN, "sales")
    await three.groups.create(DOMAIN, SALES)
    assert await members(three, "sales") == {}


async def test_who_is_displayed_hears_of_the_end_of_it(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    await three.groups.create(DOMAIN, SharedGroup(name="boss", displayed=frozenset({"sales"})))
    shown = await group(three, "sales")
    await three.groups.change(DOMAIN, SharedGroup(name="boss"))
    assert (await group(three, "sales")).edited > shown.edited
    await three.groups.change(DOMAIN, SharedGroup(name="boss", displayed=frozenset({"sales"})))
    showing = await group(three, "boss")
    await three.groups.remove(DOMAIN, "sales")
    assert (await group(three, "boss")).edited > showing.edited


async def test_everybody_is_everybody_there_is_and_comes(three: Stores) -> None:
    await three.accounts.create(Jid("dora@other.example"), (), 1.0)
    await three.groups.create(DOMAIN, SharedGroup(name="all", for_everybody=True))
    assert set(await members(three, "all")) == {"alice", "bob", "carol"}
    before = (await three.groups.load(DOMAIN)).number
    await three.accounts.create(Jid(f"dan@{DOMAIN}"), (), 1.0)
    records = [AccountRecord(jid=Jid(f"{name}@{DOMAIN}"), keys=(), created=1.0) for name in ("eve", "fay")]
    await three.accounts.create_all(records)
    await three.accounts.create(Jid("eve@other.example"), (), 1.0)
    assert set(await members(three, "all")) == {"alice", "bob", "carol", "dan", "eve", "fay"}
    state = await three.groups.load(DOMAIN, since=before)
    assert {each.jid.local for each in state.memberships} == {"dan", "eve", "fay"}
    assert state.groups[0].changed > before


async def test_a_group_becomes_one_for_everybody(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    await three.groups.add(DOMAIN, "sales", [Member(ALICE, "Alice")])
    await three.groups.change(DOMAIN, SharedGroup(name="sales", for_everybody=True))
    assert await members(three, "sales") == {"alice": "Alice", "bob": "", "carol": ""}
    await three.groups.change(DOMAIN, SharedGroup(name="sales"))
    await three.accounts.create(Jid(f"dan@{DOMAIN}"), (), 1.0)
    assert set(await members(three, "sales")) == {"alice", "bob", "carol"}


async def test_a_removed_account_leaves_its_groups(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    await three.groups.add(DOMAIN, "sales", [Member(ALICE), Member(BOB)])
    before = (await three.groups.load(DOMAIN)).number
    await three.accounts.remove(ALICE)
    assert await members(three, "sales") == {"bob": ""}
    state = await three.groups.load(DOMAIN, since=before)
    assert [(each.jid, each.removed) for each in state.memberships] == [(ALICE, True)]
    await three.accounts.create(ALICE, (), 2.0)
    assert await members(three, "sales") == {"bob": ""}


async def test_a_cleared_domain_begins_anew(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    before = await three.groups.load(DOMAIN)
    await three.groups.clear(DOMAIN)
    assert await three.groups.load(DOMAIN) == StoredGroups()
    await three.groups.create(DOMAIN, SALES)
    assert (await three.groups.load(DOMAIN)).epoch != before.epoch


async def test_names_that_look_alike_are_different(stores: Stores) -> None:
    for name in LOOK_ALIKES:
        await stores.groups.create(DOMAIN, SharedGroup(name=name))
    assert len((await stores.groups.load(DOMAIN)).groups) == len(LOOK_ALIKES)


async def test_changes_at_the_same_time_all_count(three: Stores) -> None:
    await three.groups.create(DOMAIN, SALES)
    before = (await three.groups.load(DOMAIN)).number
    await asyncio.gather(
        *(three.groups.add(DOMAIN, "sales", [Member(jid)]) for jid in (ALICE, BOB, CAROL)),
        three.accounts.create(Jid(f"dan@{DOMAIN}"), (), 1.0),
    )
    state = await three.groups.load(DOMAIN, since=before)
    assert state.number == before + 3
    assert len({each.changed for each in state.memberships}) == 3
