"""Shared groups as clients meet them: rosters, pushes, versions, presence, requests."""

import pytest

from tests.features.contacts.people import (
    befriend,
    change,
    condition,
    interested,
    pushed,
    seen,
    show_roster,
)
from tests.harness.clock import VirtualClock
from tests.harness.world import World, WorldClient, memory_stores
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.contacts import SharedGroups
from tidings.kernel.cluster import RETRY_SECONDS
from tidings.ports.groups import GroupStore, Member, SharedGroup, StoredGroups
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"
BOTH, REMOVED = ItemSubscription.BOTH, ItemSubscription.REMOVE


class Groups:
    """The shared groups of localhost, changed as an operator does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.stores.groups

    async def create(self, name: str, *users: str, label: str = "", **options: object) -> None:
        await self._store.create("localhost", SharedGroup(name=name, label=label or name.title(), **options))
        await self.add(name, *users)

    async def change(self, name: str, label: str, **options: object) -> None:
        await self._store.change("localhost", SharedGroup(name=name, label=label, **options))
        await self._tell()

    async def add(self, name: str, *users: str, called: str = "") -> None:
        for user in users:
            await self._world.register(user)
        await self._store.add("localhost", name, [Member(Jid(user), called) for user in users])
        await self._tell()

    async def drop(self, name: str, *users: str) -> None:
        await self._store.drop("localhost", name, [Jid(user) for user in users])
        await self._tell()

    async def remove(self, name: str) -> None:
        await self._store.remove("localhost", name)
        await self._tell()

    async def _tell(self) -> None:
        feature = self._world.server.hosts["localhost"].feature(SharedGroups)
        await feature.changed()
        await self._world.settle()


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world)


def member(user: str, *labels: str, name: str | None = None) -> RosterItem:
    return RosterItem(Jid(user), user.partition("@")[0] if name is None else name, BOTH, groups=labels)


async def roster_of(client: WorldClient) -> list[RosterItem]:
    return sorted(await show_roster(client), key=lambda item: item.jid.text)


async def version_of(client: WorldClient) -> str:
    answer = await client.request("<iq type='get' id='v'><query xmlns='jabber:iq:roster'/></iq>")
    return answer.find("query", ns.ROSTER).get("ver")


async def versions_pushed(client: WorldClient) -> list[str]:
    return [iq.children[0].get("ver") for iq in client.take("iq")]


async def test_members_have_each_other_on_their_rosters(world, groups):
    await groups.create("sales", ALICE, BOB, CAROL)
    client = await world.login(f"{ALICE}/phone")
    assert await roster_of(client) == [member(BOB, "Sales"), member(CAROL, "Sales")]


async def test_a_contact_of_ones_own_keeps_its_name_and_gets_the_group(world, groups):
    await befriend(world, ALICE, BOB)
    await groups.create("sales", ALICE, BOB)
    client = await world.login(f"{ALICE}/phone")
    await change(client, f"<item jid='{BOB}' name='Bobby'><group>Friends</group></item>")
    assert await roster_of(client) == [member(BOB, "Friends", "Sales", name="Bobby")]


async def test_a_joining_member_is_pushed_to_the_others_and_they_to_it(world, groups):
    await groups.create("sales", ALICE)
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    await groups.add("sales", BOB)
    assert pushed(alice) == [member(BOB, "Sales")]
    assert pushed(bob) == [member(ALICE, "Sales")]
    assert seen(alice) == [("", f"{BOB}/b")]
    assert seen(bob) == [("", f"{ALICE}/a")]


async def test_who_leaves_is_taken_from_the_rosters_and_seen_no_more(world, groups):
    await groups.create("sales", ALICE, BOB, CAROL)
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    alice.take()
    await groups.drop("sales", BOB)
    assert [(item.jid, item.subscription) for item in pushed(alice)] == [(BOB, REMOVED)]
    assert {(item.jid, item.subscription) for item in pushed(bob)} == {(ALICE, REMOVED), (CAROL, REMOVED)}
    assert seen(alice) == [("unavailable", f"{BOB}/b")]
    assert seen(bob) == [("unavailable", f"{ALICE}/a")]
    await bob.send("<presence><show>away</show></presence>")
    assert seen(alice) == []


async def test_friends_stay_friends_when_the_group_ends(world, groups):
    await befriend(world, ALICE, BOB)
    await groups.create("sales", ALICE, BOB)
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    alice.take()
    await groups.remove("sales")
    assert pushed(alice) == [RosterItem(Jid(BOB), "", BOTH)]
    assert seen(alice) == []
    await bob.send("<presence><show>away</show></presence>")
    assert seen(alice) == [("", f"{BOB}/b")]


async def test_presence_flows_between_members_as_between_friends(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await interested(world, f"{ALICE}/a")
    bob = await world.login(f"{BOB}/b")
    await bob.send("<presence/>")
    assert ("", f"{ALICE}/a") in seen(bob)
    assert seen(alice) == [("", f"{BOB}/b")]
    await bob.send(f"<presence type='probe' to='{ALICE}'/>")
    assert seen(bob) == [("", f"{ALICE}/a")]
    await bob.leave()
    assert seen(alice) == [("unavailable", f"{BOB}/b")]


async def test_who_asks_whether_somebody_may_know_gets_the_same_answer(world, groups):
    await groups.create("sales", ALICE, BOB)
    await interested(world, f"{ALICE}/a")
    bob = await world.login(f"{BOB}/b")
    stranger = await world.login(f"{CAROL}/c")
    last = f"<iq type='get' id='l' to='{ALICE}'><query xmlns='jabber:iq:last'/></iq>"
    assert (await bob.request(last)).get("type") == "result"
    assert (await stranger.request(last)).get("type") == "error"


async def test_a_blocked_member_does_not_see_the_other_come(world, groups):
    await groups.create("sales", ALICE)
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    await alice.request(
        f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{BOB}'/></block></iq>"
    )
    await groups.add("sales", BOB)
    assert pushed(bob) == [member(ALICE, "Sales")]
    assert seen(bob) == []


async def test_a_member_is_not_removed_by_a_client(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await interested(world, f"{ALICE}/a")
    answer = await change(alice, f"<item jid='{BOB}' subscription='remove'/>")
    assert condition(answer) == "not-allowed"
    assert "shared group: Sales" in answer.find("error").find("text", ns.STANZA_ERRORS).text
    assert await roster_of(alice) == [member(BOB, "Sales")]


async def test_a_member_gets_a_name_that_stays_and_goes(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await interested(world, f"{ALICE}/a")
    await change(alice, f"<item jid='{BOB}' name='Bobby'><group>Sales</group></item>")
    assert pushed(alice) == [member(BOB, "Sales", name="Bobby")]
    assert (await world.stores.roster.load(Jid(ALICE))).entries[0].groups == frozenset()
    answer = await change(alice, f"<item jid='{BOB}' subscription='remove'/>")
    assert answer.get("type") == "result"
    assert pushed(alice) == [member(BOB, "Sales")]


async def test_what_the_group_says_is_not_written_as_ones_own(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await interested(world, f"{ALICE}/a")
    await change(alice, f"<item jid='{BOB}' name='bob'/>")
    assert pushed(alice) == [member(BOB, "Sales")]
    assert (await world.stores.roster.load(Jid(ALICE))).entries == ()


async def test_operators_name_members(world, groups):
    await groups.create("sales", ALICE)
    alice = await interested(world, f"{ALICE}/a")
    await groups.add("sales", BOB, called="Bob Brown")
    await groups.add("sales", BOB, called="Bob Black")
    assert pushed(alice) == [member(BOB, "Sales", name=name) for name in ("Bob Brown", "Bob Black")]


async def test_a_group_gets_another_label(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await interested(world, f"{ALICE}/a")
    await groups.change("sales", "Shop")
    assert pushed(alice) == [member(BOB, "Shop")]
    assert seen(alice) == []


async def test_a_request_of_a_member_is_answered_at_once_and_changes_nothing(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    alice.take()
    await bob.send(f"<presence type='subscribe' to='{ALICE}'/>")
    assert [kind for kind, _ in seen(alice)] == []
    assert pushed(bob) == []
    assert ("", f"{ALICE}/a") in seen(bob)
    for user in (ALICE, BOB):
        assert (await world.stores.roster.load(Jid(user))).entries == ()


async def test_nobody_leaves_a_group_by_unsubscribing(world, groups):
    await befriend(world, ALICE, BOB)
    await groups.create("sales", ALICE, BOB)
    alice, bob = await interested(world, f"{ALICE}/a"), await interested(world, f"{BOB}/b")
    alice.take()
    await alice.send(f"<presence type='unsubscribe' to='{BOB}'/>")
    await alice.send(f"<presence type='unsubscribed' to='{BOB}'/>")
    assert ("unavailable", f"{ALICE}/a") not in seen(bob)
    assert await roster_of(alice) == [member(BOB, "Sales")]
    await groups.remove("sales")
    assert ("unavailable", f"{ALICE}/a") in seen(bob)  # they were friends, and are no more


async def test_a_request_that_waits_is_settled_by_the_group(world, groups):
    await world.register(ALICE)
    bob = await interested(world, f"{BOB}/b")
    await bob.send(f"<presence type='subscribe' to='{ALICE}'/>")
    await groups.create("sales", ALICE, BOB)
    bob.take()
    alice = await world.login(f"{ALICE}/a")
    await alice.send("<presence/>")
    assert ("subscribe", BOB) not in seen(alice)
    assert await roster_of(bob) == [member(ALICE, "Sales")]


# --- versions


async def test_a_client_that_was_away_gets_what_changed(world, groups):
    await groups.create("sales", ALICE, BOB, CAROL)
    alice = await world.login(f"{ALICE}/a")
    known = await version_of(alice)
    assert await show_roster(alice, known) == []
    await alice.leave()
    await groups.add("sales", "dora@localhost")
    await groups.drop("sales", BOB)
    alice = await world.login(f"{ALICE}/a")
    assert await show_roster(alice, known) == []
    assert [(item.jid, item.subscription) for item in pushed(alice)] == [
        ("dora@localhost", BOTH),
        (BOB, REMOVED),
    ]
    now = await version_of(alice)
    assert now != known
    assert await show_roster(alice, now) == []
    assert pushed(alice) == []


async def test_a_client_that_is_cut_off_between_changes_loses_none(world, groups):
    await groups.create("sales", ALICE, BOB, CAROL)
    alice = await world.login(f"{ALICE}/a")
    await change(alice, "<item jid='juliet@capulet.example'/>")
    known = await version_of(alice)
    await change(alice, "<item jid='romeo@capulet.example'/>")
    await groups.add("sales", "dora@localhost", "emil@localhost")
    alice.take()
    await show_roster(alice, known)
    versions = await versions_pushed(alice)
    assert len(set(versions)) == 3
    assert versions[-1] == await version_of(alice)
    await show_roster(alice, versions[0])
    assert {item.jid for item in pushed(alice)} == {"dora@localhost", "emil@localhost"}
    await show_roster(alice, versions[1])
    assert {item.jid for item in pushed(alice)} == {"dora@localhost", "emil@localhost"}


async def test_pushes_have_the_version_that_the_roster_has_then(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await interested(world, f"{ALICE}/a")
    await groups.add("sales", CAROL)
    [version] = await versions_pushed(alice)
    assert version == await version_of(alice)
    await change(alice, f"<item jid='{CAROL}' name='Caro'/>")
    [later] = await versions_pushed(alice)
    assert later == await version_of(alice) != version


async def test_whoever_joined_or_left_while_away_is_told_of_all(world, groups):
    await groups.create("sales", BOB, CAROL)
    await groups.create("shop", ALICE, "dora@localhost")
    alice = await world.login(f"{ALICE}/a")
    known = await version_of(alice)
    await alice.leave()
    await groups.add("sales", ALICE)
    await groups.drop("shop", ALICE)
    alice = await world.login(f"{ALICE}/a")
    whole = await show_roster(alice, known)
    told = {(item.jid, item.subscription) for item in (*whole, *pushed(alice))}
    assert told >= {(BOB, BOTH), (CAROL, BOTH)}
    assert ("dora@localhost", BOTH) not in told
    assert [item.jid for item in await roster_of(alice)] == [BOB, CAROL]


async def test_an_edited_group_is_told_as_a_whole(world, groups):
    await groups.create("sales", ALICE, BOB)
    alice = await world.login(f"{ALICE}/a")
    known = await version_of(alice)
    await alice.leave()
    await groups.change("sales", "Shop")
    alice = await world.login(f"{ALICE}/a")
    assert await show_roster(alice, known) == [member(BOB, "Shop")]


async def test_groups_of_others_change_no_version(world, groups):
    await befriend(world, ALICE, "dora@localhost")
    alice = await interested(world, f"{ALICE}/a")
    known = await version_of(alice)
    await groups.create("sales", BOB, CAROL)
    assert await version_of(alice) == known
    assert pushed(alice) == []


@pytest.mark.parametrize("version", ["nonsense", "0.", "0.x", "0.x-", "0.x-99999999999999999999", ".-1~x"])
async def test_a_version_of_no_meaning_gets_the_whole_roster(world, groups, version):
    await groups.create("sales", ALICE, BOB)
    alice = await world.login(f"{ALICE}/a")
    assert await show_roster(alice, version) == [member(BOB, "Sales")]


# --- everybody, accounts, displayed groups


async def test_a_group_for_everybody_has_all_who_come(world, groups):
    await world.register(ALICE)
    await groups.create("all", for_everybody=True)
    alice = await interested(world, f"{ALICE}/a")
    await world.context.accounts.create(Jid(BOB), "secret")
    assert pushed(alice) == [member(BOB, "All")]
    bob = await interested(world, f"{BOB}/b")
    assert seen(alice) == [("", f"{BOB}/b")]
    await world.context.accounts.remove(Jid(BOB))
    await world.settle()
    assert [(item.jid, item.subscription) for item in pushed(alice)] == [(BOB, REMOVED)]
    assert seen(alice) == [("unavailable", f"{BOB}/b")]
    assert bob.closed


async def test_members_see_those_of_a_displayed_group_and_are_not_listed_there(world, groups):
    await groups.create("sales", ALICE)
    await groups.create("bosses", CAROL, displayed=frozenset({"sales"}))
    alice, carol = await interested(world, f"{ALICE}/a"), await interested(world, f"{CAROL}/c")
    assert await roster_of(carol) == [RosterItem(Jid(ALICE), "alice", ItemSubscription.TO, groups=("Sales",))]
    assert await roster_of(alice) == []
    carol.take()
    await alice.send("<presence><show>away</show></presence>")
    assert seen(carol) == [("", f"{ALICE}/a")]
    alice.take()
    await carol.send("<presence><show>away</show></presence>")
    assert seen(alice) == []
    await groups.change("bosses", "Bosses")
    assert [(item.jid, item.subscription) for item in pushed(carol)] == [(ALICE, REMOVED)]
    assert ("unavailable", f"{ALICE}/a") in seen(carol)


async def test_groups_that_display_each_other_see_each_other(world, groups):
    await groups.create("sales", ALICE, displayed=frozenset({"bosses"}))
    await groups.create("bosses", CAROL, displayed=frozenset({"sales"}))
    alice, carol = await interested(world, f"{ALICE}/a"), await interested(world, f"{CAROL}/c")
    assert await roster_of(alice) == [member(CAROL, "Bosses")]
    assert await roster_of(carol) == [member(ALICE, "Sales")]
    await groups.add("sales", BOB)
    assert pushed(carol) == [member(BOB, "Sales")]


# --- the store


class Silent:
    """The store of groups on a day on which its database cannot be read."""

    def __init__(self, store: GroupStore) -> None:
        self.is_silent = False
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def load(self, domain: str, *, since: int = 0) -> StoredGroups:
        if self.is_silent:
            raise BackendError("the database does not answer")
        return await self._store.load(domain, since=since)


@pytest.fixture
async def quiet():
    """Give a server whose store of groups can fall silent."""
    clock = VirtualClock()
    stores = await memory_stores(clock)
    stores.groups = Silent(stores.groups)
    world = await World.start(("localhost",), stores=stores, clock=clock)
    yield world
    await world.stop()


async def test_a_login_reads_no_groups(quiet):
    groups = Groups(quiet)
    await groups.create("sales", ALICE, BOB)
    quiet.stores.groups.is_silent = True
    bob = await interested(quiet, f"{BOB}/b")
    alice = await quiet.login(f"{ALICE}/a")
    await alice.send("<presence/>")
    assert await roster_of(alice) == [member(BOB, "Sales")]
    assert seen(bob) == [("", f"{ALICE}/a")]


async def test_a_change_that_could_not_be_read_is_told_later(quiet):
    groups = Groups(quiet)
    await groups.create("sales", ALICE)
    alice = await interested(quiet, f"{ALICE}/a")
    await quiet.register(BOB)
    quiet.stores.groups.is_silent = True
    with pytest.raises(BackendError):
        await groups.add("sales", BOB)
    await quiet.settle()
    assert pushed(alice) == []
    quiet.stores.groups.is_silent = False
    quiet.clock.advance(RETRY_SECONDS)
    await quiet.settle()
    assert pushed(alice) == [member(BOB, "Sales")]
