"""Stories about the roster: RFC 6121 §2."""

import asyncio

import pytest

from tests.features.contacts.people import (
    CONTACTS,
    befriend,
    change,
    condition,
    interested,
    pushed,
    seen,
    show_roster,
    store,
)
from tests.harness.clock import VirtualClock
from tests.harness.world import World, memory_stores
from tidings.base.jid import Jid
from tidings.features.contacts.book import RosterOptions
from tidings.kernel.feature import StreamStage
from tidings.ports import roster as port
from tidings.ports.roster import UNTOUCHED, RosterEntry
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem, RosterQuery

BOB = Jid("bob@localhost")
CAROL = Jid("carol@other.test")


async def test_a_new_account_has_an_empty_roster(world):
    alice = await world.login("alice@localhost/phone")
    answer = await alice.request("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    query = answer.find("query", ns.ROSTER)
    assert (answer.get("type"), query.children, query.get("ver")) == ("result", [], UNTOUCHED)


async def test_a_contact_is_added_changed_and_removed_on_all_devices_that_show_the_roster(world):
    phone = await interested(world, "alice@localhost/phone")
    laptop = await interested(world, "alice@localhost/laptop")
    watch = await world.online("alice@localhost/watch")  # never asked for the roster
    phone.take()

    answer = await change(
        phone, "<item jid='bob@localhost' name='Bob'><group>Work</group><group>Friends</group></item>"
    )
    assert (answer.get("type"), answer.children) == ("result", [])
    added = RosterItem(BOB, "Bob", groups=("Friends", "Work"))
    assert (pushed(phone), pushed(laptop), pushed(watch)) == ([added], [added], [])

    await change(laptop, "<item jid='bob@localhost' name='Robert'/>")
    changed = RosterItem(BOB, "Robert")
    assert (pushed(phone), pushed(laptop)) == ([changed], [changed])
    assert await show_roster(watch) == [changed]

    await change(phone, "<item jid='bob@localhost' subscription='remove'/>")
    removed = RosterItem(BOB, subscription=ItemSubscription.REMOVE)
    assert (pushed(phone), pushed(laptop), pushed(watch)) == ([removed], [removed], [removed])
    assert await show_roster(phone) == []


async def test_the_roster_outlives_sessions_and_memory(world):
    phone = await interested(world, "alice@localhost/phone")
    await change(phone, "<item jid='bob@localhost' name='Bob'/>")
    await phone.leave()
    world.server.hosts["localhost"].directory.forget(phone.jid.bare)
    assert await show_roster(await world.login("alice@localhost/phone")) == [RosterItem(BOB, "Bob")]


async def test_a_client_cannot_give_itself_a_subscription(world):
    alice = await interested(world, "alice@localhost/phone")
    await change(alice, "<item jid='bob@localhost' subscription='both' ask='subscribe' approved='true'/>")
    assert pushed(alice) == [RosterItem(BOB)]


async def test_names_and_groups_change_without_touching_the_subscription(world):
    await befriend(world, "alice@localhost", "bob@localhost")
    alice = await interested(world, "alice@localhost/phone")
    await change(alice, "<item jid='bob@localhost' name='Bob' subscription='none'/>")
    assert pushed(alice) == [RosterItem(BOB, "Bob", ItemSubscription.BOTH)]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("", "bad-request"),
        ("<item jid='a@b'/><item jid='c@d'/>", "bad-request"),
        ("<item jid='a@b@c'/>", "jid-malformed"),
        ("<item jid='a@b'><group/></item>", "not-acceptable"),
        ("<item jid='a@b'><group>x</group><group>x</group></item>", "bad-request"),
        (f"<item jid='a@b' name='{'x' * 1024}'/>", "not-acceptable"),
        ("<item jid='nobody@localhost' subscription='remove'/>", "item-not-found"),
    ],
)
async def test_a_change_that_cannot_be_made_changes_nothing(world, item, expected):
    alice = await interested(world, "alice@localhost/phone")
    assert condition(await change(alice, item)) == expected
    assert pushed(alice) == []
    assert await show_roster(alice) == []


async def test_a_full_roster_takes_no_more():
    world = await World.start(features=CONTACTS, options={"roster": RosterOptions(max_entries=2)})
    alice = await interested(world, "alice@localhost/phone")
    await change(alice, "<item jid='a@b'/>")
    await change(alice, "<item jid='c@d'/>")
    assert condition(await change(alice, "<item jid='e@f'/>")) == "resource-constraint"
    await alice.send("<presence to='e@localhost' type='subscribe'/>")
    assert condition(alice.take("presence")[0]) == "resource-constraint"
    assert (await change(alice, "<item jid='c@d' name='D'/>")).get("type") == "result"
    await change(alice, "<item jid='a@b' subscription='remove'/>")
    assert (await change(alice, "<item jid='e@f'/>")).get("type") == "result"
    await world.stop()


