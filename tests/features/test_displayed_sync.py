"""Displayed synchronization: what one device has shown, the others know to be read."""

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.displayed_sync import DisplayedSyncOptions, item_of
from tidings.ports.ledger.batch import Append, Entry, LedgerBatch, ReadMove
from tidings.ports.ledger.reading import Head, InboxRow
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.displayed_sync import DisplayedUpTo
from tidings.wire.xmpp.payloads.pubsub import PubSubEvent, PubSubItem, PubSubRequest

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
NODE = ns.DISPLAYED_SYNC


@pytest.mark.parametrize(
    ("read_position", "id_"), [(0, None), (3, "e1-3"), (4, "e2-4"), (9, "e2-9"), (10, None)]
)
def test_an_item_is_the_read_position(read_position: int, id_: str | None) -> None:
    head = Head(first=2, position=9, time=0, version=0, epochs=(("e1", 1), ("e2", 4)))
    row = InboxRow(
        peer=BOB,
        source=ALICE,
        last=None,
        position=9,
        time=0,
        unread=0,
        read_position=read_position,
        box="inbox",
        muted_until=0,
        pinned=0,
        feed=1,
    )
    item = item_of(row, head)
    assert (None if item is None else shown(item)) == (id_ and ("bob@localhost", id_, "alice@localhost"))


# --- stories

Shown = tuple[str | None, str, str]
"""The chat, the id of the position, and whose archive that is in."""


def shown(item: PubSubItem) -> Shown:
    assert item.payload is not None
    stanza_id = DisplayedUpTo.decode(item.payload).stanza_id
    return item.id, stanza_id.id, str(stanza_id.by)


def publish(id_: str, by: str = "alice@localhost", item: str = "bob@localhost", node: str = NODE) -> str:
    payload = (
        f"<displayed xmlns='{NODE}'><stanza-id xmlns='{ns.STANZA_ID}' by='{by}' id='{id_}'/></displayed>"
    )
    options = (
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        "<value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        "<field var='pubsub#access_model'><value>whitelist</value></field></x></publish-options>"
    )
    action = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>"
    return f"<iq type='set' id='p'><pubsub xmlns='{ns.PUBSUB}'>{action}{options}</pubsub></iq>"


def ask(action: str, kind: str = "get") -> str:
    return f"<iq type='{kind}' id='q'><pubsub xmlns='{ns.PUBSUB}'>{action}</pubsub></iq>"


async def items(client: WorldClient, inside: str = "", attributes: str = "") -> list[Shown]:
    answer = await client.request(ask(f"<items node='{NODE}' {attributes}>{inside}</items>"))
    return [shown(item) for item in PubSubRequest.decode(answer.children[0]).items]


async def receive(world: World, client: WorldClient, *names: str) -> list[str]:
    """Have somebody send messages, and give their ids in the archive of the client."""
    bob = await world.online("bob@localhost/desk")
    for name in names:
        await bob.send(
            f"<message to='{client.jid.bare}' type='chat' id='{name}'><body>{name}</body></message>"
        )
    return [
        stanza_id.get("id") or ""
        for message in client.take("message")
        for stanza_id in message.find_all("stanza-id", ns.STANZA_ID)
    ]


def news(client: WorldClient) -> list[Shown]:
    found = []
    for message in client.take("message"):
        event = message.find("event", ns.PUBSUB_EVENT)
        if event is not None:
            assert (message.get("type"), message.get("from")) == ("headline", "alice@localhost")
            found += [shown(item) for item in PubSubEvent.decode(event).items]
    return found


async def unread(client: WorldClient) -> int:
    answer = await client.request(f"<iq type='get' id='i'><inbox xmlns='{ns.INBOX1}' messages='false'/></iq>")
    client.take("message")
    return int(answer.children[0].get("all-unread") or "")


def refusal(answer: Element) -> list[str]:
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return [child.name for child in error.children if child.name != "text"]


