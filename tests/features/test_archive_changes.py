"""Archive: what it shows of messages that were taken back, corrected, reacted to and read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from tests.features.pulling import chat, pull, text_of
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import Archive, ArchiveOptions
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_fold import ProgressKind
from tidings.wire.xmpp.payloads.retraction import RetractionForm, Tombstone

FEATURES = (Rosters, Subscriptions, Presences, Archive)
ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES)
    yield world
    await world.stop()


@pytest.fixture
async def alice(world: World) -> WorldClient:
    await world.register("bob@localhost")
    return await world.online("alice@localhost/phone")


@pytest.fixture
async def bob(world: World) -> WorldClient:
    return await world.online("bob@localhost/desk")


# --- retracted


BY_ID = "<retract xmlns='urn:xmpp:message-retract:1' id='{id}'/>"
BY_ORIGIN_ID, BY_ARCHIVE_ID = (
    f"<apply-to xmlns='urn:xmpp:fasten:0' id='{name}'><retract xmlns='{form}'/></apply-to>"
    for name, form in (("o-{id}", ns.RETRACTION0), ("{archived}", ns.RETRACTION_BY_STANZA_ID))
)
RETRACTIONS = {
    "by message id": (BY_ID, RetractionForm.BY_MESSAGE_ID),
    "by origin-id": (BY_ORIGIN_ID, RetractionForm.BY_ORIGIN_ID),
    "by archive id": (BY_ARCHIVE_ID, RetractionForm.BY_STANZA_ID),
}


async def regret(alice: WorldClient, form: str = BY_ID) -> None:
    """Say something, correct it, and take it back."""
    await chat(alice, "bob@localhost", "secret", more="<origin-id xmlns='urn:xmpp:sid:0' id='o-secret'/>")
    archived = (await pull(alice)).ids[0]
    await chat(
        alice, "bob@localhost", "corrected", more="<replace xmlns='urn:xmpp:message-correct:0' id='secret'/>"
    )
    await chat(alice, "bob@localhost", "gone", more=form.format(id="secret", archived=archived))


@pytest.mark.parametrize(("form", "expected"), RETRACTIONS.values(), ids=RETRACTIONS)
async def test_a_retracted_message_is_a_tombstone(
    alice: WorldClient, bob: WorldClient, form: str, expected: RetractionForm
) -> None:
    await regret(alice, form)
    for client in (alice, bob):
        pulled = await pull(client)
        assert pulled.texts == [None, None, "gone"]
        for result in pulled.results[:2]:
            stanza = result.forwarded.stanza()
            assert stanza is not None
            element = stanza.decode(expected.value, "retracted")
            assert element is not None
            stone = Tombstone.decode(element)
            assert stone.form is expected
            assert stone.stamp is not None
            if expected is RetractionForm.BY_MESSAGE_ID:
                assert stone.id == "gone"
            if expected is RetractionForm.BY_STANZA_ID:
                assert stone.stanza_id is not None
                assert stone.stanza_id.id == result.id


async def test_what_was_taken_back_is_not_found_by_its_words(alice: WorldClient) -> None:
    await chat(alice, "bob@localhost", "the secret stays")
    await regret(alice)
    assert (await pull(alice, text="secret")).texts == ["the secret stays"]
    assert (await pull(alice, text="corrected")).texts == []


async def test_nobody_retracts_what_somebody_else_wrote(alice: WorldClient, bob: WorldClient) -> None:
    await chat(alice, "bob@localhost", "mine")
    (received,) = (await pull(bob)).ids
    for form, _ in RETRACTIONS.values():
        await chat(bob, "alice@localhost", "no", more=form.format(id="mine", archived=received))
    for client in (alice, bob):
        assert (await pull(client)).texts == ["mine", "no", "no", "no"]


async def with_policy(retracted: Literal["original", "erase"]) -> tuple[World, WorldClient]:
    world = await World.start(features=FEATURES, options={"archive": ArchiveOptions(retracted=retracted)})
    await world.register("bob@localhost")
    return world, await world.online("alice@localhost/phone")


async def test_originals_may_go_on_being_shown() -> None:
    world, alice = await with_policy("original")
    await regret(alice)
    assert (await pull(alice)).texts == ["secret", "corrected", "gone"]
    folded = (await pull(alice, is_folded=True)).results[0].folded
    assert folded is not None
    assert folded.retraction is not None
    await world.stop()


async def originals(world: World, owner: Jid) -> list[bytes | None]:
    page = await world.stores.ledger.page(owner, PageQuery(tombstones=True))
    return [entry.body for entry in page.entries]


async def test_originals_are_kept_for_an_audit(world: World, alice: WorldClient) -> None:
    await regret(alice)
    kept = await originals(world, ALICE)
    assert kept[0] is not None
    assert b"secret" in kept[0]


async def test_originals_may_be_erased() -> None:
    world, alice = await with_policy("erase")
    await regret(alice)
    for owner in (ALICE, BOB):
        assert [body is None for body in await originals(world, owner)] == [True, True, False]
    pulled = await pull(alice)
    assert pulled.texts == ["gone"]
    assert pulled.fin.is_complete
    await world.stop()


async def test_what_is_held_is_not_erased_and_not_shown() -> None:
    world, alice = await with_policy("erase")
    await world.stores.ledger.hold_archive(ALICE)
    await regret(alice)
    assert (await pull(alice)).texts == [None, None, "gone"]
    assert (await originals(world, ALICE))[0] is not None
    await world.stop()


# --- folded


async def test_what_has_become_of_a_message(world: World, alice: WorldClient, bob: WorldClient) -> None:
    await chat(alice, "bob@localhost", "m1", "m2")
    await chat(alice, "bob@localhost", "M1", more="<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>")
    for payload in (
        "<received xmlns='urn:xmpp:receipts' id='m1'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>👋</reaction></reactions>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='m2'/>",
    ):
        await bob.send(f"<message type='chat' to='alice@localhost'>{payload}</message>")
    for client in (alice, bob):
        pulled = await pull(client, is_folded=True)
        assert len(pulled.results) == 6
        first, second = (result.folded for result in pulled.results[:2])
        assert first is not None
        assert second is not None
        assert first.correction is not None
        assert b"M1" in first.correction.raw
        assert first.correction.id == pulled.ids[2]
        assert [(each.by, each.reactions) for each in first.reactions] == [(BOB, ("👋",))]
        assert [(each.by, each.kind) for each in first.progress] == [
            (BOB, ProgressKind.RECEIVED),
            (BOB, ProgressKind.DISPLAYED),
        ]
        assert [(each.by, each.kind) for each in second.progress] == [(BOB, ProgressKind.DISPLAYED)]
        assert second.correction is None
        assert text_of(pulled.results[0]) == "m1"
        assert (await pull(client)).results[0].folded is None


async def test_the_fold_of_a_retracted_message_tells_nothing_else(alice: WorldClient) -> None:
    await regret(alice)
    pulled = await pull(alice, is_folded=True)
    folded = pulled.results[0].folded
    assert folded is not None
    assert folded.retraction is not None
    assert folded.retraction.id == pulled.ids[2]
    assert folded.correction is None
    assert all(
        b"secret" not in result.to_bytes().replace(b'id="secret"', b"") for result in pulled.results[:2]
    )
