"""Smart markers: which marker of a chat is the last, and what a client is told."""

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.smart_markers import marker_of, newest_of
from tidings.ports.ledger.batch import Direction, EntryKind
from tidings.ports.ledger.reading import Archived, EntryId
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.markers import MarkerKind
from tidings.wire.xmpp.payloads.smart_markers import KeptMarker, MarkersQuery

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
KINDS = {
    "received": EntryKind.RECEIVED,
    "displayed": EntryKind.DISPLAYED,
    "acknowledged": EntryKind.ACKNOWLEDGED,
}


def entry(position: int, kind: str, id_: str, *, is_sent: bool = False, thread: str = "") -> Archived:
    inside = f"<thread>{thread}</thread>" if thread else ""
    body = f'<message id="x{position}">{inside}<{kind} xmlns="urn:xmpp:chat-markers:0" id="{id_}"/></message>'
    return Archived(
        id=EntryId("e1", position),
        feed=position,
        time=position * 1_000_000,
        peer=BOB,
        direction=Direction.SENT if is_sent else Direction.RECEIVED,
        kind=KINDS[kind],
        resource="",
        countable=False,
        count=0,
        target=0,
        body=body.encode(),
    )


def test_the_newest_of_each_side_and_kind() -> None:
    entries = [
        entry(3, "displayed", "m3"),
        entry(2, "displayed", "m2"),
        entry(4, "received", "m4"),
        entry(1, "displayed", "m1", is_sent=True),
    ]
    assert {(marker.sender, marker.kind.value, marker.id) for marker in newest_of(entries, ALICE, None)} == {
        (BOB, "displayed", "m3"),
        (BOB, "received", "m4"),
        (ALICE, "displayed", "m1"),
    }


def test_threads_have_markers_of_their_own() -> None:
    entries = [entry(1, "displayed", "m1"), entry(2, "displayed", "m2", thread="t")]
    assert [marker.id for marker in newest_of(entries, ALICE, None)] == ["m1"]
    assert [(marker.id, marker.thread) for marker in newest_of(entries, ALICE, "t")] == [("m2", "t")]
    assert newest_of(entries, ALICE, "other") == []


def test_what_is_no_marker_any_more() -> None:
    plain = entry(1, "displayed", "m1")
    assert marker_of(plain, ALICE) == KeptMarker(BOB, "m1", MarkerKind.DISPLAYED, 1_000_000)
    erased = Archived(
        **{name: getattr(plain, name) for name in plain.__struct_fields__ if name != "body"}, body=None
    )
    assert marker_of(erased, ALICE) is None
    assert newest_of([erased], ALICE, None) == []


# --- stories


def query(content: str, kind: str = "get") -> str:
    return f"<iq type='{kind}' id='s1'><query xmlns='esl:xmpp:smart-markers:0' {content}/></iq>"


async def markers(client: WorldClient, content: str = "peer='bob@localhost'") -> list[tuple[str, str, str]]:
    answer = await client.request(query(content))
    found = MarkersQuery.decode(answer.children[0])
    assert found.peer == BOB
    return [(str(marker.sender), marker.kind.value, marker.id) for marker in found.markers]


def mark(to: str, kind: str, id_: str, thread: str = "") -> str:
    inside = f"<thread>{thread}</thread>" if thread else ""
    marker = f"<{kind} xmlns='urn:xmpp:chat-markers:0' id='{id_}'/>"
    return f"<message to='{to}' type='chat'>{inside}{marker}</message>"


async def test_both_sides_are_told(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await alice.send("<message to='bob@localhost' type='chat' id='a1'><body>Hi</body></message>")
    await bob.send("<message to='alice@localhost' type='chat' id='b1'><body>Hello</body></message>")
    assert await markers(alice) == []
    await bob.send(mark("alice@localhost", "received", "a1"))
    await world.advance(1)
    await bob.send(mark("alice@localhost", "displayed", "a1"))
    await world.advance(1)
    await alice.send(mark("bob@localhost", "displayed", "b1"))
    assert await markers(alice) == [
        ("bob@localhost", "received", "a1"),
        ("bob@localhost", "displayed", "a1"),
        ("alice@localhost", "displayed", "b1"),
    ]
    assert await markers(alice, "peer='bob@localhost' after='2026-01-01T00:00:01Z'") == [
        ("alice@localhost", "displayed", "b1")
    ]


async def test_a_thread_does_not_hide_the_others(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    for number in (1, 2):
        await alice.send(f"<message to='bob@localhost' type='chat' id='a{number}'><body>Hi</body></message>")
    await bob.send(mark("alice@localhost", "displayed", "a1"))
    await bob.send(mark("alice@localhost", "displayed", "a2", "t"))
    assert await markers(alice) == [("bob@localhost", "displayed", "a1")]
    assert await markers(alice, "peer='bob@localhost' thread='t'") == [("bob@localhost", "displayed", "a2")]


@pytest.mark.parametrize(
    ("text", "condition", "words"),
    [
        (query(""), "bad-request", "invalid-peer"),
        (query("peer='@'"), "bad-request", "invalid-peer"),
        (query("peer='bob@localhost' after='yesterday'"), "bad-request", "invalid-timestamp"),
        (query("peer='bob@localhost'", "set"), "not-allowed", ""),
    ],
)
async def test_what_is_refused(world: World, text: str, condition: str, words: str) -> None:  # word for word
    alice = await world.online("alice@localhost/phone")
    error = error_of(await alice.request(text))
    assert error.find(condition, ns.STANZA_ERRORS) is not None
    assert (error.text_of("text", ns.STANZA_ERRORS) or "") == words


def error_of(answer: Element) -> Element:
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return error
