"""Blocking: which addresses a list covers, and what both sides notice."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.blocking import Blocking, BlockingOptions, is_listed, may_be_answered
from tidings.features.contacts.presence import Presences
from tidings.features.contacts.roster import Rosters
from tidings.features.contacts.subscriptions import Subscriptions
from tidings.features.ping import XmppPing
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.blocking import BlockList
from tidings.wire.xmpp.stanza import Stanza

FEATURES = (Rosters, Subscriptions, Presences, Blocking, XmppPing)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES, options={"blocking": BlockingOptions(limit=3)})
    yield world
    await world.stop()


# --- pure


@pytest.mark.parametrize(
    ("entry", "covered", "spared"),
    [  # §6
        ("bob@localhost/phone", ["bob@localhost/phone"], ["bob@localhost", "bob@localhost/desk"]),
        ("bob@localhost", ["bob@localhost", "bob@localhost/phone"], ["bobby@localhost", "localhost"]),
        ("localhost/news", ["localhost/news", "bob@localhost/news"], ["localhost", "bob@localhost"]),
        ("localhost", ["localhost", "bob@localhost", "localhost/x", "a@localhost/b"], ["a@sub.localhost"]),
        ("paypal@localhost", ["PayPal@localhost"], ["p\u0430yp\u0430l@localhost"]),  # Cyrillic look-alikes
        ("bücher.example", ["a@xn--bcher-kva.example"], ["a@bucher.example"]),
    ],
)
def test_what_an_entry_covers(entry: str, covered: list[str], spared: list[str]) -> None:
    blocked = frozenset({Jid(entry)})
    assert [address for address in covered if not is_listed(Jid(address), blocked)] == []
    assert [address for address in spared if is_listed(Jid(address), blocked)] == []


@pytest.mark.parametrize(
    ("name", "kind", "answered"),
    [
        ("message", "", True),
        ("message", "chat", True),
        ("message", "groupchat", True),
        ("message", "error", False),
        ("iq", "get", True),
        ("iq", "set", True),
        ("iq", "result", False),
        ("iq", "error", False),
        ("presence", "", False),
        ("presence", "subscribe", False),
        ("presence", "probe", False),
        ("presence", "unavailable", False),
        ("presence", "error", False),
    ],
)
def test_which_stanzas_earn_an_error(name: str, kind: str, answered: bool) -> None:  # §3.3
    assert may_be_answered(Stanza.build(name, kind=kind)) is answered


# --- stories


def command(name: str, *jids: str) -> str:
    items = "".join(f"<item jid='{jid}'/>" for jid in jids)
    return f"<iq type='set' id='{name}'><{name} xmlns='urn:xmpp:blocking'>{items}</{name}></iq>"


async def block_list(client: WorldClient) -> tuple[Jid, ...]:
    answer = await client.request("<iq type='get' id='list'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
    return BlockList.decode(answer.children[0]).jids


def condition(stanza: Element) -> list[str]:
    assert stanza.get("type") == "error"
    error = stanza.find("error", ns.CLIENT)
    assert error is not None
    return [child.name for child in error.children if child.name != "text"]


async def befriend(one: WorldClient, other: WorldClient) -> None:
    """Let each see the other's presence."""
    for client, contact in ((one, other), (other, one)):
        await client.send(f"<presence type='subscribe' to='{contact.jid.bare}'/>")
        await contact.send(f"<presence type='subscribed' to='{client.jid.bare}'/>")
    one.take()
    other.take()


async def test_a_list_is_empty_until_somebody_is_blocked(world: World) -> None:
    alice = await world.login("alice@localhost")
    assert await block_list(alice) == ()
    assert (await alice.request(command("block", "iago@shakespeare.lit"))).get("type") == "result"
    assert await block_list(alice) == (Jid("iago@shakespeare.lit"),)


async def test_the_list_lasts(world: World) -> None:
    alice = await world.login("alice@localhost")
    await alice.request(command("block", "iago@shakespeare.lit"))
    await alice.leave()
    world.server.hosts["localhost"].directory.forget(alice.jid.bare)
    assert await block_list(await world.login("alice@localhost")) == (Jid("iago@shakespeare.lit"),)


async def test_only_devices_that_asked_for_the_list_are_told(world: World) -> None:  # §3.3
    phone, desk, watch = [await world.login(f"alice@localhost/{each}") for each in ("phone", "desk", "watch")]
    await block_list(phone)
    await block_list(desk)
    await watch.request(command("block", "iago@shakespeare.lit"))
    for client in (phone, desk):
        (push,) = client.take("iq")
        assert (push.get("type"), push.get("to"), push.get("from")) == ("set", str(client.jid), None)
        assert push.children[0].find("item") is not None
    assert watch.take() == []
    await watch.request(command("unblock"))
    (push,) = phone.take("iq")
    assert push.children == [Element("unblock", ns.BLOCKING)]


async def test_stanzas_from_somebody_blocked(world: World) -> None:  # §3.3
    alice = await world.online("alice@localhost/phone")
    mallory = await world.online("mallory@localhost/x")
    await alice.request(command("block", "mallory@localhost"))
    await mallory.send("<message to='alice@localhost' type='chat' id='m'><body>Let me in</body></message>")
    assert condition(mallory.take("message")[0]) == ["service-unavailable"]
    for to in ("alice@localhost", "alice@localhost/phone"):
        refusal = await mallory.request(f"<iq type='get' id='p' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>")
        assert condition(refusal) == ["service-unavailable"]
    await mallory.send(
        "<presence to='alice@localhost'/>",
        "<presence to='alice@localhost' type='subscribe'/>",
        "<presence to='alice@localhost' type='probe'/>",
        "<iq type='result' id='r' to='alice@localhost/phone'/>",
        "<message type='error' to='alice@localhost/phone'/>",
    )
    assert alice.take() == []
    assert mallory.take("presence") == []
    assert mallory.take("message") == []


