"""Service administration: the standard commands and the generated ones, as an administrator has them."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta
from structlog.testing import capture_logs

from tests.harness.world import World, WorldClient
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.disco import ServiceDiscovery
from tidings.gateways.administration import Administration
from tidings.gateways.administration.generated import (
    NODE_PREFIX,
    fields_of,
    form_field,
    read_arguments,
    shown,
)
from tidings.operations.all import CATALOGUE
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Command, CommandStatus, NoteKind
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option, Validation
from tidings.wire.xmpp.payloads.disco import Items


@pytest.fixture
async def world() -> AsyncIterator[World]:
    features = (Rosters, Subscriptions, Presences, ServiceDiscovery, Administration)
    world = await World.start(features=features, admins=["boss@localhost"])
    yield world
    await world.stop()


@pytest.fixture
async def boss(world: World) -> WorldClient:
    return await world.login("boss@localhost/desk")


async def step(client: WorldClient, command: Command) -> Command | str:
    text = command.encode().to_bytes().decode()
    answer = await client.request(f"<iq type='set' id='c' to='localhost'>{text}</iq>")
    if answer.get("type") == "result":
        return Command.decode(answer.children[0])
    return " ".join(conditions(answer))


def conditions(answer: Element) -> list[str]:
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return [child.name for child in error.children if child.name != "text"]


async def run(client: WorldClient, section: str, **values: str | tuple[str, ...]) -> Command | str:
    """Run a command with these values in its form, and return its end or what went wrong."""
    node = section if section.startswith("urn:") else f"{ns.ADMIN}#{section}"
    asked = await step(client, Command(node))
    if isinstance(asked, str) or asked.status is not CommandStatus.EXECUTING:
        return asked
    assert asked.form is not None
    as_tuples = {name: (value,) if isinstance(value, str) else value for name, value in values.items()}
    assert as_tuples.keys() <= {field.name for field in asked.form.fields}
    form = DataForm(FormKind.SUBMIT, tuple(Field(name, value) for name, value in as_tuples.items()))
    return await step(client, Command(node, asked.session, form=form))


async def done(client: WorldClient, section: str, **values: str | tuple[str, ...]) -> Command:
    answer = await run(client, section, **values)
    assert isinstance(answer, Command), answer
    assert answer.status is CommandStatus.COMPLETED
    return answer


async def told(client: WorldClient, section: str, **values: str | tuple[str, ...]) -> DataForm:
    answer = await done(client, section, **values)
    assert answer.form is not None
    return answer.form


async def test_what_an_administrator_finds(boss: WorldClient) -> None:  # §3
    query = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{ns.COMMANDS}'/>"
    answer = await boss.request(f"<iq type='get' id='d' to='localhost'>{query}</iq>")
    nodes = [item.node for item in Items.decode(answer.children[0]).items]
    assert f"{ns.ADMIN}#add-user" in nodes
    assert f"{NODE_PREFIX}server:status" in nodes
    assert f"{NODE_PREFIX}account:register" not in nodes
    assert len(set(nodes)) == len(nodes)


async def test_add_user(world: World, boss: WorldClient) -> None:  # §4.1
    new = {"accountjid": "juliet@localhost", "password": "R0m30"}
    different = {**new, "password-verify": "Romeo"}
    assert await run(boss, "add-user", **different) == "bad-request bad-payload"
    assert not await world.stores.accounts.exists(Jid("juliet@localhost"))
    await done(boss, "add-user", **new, **{"password-verify": "R0m30"})
    assert await world.stores.accounts.exists(Jid("juliet@localhost"))
    assert await run(boss, "add-user", **new, **{"password-verify": "R0m30"}) == "conflict"


@pytest.mark.parametrize(
    ("jid", "expected"),
    [
        ("juliet@other.test", "forbidden"),
        ("juliet@elsewhere.example", "forbidden"),
        ("localhost", "bad-request bad-payload"),
        ("@", "jid-malformed"),
        ("", "bad-request bad-payload"),
    ],
)
async def test_users_that_cannot_be_added(world: World, boss: WorldClient, jid: str, expected: str) -> None:
    values = {"accountjid": jid, "password": "x", "password-verify": "x"}
    assert await run(boss, "add-user", **values) == expected
    assert [await world.stores.accounts.count(domain) for domain in ("localhost", "other.test")] == [1, 0]


async def test_an_account_is_meant_though_one_of_its_sessions_is_named(
    world: World, boss: WorldClient
) -> None:  # §4.2
    await done(boss, "add-user", accountjid="juliet@localhost/x", password="x", **{"password-verify": "x"})
    await done(boss, "change-user-password", accountjid="juliet@localhost/x", password="y")
    last = await told(boss, "get-user-lastlogin", accountjids=("juliet@localhost/x", "boss@localhost"))
    assert last.values("accountjids") == ("juliet@localhost", "boss@localhost")
    assert len(last.values("lastlogin")) == 2
    await done(boss, "disable-user", accountjids="juliet@localhost/x")
    await done(boss, "delete-user", accountjids=("juliet@localhost/x", "juliet@localhost/y"))
    assert await world.stores.accounts.count("localhost") == 1


async def test_everybody_may_ping(world: World) -> None:
    alice = await world.login("alice@localhost/x")
    query = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{ns.COMMANDS}'/>"
    answer = await alice.request(f"<iq type='get' id='d' to='localhost'>{query}</iq>")
    assert [item.node for item in Items.decode(answer.children[0]).items] == ["ping"]
    done = await step(alice, Command("ping"))
    assert isinstance(done, Command)
    assert (done.status, [note.text for note in done.notes]) == (CommandStatus.COMPLETED, ["Pong"])


async def test_delete_users(world: World, boss: WorldClient) -> None:  # §4.2
    juliet = await world.login("juliet@localhost/x")
    await world.register("romeo@localhost")
    answer = await done(
        boss, "delete-user", accountjids=("juliet@localhost", "nobody@localhost", "romeo@localhost")
    )
    assert [note.kind for note in answer.notes] == [NoteKind.INFO, NoteKind.ERROR]
    assert answer.notes[0].text == "Accounts removed: 2."
    assert "nobody@localhost" in answer.notes[1].text
    assert juliet.closed
    assert await world.stores.accounts.count("localhost") == 1
    assert await run(boss, "delete-user", accountjids="nobody@localhost") == "item-not-found"
    assert await run(boss, "delete-user", accountjids="@") == "jid-malformed"
    await world.register("carol@other.test")
    assert await run(boss, "delete-user", accountjids="carol@other.test") == "forbidden"
    assert await world.stores.accounts.count("other.test") == 1


async def test_disable_and_enable_users(world: World, boss: WorldClient) -> None:  # §4.3, §4.4
    juliet = await world.login("juliet@localhost/x")
    await done(boss, "disable-user", accountjids="juliet@localhost")
    record = await world.stores.accounts.get(Jid("juliet@localhost"))
    assert record is not None
    assert record.ban is not None
    assert juliet.closed
    await done(boss, "reenable-user", accountjids="juliet@localhost")
    record = await world.stores.accounts.get(Jid("juliet@localhost"))
    assert record is not None
    assert record.ban is None


async def test_end_sessions(world: World, boss: WorldClient) -> None:  # §4.5
    phone, desk = [await world.login(f"juliet@localhost/{each}") for each in ("phone", "desk")]
    await done(boss, "end-user-session", accountjids="juliet@localhost/phone")
    assert (phone.closed, desk.closed) == (True, False)
    await done(boss, "end-user-session", accountjids="juliet@localhost")
    assert desk.closed
    assert await run(boss, "end-user-session", accountjids="nobody@localhost") == "item-not-found"


async def test_change_a_password(world: World, boss: WorldClient) -> None:  # §4.7
    await world.register("juliet@localhost")
    await done(boss, "change-user-password", accountjid="juliet@localhost", password="V3r0n4")
    record = await world.stores.accounts.get(Jid("juliet@localhost"))
    assert record is not None
    assert record.keys
    refused = await run(boss, "change-user-password", accountjid="nobody@localhost", password="V3r0n4")
    assert refused == "item-not-found"


async def test_when_somebody_was_last_there(world: World, boss: WorldClient) -> None:  # §4.9
    juliet = await world.login("juliet@localhost/x")
    form = await told(boss, "get-user-lastlogin", accountjids="juliet@localhost")
    assert form.form_type == ns.ADMIN
    assert form.text("lastlogin") == "2026-01-01T00:00:00Z"
    await juliet.leave()
    await world.stores.accounts.touch_last(Jid("juliet@localhost"), world.clock.now() + 60, "")
    form = await told(boss, "get-user-lastlogin", accountjids="juliet@localhost")
    assert form.text("lastlogin") == "2026-01-01T00:01:00Z"
    assert await run(boss, "get-user-lastlogin", accountjids="nobody@localhost") == "item-not-found"


async def test_registered_users(world: World, boss: WorldClient) -> None:  # §4.13, §4.18
    for number in range(30):
        await world.register(f"u{number:02}@localhost")
    await world.register("carol@other.test")
    counted = await told(boss, "get-registered-users-num")
    assert counted.values("registeredusersnum") == ("31",)
    some = await told(boss, "get-registered-users-list", max_items="25")
    assert len(some.values("registereduserjids")) == 25
    assert any(field.kind is FieldKind.FIXED for field in some.fields)
    every = await told(boss, "get-registered-users-list")
    assert every.values("registereduserjids")[:2] == ("boss@localhost", "u00@localhost")
    assert len(every.values("registereduserjids")) == 31
    for limit in ("-1", "none", "26", "9" * 400):
        assert await run(boss, "get-registered-users-list", max_items=limit) == "bad-request bad-payload"


async def test_online_users(world: World, boss: WorldClient) -> None:  # §4.15, §4.20
    for jid in ("juliet@localhost/a", "juliet@localhost/b", "carol@other.test/x"):
        await world.login(jid)
    assert (await told(boss, "get-online-users-num")).values("onlineusersnum") == ("2",)
    listed = await told(boss, "get-online-users-list", max_items="25")
    assert listed.values("onlineuserjids") == ("boss@localhost", "juliet@localhost")


async def test_an_announcement(world: World, boss: WorldClient) -> None:  # §4.23
    juliet, carol = await world.login("juliet@localhost/x"), await world.login("carol@other.test/x")
    await done(boss, "announce", announcement=("Attention!", "Going <down>."))
    (message,) = juliet.take("message")
    assert (message.get("from"), message.text_of("body")) == ("localhost", "Attention!\nGoing <down>.")
    assert len(boss.take("message")) == 1
    assert carol.take() == []
    assert await run(boss, "announce", announcement="") == "bad-request bad-payload"


@pytest.mark.parametrize("who", ["alice@localhost/x", "boss@other.test/x"])
async def test_nobody_else_administers(world: World, who: str) -> None:  # §6
    other = await world.login(who)
    for operation in ("add-user", "get-registered-users-num", "announce", f"{NODE_PREFIX}server:status"):
        assert await run(other, operation) == "forbidden"


# --- generated


async def test_a_generated_command(world: World, boss: WorldClient) -> None:
    status = await told(boss, f"{NODE_PREFIX}server:status")
    assert status.values("domains") == ("localhost",)
    assert status.boolean("running")
    checked = await told(boss, f"{NODE_PREFIX}account:check", user="boss@localhost")
    assert checked.boolean("exists")
    sessions = await told(boss, f"{NODE_PREFIX}session:list", domain="localhost")
    assert [field.name for field in sessions.reported][:2] == ["session", "state"]
    assert sessions.items[0][0] == Field("session", ("boss@localhost/desk",))


async def test_generated_commands_keep_to_the_domain(world: World, boss: WorldClient) -> None:
    await world.login("carol@other.test/x")
    sessions = await told(boss, f"{NODE_PREFIX}session:list")
    assert [row[0].value for row in sessions.items] == ["boss@localhost/desk"]
    assert await run(boss, f"{NODE_PREFIX}session:list", domain="other.test") == "forbidden"
    message = {"to": "carol@other.test", "body": "Hi", "sender": "carol@other.test"}
    assert await run(boss, f"{NODE_PREFIX}stanza:send-message", **message) == "forbidden"


class Example(msgspec.Struct, kw_only=True):
    name: Annotated[str, Meta(description="Who.")]
    secret: Annotated[str, Meta(extra={"secret": True})]
    loud: bool = True
    many: Annotated[int, Meta(ge=1, le=9)] = 3
    kind: Literal["a", "b"] = "a"
    note: str = ""


def test_the_form_of_a_request() -> None:
    assert [form_field(field) for field in fields_of(Example)] == [
        Field("name", (), FieldKind.TEXT_SINGLE, "Who", is_required=True),
        Field("secret", (), FieldKind.TEXT_PRIVATE, is_required=True),
        Field("loud", ("true",), FieldKind.BOOLEAN),
        Field("many", ("3",), FieldKind.TEXT_SINGLE, validation=Validation("xs:integer", "range", "1", "9")),
        Field("kind", ("a",), FieldKind.LIST_SINGLE, options=(Option("a"), Option("b"))),
        Field("note", (), FieldKind.TEXT_SINGLE),
    ]


def submitted(**values: str) -> DataForm:
    return DataForm(FormKind.SUBMIT, tuple(Field(name, (value,)) for name, value in values.items()))


def test_the_arguments_of_a_submission() -> None:
    form = submitted(name="a", secret="b", loud="0", many="5", kind="", other="ignored")
    assert dict(read_arguments(Example, form)) == {"name": "a", "secret": "b", "loud": False, "many": 5}
    assert dict(read_arguments(Example, submitted(name="a"))) == {"name": "a", "secret": ""}


@pytest.mark.parametrize("number", ["1.5", "٣", "1e9", "9" * 5_000, "--1"])
def test_numbers_that_are_none(number: str) -> None:
    with pytest.raises(StanzaError, match="whole number"):
        dict(read_arguments(Example, submitted(name="a", secret="b", many=number)))


def test_what_is_shown() -> None:
    response = {"a": None, "b": True, "c": ["x", "y"], "d": [{"e": 1, "f": None}], "g": 2}
    form = shown("urn:example", response)
    assert {field.name: field.values for field in form.fields[1:]} == {
        "a": (),
        "b": ("true",),
        "c": ("x", "y"),
        "d": ("e: 1, f: ",),
        "g": ("2",),
    }


def test_every_operation_has_a_form() -> None:
    for operation in CATALOGUE:
        assert all(form_field(field).name for field in fields_of(operation.request))


async def test_the_audit_log_names_the_session_and_the_address(world: World, boss: WorldClient) -> None:
    await world.register("juliet@localhost")
    with capture_logs() as logs:
        await done(boss, "delete-user", accountjids="juliet@localhost")
        assert await run(boss, "delete-user", accountjids="romeo@other.test") == "forbidden"
    removed, refused = [line for line in logs if line["event"] == "operation"]
    assert (removed["operation"], removed["outcome"]) == ("account remove", "done")
    assert (removed["by"], removed["session"]) == ("boss@localhost", "boss@localhost/desk")
    assert removed["address"] == "127.0.0.1"
    assert (refused["outcome"], refused["subjects"]) == ("not-allowed", ["romeo@other.test"])
