"""What one account may keep of its contacts, and strangers through it; others are not disturbed."""

import asyncio
import re

from tests.features.contacts.people import (
    CONTACTS,
    befriend,
    change,
    condition,
    interested,
    seen,
    show_roster,
    store,
)
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.contacts.book import LARGEST_ANSWER, RosterOptions
from tidings.features.contacts.presence import SHOWN, PresenceOptions
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

ALICE = Jid("alice@localhost")
GET = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"


def words(stanza: Element) -> tuple[str, str]:
    """Give the condition of an error and what it says."""
    error = stanza.find("error")
    assert error is not None
    return condition(stanza), error.text_of("text", ns.STANZA_ERRORS) or ""


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def contact(number: int, name: str = "", groups: int = 0, octets: int = 1_000) -> str:
    inside = "".join(f"<group>{str(group).ljust(octets, 'g')}</group>" for group in range(groups))
    return f"<item jid='contact{number}@example.org' name='{name}'>{inside}</item>"


async def test_one_contact_has_a_size(world):
    alice = await interested(world, "alice@localhost/phone")
    assert words(await change(alice, contact(1, groups=51, octets=9))) == (
        "not-acceptable",
        "the contact would have 51 groups; 50 are allowed",
    )
    kind, text = words(await change(alice, contact(1, groups=20)))
    assert kind == "not-acceptable"
    assert "the contact would have" in text
    size, allowed = numbers(text)
    assert allowed == RosterOptions().max_contact_octets < size
    assert await show_roster(alice) == []
    assert (await change(alice, contact(1, groups=10))).get("type") == "result"
    assert (await change(alice, contact(2, name="&quot;" * 1_023))).get("type") == "result"


async def test_a_roster_has_a_size_and_the_answer_stays_within_it():
    world = await World.start(features=CONTACTS, options={"roster": RosterOptions(max_octets=65_536)})
    alice = await interested(world, "alice@localhost/phone")
    bob = await interested(world, "bob@localhost/desk")
    answers = [await change(alice, contact(number, "&amp;" * 100, groups=9)) for number in range(8)]
    assert [answer.get("type") for answer in answers] == ["result"] * 6 + ["error"] * 2
    kind, text = words(answers[-1])
    assert kind == "resource-constraint"
    assert "the roster would have" in text
    assert numbers(text)[1] == 65_536 < numbers(text)[0]
    await alice.send("<presence to='bob@localhost' type='subscribe'/>")  # a little more still fits
    assert alice.take("presence") == []
    answer = (await alice.request(GET)).to_bytes()
    assert 55_000 < len(answer) <= 65_536 + 512
    # Others have their own share, and what becomes smaller makes room.
    assert (await change(bob, contact(1, groups=9))).get("type") == "result"
    await change(alice, contact(0))
    assert (await change(alice, contact(9, groups=9))).get("type") == "result"
    await world.stop()


async def test_a_full_roster_still_sees_who_comes_and_goes():
    options = RosterOptions(max_octets=16_384)
    world = await World.start(features=CONTACTS, options={"roster": options})
    await befriend(world, "alice@localhost", "bob@localhost", Subscription.TO)
    bob = await interested(world, "bob@localhost/desk")
    alice = await interested(world, "alice@localhost/phone")
    assert (await change(alice, contact(0, groups=15))).get("type") == "result"
    answers = [await change(alice, contact(number)) for number in range(1, 12)]
    assert condition(answers[-1]) == "resource-constraint"
    await bob.send("<presence to='alice@localhost' type='subscribe'/>")
    assert ("subscribe", "bob@localhost") in seen(alice)
    await alice.send("<presence to='bob@localhost' type='subscribed'/>")
    assert RosterItem(Jid("bob@localhost"), subscription=ItemSubscription.BOTH) in await show_roster(alice)
    await world.stop()


