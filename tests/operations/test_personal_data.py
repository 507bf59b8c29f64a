"""The export of personal data has what the account's devices have published."""

from __future__ import annotations

from tests.harness.world import World
from tests.portable.foreign import BOOKMARKS, BUNDLES, bundle, publish
from tidings.operations.all import CATALOGUE


async def test_it_has_the_nodes_with_who_may_read_them() -> None:
    world = await World.start()
    alice = await world.online("alice@localhost/desk")
    conference = f"<conference xmlns='{BOOKMARKS}' name='Tea'/>"
    for payload in (bundle("7", "AAAA"), publish(BOOKMARKS, conference, "tea@muc.localhost", "whitelist")):
        answer = await alice.request(f"<iq type='set' id='s'>{payload}</iq>")
        assert answer.get("type") == "result", answer
    pieces = CATALOGUE.stream(world.context, "account", "export-personal-data", {"user": "alice@localhost"})
    document = "".join([piece.text async for piece in pieces])
    for part in (BUNDLES, "AAAA", 'name="Tea"', "tea@muc.localhost", "whitelist"):
        assert part in document
    await world.stop()
