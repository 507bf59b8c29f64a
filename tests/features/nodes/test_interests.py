"""Interests: whom the server asks what a client wants to hear of, and whom it believes."""

from tests.features.nodes.nodes_client import (
    MOOD,
    TUNE,
    answer,
    caps,
    caps2,
    done,
    info_of,
    listening,
    news,
    publish,
    questions,
    wrong_caps,
)
from tests.harness.world import World
from tidings.kernel.known_capabilities import Claim, KnownCapabilities

ALICE, BOB = "alice@localhost", "bob@localhost"


async def test_one_of_all_that_announce_a_hash_is_asked(world: World) -> None:  # §6.2
    info = info_of(MOOD)
    clients = [await world.login(f"{ALICE}/r{number}") for number in range(3)]
    for client in clients:
        await client.send(caps(info))
    (question,) = questions(clients[0])
    assert [questions(client) for client in clients[1:]] == [[], []]
    await answer(clients[0], question, info)
    await done(clients[0], publish(MOOD, "happy"))
    for client in clients:
        assert news(client) == [(ALICE, MOOD, "happy")]
    later = await world.login(f"{BOB}/desk")
    await later.send(caps(info))
    assert questions(later) == []


async def test_both_documents_are_understood(world: World) -> None:  # XEP-0390
    info = info_of(MOOD)
    client = await world.login(f"{ALICE}/phone")
    await client.send(caps2(info))
    (question,) = questions(client)
    assert question[1].startswith("urn:xmpp:caps#sha3-256.")
    await answer(client, question, info)
    await done(client, publish(MOOD, "happy"))
    assert news(client) == [(ALICE, MOOD, "happy")]


async def test_a_wrong_hash_is_believed_about_its_sender_alone(world: World) -> None:  # §5.4
    liar = await world.login(f"{BOB}/liar")
    await liar.send(wrong_caps(info_of(MOOD)))
    (question,) = questions(liar)
    await answer(liar, question, info_of(MOOD))
    honest = await world.login(f"{ALICE}/phone")
    await honest.send(wrong_caps(info_of(MOOD)))
    (again,) = questions(honest)
    await answer(honest, again, info_of(TUNE))
    await done(honest, publish(MOOD, "happy"))
    assert news(honest) == []
    await done(liar, publish(MOOD, "sad"))
    assert news(liar) == [(BOB, MOOD, "sad")]


async def test_who_answers_wrong_or_not_at_all_holds_up_nobody(world: World) -> None:
    info = info_of(MOOD)
    silent, liar, gone = [await world.login(f"{BOB}/{each}") for each in ("silent", "liar", "gone")]
    for client in (silent, liar, gone):
        await client.send(caps(info))
    alice = await world.login(f"{ALICE}/phone")
    await alice.send(caps(info))
    assert len(questions(silent)) == 1
    assert questions(alice) == []
    await world.advance(11)
    (asked,) = questions(liar)
    await answer(liar, asked, info_of(TUNE))
    (asked,) = questions(alice)
    await answer(alice, asked, info)
    await done(alice, publish(MOOD, "happy"))
    assert news(alice) == [(ALICE, MOOD, "happy")]


async def test_when_the_one_who_was_asked_leaves_the_next_one_is_asked(world: World) -> None:
    info = info_of(MOOD)
    bob, alice = await world.login(f"{BOB}/desk"), await world.login(f"{ALICE}/phone")
    await bob.send(caps(info))
    await alice.send(caps(info))
    assert questions(alice) == []
    await bob.leave()
    assert len(questions(alice)) == 1


async def test_a_change_of_capabilities_brings_what_was_not_wanted_before(world: World) -> None:
    alice = await listening(world, f"{ALICE}/phone", MOOD)
    await done(alice, publish(MOOD, "happy"))
    await done(alice, publish(TUNE, "song"))
    assert news(alice) == [(ALICE, MOOD, "happy")]
    info = info_of(MOOD, TUNE)
    await alice.send(caps(info))
    (question,) = questions(alice)
    await answer(alice, question, info)
    assert news(alice) == [(ALICE, TUNE, "song")]
    await alice.send("<presence type='unavailable'/>", "<presence/>")
    await done(alice, publish(MOOD, "sad"))
    assert news(alice) == []


def test_what_is_kept_is_bounded() -> None:
    known = KnownCapabilities(most=3, octets=10_000)
    claims = [Claim("XEP-0115", "sha-1", str(number)) for number in range(5)]
    for claim in claims:
        known.put(claim, frozenset({MOOD}))
    assert len(known) == 3
    assert known.get(claims[1]) is None
    assert known.get(claims[4]) == {MOOD}
    known.put(Claim("XEP-0115", "sha-1", "large"), frozenset({"n" * 9_400}))
    assert len(known) == 1
