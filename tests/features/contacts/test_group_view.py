"""The group view against all that can happen: no version is mistaken, changes bring clients up to date."""

from __future__ import annotations

import random

import pytest

from tidings.adapters.memory import MemoryStores
from tidings.base.jid import Jid
from tidings.features.contacts.group_view import GroupView, merged, split_version
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.groups import GroupExists, Member, NoSuchGroup, SharedGroup
from tidings.ports.roster import RosterEntry

DOMAIN = "example.org"
PEOPLE = [Jid(f"{name}@{DOMAIN}") for name in ("ann", "ben", "cat", "dan", "eve")]
NAMES = ("a", "b", "c")

Shown = dict[Jid, RosterEntry]


def roster_of(view: GroupView, account: Jid) -> Shown:
    """Give what groups put on a roster, which is all that is on it here."""
    entries = (merged(jid, None, view.contact(account, jid)) for jid in view.contacts(account))
    return {entry.jid: entry for entry in entries if entry is not None and entry.listed}


async def do_something(chance: random.Random, stores: MemoryStores) -> None:
    """Change a group, who is in it, or who there is at all; some of it cannot be done."""
    name, who, groups = chance.choice(NAMES), chance.choice(PEOPLE), stores.groups
    displayed = frozenset(chance.sample(NAMES, chance.randrange(3))) - {name}
    group = SharedGroup(
        name=name, label=chance.choice("xy"), for_everybody=chance.random() < 0.2, displayed=displayed
    )
    try:
        match chance.randrange(12):
            case 0:
                await groups.create(DOMAIN, group)
            case 1:
                await groups.change(DOMAIN, group)
            case 2 if chance.random() < 0.3:
                await groups.remove(DOMAIN, name)
            case 3:
                await stores.accounts.remove(who)
            case 4 | 5 if not await stores.accounts.exists(who):
                await stores.accounts.create(who, (), 1.0)
            case 6 | 7:
                await groups.drop(DOMAIN, name, [who])
            case _:
                await groups.add(DOMAIN, name, [Member(who, chance.choice(("", "N")))])
    except (GroupExists, NoSuchGroup, NoSuchAccount):
        pass


@pytest.mark.parametrize("seed", range(25))
async def test_every_client_is_brought_up_to_date_from_every_version(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.adapters.memory.groups.HISTORY", 12)
    chance, stores, view = random.Random(seed), MemoryStores(), GroupView()
    for jid in PEOPLE:
        await stores.accounts.create(jid, (), 1.0)
    known: dict[Jid, dict[str, Shown]] = {jid: {} for jid in PEOPLE}
    told = 0
    for _ in range(80):
        await do_something(chance, stores)
        stored = await stores.groups.load(DOMAIN, since=view.number)
        whole = await stores.groups.load(DOMAIN)
        fresh = GroupView(whole, whole.memberships)
        view = view.with_changes(stored) or fresh
        for jid in PEOPLE:
            now, suffix = roster_of(view, jid), view.suffix(jid)
            assert now == roster_of(fresh, jid)
            assert suffix == fresh.suffix(jid)
            for version, before in known[jid].items():
                if version == suffix:
                    assert before == now
                    continue
                changed = view.changes_since(jid, *split_version(version)[1:])
                if changed is None:
                    continue
                told += 1
                after = {contact: entry for contact, entry in before.items() if contact not in changed}
                assert after | {contact: now[contact] for contact in changed if contact in now} == now
            known[jid][suffix] = now
    assert told >= 10


async def test_who_sees_whom_is_the_same_from_both_sides() -> None:
    chance, stores = random.Random(7), MemoryStores()
    for jid in PEOPLE:
        await stores.accounts.create(jid, (), 1.0)
    for _ in range(60):
        await do_something(chance, stores)
        stored = await stores.groups.load(DOMAIN)
        view = GroupView(stored, stored.memberships)
        for one in PEOPLE:
            assert one not in set(view.contacts(one))
            for other in view.watched(one):
                assert one in set(view.watchers(other))
            for other in view.watchers(one):
                assert one in set(view.watched(other))
