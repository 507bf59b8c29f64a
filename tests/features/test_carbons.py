"""Carbons: every device sees both sides, once, and nobody sees what is private or somebody else's."""

import tracemalloc

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.carbons import REMEMBERED, CopiedMessages, is_to_own_account
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.carbons import CarbonDirection
from tidings.wire.xmpp.stanza import Stanza

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
ENABLE = "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
DISABLE = "<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>"
PRIVATE = "<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>"
TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
NEGATIVE = "<presence><priority>-1</priority></presence>"


def message(to: str, *content: str, kind: str = "chat", body: str = "Hello", name: str = "m1") -> str:
    text = f"<body>{body}</body>" if body else ""
    return f"<message to='{to}' type='{kind}' id='{name}'>{text}{''.join(content)}</message>"


async def copying(world: World, jid: str, presence: str = "<presence/>") -> WorldClient:
    """Log in a device that wants copies."""
    client = await world.online(jid, presence)
    assert (await client.request(ENABLE)).get("type") == "result"
    client.take()
    return client


def copies(client: WorldClient) -> list[tuple[str, Element]]:
    """Take the copies that the client was sent: (direction, the message inside)."""
    found = []
    for carbon in client.take("message"):
        [wrapper] = carbon.children
        assert wrapper.namespace == ns.CARBONS
        assert (carbon.get("from"), carbon.get("to")) == (client.jid.bare, client.jid)
        [original] = wrapper.find("forwarded", ns.FORWARD).children
        assert carbon.get("type") == original.get("type")
        found.append((wrapper.name, original))
    return found


def texts(client: WorldClient) -> list[tuple[str, str | None]]:
    return [(direction, original.text_of("body")) for direction, original in copies(client)]


def plain(client: WorldClient) -> list[str | None]:
    return [each.text_of("body") for each in client.take("message")]


# --- pure


def stanza(sender: str, to: str | None, name: str | None = "1", kind: str = "chat") -> Stanza:
    return Stanza.build("message", kind=kind, sender=Jid(sender), to=None if to is None else Jid(to), id=name)


def test_an_error_answers_what_went_the_other_way() -> None:
    copied = CopiedMessages()
    copied.add(stanza("alice@localhost/a", "bob@localhost"), CarbonDirection.SENT)
    assert copied.has_answer(stanza("bob@localhost/x", "alice@localhost/a"), CarbonDirection.RECEIVED)
    assert copied.has_answer(stanza("bob@localhost", "alice@localhost/a"), CarbonDirection.RECEIVED)
    assert not copied.has_answer(stanza("carol@localhost", "alice@localhost/a"), CarbonDirection.RECEIVED)
    assert not copied.has_answer(stanza("bob@localhost", "alice@localhost/a", "2"), CarbonDirection.RECEIVED)
    assert not copied.has_answer(stanza("bob@localhost", "alice@localhost/a", None), CarbonDirection.RECEIVED)
    assert not copied.has_answer(stanza("alice@localhost/a", "bob@localhost"), CarbonDirection.SENT)


def test_only_the_last_copied_messages_are_remembered() -> None:
    copied = CopiedMessages()
    for number in range(REMEMBERED + 1):
        copied.add(stanza("alice@localhost/a", "bob@localhost", str(number)), CarbonDirection.SENT)
    copied.add(stanza("alice@localhost/a", "bob@localhost", None), CarbonDirection.SENT)
    answers = [
        copied.has_answer(stanza("bob@localhost", "alice@localhost/a", str(number)), CarbonDirection.RECEIVED)
        for number in range(REMEMBERED + 1)
    ]
    assert answers == [False] + [True] * REMEMBERED


def test_what_is_remembered_of_copies_does_not_grow_with_their_ids() -> None:
    copied = CopiedMessages()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(REMEMBERED):
            name = f"{number}" + "x" * 100_000
            copied.add(stanza("bob@localhost/desk", "alice@localhost", name), CarbonDirection.RECEIVED)
        del name
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 65_536
    error = stanza("alice@localhost", "bob@localhost/desk", f"{number}" + "x" * 100_000, "error")
    assert copied.has_answer(error, CarbonDirection.SENT)


@pytest.mark.parametrize(
    ("to", "own"), [(None, True), (ALICE, True), (ALICE.with_resource("x"), True), (BOB, False)]
)
def test_what_goes_to_the_own_account(to: Jid | None, own: bool) -> None:
    assert is_to_own_account(Stanza.build("message", to=to), ALICE) is own


