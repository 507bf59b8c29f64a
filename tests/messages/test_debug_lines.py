"""The debug log: one line for each decision about a message, with its trace id and without its content."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.harness.service import RemoteService
from tests.harness.world import World
from tests.messages.slow_ledger import SlowLedger
from tidings.operations.all import CATALOGUE
from tidings.ports.ledger.batch import Refused

ALICE, BOB = "alice@localhost", "bob@localhost"
CARBONS = "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
BODY = "<body>a secret</body>"


@pytest.fixture
async def told() -> AsyncIterator[World]:
    world = await World.start(logs_debug=True)
    yield world
    await world.stop()


def chat(*content: str, to: str = BOB) -> str:
    return f"<message to='{to}' type='chat' id='m1'>{''.join(content) or BODY}</message>"


def lines(logs: list[Any], *events: str) -> list[Any]:
    """Give the lines of these events."""
    return [line for line in logs if line["event"] in events]


async def test_a_message_can_be_followed_by_its_trace_id(told: World) -> None:
    alice = await told.online(f"{ALICE}/phone")
    bob = await told.online(f"{BOB}/desk")
    other = await told.online(f"{BOB}/web")
    await other.request(CARBONS)
    await bob.manage()
    with capture_logs() as logs:
        await alice.send(chat(to=f"{BOB}/desk"))
        await bob.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    [trace] = {line["trace"] for line in logs if "trace" in line}
    events = ["guarded", "planned", "accepted", "copied", "delivered"]
    assert [line["event"] for line in logs if line.get("trace") == trace] == events
    [planned] = lines(logs, "planned")
    assert (planned["storage"], planned["reason"]) == ("permanent", "both sides keep it")
    assert planned["kept_by"] == (ALICE, BOB)
    [accepted] = lines(logs, "accepted")
    assert set(accepted["places"]) == {ALICE, BOB}
    [delivered] = lines(logs, "delivered")
    assert delivered["sessions"] == [f"{BOB}/desk"]
    [copied] = lines(logs, "copied")
    assert (copied["who"], copied["reason"]) == (f"{BOB}/web", "the device has asked for copies (XEP-0280)")
    assert lines(logs, "acknowledged")[0]["session"] == f"{BOB}/desk"
    assert {"account": BOB, "device": "resource:desk", "position": 1}.items() <= (
        lines(logs, "device_has")[0].items()
    )
    assert all(line["log_level"] == "debug" for line in logs)
    assert "secret" not in str(logs)


async def test_a_refusal_names_the_guard(told: World) -> None:
    alice = await told.online(f"{ALICE}/phone")
    bob = await told.online(f"{BOB}/desk")
    block = f"<block xmlns='urn:xmpp:blocking'><item jid='{ALICE}'/></block>"
    await bob.request(f"<iq type='set' id='b'>{block}</iq>")
    with capture_logs() as logs:
        await alice.send(chat())
    [refused] = lines(logs, "refused")
    assert refused["who"].startswith("blocking (")
    assert refused["trace"]


async def test_what_is_loaded_repeated_and_held_back_is_told(told: World) -> None:
    alice = await told.online(f"{ALICE}/phone")
    await told.register(BOB)
    same = chat(BODY, "<origin-id xmlns='urn:xmpp:sid:0' id='the same message twice'/>")
    with capture_logs() as logs:
        await alice.send(same)
        await alice.send(same)
    assert lines(logs, "loaded")[0]["recipient"] == BOB
    assert len(lines(logs, "accepted")) == len(lines(logs, "repeated")) == 1
    bob = await told.online(f"{BOB}/desk")
    await bob.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    with capture_logs() as logs:
        await alice.send(chat("<composing xmlns='http://jabber.org/protocol/chatstates'/>"))
    [held] = lines(logs, "held_back")
    assert held["session"] == f"{BOB}/desk"
    assert lines(logs, "planned")[0]["rule"].startswith("it has no body")


async def test_what_leaves_the_outbox_is_told(told: World) -> None:
    RemoteService(told, "far.example")
    alice = await told.online(f"{ALICE}/phone")
    with capture_logs() as logs:
        await alice.send(chat(to="romeo@far.example"))
        await told.settle()
    assert lines(logs, "planned")[0]["outbox"] == ("far.example",)
    [sent] = lines(logs, "sent_on")
    assert sent["places"] == lines(logs, "accepted")[0]["places"]


async def test_what_cannot_be_stored_has_a_trace_id_in_the_usual_log_that_can_be_explained() -> None:
    ledger = SlowLedger()
    world = await World.start(ledger=ledger)  # type: ignore[arg-type]
    alice = await world.online(f"{ALICE}/phone")
    await world.register(BOB)
    with capture_logs() as logs:
        alice.push(chat())
        while not ledger.waiting:
            await asyncio.sleep(0)
        ledger.accept(Refused("too long"))
        await world.settle()
    [line] = lines(logs, "message_unstorable")
    story = await CATALOGUE.call(world.context, "explain", "message", {"id": line["trace"]})
    assert [step.text for step in story.steps if step.step == "refused"] == [
        "not-acceptable: too long; by: the database cannot hold it"
    ]
    await world.stop()


async def test_a_message_is_stale_when_what_guards_read_has_changed(told: World) -> None:
    alice = await told.online(f"{ALICE}/phone")
    bob = await told.online(f"{BOB}/desk")
    ledger = told.stores.ledger
    assert ledger is not None
    await ledger.bump_version(bob.jid.bare)  # as another node does
    with capture_logs() as logs:
        await alice.send(chat())
    [stale] = lines(logs, "stale")
    assert stale["who"] == BOB
    assert len(lines(logs, "planned")) == 2
    assert len(lines(logs, "accepted")) == 1
    story = await CATALOGUE.call(told.context, "explain", "message", {"id": stale["trace"]})
    assert len([step for step in story.steps if step.step == "asked again"]) == 1


async def test_without_the_debug_log_nothing_is_told(world: World) -> None:
    alice = await world.online(f"{ALICE}/phone")
    desk = await world.online(f"{ALICE}/desk")
    await desk.request(CARBONS)
    await world.online(f"{BOB}/desk")
    with capture_logs() as logs:
        await alice.send(chat())
        await alice.send(chat(to="nobody@localhost"))
    assert logs == []
    assert [trace.id for trace in world.router.traces.recent] == ["", ""]
