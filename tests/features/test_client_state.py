"""Client state: what can wait, what cannot, and the order in which a client gets it in the end."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.client_state import ClientState, ClientStateOptions, HeldBack, is_important, octets_of
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.ping import XmppPing
from tidings.kernel.feature import StreamStage
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

INACTIVE, ACTIVE = "<inactive xmlns='urn:xmpp:csi:0'/>", "<active xmlns='urn:xmpp:csi:0'/>"
CAN_WAIT, CANNOT = False, True


def el(name: str, namespace: str = ns.CLIENT, text: str = "") -> Element:
    return Element(name, namespace, None, *filter(None, [text]))


def room(*codes: str) -> Element:
    statuses = (Element("status", ns.MUC_USER, {"code": code}) for code in codes)
    return Element("x", ns.MUC_USER, None, Element("item", ns.MUC_USER), *statuses)


TYPING = el("composing", ns.CHAT_STATES)
TABLE = {
    "presence": ("presence", "", [], CAN_WAIT),
    "presence with a status": ("presence", "", [el("show", text="away"), el("status", text="x")], CAN_WAIT),
    "good-bye": ("presence", "unavailable", [], CAN_WAIT),
    "request": ("presence", "subscribe", [], CANNOT),
    "granted": ("presence", "subscribed", [], CANNOT),
    "presence error": ("presence", "error", [], CANNOT),
    "occupant": ("presence", "", [room()], CAN_WAIT),
    "own entry into a room": ("presence", "", [room("100", "110")], CANNOT),
    "thrown out of a room": ("presence", "unavailable", [room("110", "307")], CANNOT),
    "typing": ("message", "chat", [TYPING], CAN_WAIT),
    "typing in a thread": ("message", "chat", [TYPING, el("thread", text="t")], CAN_WAIT),
    "typing, hinted": ("message", "chat", [TYPING, el("no-store", ns.HINTS)], CAN_WAIT),
    "typing in a room": ("message", "groupchat", [el("paused", ns.CHAT_STATES)], CAN_WAIT),
    "text": ("message", "chat", [el("body", text="Hi")], CANNOT),
    "text with a chat state": (
        "message",
        "chat",
        [el("body", text="Hi"), el("active", ns.CHAT_STATES)],
        CANNOT,
    ),
    "subject": ("message", "groupchat", [el("subject", text="Hi")], CANNOT),
    "receipt": ("message", "chat", [el("received", ns.RECEIPTS)], CANNOT),
    "receipt with a chat state": ("message", "chat", [TYPING, el("received", ns.RECEIPTS)], CANNOT),
    "marker": ("message", "chat", [el("displayed", ns.MARKERS)], CANNOT),
    "error for a chat state": ("message", "error", [TYPING], CANNOT),
    "notification": ("message", "headline", [el("event", ns.PUBSUB_EVENT)], CANNOT),
    "something unknown": ("message", "", [el("x", "urn:unknown")], CANNOT),
    "nothing at all": ("message", "", [], CANNOT),
    "request iq": ("iq", "get", [el("ping", ns.PING)], CANNOT),
    "answer": ("iq", "result", [], CANNOT),
}


@pytest.mark.parametrize(("name", "kind", "content", "important"), TABLE.values(), ids=TABLE)
def test_what_can_wait(name: str, kind: str, content: list[Element], important: bool) -> None:
    assert is_important(Stanza.build(name, kind=kind, content=content)) is important


senders = st.sampled_from([Jid("a@localhost/x"), Jid("a@localhost/y"), Jid("b@localhost/x")])
numbers = st.integers(0, 99).map(str)
presences = st.builds(
    lambda sender, number: Stanza.build(
        "presence", sender=sender, id=number, content=[el("status", text="s" * 20)]
    ),
    senders,
    numbers,
)
typings = st.builds(
    lambda sender, number: Stanza.build("message", sender=sender, id=number, content=[TYPING]),
    senders,
    numbers,
)
texts = st.builds(
    lambda sender: Stanza.build("message", sender=sender, content=[el("body", text="x")]), senders
)


@given(st.lists(presences | typings | texts), st.integers(1, 4), st.integers(1, 400))
def test_nothing_is_lost_but_what_something_newer_replaces(
    stanzas: list[Stanza], most: int, most_bytes: int
) -> None:
    held = HeldBack(ClientStateOptions(held_stanzas=most, held_bytes=most_bytes))
    sent: list[Stanza] = []
    for stanza in stanzas:
        sent += held.pass_on(stanza)
        assert len(held._stanzas) <= most
        assert held._bytes == sum(map(octets_of, held._stanzas.values())) <= most_bytes
    sent += held.release()
    positions = [next(n for n, each in enumerate(stanzas) if each is stanza) for stanza in sent]
    assert positions == sorted(positions)  # in order
    missing = [n for n in range(len(stanzas)) if n not in positions]
    for n in missing:
        lost = stanzas[n]
        assert not is_important(lost)
        assert any((later.name, later.sender) == (lost.name, lost.sender) for later in stanzas[n + 1 :])
    assert held.release() == ()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=(Rosters, Subscriptions, Presences, ClientState, XmppPing))
    yield world
    await world.stop()


def summary(stanzas: list[Element]) -> list[str]:
    return [
        stanza.text_of("body") or stanza.text_of("status") or stanza.children[0].name for stanza in stanzas
    ]


async def test_support_is_offered_after_login(world: World) -> None:  # §4.1
    feature = world.server.hosts["localhost"].feature(ClientState)
    assert feature is not None
    assert list(feature.stream_features(StreamStage.BEFORE_LOGIN)) == []
    assert list(feature.stream_features(StreamStage.AFTER_LOGIN)) == [Element("csi", ns.CSI)]


async def test_a_phone_in_a_pocket(world: World) -> None:
    juliet = await world.online("juliet@localhost/phone")
    romeo = await world.online("romeo@localhost/x")
    await juliet.send(INACTIVE)
    await romeo.send(
        "<presence to='juliet@localhost/phone'><status>one</status></presence>",
        "<message to='juliet@localhost/phone' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>"
        "</message>",
        "<presence to='juliet@localhost/phone'><status>two</status></presence>",
    )
    assert juliet.take() == []
    await romeo.send("<message to='juliet@localhost/phone' type='chat'><body>Juliet?</body></message>")
    assert summary(juliet.take()) == ["composing", "two", "Juliet?"]


async def test_becoming_active_comes_before_the_next_answer(world: World) -> None:  # §5.1
    juliet = await world.online("juliet@localhost/phone")
    romeo = await world.online("romeo@localhost/x")
    await juliet.send(INACTIVE, INACTIVE)
    await romeo.send("<presence to='juliet@localhost/phone'><status>here</status></presence>")
    assert juliet.take() == []
    await juliet.send(ACTIVE, "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert [stanza.name for stanza in juliet.take()] == ["presence", "iq"]
    await juliet.send(ACTIVE)
    await romeo.send("<presence to='juliet@localhost/phone'><status>there</status></presence>")
    assert summary(juliet.take()) == ["there"]


async def test_the_state_of_a_client_is_its_own(world: World) -> None:
    phone, desk = [await world.online(f"juliet@localhost/{each}") for each in ("phone", "desk")]
    phone.take()
    romeo = await world.online("romeo@localhost/x")
    await phone.send(INACTIVE)
    await romeo.send("<presence to='juliet@localhost'><status>here</status></presence>")
    assert phone.take() == []
    assert summary(desk.take()) == ["here"]


async def test_a_client_that_leaves_inactive_leaves_nothing_behind(world: World) -> None:
    juliet = await world.online("juliet@localhost/phone")
    romeo = await world.online("romeo@localhost/x")
    await juliet.send(INACTIVE)
    await romeo.send("<presence to='juliet@localhost/phone'><status>here</status></presence>")
    await juliet.lose()
    again = await world.online("juliet@localhost/phone")
    await romeo.send("<presence to='juliet@localhost/phone'><status>there</status></presence>")
    assert summary(again.take()) == ["there"]


async def test_a_client_may_begin_inactive_with_its_session(world: World) -> None:  # XEP-0386 §3.2
    alice = await world.login("alice@localhost/phone", inline=(Element("inactive", ns.CSI),))
    assert alice.session.outbound_filter is not None
    await alice.send(f"<active xmlns='{ns.CSI}'/>")
    assert alice.session.outbound_filter is None
