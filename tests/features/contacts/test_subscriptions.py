"""Stories about subscriptions: RFC 6121 §3, between accounts of one host and of two."""

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
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.contacts.book import BOOK, RosterOptions
from tidings.kernel.events import AccountRemoved
from tidings.ports import roster as port
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

ALICE = Jid("alice@localhost")
BOBS = ["bob@localhost", "bob@other.test"]


async def roster(client) -> dict[str, tuple[str, bool]]:
    return {str(item.jid): (item.subscription.value, item.ask) for item in await show_roster(client)}


@pytest.fixture(params=BOBS)
async def two(world, request):
    """Alice with two devices and Bob with one, on the same host and on another."""
    phone = await interested(world, "alice@localhost/phone")
    laptop = await interested(world, "alice@localhost/laptop", "<presence><priority>5</priority></presence>")
    bob = await interested(world, f"{request.param}/desk")
    phone.take()
    return phone, laptop, bob


async def test_a_request_is_granted_and_then_returned(two):
    phone, laptop, bob = two
    contact = bob.jid.bare

    # §3.1.2, §3.1.3: Alice asks; all her devices see that she waits, Bob gets the request from the account
    await phone.send(
        f"<presence to='{contact}' type='subscribe' id='ask'><status>It is me</status></presence>"
    )
    waiting = RosterItem(contact, ask=True)
    assert (pushed(phone), pushed(laptop)) == ([waiting], [waiting])
    [request] = bob.take("presence")
    assert (request.get("type"), request.get("from"), request.get("to")) == ("subscribe", ALICE, contact)
    assert request.get("id") == "ask"
    assert request.text_of("status") == "It is me"
    assert (pushed(bob), await roster(bob)) == ([], {})

    # §3.1.5, §3.1.6: Bob grants it; Alice sees him at once
    await bob.send("<presence to='alice@localhost/phone' type='subscribed'/>")
    assert pushed(bob) == [RosterItem(ALICE, subscription=ItemSubscription.FROM)]
    granted = RosterItem(contact, subscription=ItemSubscription.TO)
    for device in (phone, laptop):
        assert pushed(device) == [granted]
        assert seen(device) == [("subscribed", contact), ("", bob.jid)]

    # §3.1.4: and the other way round
    await bob.send("<presence to='alice@localhost' type='subscribe'/>")
    await laptop.send(f"<presence to='{contact}' type='subscribed'/>")
    assert [item.subscription for item in pushed(bob)] == [ItemSubscription.FROM, ItemSubscription.BOTH]
    assert seen(bob) == [("subscribed", ALICE), ("", phone.jid), ("", laptop.jid)]
    assert await roster(phone) == {contact: ("both", False)}


async def test_a_request_is_refused(two):
    phone, laptop, bob = two
    await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe'/>")
    phone.take(), laptop.take(), bob.take()
    await bob.send("<presence to='alice@localhost' type='unsubscribed'/>")
    for device in (phone, laptop):
        assert seen(device) == [("unsubscribed", bob.jid.bare)]
        assert pushed(device) == [RosterItem(bob.jid.bare)]
    assert (bob.take(), await roster(bob)) == ([], {})


async def test_a_request_is_withdrawn(two):
    phone, _, bob = two
    await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe'/>")
    await phone.send(f"<presence to='{bob.jid.bare}' type='unsubscribe'/>")
    assert seen(bob) == [("subscribe", ALICE), ("unsubscribe", ALICE)]
    again = await bob.world.login(f"{bob.jid.bare}/again")
    await again.send("<presence/>")
    assert ("subscribe", ALICE) not in seen(again)


async def test_a_subscription_is_cancelled_by_the_one_who_is_seen(world, two):
    phone, laptop, bob = two
    await friends(world, phone, bob)
    await bob.send("<presence to='alice@localhost' type='unsubscribed'/>")
    # §3.2.2: unavailable comes while Alice may still see it, then the cancellation
    for device in (phone, laptop):
        assert seen(device) == [("unavailable", bob.jid), ("unsubscribed", bob.jid.bare)]
        assert pushed(device) == [RosterItem(bob.jid.bare, subscription=ItemSubscription.FROM)]
    assert pushed(bob) == [RosterItem(ALICE, subscription=ItemSubscription.TO)]
    await bob.send("<presence><show>away</show></presence>")
    assert seen(phone) == []


async def test_a_subscription_is_left_by_the_one_who_sees(world, two):
    phone, laptop, bob = two
    await friends(world, phone, bob)
    await phone.send(f"<presence to='{bob.jid.bare}' type='unsubscribe'/>")
    assert seen(bob) == [("unsubscribe", ALICE)]
    assert pushed(bob) == [RosterItem(ALICE, subscription=ItemSubscription.TO)]
    # §3.3.3: Bob is gone for Alice
    for device in (phone, laptop):
        assert seen(device) == [("unavailable", bob.jid)]
        assert pushed(device) == [RosterItem(bob.jid.bare, subscription=ItemSubscription.FROM)]


