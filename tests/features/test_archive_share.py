"""The share of an archive: what finds no room in it is refused, and its sender is told so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.features.pulling import pull
from tests.harness.service import RemoteService
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import ArchiveOptions
from tidings.messages.entries import RETRACTION_OCTETS
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element

ALICE, BOB, CAROL = (Jid(f"{name}@localhost") for name in ("alice", "bob", "carol"))
ROMEO = "romeo@far.example"
ALLOWED = 5_000
RECIPIENT_FULL = "wait", "resource-constraint", "the recipient's archive is full"


def chat(to: Jid | str, id_: str, octets: int = 10, more: str = "") -> str:
    return f"<message to='{to}' type='chat' id='{id_}'><body>{'x' * octets}</body>{more}</message>"


def retraction(to: Jid, id_: str, of: str, octets: int = 1) -> str:
    retract = f"<retract xmlns='urn:xmpp:message-retract:1' id='{of}'/>"
    return chat(to, id_, octets, retract)


def refusal(client: WorldClient) -> tuple[str, str, str]:
    """Give type, condition and text of the one error that was received."""
    return refusal_in(client.take("message"))


def refusal_in(messages: list[Element]) -> tuple[str, str, str]:
    [message] = messages
    assert message.get("type") == "error"
    error = message.find("error", "jabber:client")
    assert error is not None
    condition, *rest = error.children
    return error.get("type") or "", condition.name, rest[0].text if rest else ""


async def octets(world: World, archive: Jid) -> int:
    return int((await world.stores.ledger.head(archive)).octets)


async def explained(world: World, id_: str) -> list[str]:
    story = await CATALOGUE.call(world.context, "explain", "message", {"id": id_})
    return [one.text for one in story.steps if one.step == "refused"]


async def start(**values: object) -> World:
    world = await World.start(options={"archive": ArchiveOptions(**values)})
    for account in (ALICE, BOB, CAROL):
        await world.register(account)
    return world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start(max_octets=ALLOWED)
    yield world
    assert not world.server.telemetry.bugs
    await world.stop()


@pytest.fixture
async def alice(world: World) -> WorldClient:
    return await world.online(f"{ALICE}/phone")


@pytest.fixture
async def full(world: World, alice: WorldClient) -> World:
    """Alice has sent Bob so much that her archive and his have room for hardly a word."""
    await alice.send(chat(BOB, "m1", 2_000), chat(BOB, "m2", 2_000), chat(BOB, "m3", 500))
    assert alice.take("message") == []
    assert ALLOWED - 300 < await octets(world, ALICE) == await octets(world, BOB) <= ALLOWED
    return world


async def test_a_sender_who_is_full_is_told_how_full(full: World, alice: WorldClient) -> None:
    carol = await full.online(f"{CAROL}/desk")
    before = await octets(full, ALICE)
    await alice.send(chat(CAROL, "m4", 1_000))
    kind, condition, text = refusal(alice)
    assert (kind, condition) == ("wait", "resource-constraint")
    assert text.startswith("the archive of alice@localhost would have ")
    assert text.endswith("octets; 5000 are allowed")
    assert await octets(full, ALICE) == before
    assert await octets(full, CAROL) == 0
    assert carol.take("message") == []
    [refused] = await explained(full, "m4")
    assert refused.endswith("by: its sender's archive has no room for it")


async def test_a_recipient_who_is_full_is_told_of_without_numbers(full: World) -> None:
    bob = await full.online(f"{BOB}/desk")
    bob.take()
    carol = await full.online(f"{CAROL}/desk")
    before = await octets(full, BOB)
    await carol.send(chat(BOB, "m4", 1_000))
    assert refusal(carol) == RECIPIENT_FULL
    assert await octets(full, BOB) == before
    assert (await pull(carol)).results == []
    assert bob.take("message") == []
    assert await explained(full, "m4") == [
        "resource-constraint: the recipient's archive is full; by: its recipient's archive has no room for it"
    ]


async def test_what_needs_no_room_passes(full: World) -> None:
    bob = await full.online(f"{BOB}/desk")
    bob.take()
    carol = await full.online(f"{CAROL}/desk")
    await carol.send(
        chat(BOB, "m4", 1_000, "<no-store xmlns='urn:xmpp:hints'/>"),
        f"<message to='{BOB}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
    )
    assert [message.get("type") for message in bob.take("message")] == ["chat", "chat"]
    assert carol.take("message") == []


async def test_what_fits_still_passes_behind_what_does_not(full: World, alice: WorldClient) -> None:
    await alice.send(chat(BOB, "m4", 1_000), chat(BOB, "m5", 1))
    assert refusal(alice)[1] == "resource-constraint"
    assert len((await pull(alice)).results) == 4


async def test_a_message_can_be_taken_back_in_a_full_archive(full: World, alice: WorldClient) -> None:
    bob = await full.online(f"{BOB}/desk")
    bob.take()
    await alice.send(retraction(BOB, "r1", "m1", 1_000))
    assert alice.take("message") == []
    assert [message.get("id") for message in bob.take("message")] == ["r1"]
    assert (await pull(bob)).texts.count("x" * 2_000) == 1  # m2
    assert await octets(full, BOB) > ALLOWED
    await alice.send(chat(BOB, "m4", 1))
    assert refusal(alice)[1] == "resource-constraint"


async def test_retractions_fill_no_archive_without_end(full: World, alice: WorldClient) -> None:
    size = 250_000  # of which the fifth is too much
    for number in range(5):
        assert alice.take("message") == []
        await alice.send(retraction(BOB, f"r{number}", "m1", size))
    assert refusal(alice)[1] == "resource-constraint"
    assert await octets(full, BOB) <= ALLOWED + RETRACTION_OCTETS


async def test_what_is_taken_back_makes_room_where_it_is_erased() -> None:
    world = await start(max_octets=ALLOWED, retracted="erase")
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(chat(BOB, "m1", 4_000), chat(BOB, "m2", 2_000))
    assert refusal(alice)[1] == "resource-constraint"
    await alice.send(retraction(BOB, "r1", "m1"))
    await alice.send(chat(BOB, "m2", 2_000))
    assert alice.take("message") == []
    await world.stop()


async def test_there_is_room_again_after_a_trim(full: World, alice: WorldClient) -> None:
    for user in (ALICE, BOB):
        trimmed = await CATALOGUE.call(
            full.context, "retention", "trim", {"user": str(user), "keep_octets": 3_000}
        )
        assert (trimmed.archives, trimmed.trimmed) == (1, 1)
    await alice.send(chat(BOB, "m4", 1_000))
    assert alice.take("message") == []
    assert len((await pull(alice)).results) == 3


async def test_a_held_archive_is_bounded_as_others_are(full: World, alice: WorldClient) -> None:
    await full.stores.ledger.hold_archive(ALICE)
    await alice.send(chat(CAROL, "m4", 1))
    assert alice.take("message") == []
    await alice.send(chat(CAROL, "m5", 1_000))
    assert refusal(alice)[1] == "resource-constraint"


async def test_an_operation_that_sends_is_told(full: World) -> None:
    message = {"sender": str(CAROL), "to": str(BOB), "body": "x" * 1_000}
    with pytest.raises(OperationError, match="the recipient's archive is full"):
        await CATALOGUE.call(full.context, "stanza", "send-message", message)


async def test_who_writes_from_another_server_is_told(full: World) -> None:
    far = RemoteService(full, "far.example")
    await far.send(chat(BOB, "m4", 1_000).replace("<message", f"<message from='{ROMEO}/x'"))
    assert refusal_in(far.take("message")) == RECIPIENT_FULL


async def test_that_a_message_could_not_arrive_is_kept_in_a_full_archive(
    world: World, alice: WorldClient
) -> None:
    far = RemoteService(world, "far.example")
    far.fail(10_000)
    await alice.send(chat(ROMEO, "m1", ALLOWED - 150))
    assert ALLOWED - 150 < await octets(world, ALICE) <= ALLOWED
    for _ in range(5 * 24):
        await world.advance(3_600)
    assert refusal(alice)[1] == "remote-server-timeout"
    page = await world.stores.ledger.page(ALICE, PageQuery(folded=True))
    assert [entry.kind for entry in page.entries] == [EntryKind.MESSAGE, EntryKind.FAILED]
    assert await octets(world, ALICE) > ALLOWED


async def test_without_the_option_nothing_is_refused() -> None:
    world = await start()
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(*(chat(BOB, f"m{number}", 50_000) for number in range(20)))
    assert alice.take("message") == []
    assert await octets(world, BOB) > 1_000_000
    await world.stop()
