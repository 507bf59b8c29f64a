"""Markers that came to rooms by MUC Light while a device was away: it is sent the last ones when it comes."""

from __future__ import annotations

import asyncio

import pytest

from tests.features.rooms.light.stage import BY_MUC, ROOM, change, create, people, say, start, user, world
from tests.features.rooms.stage import enter
from tests.features.rooms.test_room_receipts import last_id
from tests.harness.nodes import Nodes
from tests.harness.world import World, WorldClient
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Committed, LedgerBatch
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xmpp import ns

__all__ = ["world"]

AWAY = 60.0
"""Seconds that somebody is away, or stays, so that it is certain when he was there."""


def marks(id_: str, kind: str = "displayed", *, room: str = ROOM, thread: str = "") -> str:
    about = f"<thread>{thread}</thread>" if thread else ""
    return (
        f"<message to='{room}' type='groupchat' id='{kind}-{id_}'>"
        f"<{kind} xmlns='{ns.MARKERS}' id='{id_}'/>{about}</message>"
    )


def markers(client: WorldClient) -> list[tuple[str, str, str]]:
    """Give who has marked what, and how, since this was asked last."""
    found = []
    for message in client.take("message"):
        found += [
            (message.get("from") or "", each.name, each.get("id") or "")
            for each in message.children
            if each.namespace == ns.MARKERS
        ]
    return found


def of(name: str, id_: str, kind: str = "displayed", *, room: str = ROOM) -> tuple[str, str, str]:
    return f"{room}/{name}@localhost", kind, id_


async def leave(world: World, client: WorldClient) -> None:
    await world.advance(AWAY)
    client.take()
    await client.leave()
    await world.advance(AWAY)


async def come(world: World, name: str = "bob", device: str = "phone") -> WorldClient:
    client = await world.login(f"{name}@localhost/{device}")
    await client.send("<presence/>")
    return client


async def test_who_comes_again_is_sent_the_last_marker_of_each_sender_and_kind_in_each_room(
    world: World,
) -> None:
    alice, bob, carol = await people(world, "alice", "bob", "carol")
    other = "ward8@muclight.localhost"
    await create(alice, user("bob"), user("carol"))
    await create(alice, user("bob"), to=other)
    ids = []
    for text in ("one", "two", "three"):
        await alice.send(say(text))
        ids.append(last_id(bob, by=ROOM))
        bob.take()
    await leave(world, bob)
    await carol.send(marks(ids[0], "received"), marks(ids[0]), marks(ids[1], "received"), marks(ids[2]))
    await world.advance(1)
    await alice.send(marks(ids[1]))
    await world.advance(1)
    await alice.send(marks("x", room=other))
    await alice.send("<message to='bob@localhost' type='chat'><body>and you?</body></message>")
    bob = await come(world)
    messages = [each for each in bob.received if each.name == "message"]
    assert messages[0].text_of("body") == "and you?"
    delay = messages[1].find("delay", ns.DELAY)
    assert delay is not None
    assert markers(bob) == [
        of("carol", ids[1], "received"),
        of("carol", ids[2]),
        of("alice", ids[1]),
        of("alice", "x", room=other),
    ]