async def friends(world, phone, bob):
    await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe'/>")
    await bob.send("<presence to='alice@localhost' type='subscribed'/>")
    await bob.send("<presence to='alice@localhost' type='subscribe'/>")
    await phone.send(f"<presence to='{bob.jid.bare}' type='subscribed'/>")
    for session in list(world.server.sessions()):
        session.link._client.take()  # all that this has caused


@pytest.mark.parametrize("bob", BOBS)
async def test_a_request_waits_for_one_who_is_away_until_it_is_answered(world, bob):
    """§3.1.3, rule 4: with all that was in it, at every new start, also after the account has left memory."""
    alice = await interested(world, "alice@localhost/phone")
    await world.register(bob)
    await alice.send(
        f"<presence to='{bob}' type='subscribe' xml:lang='fr'>"
        "<status>Salut</status><x xmlns='u:x'/></presence>"
    )
    alice.take()
    for _ in range(2):
        world.server.hosts[Jid(bob).domain].directory.forget(Jid(bob))
        desk = await interested_without_taking(world, f"{bob}/desk")
        [request] = [p for p in desk.take("presence") if p.get("type") == "subscribe"]
        assert (request.get("from"), request.get("to"), request.get("xml:lang")) == (ALICE, bob, "fr")
        assert request.text_of("status") == "Salut"
        assert request.find("x", "u:x") is not None
        assert await show_roster(desk) == []
        await desk.leave()
    desk = await world.online(f"{bob}/desk")
    await desk.send("<presence to='alice@localhost' type='subscribed'/>")
    assert ("subscribed", bob) in seen(alice)
    await desk.send("<presence type='unavailable'/>", "<presence/>")
    assert "subscribe" not in [kind for kind, _ in seen(desk)]


async def interested_without_taking(world, jid):
    client = await world.login(jid)
    await client.send("<presence/>")
    return client


async def test_asking_twice_delivers_the_request_once(two):
    phone, _, bob = two
    for _ in range(3):
        await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe'/>")
    assert seen(bob) == [("subscribe", ALICE)]
    assert pushed(phone) == [RosterItem(bob.jid.bare, ask=True)]


async def test_asking_again_does_not_replace_the_request_that_waits(two):
    phone, _, bob = two
    for words in ("first", "second"):
        await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe' id='{words}'/>")
    bob.take()
    await bob.send("<presence type='unavailable'/>", "<presence/>")
    assert [p.get("id") for p in bob.take("presence") if p.get("type") == "subscribe"] == ["first"]


async def test_a_request_that_was_granted_long_ago_is_answered_by_the_server(world):
    """§3.1.3, rule 2: two servers that disagree come to terms."""
    await befriend(world, "alice@localhost", "bob@localhost", port.Subscription.NONE)
    await world.stores.roster.put(
        Jid("bob@localhost"), port.RosterEntry(jid=ALICE, subscription=port.Subscription.FROM)
    )
    bob = await interested(world, "bob@localhost/desk")
    alice = await interested(world, "alice@localhost/phone")
    await alice.send("<presence to='bob@localhost' type='subscribe'/>")
    assert seen(alice) == [("subscribed", "bob@localhost"), ("", bob.jid)]
    assert [item.subscription for item in pushed(alice)] == [ItemSubscription.NONE, ItemSubscription.TO]
    assert (seen(bob), pushed(bob)) == ([], [])


async def test_what_another_server_gets_to_see(world, elsewhere):
    """§3.1.2: subscriptions are between accounts, whatever addresses the client has used."""
    phone = await interested(world, "alice@localhost/phone")
    for kind in ("subscribe", "unsubscribe", "subscribed", "unsubscribed"):
        await phone.send(f"<presence to='bob@elsewhere.test/desk' type='{kind}'/>")
    # nobody has asked, so `subscribed` is an approval beforehand and stays here, as does taking it back
    assert elsewhere.take() == [
        ("subscribe", ALICE, "bob@elsewhere.test"),
        ("unsubscribe", ALICE, "bob@elsewhere.test"),
    ]


async def test_what_another_server_says_counts_for_the_account(world, elsewhere):
    phone = await interested(world, "alice@localhost/phone")
    await phone.send("<presence to='bob@elsewhere.test' type='subscribe'/>")
    elsewhere.take(), phone.take()
    await elsewhere.send("bob@elsewhere.test/desk", "alice@localhost/phone", "subscribed")
    assert seen(phone) == [("subscribed", "bob@elsewhere.test")]
    assert pushed(phone) == [RosterItem(Jid("bob@elsewhere.test"), subscription=ItemSubscription.TO)]
    await elsewhere.send("bob@elsewhere.test", "alice@localhost", "probe")
    assert elsewhere.take() == [("unsubscribed", ALICE, "bob@elsewhere.test")]


# --- pre-approval (§3.4)


async def test_an_approval_given_beforehand_answers_the_request(two):
    phone, _, bob = two
    await bob.send("<presence to='alice@localhost' type='subscribed'/>")
    assert pushed(bob) == [RosterItem(ALICE, approved=True)]
    assert phone.take() == []
    await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe'/>")
    assert seen(bob) == []
    assert pushed(bob) == [RosterItem(ALICE, subscription=ItemSubscription.FROM)]
    assert seen(phone) == [("subscribed", bob.jid.bare), ("", bob.jid)]
    assert [item.subscription for item in pushed(phone)] == [ItemSubscription.NONE, ItemSubscription.TO]