async def test_an_account_that_is_stored_nowhere_has_no_roster():
    world = await World.start(domains=["anon.test"], features=CONTACTS, anonymous=["anon.test"])
    host = world.server.hosts["anon.test"]
    guest = await world.login("guest@anon.test/x")
    await world.stores.accounts.remove(guest.jid.bare)
    assert host.directory.get(guest.jid.bare).exists
    assert await show_roster(guest) == []
    assert condition(await change(guest, "<item jid='a@b'/>")) == "not-allowed"
    await world.stop()


# --- others' rosters


@pytest.mark.parametrize("kind", ["get", "set"])
async def test_nobody_reads_or_changes_the_roster_of_somebody_else(world, kind):
    alice = await interested(world, "alice@localhost/phone")
    mallory = await world.login("mallory@localhost/x")
    for owner in ("alice@localhost", "nobody@localhost"):
        query = "<query xmlns='jabber:iq:roster'><item jid='m@x'/></query>"
        answer = await mallory.request(f"<iq type='{kind}' id='m' to='{owner}'>{query}</iq>")
        assert condition(answer) == "forbidden"
    assert alice.take() == []


@pytest.mark.parametrize("sender", ["mallory@localhost/x", "mallory@other.test/x", "alice@localhost/laptop"])
async def test_a_forged_roster_push_reaches_nobody(world, sender):
    alice = await interested(world, "alice@localhost/phone")
    mallory = await world.login(sender)
    answer = await mallory.request(
        "<iq type='set' id='m' to='alice@localhost/phone'>"
        "<query xmlns='jabber:iq:roster'><item jid='mallory@localhost' subscription='both'/></query></iq>"
    )
    assert condition(answer) == "forbidden"
    assert alice.take() == []


# --- versions (§2.6)


async def version_of(client) -> str:
    answer = await client.request("<iq type='get' id='v'><query xmlns='jabber:iq:roster' ver=''/></iq>")
    return answer.find("query", ns.ROSTER).get("ver")


async def test_a_client_without_a_cache_gets_all_and_a_version(world):
    await store(world, "alice@localhost", RosterEntry(jid=BOB, name="Bob"))
    alice = await world.login("alice@localhost/phone")
    assert await show_roster(alice, "") == [RosterItem(BOB, "Bob")]
    assert await version_of(alice)


async def test_a_client_that_is_up_to_date_gets_an_empty_result(world):
    await store(world, "alice@localhost", RosterEntry(jid=BOB, name="Bob"))
    alice = await world.login("alice@localhost/phone")
    version = await version_of(alice)
    answer = await alice.request(
        f"<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='{version}'/></iq>"
    )
    assert (answer.get("type"), answer.children) == ("result", [])
    assert pushed(alice) == []


async def test_a_client_that_was_away_gets_what_has_changed_and_then_is_up_to_date(world):
    phone = await world.login("alice@localhost/phone")
    await change(phone, "<item jid='bob@localhost' name='Bob'/>")
    await change(phone, "<item jid='dora@localhost' name='Dora'/>")
    version = await version_of(phone)
    await change(phone, "<item jid='eve@localhost' name='Eve'/>")
    await change(phone, "<item jid='bob@localhost' subscription='remove'/>")
    phone.take()

    laptop = await world.login("alice@localhost/laptop")
    await laptop.send(f"<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='{version}'/></iq>")
    result, *pushes = laptop.take()
    assert (result.get("id"), result.get("type"), result.children) == ("r", "result", [])
    queries = [RosterQuery.decode(push.children[0]) for push in pushes]
    assert [item for query in queries for item in query.items] == [
        RosterItem(Jid("eve@localhost"), "Eve"),
        RosterItem(BOB, subscription=ItemSubscription.REMOVE),
    ]
    versions = [query.version for query in queries]
    assert len({version, *versions}) == 3  # each push has its own (§2.6.3)
    await laptop.send(f"<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='{versions[0]}'/></iq>")
    _, again = laptop.take()  # the stream broke there
    assert RosterQuery.decode(again.children[0]) == queries[1]
    answer = await laptop.request(
        f"<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='{queries[-1].version}'/></iq>"
    )
    assert answer.children == []


@pytest.mark.parametrize("version", ["0", "nonsense", "-1", "99999999999999999999999", "abcdef-1", "\u202e"])
async def test_a_version_of_another_roster_gets_everything(world, version):
    await store(world, "alice@localhost", RosterEntry(jid=BOB))
    alice = await world.login("alice@localhost/phone")
    assert {item.jid for item in await show_roster(alice, version)} | {i.jid for i in pushed(alice)} == {BOB}