async def test_strangers_requests_have_a_share_of_their_own():
    options = RosterOptions(max_requests_octets=16_384)
    world = await World.start(features=CONTACTS, options={"roster": options})
    carol = await interested(world, "carol@localhost/desk")
    await world.register("alice@localhost")
    asking = f"<presence to='alice@localhost' type='subscribe'><status>{'please ' * 200}</status></presence>"
    refused = 0
    for number in range(150):
        stranger = await interested(world, f"stranger{number}@localhost/x")
        await stranger.send(asking)
        for stanza in stranger.take("presence"):
            if stanza.get("type") == "error":
                kind, text = words(stanza)
                assert kind == "resource-constraint"
                assert numbers(text)[-1] == 16_384
                refused += 1
        await stranger.leave()
    kept = (await world.stores.roster.load(ALICE)).entries
    assert len(kept) + refused == 150
    sizes = [len(entry.pending_in or b"") for entry in kept]
    assert 8_192 < sum(sizes) <= 16_384
    assert max(sizes[:4]) > 1_000  # the first ones with their words
    assert max(sizes[-4:]) < 200
    # Alice herself, and whoever asks Carol, are not disturbed.
    alice = await interested(world, "alice@localhost/phone")
    assert (await change(alice, contact(1))).get("type") == "result"
    await alice.send("<presence to='carol@localhost' type='subscribe'/>")
    assert ("subscribe", "alice@localhost") in seen(carol)
    await world.stop()


async def test_the_presence_that_is_kept_has_a_size(world):
    alice, bob = [await interested(world, f"{name}@localhost/phone") for name in ("alice", "bob")]
    await alice.send(f"<presence><status>{'x' * 40_000}</status></presence>")
    kind, text = words(alice.take("presence")[0])
    assert (kind, numbers(text)[1]) == ("not-acceptable", 32_768)
    await bob.send(f"<presence><status>{'x' * 30_000}</status></presence>")
    assert all(presence.get("type") is None for presence in bob.take("presence"))
    assert alice.session.presence is not None
    assert len(alice.session.presence.content) < 1_000


async def test_who_is_shown_a_session_is_bounded_in_octets(world):
    alice, bob = [await interested(world, f"{name}@localhost/phone") for name in ("alice", "bob")]
    errors = await show_to_many(alice, 60)
    assert {kind for kind, _ in errors} == {"resource-constraint"}
    assert numbers(errors[-1][1])[-1] == PresenceOptions().max_directed_octets
    assert 131_072 - 4_096 < alice.session[SHOWN].octets <= 131_072
    assert await show_to_many(bob, 20) == []


async def show_to_many(client: WorldClient, number: int) -> list[tuple[str, str]]:
    label = ".".join(["d" * 60] * 15)
    for each in range(number):
        await client.send(f"<presence to='{'l' * 1_000}@{label}/{each}{'r' * 1_000}'/>")
    return [
        words(stanza)
        for stanza in client.take("presence")
        if words(stanza)[0] not in {"remote-server-not-found", "service-unavailable"}
    ]


async def test_the_largest_roster_is_told_in_parts(world):
    for number in range(4_999):
        entry = RosterEntry(jid=Jid(f"c{number}@example.org"), name="n" * 60, groups=frozenset({"a", "b"}))
        await world.register("alice@localhost")
        await world.stores.roster.put(ALICE, entry)
    alice = await world.login("alice@localhost/phone")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while not any(iq.get("id") == "r" for iq in alice.received):
            await asyncio.sleep(0)
            turns += 1

    running = asyncio.create_task(others())
    await asyncio.sleep(0)
    alice.push(GET)
    other = await world.login("alice@localhost/desk")
    other.push("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='new@x'/></query></iq>")
    await running
    await world.settle()
    assert turns >= 5_000 // 256
    answer, *pushes = alice.take("iq")
    assert len(answer.children[0].children) == 4_999
    assert [iq.children[0].children[0].get("jid") for iq in pushes] == ["new@x"]


async def test_a_roster_that_cannot_be_delivered_is_refused_before_it_is_written(world):
    groups = frozenset(str(number).ljust(1_000, "g") for number in range(100))
    for number in range(LARGEST_ANSWER // 100_000 + 1):  # as an earlier version kept them
        await store(world, "alice@localhost", RosterEntry(jid=Jid(f"c{number}@example.org"), groups=groups))
    alice, bob = [await world.login(f"{name}@localhost/phone") for name in ("alice", "bob")]
    kind, text = words(await alice.request(GET))
    assert kind == "resource-constraint"
    assert numbers(text)[1] == LARGEST_ANSWER < numbers(text)[0]
    assert await show_roster(bob) == []
    for number in range(3):
        removed = await change(alice, f"<item jid='c{number}@example.org' subscription='remove'/>")
        assert removed.get("type") == "result"
    assert len(await show_roster(alice)) == LARGEST_ANSWER // 100_000 - 2
