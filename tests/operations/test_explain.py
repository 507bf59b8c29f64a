"""Stories of messages, and what `explain message` says of each: what happened, and why what did not."""

import gc

import pytest

from tests.harness.mailing_lists import LISTS, join
from tests.harness.service import RemoteService
from tests.harness.world import World
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.events import MessageSubmitted
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Dropped
from tidings.kernel.session import Session
from tidings.kernel.traces import REACHES_BACK, Traces
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.wire.xml.element import Element

ALICE, BOB, ROMEO = "alice@localhost", "bob@localhost", "romeo@far.example"
CARBONS = "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>"
COMPOSING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"


def chat(id_, *content, to=BOB, kind="chat"):
    inside = "".join(content) or "<body>a secret</body>"
    return f"<message to='{to}' type='{kind}' id='{id_}'>{inside}</message>"


def origin_id(id_):
    return f"<origin-id xmlns='urn:xmpp:sid:0' id='{id_}'/>"


async def explained(world, id_, user=None, caller=None):
    context = world.context if caller is None else world.context.acting_for(caller)
    arguments = {"id": id_} | ({} if user is None else {"user": user})
    return await CATALOGUE.call(context, "explain", "message", arguments)


def told(explanation, step):
    """Give what an explanation says of one kind of step."""
    return [one.text for one in explanation.steps if one.step == step]


async def steps(world, id_, step, **more):
    return told(await explained(world, id_, **more), step)


# --- accepted, kept, sent