async def test_stanzas_to_somebody_blocked(world: World) -> None:  # §3.3, example 9
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/x")
    await alice.request(command("block", "bob@localhost"))
    await alice.send("<message to='bob@localhost' type='chat'><body>Can you hear me now?</body></message>")
    (refused,) = alice.take("message")
    assert condition(refused) == ["not-acceptable", "blocked"]
    error = refused.find("error", ns.CLIENT)
    assert error is not None
    assert error.get("type") == "cancel"
    assert error.find("blocked", ns.BLOCKING_ERRORS) is not None
    refusal = await alice.request(
        "<iq type='get' id='p' to='bob@localhost/x'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    assert condition(refusal) == ["not-acceptable", "blocked"]
    await alice.send("<presence to='bob@localhost'/>")
    assert condition(alice.take("presence")[0]) == ["not-acceptable", "blocked"]
    await alice.send("<iq type='result' id='r' to='bob@localhost/x'/>")
    assert alice.take() == []
    assert bob.take() == []


async def test_a_block_holds_for_those_it_names_alone(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/x")
    await alice.request(command("block", "bob@localhost/y", "b\u043eb@localhost", "other.test"))
    await bob.send("<message to='alice@localhost' type='chat'><body>Hi</body></message>")
    assert len(alice.take("message")) == 1
    carol = await world.online("carol@other.test")
    await carol.send("<message to='alice@localhost' type='chat'><body>Hi</body></message>")
    assert alice.take("message") == []


async def test_nobody_blocks_oneself_or_the_own_server(world: World) -> None:  # §5
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    await phone.request(command("block", "alice@localhost", "alice@localhost/desk", "localhost"))
    phone.take()
    await phone.send("<message to='alice@localhost/desk' type='chat'><body>Note</body></message>")
    assert len(desk.take("message")) == 1
    pong = await phone.request("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert pong.get("type") == "result"
    assert (await phone.request(command("unblock"))).get("type") == "result"


async def test_who_is_blocked_sees_the_account_go_and_come_back(world: World) -> None:  # §3.3, §3.4
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/x")
    await befriend(alice, bob)
    await alice.request(command("block", "bob@localhost"))
    assert [presence.get("type") for presence in bob.take("presence")] == ["unavailable"]
    await alice.send("<presence><show>dnd</show></presence>")
    assert bob.take("presence") == []
    await alice.request(command("unblock", "bob@localhost"))
    (presence,) = bob.take("presence")
    assert (presence.get("type"), presence.text_of("show")) == (None, "dnd")


async def test_unblocking_lets_messages_through(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/x")
    await alice.request(command("block", "bob@localhost", "carol@localhost"))
    await alice.request(command("unblock", "bob@localhost", "nobody@localhost"))
    assert await block_list(alice) == (Jid("carol@localhost"),)
    await bob.send("<message to='alice@localhost' type='chat'><body>Hi</body></message>")
    assert len(alice.take("message")) == 1


async def test_a_list_has_an_end_in_octets() -> None:
    options = {"blocking": BlockingOptions(max_octets=8_192)}
    world = await World.start(features=FEATURES, options=options)
    alice, bob = await world.login("alice@localhost"), await world.login("bob@localhost")
    long = [f"{'x' * 1_000}{number}@x.example" for number in range(9)]
    answers = [await alice.request(command("block", each)) for each in long]
    assert [answer.get("type") for answer in answers] == ["result"] * 7 + ["error"] * 2
    assert condition(answers[-1]) == ["resource-constraint"]
    assert " octets; 8192 are allowed" in answers[-1].to_bytes().decode()
    assert len(await block_list(alice)) == 7
    assert (await bob.request(command("block", long[8]))).get("type") == "result"
    assert (await alice.request(command("unblock", long[0]))).get("type") == "result"
    assert (await alice.request(command("block", long[8]))).get("type") == "result"
    await world.stop()


async def test_a_list_has_an_end(world: World) -> None:
    alice = await world.login("alice@localhost")
    await alice.request(command("block", "a@x.example", "b@x.example"))
    refusal = await alice.request(command("block", "b@x.example", "c@x.example", "d@x.example"))
    assert condition(refusal) == ["resource-constraint"]
    assert "the block list would have 4 addresses; 3 are allowed" in refusal.to_bytes().decode()
    assert len(await block_list(alice)) == 2
    assert (await alice.request(command("block", "b@x.example", "c@x.example"))).get("type") == "result"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (command("block"), "bad-request"),
        (command("block", "@"), "jid-malformed"),
        (command("block", "a" * 1_024 + "@localhost"), "jid-malformed"),
        (
            "<iq type='set' id='x' to='bob@localhost'><unblock xmlns='urn:xmpp:blocking'/></iq>",
            "service-unavailable",
        ),
        (
            "<iq type='get' id='x' to='bob@localhost'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
            "service-unavailable",
        ),
    ],
)
async def test_commands_that_are_refused(world: World, text: str, expected: str) -> None:
    await world.register("bob@localhost")
    alice = await world.login("alice@localhost")
    assert condition(await alice.request(text)) == [expected]
