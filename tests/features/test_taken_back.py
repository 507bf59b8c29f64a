"""What its author took back is nowhere: in no view of an archive, however it was corrected before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.features.inboxes import fetch
from tests.features.pulling import iq, pull, text_of
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import Archive
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import Devices
from tidings.features.inbox import Inbox
from tidings.features.sync import Sync
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveQuery

FEATURES: Final = (Rosters, Subscriptions, Presences, Archive, Inbox, Sync, Devices)
ALICE, BOB = "alice@localhost", "bob@localhost"

A = "A", "first words", ""
B = "B", "second words", f"<replace xmlns='{ns.CORRECTION}' id='A'/>"
C = "C", "third words", f"<replace xmlns='{ns.CORRECTION}' id='A'/>"
OF_B = "C", "third words", f"<replace xmlns='{ns.CORRECTION}' id='B'/>"
ALL = {"first words", "second words", "third words"}


def retraction(of: str) -> tuple[str, str, str]:
    return f"R{of}", "", f"<retract xmlns='urn:xmpp:message-retract:1' id='{of}'/>"


STORIES: Final = {
    "a message": ([A, retraction("A")], set()),
    "a corrected message": ([A, B, retraction("A")], set()),
    "a message corrected twice": ([A, B, C, retraction("A")], set()),
    "a message whose correction was corrected": ([A, B, OF_B, retraction("A")], set()),
    "its correction": ([A, B, retraction("B")], {"first words"}),
    "the second correction": ([A, B, C, retraction("C")], {"first words", "second words"}),
    "the first correction": ([A, B, C, retraction("B")], {"first words", "third words"}),
    "the correction of a correction": ([A, B, OF_B, retraction("C")], {"first words", "second words"}),
    "all of them, one by one": ([A, B, C, retraction("C"), retraction("B"), retraction("A")], set()),
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES)
    yield world
    assert not world.server.telemetry.bugs
    await world.stop()


async def send(client: WorldClient, messages: list[tuple[str, str, str]]) -> None:
    for id_, text, more in messages:
        body = f"<body>{text}</body>" if text else ""
        await client.send(f"<message type='chat' to='{BOB}' id='{id_}'>{body}{more}</message>")


async def views(client: WorldClient) -> dict[str, bytes]:
    """Give everything that a client is sent by each view, as octets."""
    queries = {
        "archive": ArchiveQuery().encode(),
        "fold": ArchiveQuery(is_folded=True).encode(),
    }
    asked = {name: iq(query) for name, query in queries.items()}
    asked["inbox"] = fetch()
    asked["sync"] = "<iq type='get' id='s'><sync xmlns='urn:tidings:sync:0'/></iq>"
    asked["sync since"] = "<iq type='get' id='s'><sync xmlns='urn:tidings:sync:0' since='.0.'/></iq>"
    shown = {}
    for name, text in asked.items():
        client.take()
        await client.send(text)
        *parts, answer = client.take()
        assert answer.get("type") == "result", answer
        shown[name] = b"".join(each.to_bytes() for each in (*parts, answer))
    for word in ("first", "second", "third"):
        shown[f"search for {word}"] = b"".join(
            result.to_bytes() for result in (await pull(client, text=word)).results
        )
    return shown


@pytest.mark.parametrize("story", STORIES)
async def test_no_view_shows_what_was_taken_back(world: World, story: str) -> None:
    messages, left = STORIES[story]
    alice = await world.online(f"{ALICE}/phone")
    laptop = await world.online(f"{ALICE}/laptop")
    late = await world.online(f"{BOB}/phone")
    await late.leave()
    bob = await world.online(f"{BOB}/desk")
    said = [each for each in messages if each[1]]
    await send(alice, said)
    await send(laptop, messages[len(said) :])  # across devices
    for client in (alice, bob):
        for view, shown in (await views(client)).items():
            for text in ALL - left:
                assert text.encode() not in shown, view
    late = await world.login(f"{BOB}/phone")
    await late.send("<presence/>")
    assert {each.text_of("body") for each in late.take("message")} - {None} == left


@pytest.mark.parametrize("story", ["its correction", "the second correction"])
async def test_the_fold_falls_back_to_what_was_not_taken_back(world: World, story: str) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await send(alice, STORIES[story][0])
    original = (await pull(alice, is_folded=True)).results[0]
    assert original.folded is not None
    correction = original.folded.correction
    assert text_of(original) == "first words"
    assert (b"second words" in correction.raw) if correction is not None else story == "its correction"


async def test_an_erased_message_takes_its_corrections_along(world: World) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    await send(alice, [A, B, C])
    ledger = world.stores.ledger
    page = await ledger.page(Jid(BOB), PageQuery(limit=1))
    assert await ledger.erase_everywhere(page.entries[0].id, Jid(BOB)) == 6
    for client in (alice, bob):
        for view, shown in (await views(client)).items():
            for text in ALL:
                assert text.encode() not in shown, view


async def test_a_retraction_holds_when_it_is_erased_itself(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await send(alice, [A, B, retraction("A")])
    await world.stores.ledger.erase(Jid(ALICE), (3,))
    for view, shown in (await views(alice)).items():
        for text in ALL:
            assert text.encode() not in shown, view


async def test_a_correction_stays_out_of_sight_when_the_original_is_trimmed(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await send(alice, [A, B, retraction("A")])
    await world.stores.ledger.trim(Jid(ALICE), keep=2)
    for view, shown in (await views(alice)).items():
        for text in ALL:
            assert text.encode() not in shown, view
