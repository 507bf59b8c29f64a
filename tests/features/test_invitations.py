"""Invitations: registering by a token, and becoming contacts by one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.features.contacts.people import CONTACTS, interested, pushed, show_roster
from tests.harness.world import World, WorldClient
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.registration import Registration, RegistrationOptions
from tidings.kernel.feature import StreamStage
from tidings.kernel.slots import Slotted
from tidings.operations.all import CATALOGUE
from tidings.operations.invitation import Created
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.register import Register
from tidings.wire.xmpp.payloads.roster import ItemSubscription

ALICE = "alice@localhost"
JULIET = "juliet@localhost"
HOUR = 3_600.0


async def start(**options: object) -> World:
    return await World.start(
        features=(Registration, *CONTACTS),
        options={"registration": RegistrationOptions(**options)},  # type: ignore[arg-type]
        admins=["boss@localhost"],
    )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


class Visitor:
    """Somebody without an account, on one stream."""

    def __init__(self, world: World, address: str = "192.0.2.1") -> None:
        self._feature = world.server.hosts["localhost"].feature(Registration)
        self._address = address
        self._stream = Slotted()

    async def ask(self, content: str, kind: str = "set") -> Element:
        iq = decode(f"<iq type='{kind}' id='r' to='localhost'>{content}</iq>".encode(), ns.CLIENT)
        assert self._feature is not None
        return await self._feature.register_before_login(iq, self._address, secure=True, stream=self._stream)

    async def show(self, token: str) -> Element:
        return await self.ask(f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>")

    async def form(self) -> Register:
        answer = await self.ask("<query xmlns='jabber:iq:register'/>", "get")
        return Register.decode(answer.children[0])

    async def register(self, name: str) -> Element:
        fields = f"<username>{name}</username><password>secret</password>"
        return await self.ask(f"<query xmlns='jabber:iq:register'>{fields}</query>")

    async def join(self, token: str, name: str) -> Element:
        await self.show(token)
        return await self.register(name)


async def invite(world: World, **arguments: object) -> Created:
    answer = await CATALOGUE.call(world.context, "invitation", "create", {"domain": "localhost", **arguments})
    assert isinstance(answer, Created)
    return answer


def token_of(created: Created) -> str:
    return created.uri.partition("preauth=")[2].partition(";")[0]


async def refused(answer: object) -> str:
    with pytest.raises(StanzaError) as error:
        await answer  # type: ignore[misc]
    return error.value.condition


async def exists(world: World, jid: str) -> bool:
    return await world.stores.accounts.exists(Jid(jid))


# --- registration by token


async def test_a_token_lets_somebody_register_while_registration_is_closed(world: World) -> None:
    created = await invite(world)
    token = token_of(created)
    assert created.uri == f"xmpp:localhost?register;preauth={token}"
    visitor = Visitor(world)
    assert await refused(visitor.register("juliet")) == "not-allowed"
    assert (await visitor.show(token)).get("type") == "result"
    assert (await visitor.form()).fields == {"username": "", "password": ""}
    assert (await visitor.register("juliet")).get("type") == "result"
    assert await exists(world, JULIET)


async def test_both_ways_to_register_are_offered_before_log_in(world: World) -> None:  # §4
    offered = world.server.hosts["localhost"].stream_features(StreamStage.BEFORE_LOGIN)
    assert [element.namespace for element in offered] == [ns.REGISTER_INVITED, ns.REGISTER_FEATURE]


async def test_without_invitations_nothing_is_offered_and_no_token_is_good() -> None:
    world = await start(invitations=False)
    assert world.server.hosts["localhost"].stream_features(StreamStage.BEFORE_LOGIN) == []
    token = token_of(await invite(world))
    assert await refused(Visitor(world).show(token)) == "service-unavailable"
    await world.stop()


async def test_a_token_is_used_up_by_the_account_that_it_makes(world: World) -> None:
    token = token_of(await invite(world))
    await Visitor(world).join(token, "juliet")
    assert await refused(Visitor(world).show(token)) == "item-not-found"
    assert await refused(Visitor(world).show("x" + token[1:])) == "item-not-found"


async def test_one_stream_makes_one_account_by_a_token(world: World) -> None:
    visitor = Visitor(world)
    await visitor.join(token_of(await invite(world)), "juliet")
    assert await refused(visitor.register("nurse")) == "not-allowed"


async def test_a_token_is_not_used_by_what_fails(world: World) -> None:  # §4
    await world.register(JULIET)
    visitor = Visitor(world)
    token = token_of(await invite(world))
    await visitor.show(token)
    assert await refused(visitor.register("juliet")) == "conflict"
    assert await refused(visitor.register("boss")) == "conflict"
    assert await refused(visitor.register("support")) == "conflict"
    await visitor.register("nurse")
    assert await exists(world, "nurse@localhost")


async def test_two_who_have_the_same_token_make_one_account(world: World) -> None:
    token = token_of(await invite(world))
    one, other = Visitor(world), Visitor(world)
    await one.show(token)
    await other.show(token)
    results = await asyncio.gather(one.register("one"), other.register("other"), return_exceptions=True)
    assert [type(result) for result in results].count(Element) == 1
    [refusal] = [result for result in results if isinstance(result, StanzaError)]
    assert refusal.condition == "item-not-found"
    assert await world.stores.accounts.count("localhost") == 1


async def test_a_token_for_several(world: World) -> None:
    token = token_of(await invite(world, uses=2))
    await Visitor(world).join(token, "one")
    await Visitor(world).join(token, "two")
    assert await refused(Visitor(world).show(token)) == "item-not-found"


async def test_a_token_runs_out_but_not_for_who_has_shown_it(world: World) -> None:  # §4
    token = token_of(await invite(world, hours=2))
    early = Visitor(world)
    world.clock.advance(2 * HOUR - 1)
    await early.show(token)
    world.clock.advance(1)
    with capture_logs() as lines:
        assert await refused(Visitor(world).show(token)) == "item-not-found"
    assert [(line["event"], line["reason"]) for line in lines] == [("invitation_refused", "it has run out")]
    await early.register("juliet")
    assert await exists(world, JULIET)


async def test_a_revoked_token_is_worth_nothing_at_once(world: World) -> None:
    created = await invite(world)
    visitor = Visitor(world)
    await visitor.show(token_of(created))
    await CATALOGUE.call(world.context, "invitation", "revoke", {"domain": "localhost", "id": created.id})
    assert await refused(visitor.register("juliet")) == "item-not-found"
    assert await refused(Visitor(world).show(token_of(created))) == "item-not-found"


async def test_an_invitation_for_a_name(world: World) -> None:
    created = await invite(world, name="Juliet")
    assert created.uri.startswith("xmpp:juliet@localhost?register;preauth=")
    visitor = Visitor(world)
    await visitor.show(token_of(created))
    assert (await visitor.form()).fields["username"] == "juliet"
    assert await refused(visitor.register("nurse")) == "not-acceptable"
    await visitor.register("juliet")
    assert await exists(world, JULIET)


async def test_a_name_is_kept_for_who_is_invited() -> None:  # XEP-0401 §6.2
    world = await start(open=True)
    created = await invite(world, name="juliet")
    assert await refused(Visitor(world).register("juliet")) == "conflict"
    assert await refused(Visitor(world).join(token_of(await invite(world)), "juliet")) == "conflict"
    world.clock.advance(169 * HOUR)
    await Visitor(world).register("juliet")
    assert await refused(Visitor(world).show(token_of(created))) == "item-not-found"
    await world.stop()


async def test_an_administrator_can_be_invited_by_name(world: World) -> None:
    await Visitor(world).join(token_of(await invite(world, name="boss")), "boss")
    assert await exists(world, "boss@localhost")


async def test_tokens_cannot_be_tried_without_end() -> None:
    world = await start(attempts_per_hour=3)
    token = token_of(await invite(world))
    for _ in range(3):
        assert await refused(Visitor(world).show("a" * 36)) == "item-not-found"
    assert await refused(Visitor(world).show(token)) == "resource-constraint"
    await Visitor(world, "198.51.100.7").show(token)
    await world.stop()


@pytest.mark.parametrize("token", ["a", "é" * 36, "a" * 5_000, "%" * 36])
async def test_any_text_is_no_token(world: World, token: str) -> None:
    assert await refused(Visitor(world).show(token)) == "item-not-found"


async def test_a_token_that_is_missing(world: World) -> None:
    assert await refused(Visitor(world).ask("<preauth xmlns='urn:xmpp:pars:0'/>")) == "bad-request"


async def test_neither_the_token_nor_its_secret_is_stored(world: World) -> None:
    token = token_of(await invite(world, name="juliet"))
    for namespace in ("tidings:invitations", "tidings:invited-names"):
        [document] = await world.stores.documents.list(Jid("localhost"), namespace)
        assert token[10:].encode() not in document.value


# --- contacts


async def test_who_registers_by_a_contact_is_its_contact_at_once(world: World) -> None:  # XEP-0401 §5.5
    alice = await interested(world, f"{ALICE}/phone")
    created = await invite(world, user=ALICE)
    token = token_of(created)
    assert created.uri == f"xmpp:alice@localhost?roster;preauth={token};ibr=y"
    await Visitor(world).join(token, "juliet")
    await world.settle()
    [item] = pushed(alice)
    assert (item.jid, item.subscription) == (Jid(JULIET), ItemSubscription.BOTH)
    juliet = await world.login(f"{JULIET}/balcony")
    [item] = await show_roster(juliet)
    assert (item.jid, item.subscription) == (Jid(ALICE), ItemSubscription.BOTH)
    await juliet.send("<presence/>")
    assert f"{ALICE}/phone" in {each.get("from") for each in juliet.take("presence")}
    assert f"{JULIET}/balcony" in {each.get("from") for each in alice.take("presence")}


async def ask(client: WorldClient, token: str) -> None:
    await client.send(
        f"<presence type='subscribe' to='{ALICE}'>"
        f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    )


async def roster_of(world: World, jid: str) -> list[tuple[str, str]]:
    entries = (await world.stores.roster.load(Jid(jid))).entries
    return [(entry.jid.text, entry.subscription.value) for entry in entries if entry.listed]


async def test_a_request_with_a_token_is_granted_and_returned(world: World) -> None:  # XEP-0379 §3.5
    await world.register(ALICE)
    token = token_of(await invite(world, user=ALICE, register=False))
    juliet = await interested(world, f"{JULIET}/balcony")
    await ask(juliet, token)
    assert await roster_of(world, ALICE) == [(JULIET, "both")]
    assert await roster_of(world, JULIET) == [(ALICE, "both")]
    assert "subscribe" not in [each.get("type") for each in juliet.take("presence")]


async def test_who_waits_already_is_granted_by_a_token(world: World) -> None:
    alice = await interested(world, f"{ALICE}/phone")
    juliet = await interested(world, f"{JULIET}/balcony")
    await juliet.send(f"<presence type='subscribe' to='{ALICE}'/>")
    assert [each.get("type") for each in alice.take("presence")] == ["subscribe"]
    await ask(juliet, token_of(await invite(world, user=ALICE)))
    assert await roster_of(world, ALICE) == [(JULIET, "both")]


@pytest.mark.parametrize("wrong", ["of another", "used", "made by a client"])
async def test_a_request_with_another_token_is_as_any_other(
    world: World, wrong: str
) -> None:  # XEP-0379 §4.1
    alice = await interested(world, f"{ALICE}/phone")
    await world.register("romeo@localhost")
    token = "1tMFqYDdKhfe2pwp"
    if wrong == "of another":
        token = token_of(await invite(world, user="romeo@localhost"))
    elif wrong == "used":
        token = token_of(await invite(world, user=ALICE))
        await Visitor(world).join(token, "nurse")
        await world.settle()
        alice.take()
    juliet = await interested(world, f"{JULIET}/balcony")
    await ask(juliet, token)
    [request] = alice.take("presence")
    preauth = request.find("preauth", ns.PREAUTH)
    assert request.get("type") == "subscribe"
    assert preauth is not None
    assert preauth.get("token") == token
    assert (JULIET, "both") not in await roster_of(world, ALICE)


async def test_a_token_for_contacts_alone_lets_nobody_register(world: World) -> None:
    await world.register(ALICE)
    created = await invite(world, user=ALICE, register=False)
    assert created.uri.endswith(token_of(created))
    assert await refused(Visitor(world).show(token_of(created))) == "item-not-found"


@pytest.mark.parametrize("what", ["removed", "made anew", "banned"])
async def test_an_invitation_ends_with_its_inviter(world: World, what: str) -> None:
    await world.register(ALICE)
    token = token_of(await invite(world, user=ALICE))
    world.clock.advance(1)
    if what == "banned":
        await world.context.accounts.ban(Jid(ALICE))
    else:
        await world.context.accounts.remove(Jid(ALICE))
    if what == "made anew":
        await world.register(ALICE)
    assert await refused(Visitor(world).show(token)) == "item-not-found"
