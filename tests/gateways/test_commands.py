"""Ad-hoc commands: the steps of a command, its sessions, and who may run it."""

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.harness.clock import VirtualClock
from tests.harness.world import World, WorldClient
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.disco import ServiceDiscovery
from tidings.gateways.commands import (
    SESSION_SECONDS,
    SESSIONS,
    SESSIONS_OF_ONE,
    CommandSession,
    CommandSessions,
    CommandsFeature,
    Outcome,
    allowed_actions,
    meant_action,
)
from tidings.kernel.clock import Clock
from tidings.kernel.host import Host
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Action, Actions, Command, CommandStatus, Note, NoteKind
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option
from tidings.wire.xmpp.payloads.disco import Identity, Info, Items


class Configure:
    """The example of the document: choose a service, then its run level (§2.4)."""

    node = "config"
    name = "Configure Service"
    is_for_everybody = False
    stages = (
        DataForm(
            FormKind.FORM,
            (Field("service", (), FieldKind.LIST_SINGLE, options=(Option("httpd"),), is_required=True),),
        ),
        DataForm(FormKind.FORM, (Field("state", (), FieldKind.TEXT_SINGLE, is_required=True),)),
    )

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        service, state = answers[0].text("service"), answers[1].text("state")
        if state == "broken":
            raise StanzaError("conflict", "somebody else configures it")
        return Outcome(notes=(Note(f"{administrator.local}: {service} is {state}", NoteKind.INFO),))


class Tell:
    """A command without a form."""

    node = "list"
    name = "List"
    is_for_everybody = False
    stages = ()

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        return Outcome(DataForm(FormKind.RESULT, (Field("service", ("httpd",)),)))


class Commands(CommandsFeature):
    def __init__(self, host: Host, clock: Clock) -> None:
        super().__init__(host, clock, (Configure(), Tell()))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=(ServiceDiscovery, Commands), admins=["boss@localhost"])
    yield world
    await world.stop()


@pytest.fixture
async def boss(world: World) -> WorldClient:
    return await world.login("boss@localhost/desk")


# --- pure


def test_what_may_be_done_at_a_stage() -> None:  # §3.1
    assert allowed_actions(0, 1) == Actions((Action.COMPLETE,), Action.COMPLETE)
    assert allowed_actions(0, 2) == Actions((Action.NEXT,), Action.NEXT)
    assert allowed_actions(1, 3) == Actions((Action.PREV, Action.NEXT), Action.NEXT)
    assert allowed_actions(1, 2) == Actions((Action.PREV, Action.COMPLETE), Action.COMPLETE)


@pytest.mark.parametrize(
    ("action", "stage", "stages", "meant"),
    [
        (Action.EXECUTE, 0, 2, Action.NEXT),
        (Action.EXECUTE, 1, 2, Action.COMPLETE),
        (Action.CANCEL, 0, 2, Action.CANCEL),
        (Action.PREV, 1, 2, Action.PREV),
        (Action.PREV, 0, 2, None),
        (Action.NEXT, 1, 2, None),
        (Action.COMPLETE, 0, 2, None),
    ],
)
def test_what_an_action_means(action: Action, stage: int, stages: int, meant: Action | None) -> None:
    if meant is not None:
        assert meant_action(action, stage, stages) is meant
        return
    with pytest.raises(StanzaError, match="not possible"):
        meant_action(action, stage, stages)


def session(owner: str = "boss@localhost/desk") -> CommandSession:
    return CommandSession(Jid(owner), Configure())


def test_sessions_are_bounded_in_number() -> None:
    sessions = CommandSessions(VirtualClock())
    first = session()
    sessions.keep("first", first)
    for number in range(SESSIONS_OF_ONE):
        sessions.keep(str(number), session())
    assert len(sessions) == SESSIONS_OF_ONE
    with pytest.raises(StanzaError, match="ended"):
        sessions.take("first", first.owner, first.command)
    for number in range(SESSIONS - SESSIONS_OF_ONE):
        sessions.keep(f"other {number}", session(f"boss{number}@localhost/x"))
    with pytest.raises(StanzaError) as error:
        sessions.keep("one more", session("late@localhost/x"))
    assert error.value.condition == "resource-constraint"


def test_sessions_are_bounded_in_time() -> None:
    clock = VirtualClock()
    sessions = CommandSessions(clock)
    sessions.keep("old", session())
    clock.advance(SESSION_SECONDS - 1)
    sessions.keep("new", session())
    clock.advance(2)
    sessions.keep("newest", session())
    assert len(sessions) == 2


# --- stories


async def run(client: WorldClient, node: str = "config", **step: object) -> Command | str:
    """Take a step, and return the answer or what went wrong."""
    command = Command(node, **step)  # type: ignore[arg-type]
    text = command.encode().to_bytes().decode()
    answer = await client.request(f"<iq type='set' id='c' to='localhost'>{text}</iq>")
    if answer.get("type") == "result":
        return Command.decode(answer.children[0])
    return " ".join(conditions(answer))


def conditions(answer: Element) -> list[str]:
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return [child.name for child in error.children if child.name != "text"]


def filled(**values: str) -> DataForm:
    return DataForm(FormKind.SUBMIT, tuple(Field(name, (value,)) for name, value in values.items()))


async def begun(client: WorldClient) -> str:
    """Begin the command with two stages and return its session."""
    answer = await run(client)
    assert isinstance(answer, Command)
    assert answer.session
    return answer.session


async def test_a_command_without_a_form(boss: WorldClient) -> None:  # §2.4.1
    answer = await run(boss, "list")
    assert isinstance(answer, Command)
    assert answer.status is CommandStatus.COMPLETED
    assert answer.session
    assert answer.form is not None
    assert answer.form.values("service") == ("httpd",)


