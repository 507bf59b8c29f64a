"""Files go with the last message that names them; what nobody names stays until it expires."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World, WorldClient
from tidings.app.rooms import ROOMS
from tidings.app.uploads import UPLOADS
from tidings.base.jid import Jid
from tidings.features.upload import Uploads
from tidings.features.upload.mentions import DELAY
from tidings.ports.files import FileRecord
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.http_upload import Slot, SlotRequest

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(services=[ROOMS, UPLOADS])
    yield world
    await world.stop()


@pytest.fixture
async def alice(world: World) -> WorldClient:
    return await world.online("alice@localhost/phone")


@pytest.fixture
async def bob(world: World) -> WorldClient:
    return await world.online("bob@localhost/phone")


class Picture:
    """A file of somebody, and where it is."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url
        self.id = url.split("/")[4]

    @classmethod
    async def of(cls, world: World, owner: WorldClient) -> Picture:
        request = SlotRequest("cat.png", 3, "image/png").encode().to_bytes().decode()
        answer = await owner.request(f"<iq type='get' id='slot' to='upload.localhost'>{request}</iq>")
        found = answer.find("slot", ns.HTTP_UPLOAD)
        assert found is not None
        picture = cls(world, Slot.decode(found).get)
        async with picture.blobs.write(picture.id) as writer:
            await writer.write(b"cat")
            digest = await writer.finish()
        assert await world.stores.files.complete(picture.id, sha256=digest, expires=2e9)
        return picture

    @property
    def blobs(self):
        uploads = self.world.server.hosts["upload.localhost"].feature(Uploads)
        assert uploads is not None
        return uploads.blobs

    async def record(self) -> FileRecord | None:
        await self.world.advance(DELAY)
        await self.world.advance(DELAY)
        return await self.world.stores.files.get(self.id)

    async def references(self) -> int:
        record = await self.record()
        assert record is not None
        return record.references

    async def is_there(self) -> bool:
        is_known = await self.record() is not None
        assert (await self.blobs.size(self.id) == 3) is is_known
        return is_known


async def send(client: WorldClient, to: Jid | str, inside: str, origin: str, kind: str = "chat") -> None:
    origin_id = f"<origin-id xmlns='{ns.STANZA_ID}' id='{origin}'/>"
    await client.send(f"<message to='{to}' type='{kind}' id='{origin}'>{inside}{origin_id}</message>")


async def retract(client: WorldClient, to: Jid | str, origin: str, kind: str = "chat") -> None:
    body = f"<retract xmlns='{ns.RETRACTION1}' id='{origin}'/><store xmlns='{ns.HINTS}'/>"
    await send(client, to, body, f"retraction-of-{origin}", kind)


FORMS = {
    "out of band": "<body>{url}</body><x xmlns='jabber:x:oob'><url>{url}</url></x>",
    "a shared file": "<file-sharing xmlns='urn:xmpp:sfs:0'><sources>"
    "<url-data xmlns='http://jabber.org/protocol/url-data' target='{url}'/></sources></file-sharing>"
    "<body>look</body>",
    "a link in a sentence": "<body>see {url}?x=1&amp;y, it is nice</body>",
    "JSON": '<body>a file</body><json xmlns=\'urn:xmpp:json:0\'>{{"url": "{url}"}}</json>',
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_file_goes_with_the_message_that_is_retracted(
    world: World, alice: WorldClient, bob: WorldClient, form: str
) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, form.format(url=picture.url), "message-one-of-alice")
    assert await picture.references() == 2
    await retract(alice, BOB, "message-one-of-alice")
    assert not await picture.is_there()
    assert len(bob.take("message")) == 2


