"""Invitations in a client: who may make them, and what he gets (XEP-0401)."""

from collections.abc import AsyncIterator

import pytest

from tests.features.test_invitations import Visitor, roster_of
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.registration import RegistrationOptions
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Command, CommandStatus
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.disco import Items

ALICE = "alice@localhost"


async def start(**options: object) -> World:
    return await World.start(
        options={"registration": RegistrationOptions(**options)},  # type: ignore[arg-type]
        admins=["boss@localhost"],
    )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start(users_invite="accounts", users_invite_days=2, users_invite_at_most=2)
    yield world
    await world.stop()


async def step(client: WorldClient, command: Command, to: str = "localhost") -> Command | str:
    text = command.encode().to_bytes().decode()
    answer = await client.request(f"<iq type='set' id='c' to='{to}'>{text}</iq>")
    if answer.get("type") == "error":
        error = answer.find("error")
        assert error is not None
        return error.children[0].name
    return Command.decode(answer.children[0])


async def invite(client: WorldClient) -> dict[str, str]:
    return shown(await step(client, Command(ns.INVITE)))


async def create_account(client: WorldClient, **values: str) -> Command | str:
    asked = await step(client, Command(ns.INVITE_ACCOUNT))
    assert isinstance(asked, Command), asked
    assert asked.form is not None
    assert [field.name for field in asked.form.fields] == ["username", "roster-subscription"]
    fields = tuple(Field(name.replace("_", "-"), (value,)) for name, value in values.items())
    return await step(
        client, Command(ns.INVITE_ACCOUNT, asked.session, form=DataForm(FormKind.SUBMIT, fields))
    )


def shown(answer: Command | str) -> dict[str, str]:
    assert isinstance(answer, Command), answer
    assert answer.status is CommandStatus.COMPLETED
    assert answer.form is not None
    assert answer.form.form_type == ns.INVITATION
    return {field.name: field.value for field in answer.form.fields}


def token_of(uri: str) -> str:
    return uri.partition("preauth=")[2].partition(";")[0]


async def nodes(client: WorldClient) -> set[str]:
    query = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{ns.COMMANDS}'/>"
    answer = await client.request(f"<iq type='get' id='d' to='localhost'>{query}</iq>")
    return {item.node for item in Items.decode(answer.children[0]).items if item.node is not None}


async def test_a_user_invites_a_contact_who_has_no_account(world: World) -> None:  # §5.1
    alice = await world.login(f"{ALICE}/phone")
    got = await invite(alice)
    token = token_of(got["uri"])
    assert got["uri"] == f"xmpp:{ALICE}?roster;preauth={token};ibr=y"
    assert got["expire"] == "2026-01-03T00:00:00Z"
    assert "landing-url" not in got
    await Visitor(world).join(token, "juliet")
    await world.settle()
    assert await roster_of(world, ALICE) == [("juliet@localhost", "both")]


async def test_where_users_invite_contacts_alone_nobody_registers_by_it() -> None:  # §5.1
    world = await start(users_invite="contacts")
    got = await invite(await world.login(f"{ALICE}/phone"))
    assert got["uri"].endswith(f"preauth={token_of(got['uri'])}")
    await world.stop()


async def test_what_users_and_administrators_find(world: World) -> None:  # §3
    alice, boss = await world.login(f"{ALICE}/phone"), await world.login("boss@localhost/x")
    invitations = {ns.INVITE, ns.INVITE_ACCOUNT}
    assert await nodes(alice) & invitations == {ns.INVITE}
    assert await nodes(boss) & invitations == invitations
    assert await step(alice, Command(ns.INVITE_ACCOUNT)) == "forbidden"


async def test_users_invite_only_where_they_may() -> None:
    world = await start()
    alice, boss = await world.login(f"{ALICE}/phone"), await world.login("boss@localhost/x")
    assert ns.INVITE not in await nodes(alice)
    assert await step(alice, Command(ns.INVITE)) == "forbidden"
    assert (await invite(boss))["uri"].endswith(";ibr=y")
    await world.stop()


async def test_where_nobody_registers_by_a_token_nobody_is_invited_to() -> None:
    world = await start(invitations=False, users_invite="accounts")
    boss = await world.login("boss@localhost/x")
    assert await step(boss, Command(ns.INVITE_ACCOUNT)) == "forbidden"
    assert not (await invite(boss))["uri"].endswith("ibr=y")
    await world.stop()


async def test_guests_invite_nobody() -> None:
    world = await World.start(anonymous=["localhost"], admins=["boss@localhost"])
    boss = await world.login("boss@localhost/x")
    assert not {ns.INVITE, ns.INVITE_ACCOUNT} & await nodes(boss)
    await world.stop()


async def test_nobody_of_another_domain_invites(world: World) -> None:
    stranger = await world.login("mallory@other.test/x")
    assert await step(stranger, Command(ns.INVITE)) == "forbidden"


async def test_one_user_has_so_many_open_invitations(world: World) -> None:
    alice = await world.login(f"{ALICE}/phone")
    await invite(alice)
    await invite(alice)
    assert await step(alice, Command(ns.INVITE)) == "resource-constraint"
    await invite(await world.login("bob@localhost/x"))
    world.clock.advance(2 * 86_400)
    await invite(alice)


async def test_an_administrator_invites_to_an_account(world: World) -> None:  # §5.4
    boss = await world.login("boss@localhost/x")
    got = shown(await create_account(boss, username="Juliet", roster_subscription="true"))
    token = token_of(got["uri"])
    assert got["uri"] == f"xmpp:juliet@localhost?register;preauth={token}"
    assert await create_account(boss, username="juliet") == "conflict"
    await Visitor(world).join(token, "juliet")
    await world.settle()
    assert await roster_of(world, "juliet@localhost") == [("boss@localhost", "both")]


async def test_an_account_of_any_name(world: World) -> None:  # §5.4
    boss = await world.login("boss@localhost/x")
    got = shown(await create_account(boss))
    token = token_of(got["uri"])
    assert got["uri"] == f"xmpp:localhost?register;preauth={token}"
    await Visitor(world).join(token, "nurse")
    assert await roster_of(world, "nurse@localhost") == []
    assert await world.stores.accounts.exists(Jid("nurse@localhost"))


async def test_a_name_that_can_be_none_is_asked_for_again(world: World) -> None:
    boss = await world.login("boss@localhost/x")
    assert await create_account(boss, username="a b") == "bad-request"


async def test_an_administrator_of_another_domain_makes_no_contacts(world: World) -> None:
    world.server.hosts["localhost"].admins = frozenset({Jid("root@other.test")})
    root = await world.login("root@other.test/x")
    assert await create_account(root, roster_subscription="true") == "bad-request"
    assert await step(root, Command(ns.INVITE)) == "forbidden"
