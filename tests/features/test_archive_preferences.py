"""Archive preferences: whose messages an account's archive keeps, and that all devices get them anyway."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import Archive
from tidings.features.archive_preferences import ArchivePreferencesFeature, PreferencesOptions, keeps
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault, ArchivePreferences

FEATURES = (Rosters, Subscriptions, Presences, Archive, ArchivePreferencesFeature)
ALICE, BOB, CAROL = Jid("alice@localhost"), Jid("bob@localhost"), Jid("carol@localhost")
ALWAYS, NEVER, ROSTER = ArchiveDefault.ALWAYS, ArchiveDefault.NEVER, ArchiveDefault.ROSTER


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES)
    yield world
    await world.stop()


# --- pure


@pytest.mark.parametrize(
    ("preferences", "peer", "is_contact", "expected"),
    [
        (ArchivePreferences(ALWAYS), BOB, False, True),
        (ArchivePreferences(NEVER), BOB, True, False),
        (ArchivePreferences(ROSTER), BOB, True, True),
        (ArchivePreferences(ROSTER), BOB, False, False),
        (ArchivePreferences(ROSTER), ALICE, False, True),
        (ArchivePreferences(ROSTER, never=(ALICE,)), ALICE, False, False),
        (ArchivePreferences(NEVER, always=(BOB,)), BOB, False, True),
        (ArchivePreferences(ALWAYS, never=(BOB,)), BOB, True, False),
    ],
)
def test_whose_messages_are_kept(
    preferences: ArchivePreferences, peer: Jid, is_contact: bool, expected: bool
) -> None:
    assert keeps(preferences, ALICE, peer, is_contact=is_contact) is expected


# --- stories


def prefs(element: Element | None) -> ArchivePreferences:
    assert element is not None
    return ArchivePreferences.decode(element)


async def decide(client: WorldClient, preferences: ArchivePreferences) -> ArchivePreferences:
    raw = preferences.encode().to_bytes(ns.CLIENT).decode()
    answer = await client.request(f"<iq type='set' id='p'>{raw}</iq>")
    assert answer.get("type") == "result", answer
    return prefs(answer.find("prefs", preferences.namespace))


async def decided(client: WorldClient, namespace: str = ns.MAM2) -> ArchivePreferences:
    answer = await client.request(f"<iq type='get' id='p'><prefs xmlns='{namespace}'/></iq>")
    return prefs(answer.find("prefs", namespace))


async def archived(client: WorldClient) -> list[str | None]:
    """Give the texts that the archive shows."""
    client.take()
    await client.send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
    texts = []
    for message in client.take("message"):
        result = message.find("result", ns.MAM2)
        assert result is not None
        forwarded = result.find("forwarded", ns.FORWARD)
        assert forwarded is not None
        inner = forwarded.find("message", ns.CLIENT)
        assert inner is not None
        texts.append(inner.text_of("body"))
    return texts


async def say(sender: WorldClient, to: Jid, text: str) -> None:
    await sender.send(f"<message type='chat' to='{to}'><body>{text}</body></message>")


async def test_preferences_are_read_back(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    assert await decided(alice) == ArchivePreferences(ALWAYS)
    wanted = ArchivePreferences(ROSTER, (BOB,), (CAROL, Jid("spam.example")))
    assert await decide(alice, wanted) == wanted
    assert await decided(await world.online("alice@localhost/desk")) == wanted
    assert await decided(alice, ns.MAM1) == ArchivePreferences(ROSTER, wanted.always, wanted.never, ns.MAM1)
    assert await decided(await world.online("bob@localhost/x")) == ArchivePreferences(ALWAYS)


async def test_preferences_without_a_default_are_none(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    answer = await alice.request("<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>")
    error = answer.find("error")
    assert error is not None
    assert error.find("bad-request", ns.STANZA_ERRORS) is not None


async def test_nobody_else_reads_or_writes_them(world: World) -> None:
    await world.register("bob@localhost")
    alice = await world.online("alice@localhost/phone")
    for kind in ("get", "set"):
        answer = await alice.request(
            f"<iq type='{kind}' id='p' to='bob@localhost'>"
            "<prefs xmlns='urn:xmpp:mam:2' default='never'/></iq>"
        )
        error = answer.find("error")
        assert error is not None
        assert error.find("not-allowed", ns.STANZA_ERRORS) is not None


async def test_who_is_not_kept_is_heard_all_the_same(world: World) -> None:
    alice, desk = await world.online("alice@localhost/phone"), await world.online("alice@localhost/desk")
    bob, carol = await world.online("bob@localhost/x"), await world.online("carol@localhost/x")
    await decide(alice, ArchivePreferences(ALWAYS, never=(BOB,)))
    await say(bob, ALICE, "off the record")
    await say(carol, ALICE, "on the record")
    await say(alice, BOB, "an answer")
    for device in (alice, desk):
        assert [message.text_of("body") for message in device.take("message")] == [
            "off the record",
            "on the record",
        ]
    assert [message.text_of("body") for message in bob.take("message")] == ["an answer"]
    assert await archived(alice) == ["on the record"]
    assert await archived(bob) == ["off the record", "an answer"]


async def test_the_newest_preferences_hold(world: World) -> None:
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/x")
    await decide(alice, ArchivePreferences(NEVER))
    await say(bob, ALICE, "one")
    await decide(alice, ArchivePreferences(NEVER, always=(BOB,)))
    await say(bob, ALICE, "two")
    await decide(alice, ArchivePreferences(NEVER))
    await say(bob, ALICE, "three")
    assert await archived(alice) == ["two"]


async def test_they_hold_while_nobody_is_there(world: World) -> None:
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/x")
    await decide(alice, ArchivePreferences(NEVER))
    await alice.leave()
    world.server.hosts["localhost"].directory.forget(ALICE)
    await say(bob, ALICE, "one")
    alice = await world.online("alice@localhost/phone")
    assert await archived(alice) == []


async def test_contacts_are_those_of_the_moment(world: World) -> None:
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/x")
    await decide(alice, ArchivePreferences(ROSTER))
    await say(bob, ALICE, "a stranger")
    await bob.send("<presence type='subscribe' to='alice@localhost'/>")
    await alice.send("<presence type='subscribed' to='bob@localhost'/>")
    await say(bob, ALICE, "a friend")
    await alice.send("<presence type='unsubscribed' to='bob@localhost'/>")
    await say(bob, ALICE, "a stranger again")
    assert await archived(alice) == ["a friend"]


async def test_the_host_says_what_holds_for_the_others() -> None:
    options = {"archive_preferences": PreferencesOptions(default="never")}
    world = await World.start(features=FEATURES, options=options)
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/x")
    await decide(bob, ArchivePreferences(ALWAYS))
    await say(alice, BOB, "one")
    assert await decided(alice) == ArchivePreferences(NEVER)
    assert await archived(alice) == []
    assert await archived(bob) == ["one"]
    await world.stop()


async def test_the_lists_have_a_share_of_octets() -> None:
    options = {"archive_preferences": PreferencesOptions(max_octets=8_192)}
    world = await World.start(features=FEATURES, options=options)
    alice, bob = await world.login("alice@localhost/phone"), await world.login("bob@localhost/phone")
    long = tuple(Jid(f"{'x' * 1_000}{number}@x.example") for number in range(9))
    kept = ArchivePreferences(ALWAYS, long[:4], long[4:8])
    assert await decide(alice, kept) == kept
    element = ArchivePreferences(NEVER, long[:4], long[4:]).encode().to_bytes().decode()
    answer = await alice.request(f"<iq type='set' id='s'>{element}</iq>")
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    assert error.children[0].name == "resource-constraint"
    text = "the lists of archive preferences would have 9099 octets; 8192 are allowed"
    assert error.text_of("text", ns.STANZA_ERRORS) == text
    shown = await alice.request(f"<iq type='get' id='g'><prefs xmlns='{ns.MAM2}'/></iq>")
    assert prefs(shown.find("prefs", ns.MAM2)) == kept
    assert await decide(bob, kept) == kept
    await world.stop()


@pytest.mark.parametrize("address", ["a@b@c", "", "@b", "a b@c d"])
async def test_what_is_no_address_is_refused_and_changes_nothing(world: World, address: str) -> None:
    alice = await world.online("alice@localhost/phone")
    kept = await decide(alice, ArchivePreferences(ALWAYS, never=(BOB,)))
    answer = await alice.request(
        f"<iq type='set' id='p'><prefs xmlns='{ns.MAM2}' default='never'>"
        f"<always><jid>carol@localhost</jid><jid>{address}</jid></always></prefs></iq>"
    )
    assert answer.get("type") == "error"
    assert answer.find("error").find("jid-malformed", ns.STANZA_ERRORS) is not None
    read = await alice.request(f"<iq type='get' id='q'><prefs xmlns='{ns.MAM2}'/></iq>")
    assert prefs(read.find("prefs", ns.MAM2)) == kept