async def test_a_file_stays_while_another_message_names_it(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    picture = await Picture.of(world, alice)
    inside = f"<body>{picture.url}</body>"
    await send(alice, BOB, inside, "message-one-of-alice")
    await send(alice, BOB, inside, "message-two-of-alice")
    await retract(alice, BOB, "message-one-of-alice")
    assert await picture.references() == 2
    await send(bob, ALICE, f"<body>&gt; {picture.url}</body>", "message-one-of-bob12")
    await retract(alice, BOB, "message-two-of-alice")
    assert await picture.references() == 2
    await retract(bob, ALICE, "message-one-of-bob12")
    assert not await picture.is_there()


async def test_a_stranger_deletes_nothing(world: World, alice: WorldClient, bob: WorldClient) -> None:
    picture = await Picture.of(world, alice)
    await send(bob, BOB, f"<body>{picture.url}</body>", "message-one-of-bob12")
    await retract(bob, BOB, "message-one-of-bob12")
    assert await picture.is_there()
    assert len(alice.take("message")) == 0


async def test_what_nobody_names_stays(world: World, alice: WorldClient, bob: WorldClient) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, "<body>nothing</body>", "message-one-of-alice")
    await send(alice, BOB, f"<body>https://x/files/{picture.id[:-1]}_/x</body>", "message-two-of-alice")
    await retract(alice, BOB, "message-one-of-alice")
    await retract(alice, BOB, "message-two-of-alice")
    assert await picture.is_there()
    assert bob.take("message") != []


async def test_what_an_operator_erases_takes_its_files_along(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, f"<body>{picture.url}</body>", "message-one-of-alice")
    ledger = world.stores.ledger
    await ledger.erase(ALICE, (1,))
    assert await picture.is_there()
    await ledger.erase(BOB, (1,))
    assert not await picture.is_there()
    assert bob.take("message") != []


async def test_a_correction_goes_with_what_it_corrects(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, "<body>nothing yet</body>", "message-one-of-alice")
    replacing = f"<replace xmlns='{ns.CORRECTION}' id='message-one-of-alice'/>"
    await send(alice, BOB, f"<body>{picture.url}</body>{replacing}", "message-two-of-alice")
    assert await picture.references() == 2
    await retract(alice, BOB, "message-one-of-alice")
    assert not await picture.is_there()
    assert bob.take("message") != []


async def test_nobody_takes_back_what_another_has_sent(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, f"<body>{picture.url}</body>", "message-one-of-alice")
    await retract(bob, ALICE, "message-one-of-alice")
    assert await picture.references() == 2


async def test_what_is_under_legal_hold_keeps_its_files(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, f"<body>{picture.url}</body>", "message-one-of-alice")
    await world.stores.ledger.hold_archive(BOB)
    await retract(alice, BOB, "message-one-of-alice")
    assert await picture.references() == 1
    assert bob.take("message") != []


async def test_a_room_names_a_file_once(world: World, alice: WorldClient, bob: WorldClient) -> None:
    room = "tea@conference.localhost"
    for client, nick in ((alice, "al"), (bob, "bo")):
        await client.send(f"<presence to='{room}/{nick}'><x xmlns='{ns.MUC}'/></presence>")
        if client is alice:
            await client.request(
                f"<iq type='set' id='make' to='{room}'><query xmlns='{ns.MUC_OWNER}'>"
                "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
            )
    picture = await Picture.of(world, alice)
    await send(alice, room, f"<body>{picture.url}</body>", "message-one-of-alice", "groupchat")
    assert await picture.references() == 1
    said = bob.take("message")[-1]
    by_room = said.find("stanza-id", ns.STANZA_ID)
    assert by_room is not None
    await retract(alice, room, by_room.get("id") or "", "groupchat")
    assert not await picture.is_there()


async def test_the_follower_goes_on_after_a_restart(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    picture = await Picture.of(world, alice)
    await send(alice, BOB, f"<body>{picture.url}</body>", "message-one-of-alice")
    assert bob.take("message") != []
    await world.restart()
    await world.advance(60)
    record = await world.stores.files.get(picture.id)
    assert record is not None
    assert record.references == 2