async def test_nothing_is_unread_by_them_and_they_are_kept_once(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    await bob.send(marks(one))
    await leave(world, bob)
    before = (await world.stores.ledger.page(Jid(BY_MUC), PageQuery())).total
    await alice.send(marks(one))
    bob = await come(world)
    assert markers(bob) == [of("alice", one)]
    assert (await world.stores.ledger.conversation(Jid("bob@localhost"), Jid(BY_MUC))).unread == 0
    assert (await world.stores.ledger.page(Jid(BY_MUC), PageQuery())).total == before + 1
    assert (await world.stores.ledger.page(Jid("bob@localhost"), PageQuery())).total == 0


async def test_what_a_device_has_had_live_does_not_come_again_and_each_device_has_its_own(
    world: World,
) -> None:
    alice, bob = await people(world, "alice", "bob")
    tablet = await come(world, device="tablet")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    await alice.send(marks(one))
    assert markers(bob) == [of("alice", one)]
    await world.advance(AWAY)
    await leave(world, bob)
    bob = await come(world)
    assert markers(bob) == []
    await leave(world, tablet)
    await alice.send(say("two"))
    two = last_id(bob, by=ROOM)
    bob.take()
    await alice.send(marks(two))
    assert markers(bob) == [of("alice", two)]
    await world.advance(AWAY)
    await leave(world, bob)
    assert markers(await come(world)) == []
    assert markers(await come(world, device="tablet")) == [of("alice", two)]


async def test_what_is_durable_and_about_to_be_sent_live_comes_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    await alice.send(marks(one, "received"))
    await leave(world, bob)
    commit = world.stores.ledger.commit
    answers: list[tuple[asyncio.Future[Committed], asyncio.Future[Committed]]] = []

    def commit_and_wait(batch: LedgerBatch) -> asyncio.Future[Committed]:
        """Keep what is appended at once, and say so later."""
        answer = commit(batch)
        if not batch.appends:
            return answer
        later: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        answers.append((answer, later))
        return later

    monkeypatch.setattr(world.stores.ledger, "commit", commit_and_wait)
    alice.push(marks(one, "received"), marks(one))
    while not answers or not answers[-1][0].done():
        await asyncio.sleep(0)
    bob = await world.login("bob@localhost/phone")
    bob.push("<presence/>")
    while bob.session.account.sessions["phone"].is_catching_up or bob.session.priority is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    for answer, later in answers:
        later.set_result(answer.result())
    await world.settle()
    assert markers(bob) == [of("alice", one, "received"), of("alice", one)]


async def test_who_was_unavailable_in_his_session_is_sent_them_too(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await alice.send(say("one"))
    one = last_id(bob, by=ROOM)
    await alice.send(marks("before"))
    await bob.send("<presence type='unavailable'/>")
    bob.take()
    await world.advance(1)
    await alice.send(marks(one))
    assert markers(bob) == []
    await bob.send("<presence/>")
    assert markers(bob) == [of("alice", one)]
    await bob.send("<presence><show>away</show></presence>")
    assert markers(bob) == []


async def test_of_the_time_before_somebody_joined_and_after_he_has_left_he_is_sent_nothing(
    world: World,
) -> None:
    alice, bob, carol = await people(world, "alice", "bob", "carol")
    await create(alice, user("bob"))
    await leave(world, carol)
    await leave(world, bob)
    await alice.send(marks("early"))
    await change(alice, user("carol"), user("bob", "none"))
    assert markers(await come(world, "carol")) == []
    await alice.send(marks("late"))
    assert markers(await come(world, "bob")) == []


async def test_who_fetches_what_he_missed_by_himself_is_sent_none(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await bob.request(f"<iq type='set' id='q' to='{ROOM}'><query xmlns='{ns.MAM2}'/></iq>")
    await bob.request(f"<iq type='set' id='p'><query xmlns='{ns.MAM2}'/></iq>")
    await leave(world, bob)
    await alice.send(marks("x"))
    assert markers(await come(world)) == []


@pytest.mark.parametrize(("most", "expected"), [(0, []), (2, ["kind-2", "kind-3"])])
async def test_there_are_as_many_as_is_configured(most: int, expected: list[str]) -> None:
    world = await start(offline_markers=most)
    alice, bob = await people(world, "alice", "bob")
    rooms = [f"ward{number}@muclight.localhost" for number in range(4)]
    for room in rooms:
        await create(alice, user("bob"), to=room)
    await leave(world, bob)
    for number, room in enumerate(rooms):
        await world.advance(1)
        await alice.send(marks(f"kind-{number}", room=room))
    bob = await come(world)
    assert [id_ for _, _, id_ in markers(bob)] == expected
    await world.stop()


async def test_who_is_an_occupant_marks_for_members_who_are_away(world: World) -> None:
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"), user("carol"))
    carol = await world.login("carol@localhost/desk")
    await enter(carol, "Carol", room=BY_MUC)
    await leave(world, bob)
    await carol.send(marks("x", room=BY_MUC))
    assert markers(await come(world)) == [of("carol", "x")]


@pytest.mark.parametrize("turns", range(12))
async def test_an_older_marker_never_comes_behind_a_newer_one(world: World, turns: int) -> None:
    """Somebody marks more while it is looked up how far he was; what is being sent live may come twice."""
    alice, bob = await people(world, "alice", "bob")
    await create(alice, user("bob"))
    await leave(world, bob)
    await alice.send(marks("older"))
    bob = await world.login("bob@localhost/phone")
    bob.push("<presence/>")
    for _ in range(turns):
        await asyncio.sleep(0)
    alice.push(marks("newer"))
    await world.settle()
    got = [id_ for _, _, id_ in markers(bob)]
    assert got[-1] == "newer"
    assert "older" not in got[got.index("newer") :]


async def test_they_come_on_another_node_than_that_of_the_room() -> None:
    nodes = await Nodes.start(services=(ROOMS, MUC_LIGHT), is_slow=True)
    alice = await nodes.one.online("alice@localhost/phone")
    bob = await nodes.two.online("bob@localhost/phone")
    await create(alice, user("bob"))
    await leave(nodes.two, bob)
    await alice.send(marks("one"))
    await alice.send(marks("two"))
    bob = await come(nodes.two)
    assert markers(bob) == [of("alice", "two")]
    await nodes.stop()
