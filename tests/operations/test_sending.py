"""Messages that an operation sends in somebody's name: they become what any message becomes."""

import pytest

from tests.harness.archives import archived, unread
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError
from tidings.wire.xmpp import ns

ALICE, BOB = "alice@localhost", "bob@localhost"


async def send(context, body, **arguments):
    request = {"sender": ALICE, "to": BOB, "body": body, **arguments}
    return await CATALOGUE.call(context, "stanza", "send-message", request)


async def texts(world, account):
    return [message.text for message in await archived(world, account)]


@pytest.fixture(autouse=True)
async def accounts(world):
    for account in (ALICE, BOB):
        await world.register(account)


async def test_the_recipient_keeps_it_and_has_it_to_read(world, live):
    await send(live, "Hello")
    assert await texts(world, BOB) == ["Hello"]
    assert await unread(world, BOB) == {ALICE: 1}


async def test_the_sender_keeps_it_though_she_is_away(world, live):
    await send(live, "Hello")
    assert await texts(world, ALICE) == ["Hello"]
    assert await unread(world, ALICE) == {BOB: 0}


async def test_the_senders_devices_get_a_copy(world, live):
    desk = await world.online(f"{ALICE}/desk")
    await desk.request("<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    await send(live, "Hello")
    carbons = desk.take("message")
    assert len(carbons) == 1
    [copy] = carbons[0].find("sent", ns.CARBONS).find("forwarded", ns.FORWARD).children
    assert (copy.get("to"), copy.text_of("body")) == (BOB, "Hello")


async def test_who_sends_is_told_that_the_recipient_has_blocked_the_sender(world, live):
    await world.online(f"{ALICE}/desk")
    bob = await world.online(f"{BOB}/phone")
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
    await bob.request(f"<iq type='set' id='b'>{block}</iq>")
    bob.take()
    with pytest.raises(OperationError):
        await send(live, "Hello")
    assert bob.take() == []
    assert await texts(world, BOB) == []


async def test_the_same_sent_again_is_stored_once(world, live):
    bob = await world.online(f"{BOB}/phone")
    first = await send(live, "Your order has left", idempotency_key="order 7")
    again = await send(live, "Your order has left", idempotency_key="order 7")
    await send(live, "Your order has left", idempotency_key="order 8")
    assert [message.text_of("body") for message in bob.take("message")] == ["Your order has left"] * 2
    assert await texts(world, BOB) == await texts(world, ALICE) == ["Your order has left"] * 2
    assert first.archive_id == again.archive_id


async def test_the_answer_tells_the_archive_id_of_the_sender(world, live):
    await world.online(f"{ALICE}/desk")
    sent = await send(live, "Hello")
    [message] = await archived(world, ALICE)
    assert message.id == sent.archive_id


async def test_another_message_under_a_used_key_is_refused(world, live):
    await send(live, "Your order has left", idempotency_key="order 7")
    with pytest.raises(OperationError) as caught:
        await send(live, "Your order is lost", idempotency_key="order 7")
    assert caught.value.code == "conflict"
    assert await texts(world, BOB) == ["Your order has left"]


async def test_what_the_server_sends_in_its_own_name_is_kept_by_the_recipient(world, live):
    sent = await CATALOGUE.call(live, "stanza", "send-message", {"to": BOB, "body": "Welcome"})
    assert sent.archive_id is None
    assert sent.time is not None
    assert await texts(world, BOB) == ["Welcome"]
