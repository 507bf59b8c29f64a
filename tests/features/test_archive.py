"""Archive: what the owner of an account reads of its history, and what nobody else does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.features.pulling import chat, iq, pull, refusal
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import Archive, ArchiveOptions
from tidings.features.archive_preferences import ArchivePreferencesFeature
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.disco import ServiceDiscovery
from tidings.kernel.events import ArchivePulled
from tidings.kernel.feature import Feature, listens
from tidings.ports.ledger.reading import EntryId
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import (
    ArchiveBounds,
    ArchiveForm,
    ArchiveMetadata,
    ArchiveQuery,
)
from tidings.wire.xmpp.payloads.data_form import Field
from tidings.wire.xmpp.payloads.disco import Info
from tidings.wire.xmpp.payloads.result_set import PageRequest

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")


class Pulls(Feature):
    """Counts who has asked for the archive."""

    def __init__(self) -> None:
        self.sessions: list[str] = []

    @listens(ArchivePulled)
    def note(self, event: ArchivePulled) -> None:
        self.sessions.append(event.session.jid.resource)


FEATURES = (
    Rosters,
    Subscriptions,
    Presences,
    ServiceDiscovery,
    Archive,
    ArchivePreferencesFeature,
    Pulls,
)


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


# --- pages


async def test_a_conversation_is_read_back_by_both(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    await chat(alice, "bob@localhost", "one")
    await world.advance(60)
    await chat(bob, "alice@localhost", "two")
    sent = world.clock.now()
    for client, owner in ((alice, ALICE), (bob, BOB)):
        pulled = await pull(client, query_id="f27")
        assert pulled.texts == ["one", "two"]
        assert pulled.fin.is_complete
        page = pulled.fin.page
        assert (page.first, page.last, page.index, page.count) == (pulled.ids[0], pulled.ids[1], 0, 2)
        for result in pulled.results:
            assert result.query_id == "f27"
            stanza = result.forwarded.stanza()
            assert stanza is not None
            stanza_id = stanza.decode(ns.STANZA_ID, "stanza-id")
            assert stanza_id is not None
            assert (stanza_id.get("by"), stanza_id.get("id")) == (owner, result.id)
        first, second = (result.forwarded.delay for result in pulled.results)
        assert first is not None
        assert second is not None
        assert second.stamp == round(sent * 1_000_000)
        assert second.stamp - first.stamp == 60_000_000
        assert second.sender == "bob@localhost/desk"


async def test_the_id_of_a_live_message_is_its_id_in_the_archive(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    await chat(alice, "bob@localhost", "one")
    (message,) = bob.take("message")
    stanza_id = message.find("stanza-id", ns.STANZA_ID)
    assert stanza_id is not None
    assert (await pull(bob)).ids == [stanza_id.get("id")]


async def test_pages_in_both_directions(alice: WorldClient) -> None:
    texts = [f"m{number}" for number in range(7)]
    await chat(alice, "bob@localhost", *texts)
    first = await pull(alice, page=PageRequest(3))
    assert (first.texts, first.fin.is_complete) == (texts[:3], False)
    assert (first.fin.page.index, first.fin.page.count) == (0, 7)
    second = await pull(alice, page=PageRequest(3, after=first.fin.page.last))
    assert (second.texts, second.fin.is_complete, second.fin.page.index) == (texts[3:6], False, 3)
    third = await pull(alice, page=PageRequest(3, after=second.fin.page.last))
    assert (third.texts, third.fin.is_complete, third.fin.page.index) == (texts[6:], True, 6)
    last = await pull(alice, page=PageRequest(3, before=""))
    assert (last.texts, last.fin.is_complete, last.fin.page.index) == (texts[4:], False, None)
    before = await pull(alice, page=PageRequest(4, before=last.fin.page.first))
    assert (before.texts, before.fin.is_complete) == (texts[:4], True)
    flipped = await pull(alice, page=PageRequest(3, before=""), is_flipped=True)
    assert flipped.texts == texts[:3:-1]
    assert (flipped.fin.page.first, flipped.fin.page.last) == (last.fin.page.first, last.fin.page.last)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6])
async def test_paging_through_tells_everything_once(alice: WorldClient, size: int) -> None:
    texts = [f"m{number}" for number in range(5)]
    await chat(alice, "bob@localhost", *texts)
    forward: list[str | None] = []
    page = await pull(alice, page=PageRequest(size))
    while not page.fin.is_complete:
        forward += page.texts
        page = await pull(alice, page=PageRequest(size, after=page.fin.page.last))
    assert [*forward, *page.texts] == texts
    backward: list[str | None] = []
    page = await pull(alice, page=PageRequest(size, before=""))
    while not page.fin.is_complete:
        backward[:0] = page.texts
        page = await pull(alice, page=PageRequest(size, before=page.fin.page.first))
    assert [*page.texts, *backward] == texts


async def test_a_page_ends_at_the_newest_message(alice: WorldClient) -> None:
    await chat(alice, "bob@localhost", "one")
    page = (await pull(alice)).fin.page
    beyond = await pull(alice, page=PageRequest(after=page.last))
    assert (beyond.texts, beyond.fin.is_complete, beyond.fin.page.first) == ([], True, None)


async def test_how_many_there_are(alice: WorldClient) -> None:
    await chat(alice, "bob@localhost", "one", "two")
    counted = await pull(alice, page=PageRequest(0))
    assert (counted.texts, counted.fin.page.count, counted.fin.is_complete) == ([], 2, False)
    simple = await pull(alice, is_simple=True)
    assert (simple.texts, simple.fin.page.count, simple.fin.page.index) == (["one", "two"], None, None)
    assert simple.fin.is_complete


async def test_a_page_has_an_end() -> None:
    world = await World.start(
        features=FEATURES, options={"archive": ArchiveOptions(default_page=2, maximum_page=3)}
    )
    await world.register("bob@localhost")
    alice = await world.online("alice@localhost/phone")
    await chat(alice, "bob@localhost", "1", "2", "3", "4")
    assert (await pull(alice)).texts == ["1", "2"]
    assert (await pull(alice, page=PageRequest(1_000))).texts == ["1", "2", "3"]
    await world.stop()


# --- selections


async def test_what_is_asked_for_is_what_comes(world: World, alice: WorldClient, bob: WorldClient) -> None:
    await world.register("carol@other.test")
    await chat(alice, "bob@localhost/desk", "to desk")
    await chat(alice, "carol@other.test", "to carol")
    await world.advance(10)
    noon = round(world.clock.now() * 1_000_000)
    await chat(bob, "alice@localhost", "from desk")
    await world.advance(10)
    await chat(await world.online("bob@localhost/tablet"), "alice@localhost", "from tablet")
    await chat(alice, "alice@localhost", "a note")
    everything = await pull(alice)
    first, second, third, fourth, fifth = everything.ids
    assert everything.texts == ["to desk", "to carol", "from desk", "from tablet", "a note"]
    cases: list[tuple[dict[str, object], list[str]]] = [
        ({"peer": BOB}, ["to desk", "from desk", "from tablet"]),
        ({"peer": BOB.with_resource("desk")}, ["to desk", "from desk"]),
        ({"peer": BOB.with_resource("tablet")}, ["from tablet"]),
        ({"peer": BOB.with_resource("nowhere")}, []),
        ({"peer": ALICE}, ["a note"]),
        ({"peer": Jid("dave@localhost")}, []),
        ({"start": noon}, ["from desk", "from tablet", "a note"]),
        ({"end": noon}, ["to desk", "to carol", "from desk"]),
        ({"start": noon + 1}, ["from tablet", "a note"]),
        ({"start": noon, "end": noon}, ["from desk"]),
        ({"after_id": second}, ["from desk", "from tablet", "a note"]),
        ({"before_id": second}, ["to desk"]),
        ({"from_id": second, "to_id": fourth}, ["to carol", "from desk", "from tablet"]),
        ({"ids": (fifth, first)}, ["to desk", "a note"]),
        ({"text": "DESK"}, ["to desk", "from desk"]),
        ({"text": "tab fro"}, ["from tablet"]),
        ({"text": "desk", "peer": BOB, "after_id": first}, ["from desk"]),
    ]
    for wishes, expected in cases:
        found = await pull(alice, **wishes)
        assert found.texts == expected, wishes
        assert found.fin.is_complete, wishes
    assert (await pull(alice, ArchiveQuery(namespace=ns.MAM1, peer=BOB))).texts == cases[0][1]
    assert (await pull(alice, after_id=third)).fin.page.count == 2


async def test_messages_with_one_resource_come_in_pages_too(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    tablet = await world.online("bob@localhost/tablet")
    for number in range(4):
        await chat(bob, "alice@localhost", f"d{number}")
        await chat(tablet, "alice@localhost", f"t{number}")
    desk = BOB.with_resource("desk")
    page = await pull(alice, peer=desk, page=PageRequest(2))
    assert (page.texts, page.fin.is_complete) == (["d0", "d1"], False)
    page = await pull(alice, peer=desk, page=PageRequest(2, after=page.fin.page.last))
    assert (page.texts, page.fin.is_complete) == (["d2", "d3"], True)
    page = await pull(alice, peer=desk, page=PageRequest(3, before=""), is_flipped=True)
    assert (page.texts, page.fin.is_complete) == (["d3", "d2", "d1"], False)


# --- what is refused


async def test_an_unknown_id_is_told_with_the_bounds_of_the_archive(alice: WorldClient) -> None:
    await chat(alice, "bob@localhost", "one", "two")
    first, last = (await pull(alice)).ids
    epoch = first.partition("-")[0]
    for query in (
        ArchiveQuery(page=PageRequest(after="09af3-cc343-b409f")),
        ArchiveQuery(page=PageRequest(before=f"{epoch}-9")),
        ArchiveQuery(page=PageRequest(after="OTHER-1")),
        ArchiveQuery(after_id=f"{epoch}-77"),
        ArchiveQuery(to_id=f"{epoch}-0"),
        ArchiveQuery(ids=(first, f"{epoch}-3")),
        ArchiveQuery(peer=BOB.with_resource("desk"), page=PageRequest(after="OTHER-1")),
    ):
        condition, error = await refusal(alice, query.encode())
        assert condition == "item-not-found"
        assert error.text_of("text", ns.STANZA_ERRORS) == "Message with specified ID is not found"
        bounds = error.find("bounds", ns.TIDINGS_ARCHIVE)
        assert bounds is not None
        assert ArchiveBounds.decode(bounds) == ArchiveBounds(epoch, first, last)
    assert (await pull(alice)).texts == ["one", "two"]


async def test_a_trimmed_id_is_unknown(world: World, alice: WorldClient) -> None:
    await chat(alice, "bob@localhost", "one", "two", "three")
    ids = (await pull(alice)).ids
    await world.stores.ledger.trim(ALICE, keep=1)
    condition, error = await refusal(alice, ArchiveQuery(page=PageRequest(after=ids[0])).encode())
    bounds = error.find("bounds", ns.TIDINGS_ARCHIVE)
    assert condition == "item-not-found"
    assert bounds is not None
    assert (bounds.get("first"), bounds.get("head")) == (ids[2], ids[2])
    assert (await pull(alice)).texts == ["three"]


async def test_an_archive_without_a_message(alice: WorldClient) -> None:
    pulled = await pull(alice)
    assert (pulled.texts, pulled.fin.is_complete, pulled.fin.page.count) == ([], True, 0)
    condition, error = await refusal(alice, ArchiveQuery(page=PageRequest(after="OTHER-1")).encode())
    assert condition == "item-not-found"
    assert error.find("bounds", ns.TIDINGS_ARCHIVE) is None


@pytest.mark.parametrize("to", ["bob@localhost", "nobody@localhost"])
async def test_an_archive_is_for_its_owner_alone(world: World, alice: WorldClient, to: str) -> None:
    await world.register("bob@localhost")
    for query, kind in (
        (ArchiveQuery().encode(), "set"),
        (ArchiveQuery().encode(), "get"),
        (ArchiveQuery(namespace=ns.MAM1).encode(), "set"),
        (ArchiveMetadata().encode(), "get"),
    ):
        condition, error = await refusal(alice, query, to=to, kind=kind)
        assert (condition, error.get("type")) == ("not-allowed", "cancel")
        assert error.text_of("text", ns.STANZA_ERRORS) == "The action is not allowed."


@pytest.mark.parametrize(
    ("field", "condition", "named"),
    [
        (Field("start", ("yesterday",)), "bad-request", "start"),
        (Field("with", ("@",)), "jid-malformed", "with"),
        (Field("simple", ("perhaps",)), "bad-request", "simple"),
        (Field("ids", ()), "bad-request", "ids"),
        (Field("end", ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")), "bad-request", "end"),
        (Field("colour", ("red",)), "feature-not-implemented", "colour"),
    ],
)
async def test_what_cannot_be_asked(alice: WorldClient, field: Field, condition: str, named: str) -> None:
    found, error = await refusal(alice, ArchiveQuery(others=(field,)).encode())
    assert found == condition
    assert named in (error.text_of("text", ns.STANZA_ERRORS) or "")


async def test_an_anonymous_account_has_no_archive() -> None:
    world = await World.start(features=FEATURES, anonymous=("other.test",))
    guest = await world.online("guest@other.test/x")
    condition, _ = await refusal(guest, ArchiveQuery().encode())
    assert condition == "service-unavailable"
    await world.stop()


# --- about the archive


async def test_the_form(alice: WorldClient) -> None:
    for namespace in (ns.MAM2, ns.MAM1):
        answer = await alice.request(iq(ArchiveQuery(namespace=namespace).encode(), "get"))
        query = answer.find("query", namespace)
        assert query is not None
        form = ArchiveForm.decode(query).form
        names = {field.name for field in form.fields}
        assert {"with", "start", "end", "{urn:xmpp:fulltext:0}fulltext", "from-id", "simple"} <= names
        assert ("before-id" in names) == (namespace == ns.MAM2)


async def test_where_the_archive_starts_and_ends(world: World, alice: WorldClient) -> None:
    async def metadata() -> ArchiveMetadata:
        answer = await alice.request(iq(ArchiveMetadata().encode(), "get"))
        element = answer.find("metadata", ns.MAM2)
        assert element is not None
        return ArchiveMetadata.decode(element)

    assert await metadata() == ArchiveMetadata()
    start = round(world.clock.now() * 1_000_000)
    await chat(alice, "bob@localhost", "one", "two")
    await world.advance(5)
    await chat(alice, "bob@localhost", "three")
    found, ids = await metadata(), (await pull(alice)).ids
    assert found.start is not None
    assert found.end is not None
    assert (found.start.id, found.end.id) == (ids[0], ids[2])
    assert (found.start.stamp, found.end.stamp) == (start, start + 5_000_000)


async def test_what_is_advertised(world: World, alice: WorldClient, bob: WorldClient) -> None:
    async def features(client: WorldClient, to: str) -> set[str]:
        answer = await client.request(iq(Info().encode(), "get", to))
        query = answer.find("query", ns.DISCO_INFO)
        return set() if query is None else set(Info.decode(query).features)

    expected = {
        "urn:xmpp:mam:1",
        "urn:xmpp:mam:2",
        "urn:xmpp:mam:2#extended",
        "urn:xmpp:mam:2#groupchat-field",
        "urn:xmpp:fulltext:0",
        "urn:xmpp:sid:0",
        "urn:xmpp:message-retract:0",
        "urn:xmpp:message-retract:1",
        "urn:esl:message-retract-by-stanza-id:0",
        "urn:tidings:archive:0",
    }
    for to in ("alice@localhost", "localhost"):
        assert expected <= await features(alice, to)
    tombstones = {f"urn:xmpp:message-retract:{version}#tombstone" for version in (0, 1)}
    assert tombstones <= await features(alice, "alice@localhost")
    assert not expected & await features(bob, "alice@localhost")


async def test_a_device_that_asks_is_known_once(world: World, alice: WorldClient) -> None:
    pulls = world.server.hosts["localhost"].feature(Pulls)
    assert pulls is not None
    await pull(alice)
    await pull(alice)
    await pull(await world.online("alice@localhost/desk"))
    assert pulls.sessions == ["phone", "desk"]


async def test_ids_are_those_of_the_ledger(world: World, alice: WorldClient) -> None:
    await chat(alice, "bob@localhost", "one")
    head = await world.stores.ledger.head(ALICE)
    assert (await pull(alice)).ids == [str(EntryId(head.epochs[-1][0], 1))]