async def test_every_result_and_push_carries_the_version_whether_it_was_asked_for(world):
    old = await world.login("alice@localhost/old")
    new = await world.login("alice@localhost/new")
    answer = await old.request("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    assert answer.find("query", ns.ROSTER).get("ver") == await version_of(new)
    await change(old, "<item jid='bob@localhost'/>")
    pushes = [client.take("iq")[0] for client in (old, new)]
    version = await version_of(new)
    assert [push.children[0].get("ver") for push in pushes] == [version, version]


async def test_a_roster_set_for_a_resource_that_is_not_there_is_answered_as_any_request(world):
    alice = await world.login("alice@localhost/phone")
    item = "<query xmlns='jabber:iq:roster'><item jid='eve@localhost'/></query>"
    answer = await alice.request(f"<iq type='set' id='a' to='bob@localhost/nobody'>{item}</iq>")
    assert condition(answer) == "service-unavailable"


# --- removal ends what there is (§2.5)


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        ("none", []),
        ("to", [("unsubscribe", "alice@localhost")]),
        ("from", [("unavailable", "alice@localhost/phone"), ("unsubscribed", "alice@localhost")]),
        (
            "both",
            [
                ("unavailable", "alice@localhost/phone"),
                ("unsubscribe", "alice@localhost"),
                ("unsubscribed", "alice@localhost"),
            ],
        ),
    ],
)
async def test_removing_a_contact_ends_both_subscriptions(world, subscription, expected):
    await befriend(world, "alice@localhost", "bob@localhost", port.Subscription(subscription))
    bob = await interested(world, "bob@localhost/desk")
    alice = await interested(world, "alice@localhost/phone")
    bob.take()
    await change(alice, "<item jid='bob@localhost' subscription='remove'/>")
    assert seen(bob) == expected
    assert pushed(alice) == [RosterItem(BOB, subscription=ItemSubscription.REMOVE)]
    assert [item.subscription for item in await show_roster(bob)] == [ItemSubscription.NONE]
    assert [kind for kind, _ in seen(alice) if kind != "unavailable"] == []


async def test_removing_a_contact_who_waits_for_an_answer_refuses_the_request(world):
    alice = await interested(world, "alice@localhost/phone")
    bob = await interested(world, "bob@localhost/desk")
    await change(alice, "<item jid='bob@localhost'/>")
    await bob.send("<presence to='alice@localhost' type='subscribe'/>")
    await change(alice, "<item jid='bob@localhost' subscription='remove'/>")
    assert ("unsubscribed", "alice@localhost") in seen(bob)
    assert [item.ask for item in await show_roster(bob)] == [False]


async def test_stream_features_offer_versions_and_pre_approval(world):
    host = world.server.hosts["localhost"]
    offered = {(e.name, e.namespace) for e in host.stream_features(StreamStage.AFTER_LOGIN)}
    assert {("ver", ns.ROSTER_VERSIONING), ("sub", ns.PRE_APPROVAL)} <= offered
    before = {(e.name, e.namespace) for e in host.stream_features(StreamStage.BEFORE_LOGIN)}
    assert before.isdisjoint({("ver", ns.ROSTER_VERSIONING), ("sub", ns.PRE_APPROVAL)})


class SlowRoster:
    """A store of rosters that writes nothing before `may_write` is set."""

    def __init__(self, store):
        self._store = store
        self.waiting = 0
        self.may_write = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def put(self, account, entry):
        self.waiting += 1
        await self.may_write.wait()
        return await self._store.put(account, entry)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_memory_and_store_agree_when_an_account_is_read_anew_while_a_change_waits():
    clock = VirtualClock()
    stores = await memory_stores(clock)
    stores.roster = slow = SlowRoster(stores.roster)
    world = await World.start(stores=stores, clock=clock)
    alice = await interested(world, "alice@localhost/phone")
    carol = await world.online("carol@other.test/desk")

    changing = asyncio.ensure_future(change(alice, "<item jid='bob@localhost'/>"))
    await until(lambda: slow.waiting)
    await stores.ledger.bump_version(alice.jid.bare)  # another process has changed what guards her archive
    carol.push("<message to='alice@localhost' type='chat' id='m'><body>hi</body></message>")
    await until(lambda: any(stanza.name == "message" for stanza in alice.received))
    slow.may_write.set()
    assert (await changing).get("type") == "result"

    assert [item.jid for item in pushed(alice)] == [BOB]
    assert [entry.jid for entry in (await stores.roster.load(alice.jid.bare)).entries] == [BOB]
    assert [item.jid for item in await show_roster(alice)] == [BOB]
    await world.stop()