# --- asking for copies


async def test_the_domain_tells_that_it_copies(world: World) -> None:  # §3, §6.2
    alice = await world.login("alice@localhost/a")
    query = "<iq type='get' to='localhost' id='i'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    found = {each.get("var") for each in (await alice.request(query)).children[0].find_all("feature")}
    assert {"urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0"} <= found


async def test_only_devices_that_ask_get_copies(world: World) -> None:  # §4, §5, §10.1
    desk, phone = await world.online("alice@localhost/desk"), await world.online("alice@localhost/phone")
    await world.register("bob@localhost")
    desk.take()
    await phone.send(message("bob@localhost"))
    assert copies(desk) == []
    for request in (ENABLE, ENABLE):
        answer = await desk.request(request)
        assert (answer.get("type"), answer.children) == ("result", [])
    await phone.send(message("bob@localhost", name="m2"))
    assert texts(desk) == [("sent", "Hello")]
    for request in (DISABLE, DISABLE):
        assert (await desk.request(request)).get("type") == "result"
    await phone.send(message("bob@localhost", name="m3"))
    assert copies(desk) == []


async def test_they_are_asked_for_together_with_the_session(world: World) -> None:  # XEP-0386
    enable = Element("enable", ns.CARBONS)
    desk = await world.login("alice@localhost/desk", inline=(enable,))
    again = await world.login("alice@localhost/again", inline=(Element("enable", "urn:other"),))
    phone = await world.online("alice@localhost/phone")
    await world.register("bob@localhost")
    await phone.send(message("bob@localhost"))
    assert texts(desk) == [("sent", "Hello")]
    assert copies(again) == []


async def test_a_new_session_begins_without(world: World) -> None:
    desk = await copying(world, "alice@localhost/desk")
    phone = await world.online("alice@localhost/phone")
    await world.register("bob@localhost")
    await desk.leave()
    desk = await world.online("alice@localhost/desk")
    await phone.send(message("bob@localhost"))
    assert copies(desk) == []


async def test_a_resumed_session_still_wants_them(world: World) -> None:  # XEP-0198 §5
    desk, phone = await copying(world, "alice@localhost/desk"), await world.online("alice@localhost/phone")
    await world.register("bob@localhost")
    await desk.manage()
    await desk.lose()
    await phone.send(message("bob@localhost", body="meanwhile"))
    desk = await world.resume(desk)
    assert isinstance(desk, WorldClient)
    await phone.send(message("bob@localhost", body="again here", name="m2"))
    assert texts(desk) == [("sent", "meanwhile"), ("sent", "again here")]


@pytest.mark.parametrize("request_text", [ENABLE, DISABLE])
async def test_nobody_asks_for_the_devices_of_others(world: World, request_text: str) -> None:  # §4, §5
    alice = await world.login("alice@localhost/a")
    await world.register("bob@localhost")
    answer = await alice.request(request_text.replace("<iq ", "<iq to='bob@localhost' "))
    assert answer.find("error").find("not-allowed", ns.STANZA_ERRORS) is not None


# --- what is copied


async def test_both_sides_of_a_conversation_reach_every_device(world: World) -> None:  # §7, §8
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob, laptop = (
        await world.online("bob@localhost/b"),
        await copying(world, "bob@localhost/laptop", NEGATIVE),
    )
    for client in (desk, phone, bob, laptop):
        client.take()
    await phone.send(message("bob@localhost/b", body="What man art thou?"))
    assert plain(bob) == ["What man art thou?"]
    assert texts(laptop) == [("received", "What man art thou?")]
    assert texts(desk) == [("sent", "What man art thou?")]
    assert phone.take("message") == []
    await bob.send(message("alice@localhost/phone", body="By a name", name="m2"))
    assert plain(phone) == ["By a name"]
    assert texts(desk) == [("received", "By a name")]
    assert texts(laptop) == [("sent", "By a name")]
    assert bob.take("message") == []


async def test_a_message_for_all_devices_reaches_each_once(world: World) -> None:
    devices = [await copying(world, f"alice@localhost/{name}") for name in "abc"]
    silent = await copying(world, "alice@localhost/negative", NEGATIVE)
    bob = await world.online("bob@localhost/b")
    for client in (*devices, silent):
        client.take()
    await bob.send(message("alice@localhost"))
    assert [plain(device) for device in devices] == [["Hello"]] * 3
    assert texts(silent) == []  # a replay brings it, once the device wants such messages


