"""Stories about presence: RFC 6121 §4. Alice has two devices, Bob one, Carol lives on another host."""

import pytest

from tests.features.contacts.people import (
    CONTACTS,
    befriend,
    condition,
    interested,
    pushed,
    seen,
    store,
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.contacts.presence import PresenceOptions
from tidings.ports.roster import RosterEntry, Subscription

ALICE = Jid("alice@localhost")
PHONE = Jid("alice@localhost/phone")


# --- initial presence (§4.2)


async def test_coming_is_told_to_contacts_and_shows_those_who_are_there(world, bob):
    phone = await world.login("alice@localhost/phone")
    await phone.send(
        "<presence id='1'><show>away</show><status>Tea</status><c xmlns='u:c' v='2'/></presence>"
    )
    [presence] = bob.take("presence")
    assert (presence.get("from"), presence.get("to"), presence.get("id")) == (PHONE, bob.jid.bare, "1")
    assert (presence.text_of("show"), presence.text_of("status")) == ("away", "Tea")
    assert presence.find("c", "u:c") is not None
    assert seen(phone) == [("", PHONE), ("", bob.jid)]


async def test_own_devices_see_each_other(world):
    phone = await world.online("alice@localhost/phone", "<presence><status>on the phone</status></presence>")
    laptop = await world.login("alice@localhost/laptop")
    await laptop.send("<presence/>")
    assert seen(phone) == [("", laptop.jid)]
    own, other = laptop.take("presence")
    assert (own.get("from"), own.get("to")) == (laptop.jid, ALICE)
    assert (other.get("from"), other.get("to")) == (PHONE, laptop.jid)
    assert other.text_of("status") == "on the phone"


async def test_a_session_that_has_sent_no_presence_hears_and_says_nothing(world, bob):
    silent = await world.login("alice@localhost/silent")
    await bob.send("<presence><show>dnd</show></presence>")
    await world.online("alice@localhost/phone")
    bob.take()
    await silent.leave()
    assert silent.take() == []
    assert bob.take() == []


@pytest.mark.parametrize(
    ("subscription", "sees", "is_seen"),
    [("none", False, False), ("to", True, False), ("from", False, True), ("both", True, True)],
)
async def test_only_those_who_may_see(world, subscription, sees, is_seen):
    await befriend(world, "alice@localhost", "bob@localhost", Subscription(subscription))
    bob = await interested(world, "bob@localhost/desk")
    phone = await world.login("alice@localhost/phone")
    await phone.send("<presence/>")
    assert (("", bob.jid) in seen(phone)) == sees
    assert (("", PHONE) in seen(bob)) == is_seen
    await bob.send("<presence><show>xa</show></presence>")
    assert (("", bob.jid) in seen(phone)) == sees


# --- probes (§4.3)


async def test_a_probe_is_answered_for_every_available_resource(world, bob):
    await world.online("alice@localhost/phone", "<presence><status>p</status></presence>")
    await world.online("alice@localhost/laptop", "<presence><status>l</status></presence>")
    await world.login("alice@localhost/silent")
    bob.take()
    await bob.send("<presence type='probe' to='alice@localhost'/>")
    answers = bob.take("presence")
    assert [(p.get("from"), p.get("to"), p.text_of("status")) for p in answers] == [
        (PHONE, bob.jid, "p"),
        ("alice@localhost/laptop", bob.jid, "l"),
    ]


async def test_a_probe_for_one_resource_is_answered_for_that_one(world, bob):
    await world.online("alice@localhost/phone")
    await world.online("alice@localhost/laptop")
    bob.take()
    await bob.send("<presence type='probe' to='alice@localhost/phone'/>")
    assert seen(bob) == [("", PHONE)]
    await bob.send("<presence type='probe' to='alice@localhost/gone'/>")
    assert seen(bob) == [("unavailable", "alice@localhost/gone")]


async def test_a_probe_for_somebody_who_is_away_is_answered_so(world, bob):
    await bob.send("<presence type='probe' to='alice@localhost'/>")
    assert seen(bob) == [("unavailable", ALICE)]


async def test_a_probe_of_somebody_who_may_not_see_is_answered_unsubscribed(world):
    await world.online("alice@localhost/phone")
    mallory = await interested(world, "mallory@other.test/x")
    for target in ("alice@localhost", "alice@localhost/phone", "nobody@localhost"):
        # His server hears it, but he has no subscription to lose; who does not exist is answered like Alice.
        await mallory.send(f"<presence type='probe' to='{target}'/>")
        assert mallory.take() == []


async def test_a_server_that_is_wrong_about_a_subscription_is_corrected(world):
    """§4.3.2, rule 1: Bob's roster says that he sees Alice, hers does not know it."""
    await world.register("alice@localhost")
    await store(world, "bob@other.test", RosterEntry(jid=ALICE, subscription=Subscription.TO))
    bob = await world.login("bob@other.test/desk")
    await interested(world, "alice@localhost/phone")
    await bob.request("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    await bob.send("<presence/>")
    assert ("unsubscribed", ALICE) in seen(bob)
    assert [item.subscription for item in pushed(bob)] == ["none"]


async def test_a_probe_of_one_who_still_waits_for_an_answer_does_not_refuse_the_request(world):
    alice = await interested(world, "alice@localhost/phone")
    bob = await interested(world, "bob@localhost/desk")
    await bob.send("<presence type='subscribe' to='alice@localhost'/>")
    pushed(bob)
    await bob.send("<presence type='probe' to='alice@localhost'/>")
    assert bob.take() == []
    assert seen(alice) == [("subscribe", "bob@localhost")]


async def test_an_own_device_may_probe(world):
    phone = await world.online("alice@localhost/phone")
    laptop = await world.online("alice@localhost/laptop")
    await laptop.send("<presence type='probe' to='alice@localhost'/>")
    assert seen(laptop) == [("", phone.jid), ("", laptop.jid)]


# --- changes and the end (§4.4, §4.5)


async def test_a_change_goes_to_contacts_and_own_devices_without_probing_again(world, bob):
    phone = await world.online("alice@localhost/phone")
    laptop = await world.online("alice@localhost/laptop")
    phone.take(), bob.take()
    await phone.send("<presence><show>dnd</show></presence>")
    for client in (phone, laptop, bob):
        assert seen(client) == [("", PHONE)]


async def test_going_is_told_with_its_reason_once(world, bob):
    phone = await world.online("alice@localhost/phone")
    laptop = await world.online("alice@localhost/laptop")
    phone.take(), bob.take()
    await phone.send("<presence type='unavailable'><status>bye</status></presence>")
    for client in (phone, laptop, bob):
        [presence] = client.take("presence")
        assert (presence.get("type"), presence.get("from")) == ("unavailable", PHONE)
        assert presence.text_of("status") == "bye"
    await phone.send("<presence type='unavailable'/>")
    await phone.leave()
    assert (bob.take(), laptop.take()) == ([], [])


async def test_a_session_that_went_may_come_again(world, bob):
    phone = await world.online("alice@localhost/phone")
    await phone.send("<presence type='unavailable'/>")
    phone.take(), bob.take()
    await phone.send("<presence/>")
    assert seen(bob) == [("", PHONE)]
    assert seen(phone) == [("", PHONE), ("", bob.jid)]


@pytest.mark.parametrize("end", ["leave", "lose"])
async def test_a_session_that_ends_without_a_word_is_told_as_gone(world, bob, end):
    phone = await world.online("alice@localhost/phone")
    laptop = await world.online("alice@localhost/laptop")
    bob.take(), phone.take()
    await getattr(phone, end)()
    assert seen(bob) == [("unavailable", PHONE)]
    assert seen(laptop) == [("unavailable", PHONE)]
    assert phone.take() == []


async def test_a_resource_that_is_taken_over_goes_before_it_comes(world, bob):
    first = await world.online("alice@localhost/phone")
    bob.take()
    second = await world.login("alice@localhost/phone")
    await second.send("<presence><status>new</status></presence>")
    assert first.error.condition == "conflict"
    assert seen(bob) == [("unavailable", PHONE), ("", PHONE)]


# --- directed presence (§4.6)


async def test_directed_presence_reaches_one_and_is_taken_back_at_the_end(world):
    room = await world.login("room@other.test/nick")
    phone = await world.online("alice@localhost/phone")
    await phone.send("<presence to='room@other.test/nick'><show>chat</show></presence>")
    assert seen(room) == [("", PHONE)]
    await phone.send("<presence><show>away</show></presence>")  # §4.6.3: changes are not for those
    assert seen(room) == []
    await phone.send("<presence type='unavailable'/>")
    assert seen(room) == [("unavailable", PHONE)]
    await phone.leave()
    assert seen(room) == []


@pytest.mark.parametrize("presence", ["<presence/>", ""])
async def test_a_lost_connection_takes_directed_presence_back(world, presence):
    room = await world.login("room@other.test/nick")
    phone = await world.login("alice@localhost/phone")
    if presence:
        await phone.send(presence)
    await phone.send("<presence to='room@other.test/nick'/>")
    await phone.lose()
    assert seen(room) == [("", PHONE), ("unavailable", PHONE)]


async def test_directed_presence_that_was_taken_back_is_not_taken_back_again(world):
    room = await world.login("room@other.test/nick")
    phone = await world.online("alice@localhost/phone")
    await phone.send("<presence to='room@other.test/nick'/>")
    await phone.send("<presence to='room@other.test/nick' type='unavailable'/>")
    await phone.leave()
    assert seen(room) == [("", PHONE), ("unavailable", PHONE)]


async def test_a_contact_who_got_directed_presence_is_told_of_the_end_once(world, bob):
    phone = await world.login("alice@localhost/phone")
    await phone.send(f"<presence to='{bob.jid}'/>", f"<presence to='{bob.jid.bare}'/>", "<presence/>")
    bob.take()
    await phone.send(f"<presence to='{bob.jid}'><show>xa</show></presence>")
    assert seen(bob) == [("", PHONE)]
    await phone.leave()
    assert seen(bob) == [("unavailable", PHONE)]


async def test_whoever_was_shown_a_device_may_probe_for_it(world):
    await world.online("alice@localhost/laptop")
    phone = await world.online("alice@localhost/phone", "<presence><status>here</status></presence>")
    friend = await world.online("friend@other.test/x")
    await phone.send("<presence to='friend@other.test'/>")
    friend.take()
    await friend.send("<presence type='probe' to='alice@localhost'/>")
    [answer] = friend.take("presence")
    assert (answer.get("from"), answer.text_of("status")) == (PHONE, "here")


async def test_a_session_can_be_shown_to_a_bounded_number_of_strangers():
    world = await World.start(features=CONTACTS, options={"presence": PresenceOptions(max_directed=2)})
    phone = await world.online("alice@localhost/phone")
    for number in range(3):
        await phone.send(f"<presence to='room{number}@other.test/x'/>")
    assert condition(phone.take("presence")[0]) == "resource-constraint"
    await phone.send(
        "<presence to='room1@other.test/x' type='unavailable'/>", "<presence to='room2@other.test/x'/>"
    )
    assert phone.take() == []
    await world.stop()


# --- priorities (§4.7.2.3)


@pytest.mark.parametrize(("text", "priority"), [("-128", -128), ("127", 127), ("0", 0), (" 5 ", 5)])
async def test_a_priority_is_taken(world, text, priority):
    phone = await world.online("alice@localhost/phone", f"<presence><priority>{text}</priority></presence>")
    assert phone.session.priority == priority


@pytest.mark.parametrize(
    "inside",
    [
        "<priority>128</priority>",
        "<priority>-129</priority>",
        "<priority/>",
        "<priority>x</priority>",
        "<priority>٣</priority>",
        f"<priority>{'9' * 5000}</priority>",
        "<priority>1</priority><priority>2</priority>",
    ],
)
async def test_what_is_no_priority_is_refused_and_changes_nothing(world, bob, inside):
    phone = await world.online("alice@localhost/phone", "<presence><priority>1</priority></presence>")
    bob.take()
    await phone.send(f"<presence>{inside}</presence>")
    assert condition(phone.take("presence")[0]) == "bad-request"
    assert phone.session.priority == 1
    assert bob.take() == []


async def test_a_kind_of_presence_that_does_not_exist_is_refused(world, bob):
    phone = await world.online("alice@localhost/phone")
    bob.take()
    await phone.send("<presence type='available'/>")
    assert condition(phone.take("presence")[0]) == "bad-request"
    assert bob.take() == []


# --- arrival (§8.5)


async def test_presence_for_a_bare_address_reaches_the_available_sessions(world):
    phone = await world.online("alice@localhost/phone")
    watch = await world.online("alice@localhost/watch", "<presence><priority>-1</priority></presence>")
    silent = await world.login("alice@localhost/silent")
    friend = await world.online("friend@other.test/x")
    phone.take()
    await friend.send("<presence to='alice@localhost'/>")
    assert (seen(phone), seen(watch), seen(silent)) == ([("", friend.jid)], [("", friend.jid)], [])


async def test_presence_for_a_full_address_reaches_that_session_or_nobody(world):
    phone = await world.online("alice@localhost/phone")
    silent = await world.login("alice@localhost/silent")
    friend = await world.online("friend@other.test/x")
    for resource in ("silent", "gone"):
        await friend.send(f"<presence to='alice@localhost/{resource}'/>")
    assert (seen(phone), seen(silent), seen(friend)) == ([], [("", friend.jid)], [])


async def test_an_error_reaches_the_session_that_it_is_for(world):
    phone = await world.online("alice@localhost/phone")
    friend = await world.online("friend@other.test/x")
    error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    await friend.send(f"<presence type='error' to='{PHONE}'>{error}</presence>")
    assert seen(phone) == [("error", friend.jid)]
    await friend.send(f"<presence type='error' to='alice@localhost'>{error}</presence>")
    assert seen(phone) == []
    assert seen(friend) == []


async def test_a_forged_sender_is_not_believed(world, bob):
    mallory = await world.online("mallory@other.test/x")
    mallory.push("<presence from='alice@localhost/phone' to='bob@localhost' type='unavailable'/>")
    await world.settle()
    assert [sender for _, sender in seen(bob) if "alice" in sender] == []


# --- contacts on other servers


async def test_what_another_server_gets_to_see(world, elsewhere):
    for name, state in (("both", "both"), ("to", "to"), ("from", "from"), ("none", "none")):
        entry = RosterEntry(jid=Jid(f"{name}@elsewhere.test"), subscription=Subscription(state))
        await store(world, "alice@localhost", entry)
    phone = await world.online("alice@localhost/phone")
    assert sorted(elsewhere.take()) == [
        ("", PHONE, "both@elsewhere.test"),
        ("", PHONE, "from@elsewhere.test"),
        ("probe", PHONE, "both@elsewhere.test"),
        ("probe", PHONE, "to@elsewhere.test"),
    ]
    await phone.send("<presence to='room@elsewhere.test/nick'/>")
    assert elsewhere.take() == [("", PHONE, "room@elsewhere.test/nick")]
    await phone.lose()
    assert sorted(elsewhere.take()) == [
        ("unavailable", PHONE, "both@elsewhere.test"),
        ("unavailable", PHONE, "from@elsewhere.test"),
        ("unavailable", PHONE, "room@elsewhere.test/nick"),
    ]
