"""The inbox in a server: what a client that lists its conversations gets."""

from collections.abc import AsyncIterator

import pytest

from tests.features.inboxes import (
    BOB,
    conversation,
    entries,
    fetch,
    field,
    inbox,
    mark,
    refusal,
    say,
    unread,
)
from tests.harness.world import World
from tidings.app.compose import FEATURES
from tidings.base.jid import Jid
from tidings.features.inbox import InboxOptions
from tidings.kernel.events import ArchivePulled
from tidings.kernel.feature import Feature, listens
from tidings.kernel.session import Session
from tidings.ports.ledger.batch import Append, Entry, LedgerBatch
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.inbox import InboxFin


class Spy(Feature):
    """Notes who pulls."""

    def __init__(self) -> None:
        self.pulled: list[Session] = []

    @listens(ArchivePulled)
    def note(self, event: ArchivePulled) -> None:
        self.pulled.append(event.session)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    options = {"inbox": InboxOptions(boxes=("work",))}
    world = await World.start(features=(*FEATURES, Spy), options=options)
    yield world
    await world.stop()


async def test_it_is_found(world: World) -> None:  # §1.1
    alice = await world.online("alice@localhost/phone")
    info = await alice.request(f"<iq type='get' id='d' to='localhost'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    features = {each.get("var") for each in info.children[0].find_all("feature")}
    assert {ns.INBOX, ns.INBOX1, ns.SMART_MARKERS, ns.TIDINGS_INBOX} <= features
    assert ns.INBOX_CONVERSATION not in features


async def test_the_form(world: World) -> None:  # §1.2
    alice = await world.online("alice@localhost/phone")
    answer = await alice.request(f"<iq type='get' id='f'><query xmlns='{ns.INBOX}'/></iq>")
    (form,) = answer.children[0].children
    fields = {each.name: each for each in DataForm.decode(form).fields}
    assert set(fields) == {"FORM_TYPE", "start", "end", "hidden_read", "order", "box", "archive"}
    assert [option.value for option in fields["box"].options] == ["all", "inbox", "archive", "bin", "work"]


async def test_both_sides_have_the_conversation(world: World) -> None:  # §1.5, §1.9
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    assert await inbox(alice) == ([], InboxFin(totals=(await inbox(alice))[1].totals))
    await say(bob, "alice@localhost", "m1", "m2", "m3")
    ((peer, result),), fin = await inbox(alice, query_id="q1")
    last = result.forwarded.stanza()
    assert last is not None
    assert (peer, result.unread, result.box, result.muted_until) == (BOB, 3, "inbox", 0)
    assert (last.id, last.sender, last.kind) == ("m3", Jid("bob@localhost/desk"), "chat")
    assert last.has(ns.STANZA_ID, "stanza-id")
    assert result.forwarded.delay is not None
    assert result.forwarded.delay.stamp == round(world.clock.now() * 1_000_000)
    assert (fin.count, fin.unread_messages, fin.active_conversations) == (1, 3, 1)
    assert fin.page.first == fin.page.last is not None
    ((peer, result),), fin = await inbox(bob)
    assert (peer, result.unread, fin.unread_messages) == ("alice@localhost", 0, 0)
    await say(alice, BOB, "a1")  # an answer reads what came before
    assert await unread(alice) == {BOB: 0}
    assert await unread(bob) == {"alice@localhost": 1}


@pytest.mark.parametrize("resource", ["phone", 'Omar\'s <"phone"> & Büro'])
async def test_an_inactive_device_with_any_name_gets_the_same_entries(world: World, resource: str) -> None:
    peers = ["bob@localhost", "größe@localhost", "o-neill@localhost"]
    alice = await world.online("alice@localhost/desk")
    other = await world.online(f"alice@localhost/{resource}")
    for peer in peers:
        await say(alice, peer, "Grüße &amp; &lt;mehr&gt;")
    pin = f"<pin xmlns='{ns.TIDINGS_INBOX}' jid='{peers[1]}'/>"
    await alice.request(f"<iq type='set' id='p'>{pin}</iq>")
    await alice.request(conversation("<mute>60</mute>", peers[2]))
    expected = await inbox(alice, query_id="q")
    assert [peer for peer, _ in expected[0]] == peers[::-1]
    assert [(each.muted_until > 0, len(each.others)) for _, each in expected[0]] == [
        (True, 0),
        (False, 1),
        (False, 0),
    ]
    assert await inbox(other, query_id="q") == expected
    await other.send(f"<inactive xmlns='{ns.CSI}'/>")
    bob = await world.online("bob@localhost/x")
    other.take()
    await bob.send("<presence to='alice@localhost'/>")
    await bob.send(f"<presence to='{other.jid.xml.decode()}'><status>later</status></presence>")
    assert other.take() == []
    await other.send(fetch(query_id="q"))
    assert [each.name for each in other.take()] == ["presence", "message", "message", "message", "iq"]
    assert await inbox(other, query_id="q") == expected


async def test_what_is_not_a_message_to_read_changes_nothing(world: World) -> None:  # §1.11
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1")
    await say(alice, BOB, "a1")
    await say(bob, "alice@localhost", "m2")
    to, thumb = "to='alice@localhost' type='chat'", "<reaction>👍</reaction>"
    await bob.send(
        f"<message {to}><composing xmlns='{ns.CHAT_STATES}'/></message>",
        f"<message {to} id='r'><reactions xmlns='{ns.REACTIONS}' id='a1'>{thumb}</reactions></message>",
        f"<message {to} id='c'><body>This is m2!</body><replace xmlns='{ns.CORRECTION}' id='m2'/></message>",
        f"<message {to} id='n'><body>Psst</body><no-store xmlns='{ns.HINTS}'/></message>",
        f"<message {to} id='k'><displayed xmlns='{ns.MARKERS}' id='a1'/></message>",
    )
    ((_, result),), _ = await inbox(alice)
    last = result.forwarded.stanza()
    assert last is not None
    assert (last.id, result.unread) == ("m2", 1)
    assert [each.name for each in result.others] == ["corrected"]
    retraction = f"<retract xmlns='{ns.RETRACTION1}' id='m2'/>"
    await bob.send(f"<message {to} id='t'>{retraction}</message>")
    ((_, result),), _ = await inbox(alice)
    assert result.unread == 0
    assert b"This is" not in result.to_bytes()


@pytest.mark.parametrize(
    ("fields", "page", "expected"),
    [  # §1.3, word for word
        (
            [field("order", "up")],
            "",
            ("modify", "bad-request", "Invalid inbox form field value, field=order, value=up"),
        ),
        (
            [field("hidden_read", "yes")],
            "",
            ("modify", "bad-request", "Invalid inbox form field value, field=hidden_read, value=yes"),
        ),
        (
            [field("start", "now")],
            "",
            ("modify", "bad-request", "Invalid inbox form field value, field=start, value=now"),
        ),
        (
            [field("box", "shoe")],
            "",
            ("modify", "bad-request", "Invalid inbox form field value, field=box, value=shoe"),
        ),
        (
            [field("colour", "red")],
            "",
            ("modify", "bad-request", "Unknown inbox form field=colour, value=red"),
        ),
        ([field("box", "inbox", "bin")], "", ("modify", "bad-request", None)),
        ([field("box")], "", ("modify", "bad-request", None)),
        ([], "<max>many</max>", ("modify", "bad-request", None)),
        ([], "<index>first</index>", ("modify", "bad-request", None)),
        ([], "<after>here</after>", ("modify", "bad-request", None)),
        (
            [],
            "<index>3</index>",
            (None, "feature-not-implemented", "Inbox does not expose a total count and indexes"),
        ),
    ],
)
async def test_fetches_that_are_refused(
    world: World, fields: list[str], page: str, expected: tuple[str | None, ...]
) -> None:
    alice = await world.online("alice@localhost/phone")
    got = refusal(await alice.request(fetch(*fields, page=page)))
    assert all(wanted in (None, value) for wanted, value in zip(expected, got, strict=True)), got


async def test_pages_in_both_orders(world: World) -> None:  # §1.4
    alice = await world.online("alice@localhost/phone")
    for number in range(5):
        await say(alice, f"friend{number}@other.test", f"m{number}")
    newest = [f"friend{number}@other.test" for number in (4, 3, 2, 1, 0)]
    for order, expected in (("desc", newest), ("asc", newest[::-1])):
        by = field("order", order)
        forward: list[str] = []
        page = "<max>2</max>"
        while True:
            found, fin = await inbox(alice, by, page=page)
            if not found:
                assert fin.page.first is None
                break
            forward += [peer for peer, _ in found]
            page = f"<max>2</max><after>{fin.page.last}</after>"
        assert forward == expected
        page, backward = "<max>2</max><before/>", []
        while True:
            found, fin = await inbox(alice, by, page=page)
            if not found:
                break
            backward = [peer for peer, _ in found] + backward
            page = f"<max>2</max><before>{fin.page.first}</before>"
        assert backward == expected
    found, fin = await inbox(alice, page="<max>0</max>")
    assert (found, fin.count, fin.totals is not None) == ([], 0, True)


async def test_times_and_read_conversations_can_be_left_out(world: World) -> None:  # §1.3
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    carol = await world.online("carol@localhost/desk")
    await say(bob, "alice@localhost", "m1")
    await say(carol, "alice@localhost", "m2")
    await mark(alice, BOB, "m1")
    found, fin = await inbox(alice, field("hidden_read", "true"))
    assert [peer for peer, _ in found] == ["carol@localhost"]
    assert (fin.count, fin.unread_messages) == (1, 1)
    for bounds, expected in (
        ({"start": 2}, ["carol@localhost"]),
        ({"end": 1}, [BOB]),
        ({"start": 1, "end": 2}, ["carol@localhost", BOB]),
        ({"start": 3}, []),
    ):
        times = [field(name, f"2026-01-01T00:00:0{second}Z") for name, second in bounds.items()]
        assert [peer for peer, _ in (await inbox(alice, *times))[0]] == expected


async def test_the_totals_are_those_of_the_account(world: World) -> None:  # §2
    alice = await world.online("alice@localhost/phone")
    for name, count in (("bob", 3), ("carol", 2), ("dave", 1)):
        friend = await world.online(f"{name}@localhost/desk")
        await say(friend, "alice@localhost", *(f"{name}{number}" for number in range(count)))
    _, fin = await inbox(alice, page="<max>1</max>")
    assert (fin.count, fin.unread_messages, fin.active_conversations) == (1, 1, 1)
    assert fin.totals is not None
    assert (fin.totals.unread_messages, fin.totals.active_conversations) == (6, 3)


async def test_who_fetches_is_noted_once(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    await alice.request(conversation("<read>true</read>"))
    spy = world.server.hosts["localhost"].feature(Spy)
    assert spy is not None
    assert spy.pulled == []
    await inbox(alice)
    await inbox(alice)
    await alice.request(f"<iq type='get' id='i'><inbox xmlns='{ns.INBOX1}'/></iq>")
    assert spy.pulled == [alice.session]


@pytest.mark.parametrize("first", range(4))
async def test_whatever_a_client_pulls_first_is_noted_and_nothing_after_it(world: World, first: int) -> None:
    pulls = [
        f"<iq type='set' id='a'><query xmlns='{ns.MAM2}'/></iq>",
        f"<iq type='set' id='b'><inbox xmlns='{ns.INBOX}'/></iq>",
        f"<iq type='get' id='c'><inbox xmlns='{ns.INBOX1}'/></iq>",
        f"<iq type='get' id='d'><sync xmlns='{ns.TIDINGS_SYNC}'/></iq>",
    ]
    alice = await world.online("alice@localhost/phone")
    spy = world.server.hosts["localhost"].feature(Spy)
    assert spy is not None
    for pull in (*pulls[first:], *pulls[:first]):
        assert (await alice.request(pull)).get("type") == "result"
        assert spy.pulled == [alice.session]


async def test_a_long_inbox_comes_whole_and_once() -> None:
    world = await World.start()
    try:
        alice = await world.online("alice@localhost/phone")
        owner, friends = alice.jid.bare, [f"friend{number}@other.test" for number in range(450)]
        messages = [
            Append(
                body=f"<message from='{friend}/x' to='{owner}' id='m'><body>Hi</body></message>".encode(),
                entries=(Entry(archive=owner, peer=Jid(friend), countable=True),),
            )
            for friend in friends
        ]
        await world.stores.ledger.commit(LedgerBatch(appends=tuple(messages)))
        found, fin = await inbox(alice)
        assert sorted(peer for peer, _ in found) == sorted(friends)
        assert (fin.count, fin.unread_messages, fin.active_conversations) == (450, 450, 450)
        standard_entries, _, _ = await entries(alice)
        assert sorted(entry.peer for entry in standard_entries) == sorted(friends)
    finally:
        await world.stop()


async def test_the_server_may_limit_a_page() -> None:
    world = await World.start(options={"inbox": InboxOptions(max_result_limit=2)})
    try:
        alice = await world.online("alice@localhost/phone")
        for number in range(3):
            await say(alice, f"friend{number}@other.test", f"m{number}")
        for page in ("", "<max>3</max>"):
            found, fin = await inbox(alice, page=page)
            assert (len(found), fin.count) == (2, 2)
        assert len((await inbox(alice, page="<max>1</max>"))[0]) == 1
        assert len((await entries(alice))[0]) == 2
    finally:
        await world.stop()


async def test_it_is_nobody_elses(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    await world.online("bob@localhost/desk")
    request = fetch().replace("id='f1'", "id='f1' to='bob@localhost'")
    assert refusal(await alice.request(request))[1] == "service-unavailable"


# --- XEP-0430


async def test_the_standard_inbox(world: World) -> None:  # §3.1
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    carol = await world.online("carol@localhost/desk")
    await say(bob, "alice@localhost", "m1", "m2")
    await say(carol, "alice@localhost", "m3")
    await mark(alice, "carol@localhost", "m3")
    found, results, fin = await entries(alice)
    assert [(str(entry.peer), entry.unread) for entry in found] == [("carol@localhost", 0), (BOB, 2)]
    assert [result.get("id") for result in results] == [entry.id for entry in found]
    assert {result.get("queryid") for result in results} == {"i1"}
    assert (fin.total, fin.unread_conversations, fin.unread_messages, fin.page.count) == (2, 1, 2, 2)
    found, results, fin = await entries(alice, "unread-only='true' messages='false'")
    assert ([str(entry.peer) for entry in found], results) == ([BOB], [])
    assert (fin.total, fin.page.count) == (2, 1)
    found, _, fin = await entries(alice, page="<max>1</max>")
    assert [str(entry.peer) for entry in found] == ["carol@localhost"]
    found, _, fin = await entries(alice, page=f"<max>1</max><after>{fin.page.last}</after>")
    assert [str(entry.peer) for entry in found] == [BOB]
    await alice.request(conversation("<box>bin</box>"))
    found, _, fin = await entries(alice)
    assert ([str(entry.peer) for entry in found], fin.total, fin.unread_messages) == (
        ["carol@localhost"],
        1,
        0,
    )