async def test_copies_carry_what_the_own_archive_says(world: World) -> None:
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob, laptop = (
        await world.online("bob@localhost/b"),
        await copying(world, "bob@localhost/laptop", NEGATIVE),
    )
    for client in (desk, phone, bob, laptop):
        client.take()
    await phone.send(message("bob@localhost/b"))
    [original] = bob.take("message")
    [(_, received)], [(_, sent)] = copies(laptop), copies(desk)
    assert received == original
    ids = {each.get("by"): each.get("id") for each in sent.find_all("stanza-id", ns.STANZA_ID)}
    assert list(ids) == ["alice@localhost"]
    assert received.find("stanza-id", ns.STANZA_ID).get("by") == "bob@localhost"
    times = [each.find("time", "urn:tidings:time:0").get("stamp") for each in (sent, received)]
    assert times[0] == times[1]
    assert sent.get("from") == "alice@localhost/phone"
    assert sent.get("to") == "bob@localhost/b"


async def test_a_message_that_is_sent_again_is_copied_once(world: World) -> None:
    desk, phone = await copying(world, "alice@localhost/desk"), await world.online("alice@localhost/phone")
    bob, laptop = (
        await world.online("bob@localhost/b"),
        await copying(world, "bob@localhost/laptop", NEGATIVE),
    )
    for client in (desk, bob, laptop):
        client.take()
    text = message("bob@localhost/b", "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>")
    await phone.send(text, text)
    await phone.send(text)
    assert plain(bob) == ["Hello"]
    assert texts(desk) == [("sent", "Hello")]
    assert texts(laptop) == [("received", "Hello")]


async def test_typing_is_copied_and_has_no_id(world: World) -> None:  # §10.2
    desk, phone = await copying(world, "alice@localhost/desk"), await world.online("alice@localhost/phone")
    bob, laptop = (
        await world.online("bob@localhost/b"),
        await copying(world, "bob@localhost/laptop", NEGATIVE),
    )
    for client in (desk, bob, laptop):
        client.take()
    await phone.send(message("bob@localhost/b", TYPING, body=""))
    for client in (desk, laptop):
        [(_, original)] = copies(client)
        assert [child.name for child in original.children] == ["composing"]


@pytest.mark.parametrize(
    "text",
    [
        message("bob@localhost/b", PRIVATE),
        message("bob@localhost/b", "<private xmlns='urn:xmpp:carbons:2'/>"),
        message("bob@localhost/b", "<no-copy xmlns='urn:xmpp:hints'/>"),
        message("bob@localhost/b", kind="headline"),
        message("bob@localhost/b", "<x xmlns='urn:unknown'/>", kind="normal", body=""),
    ],
    ids=["private", "private alone", "no-copy", "headline", "no conversation"],
)
async def test_what_is_not_copied(world: World, text: str) -> None:  # §6.1, §9
    desk, phone = await copying(world, "alice@localhost/desk"), await world.online("alice@localhost/phone")
    bob, laptop = (
        await world.online("bob@localhost/b"),
        await copying(world, "bob@localhost/laptop", NEGATIVE),
    )
    for client in (desk, bob, laptop):
        client.take()
    await phone.send(text)
    assert len(bob.take("message")) == 1
    assert copies(desk) == copies(laptop) == []


async def test_the_private_mark_is_left_on_the_message(world: World) -> None:  # §9, the interoperability note
    phone, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/b")
    await phone.send(message("bob@localhost/b", PRIVATE))
    [received] = bob.take("message")
    assert received.find("private", ns.CARBONS) is not None


@pytest.mark.parametrize("direction", ["sent", "received"])
async def test_a_copy_is_not_copied_nor_made_by_others(world: World, direction: str) -> None:  # §11
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    mallory = await world.online("mallory@localhost/m")
    other = await copying(world, "mallory@localhost/other")
    for client in (desk, phone, other):
        client.take()
    inner = (
        "<message xmlns='jabber:client' from='bob@localhost' to='alice@localhost'><body>x</body></message>"
    )
    forged = (
        f"<{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded>"
        f"</{direction}>"
    )
    await mallory.send(message("alice@localhost/phone", forged, body=""))
    [got] = phone.take("message")
    assert got.get("from") == "mallory@localhost/m"  # so that a client knows it for no copy
    assert desk.take("message") == []
    assert other.take("message") == []