async def test_what_clients_look_for_before_they_publish(world: World) -> None:  # §8
    alice = await world.online("alice@localhost/phone")
    info = await alice.request(f"<iq type='get' id='d'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    features = {each.get("var") for each in info.children[0].find_all("feature")}
    assert {NODE, ns.PUBSUB_PUBLISH_OPTIONS, ns.PUBSUB_CONFIG_NODE_MAX} <= features


async def test_what_one_device_has_shown_the_others_know(world: World) -> None:  # §4.2 to §4.5
    phone, desk, old = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk", "old")]
    assert await items(desk) == []
    ids = await receive(world, phone, "m1", "m2", "m3")
    desk.take()
    old.take()
    assert (await phone.request(publish(ids[1]))).get("type") == "result"
    expected = ("bob@localhost", ids[1], "alice@localhost")
    assert news(desk) == [expected]
    assert news(phone) == [expected]
    assert news(old) == []
    assert await items(desk) == [expected]
    assert await items(desk, "<item id='bob@localhost'/>") == [expected]
    assert await unread(phone) == 1


async def test_positions_only_move_forward(world: World) -> None:  # §5.1
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    await items(desk)
    ids = await receive(world, phone, "m1", "m2")
    await phone.request(publish(ids[1]))
    assert len(news(desk)) == 1
    for other in (ids[0], ids[1], "unknown", ids[1] + "0"):
        assert (await phone.request(publish(other))).get("type") == "result"
    assert news(desk) == []
    assert [id_ for _, id_, _ in await items(phone)] == [ids[1]]


async def test_every_way_of_reading_shows_as_an_item(world: World) -> None:  # §4.5
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    await items(desk)
    ids = await receive(world, phone, "m1", "m2", "m3")
    marker = f"<displayed xmlns='{ns.MARKERS}' id='m1'/>"
    await phone.send(f"<message to='bob@localhost' type='chat'>{marker}</message>")
    assert news(desk) == [("bob@localhost", ids[0], "alice@localhost")]
    conversation = f"<query xmlns='{ns.INBOX_CONVERSATION}' jid='bob@localhost'><read>true</read></query>"
    await phone.request(f"<iq type='set' id='c'>{conversation}</iq>")
    ((chat, id_, _),) = news(desk)
    assert chat == "bob@localhost"
    assert await items(desk) == [(chat, id_, "alice@localhost")]
    assert await unread(phone) == 0


async def test_publishing_tells_devices_that_use_the_inbox(world: World) -> None:
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    ids = await receive(world, phone, "m1", "m2")
    assert await unread(desk) == 2
    await phone.request(publish(ids[0]))
    (update,) = [
        each for message in desk.take("message") for each in message.find_all("x", ns.INBOX_CONVERSATION)
    ]
    state = update.find("state", ns.TIDINGS_INBOX)
    assert state is not None
    assert (update.get("jid"), state.get("unread")) == ("bob@localhost", "1")


async def test_chats_that_the_inbox_does_not_have(world: World) -> None:
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    await items(desk)
    room = "coven@chat.shakespeare.example"
    for id_ in ("r1", "r2"):
        await phone.request(publish(id_, room, room))
    await phone.request(publish("r3", room, f"{room}/firstwitch"))
    expected = [(f"{room}/firstwitch", "r3", room), (room, "r2", room)]
    assert news(desk) == [(room, "r1", room), (room, "r2", room), (f"{room}/firstwitch", "r3", room)]
    assert await items(desk) == expected
    assert await items(desk, attributes="max_items='1'") == expected[:1]
    assert await items(desk, f"<item id='{room}'/>") == expected[1:]


async def test_of_a_chat_elsewhere_the_position_alone_is_kept(world: World) -> None:
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    await items(desk)
    room = "coven@chat.shakespeare.example"
    much = f"<more xmlns='urn:more'>{'<x/>' * 15_000}{'x' * 100_000}</more>"
    text = publish("r1", room, "Coven@Chat.Shakespeare.example").replace(
        "</displayed>", f"{much}</displayed>"
    )
    assert (await phone.request(text)).get("type") == "result"
    assert news(desk) == await items(desk) == [(room, "r1", room)]
    answer = await desk.request(ask(f"<items node='{NODE}'/>"))
    assert len(answer.to_bytes()) < 1_000


async def test_what_is_kept_has_a_bound_and_the_oldest_leaves() -> None:
    options = DisplayedSyncOptions(max_chats=50, max_octets=16_384)
    world = await World.start(options={"displayed_sync": options})
    alice, bob = [await world.online(f"{name}@localhost/desk") for name in ("alice", "bob")]
    await bob.request(publish("b1", "coven@chat.example", "coven@chat.example"))
    for number in range(60):
        room = f"room-{number}@chat.example"
        assert (await alice.request(publish("r", room, room))).get("type") == "result"
    assert [chat for chat, _, _ in await items(alice)] == [
        f"room-{number}@chat.example" for number in range(59, 9, -1)
    ]
    for number in range(40):
        room = f"{'r' * 1_000}{number}@chat.example"
        assert (await alice.request(publish("i" * 1_024, room, room))).get("type") == "result"
    answer = await alice.request(ask(f"<items node='{NODE}'/>"))
    assert 8_192 < len(answer.to_bytes()) <= 16_384 + 512
    too_long = publish("i" * 1_025, "coven@chat.example", "coven@chat.example")
    assert refusal(await alice.request(too_long)) == ["bad-request"]
    assert await items(bob) == [("coven@chat.example", "b1", "coven@chat.example")]
    await world.stop()


async def test_a_room_of_this_server_is_read_by_its_own_ids(world: World) -> None:  # §4.2
    room = Jid("coven@rooms.localhost")
    alice = await world.online("alice@localhost/phone")
    ledger = world.stores.ledger
    await ledger.commit(LedgerBatch(reads=(ReadMove(owner=ALICE, peer=room, upto=0, source=room),)))
    said = f"<message from='{room}/macbeth' type='groupchat' id='g'><body>Ho</body></message>"
    entries = (Entry(archive=room, peer=room, countable=True, groupchat=True),)
    messages = tuple(Append(body=said.encode(), entries=entries) for _ in range(3))
    places = [each.places[0] for each in (await ledger.commit(LedgerBatch(appends=messages))).outcomes]
    assert await unread(alice) == 3
    await alice.request(publish(places[1].id, str(room), str(room)))
    assert await unread(alice) == 1
    assert await items(alice) == [(str(room), places[1].id, str(room))]
    await alice.request(publish(places[2].id, "alice@localhost", str(room)))  # no id of the room's
    assert await unread(alice) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ask("<items node='urn:xmpp:bookmarks:1'/>"), ["item-not-found"]),
        (ask("<items/>"), ["bad-request", "nodeid-required"]),
        (ask(f"<items node='{NODE}'><item id='x@localhost'/></items>"), ["item-not-found"]),
        (ask(f"<publish node='{NODE}'/>", "set"), ["bad-request", "item-required"]),
        (
            ask(f"<publish node='{NODE}'><item id='b@x'/></publish>", "set"),
            ["bad-request", "payload-required"],
        ),
        (
            ask(f"<publish node='{NODE}'><item id='b@x'><a xmlns='u'/></item></publish>", "set"),
            ["bad-request", "invalid-payload"],
        ),
        (
            ask(f"<publish node='{NODE}'><item id='b@x'><displayed xmlns='{NODE}'/></item></publish>", "set"),
            ["bad-request"],
        ),
        (
            ask(f"<retract node='{NODE}'><item id='bob@localhost'/></retract>", "set"),
            ["feature-not-implemented", "unsupported"],
        ),
        (publish("r1", "b@x", "no address@"), ["bad-request"]),
        (ask(f"<create node='{NODE}'/>", "set"), ["feature-not-implemented", "unsupported"]),
        (ask("", "set"), ["bad-request"]),
    ],
)
async def test_requests_that_are_refused(world: World, text: str, expected: list[str]) -> None:  # XEP-0060
    alice = await world.online("alice@localhost/phone")
    assert refusal(await alice.request(text)) == expected


async def test_nobody_else_reads_or_publishes(world: World) -> None:  # XEP-0223
    alice = await world.online("alice@localhost/phone")
    await world.online("bob@localhost/desk")
    for request in (ask(f"<items node='{NODE}'/>"), publish("e1-1")):
        answer = await alice.request(request.replace(" id='", " to='bob@localhost' id='", 1))
        assert refusal(answer) == ["item-not-found"]
