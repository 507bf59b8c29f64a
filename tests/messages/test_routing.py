"""Stories of the router: a message's way between sessions."""

from __future__ import annotations

from tests.harness.world import World
from tidings.wire.xmpp import ns


async def test_a_message_reaches_the_resource_it_names(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    bob = await world.login("bob@localhost/desk")
    await alice.send("<message to='bob@localhost/desk' type='chat' id='1'><body>hi</body></message>")
    [message] = bob.take("message")
    assert message.get("from") == "alice@localhost/phone"
    assert message.text_of("body") == "hi"
    assert alice.take() == []


async def test_a_message_to_nobody_is_refused(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    await alice.send("<message to='nobody@localhost' type='chat' id='1'><body>hi</body></message>")
    [error] = alice.take("message")
    assert error.get("type") == "error"
    assert error.find("error", ns.CLIENT).find("service-unavailable", ns.STANZA_ERRORS) is not None


async def test_an_unknown_request_is_refused(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    answer = await alice.request("<iq type='get' id='1'><query xmlns='urn:nothing'/></iq>")
    assert answer.get("type") == "error"
    answer = await alice.request("<iq type='get' id='2' to='far.example'><query xmlns='urn:nothing'/></iq>")
    assert answer.find("error").find("remote-server-not-found", ns.STANZA_ERRORS) is not None


async def test_a_forged_sender_ends_the_stream(world: World) -> None:
    alice = await world.login("alice@localhost/phone")
    await alice.send("<message from='bob@localhost' to='bob@localhost'><body>hi</body></message>")
    assert alice.error is not None
    assert alice.error.condition == "invalid-from"