async def test_two_stages(boss: WorldClient) -> None:  # §2.4.2
    first = await run(boss)
    assert isinstance(first, Command)
    assert (first.status, first.form) == (CommandStatus.EXECUTING, Configure.stages[0])
    assert first.actions == Actions((Action.NEXT,), Action.NEXT)
    second = await run(boss, session=first.session, form=filled(service="httpd"))
    assert isinstance(second, Command)
    assert (second.session, second.form) == (first.session, Configure.stages[1])
    assert second.actions == Actions((Action.PREV, Action.COMPLETE), Action.COMPLETE)
    done = await run(boss, session=first.session, action=Action.COMPLETE, form=filled(state="off"))
    assert isinstance(done, Command)
    assert done.status is CommandStatus.COMPLETED
    assert done.notes == (Note("boss: httpd is off"),)
    assert await run(boss, session=first.session) == "not-allowed session-expired"


async def test_one_stage_back(boss: WorldClient) -> None:  # §2.4.3
    opened = await begun(boss)
    await run(boss, session=opened, form=filled(service="httpd"))
    back = await run(boss, session=opened, action=Action.PREV)
    assert isinstance(back, Command)
    assert back.form == Configure.stages[0]
    assert await run(boss, session=opened, action=Action.PREV) == "bad-request bad-action"
    again = await run(boss, session=opened, action=Action.NEXT, form=filled(service="httpd"))
    assert isinstance(again, Command)
    assert again.form == Configure.stages[1]


async def test_cancelling(boss: WorldClient) -> None:  # §2.4.4
    opened = await begun(boss)
    cancelled = await run(boss, session=opened, action=Action.CANCEL)
    assert isinstance(cancelled, Command)
    assert cancelled.status is CommandStatus.CANCELED
    assert await run(boss, session=opened) == "not-allowed session-expired"


async def test_what_does_not_fit_can_be_mended(boss: WorldClient) -> None:  # §4.4
    opened = await begun(boss)
    for form in (None, filled(), filled(service="sshd")):
        assert await run(boss, session=opened, form=form) == "bad-request bad-payload"
    assert isinstance(await run(boss, session=opened, form=filled(service="httpd")), Command)
    assert await run(boss, session=opened, form=filled(state="broken")) == "conflict"
    done = await run(boss, session=opened, form=filled(state="on"))
    assert isinstance(done, Command)
    assert done.status is CommandStatus.COMPLETED


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"node": "nothing"}, "item-not-found"),
        ({"action": Action.CANCEL}, "bad-request bad-action"),
        ({"action": Action.PREV}, "bad-request bad-action"),
        ({"session": "made up"}, "not-allowed session-expired"),
        ({"session": "x" * 1_024}, "bad-request malformed-action"),
    ],
)
async def test_steps_that_are_refused(boss: WorldClient, step: dict[str, object], expected: str) -> None:
    assert await run(boss, **step) == expected  # type: ignore[arg-type]


async def test_a_session_belongs_to_one_device_and_one_command(world: World, boss: WorldClient) -> None:
    opened = await begun(boss)
    other = await world.login("boss@localhost/phone")
    assert await run(other, session=opened, form=filled(service="httpd")) == "bad-request bad-sessionid"
    assert await run(boss, "list", session=opened) == "bad-request bad-sessionid"
    assert isinstance(await run(boss, session=opened, form=filled(service="httpd")), Command)


async def test_a_session_ends_when_nothing_happens(world: World, boss: WorldClient) -> None:
    opened = await begun(boss)
    await world.advance(SESSION_SECONDS + 1)
    assert await run(boss, session=opened, form=filled(service="httpd")) == "not-allowed session-expired"


async def discover(client: WorldClient, kind: str, node: str = "") -> Element:
    query = f"<query xmlns='http://jabber.org/protocol/disco#{kind}' node='{node}'/>"
    return await client.request(f"<iq type='get' id='d' to='localhost'>{query}</iq>")


async def test_administrators_find_the_commands(boss: WorldClient) -> None:  # §2.1, §2.2
    server = Info.decode((await discover(boss, "info")).children[0])
    assert ns.COMMANDS in server.features
    listed = Items.decode((await discover(boss, "items", ns.COMMANDS)).children[0])
    assert [(item.jid, item.node, item.name) for item in listed.items] == [
        ("localhost", "config", "Configure Service"),
        ("localhost", "list", "List"),
    ]
    whole = Info.decode((await discover(boss, "info", ns.COMMANDS)).children[0])
    assert (whole.identities[0].category, whole.identities[0].kind) == ("automation", "command-list")
    one = Info.decode((await discover(boss, "info", "config")).children[0])
    assert one.identities == (Identity("automation", "command-node", "Configure Service", "en"),)
    assert set(one.features) == {ns.COMMANDS, ns.DATA_FORMS}
    assert Items.decode((await discover(boss, "items", "config")).children[0]).items == ()


@pytest.mark.parametrize("who", ["alice@localhost/x", "boss@other.test/x"])
async def test_others_find_and_run_nothing(world: World, who: str) -> None:
    other = await world.login(who)
    assert Items.decode((await discover(other, "items", ns.COMMANDS)).children[0]).items == ()
    assert conditions(await discover(other, "info", "config")) == ["forbidden"]
    assert await run(other) == "forbidden"
    assert await run(other, "list") == "forbidden"
    assert await run(other, "nothing") == "item-not-found"


async def test_an_administrator_of_one_domain_has_no_say_in_another(world: World, boss: WorldClient) -> None:
    text = Command("list").encode().to_bytes().decode()
    answer = await boss.request(f"<iq type='set' id='c' to='other.test'>{text}</iq>")
    assert conditions(answer) == ["forbidden"]