async def test_an_approval_given_beforehand_is_withdrawn(two):
    phone, _, bob = two
    await bob.send("<presence to='alice@localhost' type='subscribed'/>")
    await bob.send("<presence to='alice@localhost' type='unsubscribed'/>")
    assert pushed(bob)[-1] == RosterItem(ALICE)
    await phone.send(f"<presence to='{bob.jid.bare}' type='subscribe'/>")
    assert seen(bob) == [("subscribe", ALICE)]


# --- the end of an account


async def test_the_contacts_of_an_account_that_is_removed_are_left(world, two):
    phone, laptop, bob = two
    await friends(world, phone, bob)
    host = world.server.hosts["localhost"]
    await world.stores.accounts.remove(ALICE)
    wait = host.hooks.run(AccountRemoved(ALICE))
    assert wait is not None
    await wait
    assert sorted(seen(bob)) == [
        ("unavailable", laptop.jid),
        ("unavailable", phone.jid),
        ("unsubscribe", ALICE),
        ("unsubscribed", ALICE),
    ]
    assert await roster(bob) == {ALICE: ("none", False)}
    await phone.leave()
    assert bob.take("presence") == []


# --- mistakes and abuse


async def test_a_subscription_needs_somebody_else(world):
    alice = await interested(world, "alice@localhost/phone")
    await alice.send("<presence type='subscribe'/>")
    assert condition(alice.take("presence")[0]) == "bad-request"
    await alice.send("<presence type='subscribe' to='alice@localhost'/>")
    assert condition(alice.take("presence")[0]) == "not-allowed"
    assert await show_roster(alice) == []


async def test_an_answer_that_nobody_asked_for_changes_nothing(two):
    phone, _, bob = two
    await bob.send("<presence to='alice@localhost' type='unsubscribed'/>")
    await bob.send("<presence to='alice@localhost' type='unsubscribe'/>")
    assert phone.take() == []
    await bob.send(
        "<presence to='alice@localhost' type='subscribed'/>"
    )  # a pre-approval, which stays with Bob
    assert phone.take() == []
    assert await show_roster(phone) == []


async def test_an_account_that_does_not_exist_says_nothing(world):
    """§8.5.1: and so cannot be told from one that does not answer."""
    alice = await interested(world, "alice@localhost/phone")
    for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed"):
        await alice.send(f"<presence to='nobody@localhost' type='{kind}'/>")
        assert alice.take("presence") == []
    assert (await world.stores.roster.load(Jid("nobody@localhost"))).entries == ()


async def test_a_contact_whose_server_is_not_found_is_reported(world):
    alice = await interested(world, "alice@localhost/phone")
    await alice.send("<presence to='bob@nowhere.test' type='subscribe'/>")
    [error] = alice.take("presence")
    assert (condition(error), error.get("from")) == ("remote-server-not-found", "bob@nowhere.test")


async def test_a_long_request_is_kept_without_what_it_says(world):
    await world.register("bob@localhost")
    alice = await interested(world, "alice@localhost/phone")
    await alice.send(
        f"<presence to='bob@localhost' type='subscribe' id='x'><status>{'long ' * 1000}</status></presence>"
    )
    bob = await interested_without_taking(world, "bob@localhost/desk")
    [request] = [p for p in bob.take("presence") if p.get("type") == "subscribe"]
    assert (request.get("id"), request.children) == ("x", [])


async def test_too_many_requests_are_refused_and_leave_room_for_contacts():
    world = await World.start(
        features=CONTACTS, options={"roster": RosterOptions(max_requests=2, max_entries=2)}
    )
    bob = await interested(world, "bob@localhost/desk")
    for number in range(3):
        asker = await interested(world, f"asker{number}@localhost/x")
        await asker.send("<presence to='bob@localhost' type='subscribe'/>")
    assert condition(asker.take("presence")[0]) == "resource-constraint"
    assert [kind for kind, _ in seen(bob)] == ["subscribe", "subscribe"]
    assert (await change(bob, "<item jid='carol@localhost'/>")).get("type") == "result"
    await world.stop()


async def test_two_devices_that_change_a_contact_at_once_lose_nothing(world):
    phone = await interested(world, "alice@localhost/phone")
    laptop = await interested(world, "alice@localhost/laptop")
    async with phone.session.account[BOOK].changing:  # as if the store were busy with a change
        phone.push("<presence to='bob@other.test' type='subscribe'/>")
        laptop.push(
            "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>"
            "<item jid='bob@other.test' name='Bob'/></query></iq>"
        )
        for _ in range(10):
            await asyncio.sleep(0)
        assert (await world.stores.roster.load(ALICE)).entries == ()
    await world.settle()
    assert await show_roster(phone) == [RosterItem(Jid("bob@other.test"), "Bob", ask=True)]
    [stored] = (await world.stores.roster.load(ALICE)).entries
    assert (stored.name, stored.ask) == ("Bob", True)
