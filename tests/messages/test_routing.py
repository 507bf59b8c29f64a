"""Stories of the router: a message's way between sessions."""

from __future__ import annotations

import pytest

from tests.harness.archives import archived
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


# --- what is of no known type (RFC 6121 §5.2.2)


@pytest.mark.parametrize("kind", ["foo", "CHAT", "Normal", " chat", "x" * 300])
async def test_a_message_of_an_unknown_type_is_a_normal_one(kind: str) -> None:
    world = await World.start()
    alice, bob = [await world.online(f"{name}@localhost/desk") for name in ("alice", "bob")]
    sent = f"<message to='bob@localhost' type='{kind}' id='m'><body>Hi</body></message>"
    await alice.send(sent)
    [message] = bob.take("message")
    assert (message.get("type"), message.text_of("body")) == (kind, "Hi")
    await bob.leave()
    await alice.send(sent.replace("Hi", "later"))
    assert alice.take() == []
    bob = await world.online("bob@localhost/desk")
    assert len(await archived(world, "bob@localhost")) == 2
    await world.stop()


@pytest.mark.parametrize("kind", ["foo", "AVAILABLE", "chat"])
async def test_a_presence_of_an_unknown_type_is_refused(world: World, kind: str) -> None:
    alice = await world.login("alice@localhost/phone")
    await alice.send(f"<presence type='{kind}'/>")
    [error] = alice.take("presence")
    assert error.find("error", ns.CLIENT).find("bad-request", ns.STANZA_ERRORS) is not None


# --- who stamps in the server's name (XEP-0203 §7)


@pytest.mark.parametrize("author", ["localhost", "LOCALHOST", "bob@localhost", "alice@localhost"])
async def test_a_time_in_the_name_of_the_server_falls_in_messages_and_presence(
    world: World, author: str
) -> None:
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    delay = f"<delay xmlns='urn:xmpp:delay' from='{author}' stamp='1999-01-01T00:00:00Z'/>"
    await alice.send(f"<message to='bob@localhost' type='chat'><body>hi</body>{delay}</message>")
    await alice.send(f"<presence to='bob@localhost/desk'><status>hi</status>{delay}</presence>")
    message, presence = bob.take()
    assert "delay" not in [child.name for child in (*message.children, *presence.children)]
    assert presence.text_of("status") == "hi"