async def test_a_chat_message_is_told_from_its_sender_to_the_device(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await bob.manage()
    await alice.send(chat("m1"))
    story = await explained(world, "m1")
    assert (story.source, story.stanza_id, story.unknown) == ("memory", "m1", ())
    assert (story.sender, story.recipient) == (Jid(f"{ALICE}/phone"), Jid(BOB))
    [submitted] = [step for step in story.steps if step.step == "submitted"]
    assert submitted.time is not None
    assert submitted.text == f"{ALICE}/phone sent it to {BOB}, type chat, by a session"
    [message] = bob.take("message")
    [received] = [child.get("id") for child in message.children if child.name == "stanza-id"]
    assert told(story, "accepted") == ["both sides keep it; it has content to keep (XEP-0313 §6.1.1)"]
    assert [text.partition(",")[0] for text in told(story, "kept")] == [
        f"{ALICE} has it as sent",
        f"{BOB} has it as received",
    ]
    assert told(story, "kept")[1].endswith(f"position 1, id {received}")
    assert told(story, "sent") == [
        f"to {BOB}/desk: it is for all resources that are available (RFC 6121 §8.5.2.1.1)"
    ]
    assert told(story, "device") == [f"{BOB}, device desk: was sent it and has not acknowledged it yet"]
    await bob.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    assert await steps(world, "m1", "device") == [
        f"{BOB}, device desk: has acknowledged everything up to position 1"
    ]


@pytest.mark.parametrize("by", ["archive id", "archive id and user", "origin-id", "trace id"])
async def test_a_message_is_found_by_each_of_its_ids(by):
    world = await World.start(logs_debug=True)
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await alice.send(chat("m1", "<body>a secret</body>", origin_id("what the client calls it")))
    story = await explained(world, "m1")
    ids = {
        "archive id": (told(story, "kept")[1].rpartition(" ")[2], None),
        "archive id and user": (told(story, "kept")[0].rpartition(" ")[2], ALICE),
        "origin-id": ("what the client calls it", None),
        "trace id": (story.trace, None),
    }
    id_, user = ids[by]
    if by == "archive id":  # both archives are new: the first position of each
        user = BOB
    assert (await explained(world, id_, user)).stanza_id == "m1"
    await world.stop()


async def test_nothing_of_the_content_is_told(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await alice.send(chat("m1"))
    assert "secret" not in str(await explained(world, "m1"))
    assert "secret" not in str(world.router.traces.recent)


async def test_a_recipient_who_is_away_gets_it_later(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await bob.leave()
    await alice.send(chat("m1"))
    story = await explained(world, "m1")
    assert told(story, "not sent") == [
        "to no session: no resource of the recipient is available (RFC 6121 §8.5.2.2.1)"
    ]
    assert told(story, "device") == [
        f"{BOB}, device desk: has come to position 0, and gets it when it is there again"
    ]


async def test_a_device_that_is_catching_up_is_not_sent_it_live(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    bob.session.is_catching_up = True
    await alice.send(chat("m1"))
    assert await steps(world, "m1", "not sent") == [
        f"not to {BOB}/desk: the device is reading what it missed, and gets it from the archive"
    ]


async def test_a_note_to_oneself_is_kept_once(world):
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(chat("m1", to=ALICE))
    story = await explained(world, "m1")
    assert told(story, "accepted")[0].startswith("a note to oneself is kept once")
    assert len(told(story, "kept")) == 1


async def test_what_is_repeated_is_told_beside_the_first(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.online(f"{BOB}/desk")
    same = chat("m1", "<body>a secret</body>", origin_id("the same message twice"))
    await alice.send(same)
    await alice.send(same)
    story = await explained(world, "m1")
    assert len(told(story, "submitted")) == 2
    assert len(told(story, "accepted")) == 1
    assert told(story, "repeated") == [
        "the same was accepted before: nothing was stored or delivered a second time"
    ]


async def test_a_resumption_is_no_second_delivery(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await bob.manage()
    await alice.send(chat("m1"))
    await bob.lose()
    again = await world.resume(bob, handled=0)
    assert [element.get("id") for element in again.take("message")] == ["m1"]
    assert len(await steps(world, "m1", "sent")) == 1
    assert await steps(world, "m1", "device") == [
        f"{BOB}, device desk: was sent it and has not acknowledged it yet"
    ]


# --- not stored, not sent


async def test_a_hint_keeps_it_out_of_the_archives(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.online(f"{BOB}/desk")
    await alice.send(chat("m1", "<body>a secret</body>", NO_STORE))
    story = await explained(world, "m1")
    assert told(story, "not stored") == [
        "it is worth nothing later: it reaches who is there; it has the hint no-store (XEP-0334)"
    ]
    assert told(story, "kept") == []
    assert len(told(story, "sent")) == 1


async def test_what_nobody_is_there_for_is_ignored(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await alice.send(chat("m1", COMPOSING))
    assert (await steps(world, "m1", "not stored"))[0].startswith("nobody is there for it, and its sender")


async def test_what_can_wait_is_held_back_from_an_inactive_client(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await bob.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    await alice.send(chat("m1", COMPOSING))
    assert await steps(world, "m1", "held back") == [
        f"for {BOB}/desk: the client is inactive, and this can wait (XEP-0352)"
    ]
    await bob.send("<active xmlns='urn:xmpp:csi:0'/>")
    assert await steps(world, "m1", "held back") == []
    assert len(await steps(world, "m1", "sent")) == 1


# --- refused


async def test_it_says_that_a_block_list_refused_it(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
    await bob.request(f"<iq type='set' id='b'>{block}</iq>")
    await alice.send(chat("m1"))
    [refused] = await steps(world, "m1", "refused")
    assert refused.startswith("service-unavailable; by: blocking (Blocking.")
    assert await steps(world, "m1", "accepted") == []


async def test_it_says_that_there_is_no_such_account(world):
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(chat("m1", to="nobody@localhost"))
    assert await steps(world, "m1", "refused") == [
        "service-unavailable; by: nobody is there for it, and nobody keeps it (RFC 6121 §8.5)"
    ]


class Filter(Feature):
    """Refuses, drops or rewrites by the id."""

    @listens(MessageSubmitted)
    async def judge(self, event: MessageSubmitted) -> None:
        """Do what the id says."""
        match event.stanza.id:
            case "refuse":
                raise StanzaError("policy-violation", "not here")
            case "drop":
                raise Dropped
            case "rewrite":
                event.stanza = event.stanza.replace(append=[Element("seen", "urn:seen")])


@pytest.mark.parametrize(
    ("id_", "step", "text"),
    [
        ("refuse", "refused", "policy-violation: not here; by: test_explain (Filter.judge)"),
        ("drop", "dropped", "it was dropped without a word; by: test_explain (Filter.judge)"),
        (
            "rewrite",
            "rewritten",
            "a decision has put another message in its place: test_explain (Filter.judge)",
        ),
    ],
)
async def test_it_names_who_decided(id_, step, text):
    world = await World.start(features=[Filter])
    alice = await world.login(f"{ALICE}/phone")
    await world.register(BOB)
    await alice.send(chat(id_))
    assert await steps(world, id_, step) == [text]
    await world.stop()


# --- copies


async def test_it_tells_which_devices_were_sent_copies_and_why_others_were_not(world):
    phone = await world.online(f"{ALICE}/phone")
    desk = await world.online(f"{ALICE}/desk")
    await world.online(f"{ALICE}/web")
    bob = await world.online(f"{BOB}/desk")
    other = await world.online(f"{BOB}/phone")
    await desk.request(CARBONS)
    await other.request(CARBONS)
    await phone.send(chat("m1", to=f"{BOB}/desk"))
    story = await explained(world, "m1")
    assert told(story, "sent") == [f"to {BOB}/desk: it is for that resource (RFC 6121 §8.5.3.1)"]
    assert sorted(told(story, "copied")) == [
        f"{ALICE}/desk got a copy: the device has asked for copies (XEP-0280)",
        f"{BOB}/phone got a copy: the device has asked for copies (XEP-0280)",
    ]
    assert told(story, "not copied") == [
        f"{ALICE}/web got no copy: the device has not asked for copies (XEP-0280 §4)"
    ]
    bob.take()
    await phone.send(chat("m2", "<body>x</body>", "<private xmlns='urn:xmpp:carbons:2'/>", to=f"{BOB}/desk"))
    assert f"{BOB}/phone got no copy: its sender wants no copies: private or no-copy (XEP-0280 §9)" in (
        await steps(world, "m2", "not copied")
    )


async def test_a_device_that_reads_later_gets_no_copy(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.online(f"{BOB}/desk")
    away = await world.login(f"{BOB}/tab")
    await away.request(CARBONS)
    await alice.send(chat("m1"))
    assert await steps(world, "m1", "not copied") == [
        f"{BOB}/tab got no copy: the device has not caught up yet, and the archive will bring it"
    ]


async def test_the_device_that_sent_a_note_gets_no_copy_of_it(world):
    phone = await world.login(f"{ALICE}/phone")
    await world.online(f"{ALICE}/desk")
    await phone.request(CARBONS)
    await phone.send(chat("m1", to=ALICE))
    assert await steps(world, "m1", "not copied") == [f"{ALICE}/phone got no copy: the device has sent it"]


# --- to other servers


async def test_a_message_waits_for_a_server_that_is_down_and_goes_when_it_is_back(world):
    far = RemoteService(world, "far.example")
    alice = await world.online(f"{ALICE}/phone")
    far.fail()
    await alice.send(chat("m1", to=ROMEO))
    story = await explained(world, "m1")
    assert told(story, "accepted")[0].startswith("it waits in the outbox until the other server has it")
    assert told(story, "outbox") == ["it waits for far.example, which could not be reached yet"]
    for _ in range(6):
        await world.advance(10)
    assert len(far.take("message")) == 1
    [sent] = [step for step in (await explained(world, "m1")).steps if step.step == "sent on"]
    assert sent.text == "far.example: the other server has it"
    assert sent.time is not None


async def test_it_says_why_another_server_did_not_get_it(world):
    far = RemoteService(world, "far.example")
    alice = await world.online(f"{ALICE}/phone")
    far.fail(1_000)
    await alice.send(chat("m1", to=ROMEO))
    for _ in range(5):
        await world.advance(86_400)
    story = await explained(world, "m1")
    assert told(story, "given back")[0] == ("it could not arrive: all devices of its sender are told")
    assert told(story, "given back")[1].startswith("far.example: the other server could not be reached in")
    assert told(story, "error") == [f"{ROMEO} has answered {ALICE} with an error"]
    await world.restart()
    story = await explained(world, told(story, "kept")[0].rpartition(" ")[2], ALICE)
    assert (story.source, len(told(story, "given back"))) == ("ledger", 1)


async def test_what_nobody_remembers_of_the_outbox_is_said(world):
    far = RemoteService(world, "far.example")
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(chat("m1", to=ROMEO))
    await world.settle()
    assert len(far.take("message")) == 1
    await world.restart()
    story = await explained(world, "m1", ALICE)
    assert story.source == "ledger"
    assert any(text.startswith("whether far.example has it") for text in story.unknown)


async def test_a_domain_that_nobody_answers_for_is_named(world):
    alice = await world.online(f"{ALICE}/phone")
    await alice.send(chat("m1", to=ROMEO))
    [refused] = await steps(world, "m1", "refused")
    assert refused.startswith("remote-server-not-found: far.example is not served here")


async def test_receipts_and_corrections_are_told_once(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await alice.send(chat("m1"))
    await bob.send(chat("r1", "<received xmlns='urn:xmpp:receipts' id='m1'/>", to=ALICE))
    await alice.send(chat("m2", "<body>b</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/>"))
    story = await explained(world, "m1")
    assert told(story, "receipt") == ["the recipient's client has confirmed it (XEP-0184)"]
    assert told(story, "corrected") == ["a later message puts another text in its place (XEP-0308)"]


async def test_a_message_to_a_list_is_kept_by_that_alone():
    world = await World.start(("localhost",), services=(LISTS,))
    alice = await world.online(f"{ALICE}/phone")
    await join(world, "all@lists.localhost", ALICE)
    await alice.send(chat("m1", to="all@lists.localhost"))
    story = await explained(world, "m1")
    assert [text.partition(",")[0] for text in told(story, "kept")] == [
        "all@lists.localhost has it as received"
    ]
    assert told(story, "sent") == []
    assert story.unknown == (
        "whom all@lists.localhost has passed it to: only for accounts that is remembered",
    )
    await world.stop()


# --- what is not remembered any more


async def test_the_ledger_tells_of_older_messages(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await alice.send(chat("m1"))
    await bob.leave()
    await world.restart()
    for user in (ALICE, BOB):
        story = await explained(world, "m1", user)
        assert (story.source, story.sender, story.recipient) == ("ledger", Jid(f"{ALICE}/phone"), Jid(BOB))
        assert [text.partition(",")[0] for text in told(story, "kept")] == [
            f"{ALICE} has it as sent",
            f"{BOB} has it as received",
        ]
        assert told(story, "device") == [f"{BOB}, device desk: has acknowledged everything up to position 1"]
        assert story.unknown == (
            "by which way it came, which sessions were sent it and which copies were made",
        )
    archive_id = told(story, "kept")[1].rpartition(" ")[2]
    assert (await explained(world, archive_id, BOB)).stanza_id == "m1"


async def test_as_many_are_remembered_as_the_option_says():
    world = await World.start(explained_messages=2)
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    for number in range(3):
        await alice.send(chat(f"m{number}"))
        await world.advance(1)
    assert [trace.stanza_id for trace in world.router.traces.recent] == ["m2", "m1"]
    with pytest.raises(OperationError, match="not among the last 2 messages") as caught:
        await explained(world, "m0")
    assert caught.value.code == "not-found"
    await world.stop()


async def test_what_is_remembered_reaches_back_for_a_while_however_many_messages_come():
    world = await World.start(explained_messages=20)
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    for second in range(REACHES_BACK):
        for number in range(50):
            await alice.send(chat(f"m{second}-{number}"))
            await alice.send(chat(f"r{second}-{number}", to="nobody@localhost"))
        await world.advance(1)
    remembered = [trace.stanza_id for trace in world.router.traces.recent]
    seconds = reversed(range(REACHES_BACK))
    assert remembered == [
        f"{kind}{second}-{number}" for second in seconds for number in (1, 0) for kind in "rm"
    ]
    alice.take()
    with pytest.raises(OperationError, match="of each second the first 2 accepted and the first 2 refused"):
        await explained(world, "m0-2")
    await world.stop()


async def test_nothing_is_remembered_where_the_option_says_so():
    world = await World.start(explained_messages=0)
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await alice.send(chat("m1"))
    assert world.router.traces.recent == []
    with pytest.raises(OperationError, match="no messages are remembered"):
        await explained(world, "m1")
    assert (await explained(world, "m1", ALICE)).source == "ledger"
    await world.stop()


async def test_what_is_remembered_does_not_grow_with_what_clients_write(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await alice.send(chat("m" * 10_000, f"<body>{'x' * 10_000}</body>"))
    [trace] = world.router.traces.recent
    assert len(str(trace)) < 3_000


async def test_several_messages_with_one_id_are_named(world):
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    await world.register("carol@localhost")
    await alice.send(chat("1"), chat("1", to="carol@localhost"))
    with pytest.raises(OperationError, match=f"from {ALICE} to {BOB} .*from {ALICE} to carol@localhost"):
        await explained(world, "1")
    assert (await explained(world, "1", "carol@localhost")).recipient == Jid("carol@localhost")


# --- who may know


async def test_an_administrator_is_told_what_happened_on_his_domain_only(world):
    alice = await world.online(f"{ALICE}/phone")
    carol = await world.online("carol@other.test/desk")
    await alice.send(chat("m1", to="carol@other.test"))
    carol.take()
    boss = Caller.administrator(Jid("boss@localhost"), "localhost")
    story = await explained(world, "m1", caller=boss)
    assert [text.partition(" ")[0] for text in told(story, "kept")] == [ALICE]
    assert told(story, "sent") == told(story, "device") == []
    assert story.unknown == ("what became of it on other.test is for those to know who administer that",)
    stranger = Caller.administrator(Jid("boss@third.test"), "third.test")
    with pytest.raises(OperationError) as caught:
        await explained(world, "m1", caller=stranger)
    assert caught.value.code == "not-found"


async def test_who_blocks_is_not_told_to_the_administrator_of_the_sender(world):
    alice = await world.online(f"{ALICE}/phone")
    carol = await world.online("carol@other.test/desk")
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
    await carol.request(f"<iq type='set' id='b'>{block}</iq>")
    await alice.send(chat("m1", to="carol@other.test"))
    boss = Caller.administrator(Jid("boss@localhost"), "localhost")
    assert await steps(world, "m1", "refused", caller=boss) == ["service-unavailable"]


async def test_what_a_session_was_sent_outlives_the_session_and_keeps_nothing_of_it(world):
    alice = await world.online(f"{ALICE}/phone")
    bob = await world.online(f"{BOB}/desk")
    await alice.send(chat("m1"))
    await bob.leave()
    # By identity: what an earlier test has left behind may have the same address.
    gone, there = id(bob.session), id(alice.session)
    bob.session = bob._input = None
    gc.collect()
    sessions = {id(each) for each in gc.get_objects() if isinstance(each, Session)}
    assert there in sessions
    assert gone not in sessions
    assert len(await steps(world, "m1", "sent")) == 1


async def test_a_way_that_is_not_traced_is_no_obstacle():
    traces = Traces()
    traces.note(None, "copied", "a reason")
    assert not traces.is_on
    assert traces.recent == []
