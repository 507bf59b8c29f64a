"""Personal eventing on a server of two nodes: devices hear what is new wherever they are."""

from tests.features.nodes.nodes_client import MOOD, TUNE, befriend, done, listening, news, publish
from tests.harness.nodes import Nodes

ALICE, BOB = "alice@localhost", "bob@localhost"


async def test_devices_on_other_nodes_hear_what_they_asked_for() -> None:
    nodes = await Nodes.start()
    try:
        await befriend(nodes.one, ALICE, BOB)
        phone = await nodes.one.online(f"{ALICE}/phone")
        desk = await listening(nodes.two, f"{ALICE}/desk", MOOD)
        bob = await listening(nodes.two, f"{BOB}/desk", MOOD)
        deaf = await listening(nodes.two, f"{BOB}/deaf", TUNE)
        await done(phone, publish(MOOD, "happy"))
        for world in nodes.worlds:
            await world.settle()
        assert news(desk) == [(ALICE, MOOD, "happy")]
        assert news(bob) == [(ALICE, MOOD, "happy")]
        assert news(deaf) == []
    finally:
        await nodes.stop()