async def test_what_is_blocked_is_not_copied(world: World) -> None:
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob = await world.online("bob@localhost/b")
    await phone.request(
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='bob@localhost'/></block></iq>"
    )
    desk.take()
    phone.take()
    await bob.send(message("alice@localhost/phone"))
    await phone.send(message("bob@localhost", name="m2"))
    assert desk.take("message") == []


async def test_a_note_to_oneself_reaches_each_device_once(world: World) -> None:
    devices = [await copying(world, f"alice@localhost/{name}") for name in "abc"]
    silent = await copying(world, "alice@localhost/negative", NEGATIVE)
    for client in (*devices, silent):
        client.take()
    await devices[0].send(message("alice@localhost"))
    assert [plain(device) for device in devices[1:]] == [["Hello"]] * 2
    assert texts(silent) == []  # a replay brings it, once the device wants such messages
    devices[0].take()
    await devices[0].send(message("alice@localhost/b", name="m2"))
    assert plain(devices[1]) == ["Hello"]
    assert texts(devices[2]) == texts(silent) == [("received", "Hello")]
    assert devices[0].take("message") == []


async def test_an_error_is_copied_when_its_message_was(world: World) -> None:  # §6.1
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob, laptop = (
        await world.online("bob@localhost/b"),
        await copying(world, "bob@localhost/laptop", NEGATIVE),
    )
    for client in (desk, phone, bob, laptop):
        client.take()
    await phone.send(message("bob@localhost/b"), message("bob@localhost/b", PRIVATE, name="m2"))
    for client in (desk, laptop, bob):
        client.take()
    error = "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    for name in ("m1", "m2", "m3"):
        await bob.send(message("alice@localhost/phone", error, kind="error", body="", name=name))
    assert [each.get("id") for each in phone.take("message")] == ["m1", "m2", "m3"]
    assert [(way, each.get("id")) for way, each in copies(desk)] == [("received", "m1")]
    assert [(way, each.get("id")) for way, each in copies(laptop)] == [("sent", "m1")]


async def test_the_error_that_answers_a_copy_goes_nowhere(world: World) -> None:  # §10.3
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob = await world.online("bob@localhost/b")
    await bob.send(message("alice@localhost/phone"))
    for client in (desk, phone):
        client.take()
    error = "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    await desk.send(message("alice@localhost", error, kind="error", body="", name="m1"))
    assert bob.take("message") == phone.take("message") == desk.take("message") == []


async def test_a_copy_is_no_entry_and_makes_nothing_unread(world: World) -> None:
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob = await world.online("bob@localhost/b")
    await phone.send(message("bob@localhost/b"))
    await bob.send(message("alice@localhost/phone", name="m2"))
    assert len(copies(desk)) == 2
    assert (await world.stores.ledger.head(ALICE)).position == 2
    assert (await world.stores.ledger.conversation(ALICE, BOB)).unread == 1


async def test_a_device_that_comes_later_reads_from_the_archive_what_is_for_all(world: World) -> None:
    bob, _ = await world.online("bob@localhost/b"), await world.online("alice@localhost/desk")
    phone = await world.login("alice@localhost/phone")
    await phone.request(ENABLE)
    await bob.send(message("alice@localhost", body="for all"))
    await bob.send(message("alice@localhost/desk", body="for one", name="m2"))
    assert texts(phone) == [("received", "for one")]
    await phone.send("<presence/>")
    assert plain(phone) == ["for all"]


async def test_a_device_that_reads_the_archive_by_itself_misses_nothing_after(world: World) -> None:
    bob, _ = await world.online("bob@localhost/b"), await world.online("alice@localhost/desk")
    phone = await world.login("alice@localhost/phone")
    await phone.request(ENABLE)
    await phone.request("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
    phone.take()
    await bob.send(message("alice@localhost"))
    assert texts(phone) == [("received", "Hello")]
    await phone.send("<presence/>")
    assert phone.take("message") == []


async def test_they_work_without_archives() -> None:
    world = await World.start(archives=False)
    desk, phone = await copying(world, "alice@localhost/desk"), await copying(world, "alice@localhost/phone")
    bob = await world.online("bob@localhost/b")
    await phone.send(message("bob@localhost/b"))
    [(way, original)] = copies(desk)
    assert way == "sent"
    assert original.find("stanza-id", ns.STANZA_ID) is None
    await bob.send(message("alice@localhost/phone"))
    assert texts(desk) == [("received", "Hello")]
    await world.stop()
