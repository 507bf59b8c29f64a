"""An account gets another address: everything it has goes with it, and nobody has to do anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from tests.features.contacts.people import befriend, interested, pushed, show_roster
from tests.features.rooms.stage import ROOM, enter
from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.adapters.sql import open_stores
from tidings.app.rooms import ROOMS
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.entrance import EntranceOptions
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError
from tidings.ports.ledger.reading import InboxQuery, PageQuery
from tidings.ports.stores import Stores
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem

ALICE, BOB, SMITH = Jid("alice@localhost"), Jid("bob@localhost"), Jid("alice.smith@localhost")
DAY = 86_400


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Two domains with rooms, where names rest for 30 days."""
    world = await World.start(
        services=(ROOMS,), options={"muc": EntranceOptions(locks_new=False)}, name_rest_days=30
    )
    yield world
    await world.stop()


async def call(world: World, verb: str, **arguments: object) -> Any:
    return await CATALOGUE.call(world.context, "account", verb, arguments)


async def rename(world: World, user: Jid = ALICE, to: Jid = SMITH, **arguments: object) -> Any:
    answer = await call(world, "rename", user=user, to=to, **arguments)
    await world.settle()
    return answer


async def refused(world: World, **arguments: object) -> tuple[str, str]:
    with pytest.raises(OperationError) as error:
        await rename(world, **arguments)
    return error.value.code, error.value.text


def chat(to: Jid, text: str) -> str:
    return f"<message to='{to}' type='chat' id='{text}'><body>{text}</body></message>"


def bodies(messages: list[Element]) -> list[str]:
    found = [message.find("body", ns.CLIENT) for message in messages]
    return [body.text for body in found if body is not None]


async def archived(stores: Stores, owner: Jid) -> list[str]:
    assert stores.ledger is not None
    page = await stores.ledger.page(owner, PageQuery(limit=1000))
    return [
        entry.body.decode().partition("<body>")[2].partition("</body>")[0]
        for entry in page.entries
        if entry.body
    ]


async def test_the_owner_finds_everything_at_its_place_under_the_new_name(world: World) -> None:
    await call(world, "register", user=ALICE, password="old password")
    await befriend(world, "alice@localhost", "bob@localhost")
    alice = await interested(world, "alice@localhost/phone")
    bob = await interested(world, "bob@localhost/phone")
    await alice.send(chat(BOB, "one"))
    await bob.send(chat(ALICE, "two"))
    await alice.leave()
    await bob.send(chat(ALICE, "unread"))
    ledger = world.stores.ledger
    before = await ledger.page(ALICE, PageQuery()), await ledger.inbox(ALICE, InboxQuery())

    answer = await rename(world)
    assert (answer.user, answer.former, answer.rosters) == (SMITH, ALICE, 1)

    checked = await call(world, "check-password", user=SMITH, password="old password")
    assert checked.correct
    after = await ledger.page(SMITH, PageQuery()), await ledger.inbox(SMITH, InboxQuery())
    assert [(entry.id, entry.time) for entry in after[0].entries] == [
        (entry.id, entry.time) for entry in before[0].entries
    ]
    assert [(row.peer, row.unread) for row in after[1].rows] == [(BOB, 2)]
    alice = await world.login("alice.smith@localhost/phone")
    assert await show_roster(alice) == [RosterItem(BOB, subscription=ItemSubscription.BOTH)]
    await alice.send("<presence/>")
    assert bodies(alice.take("message")) == ["unread"]


async def test_what_the_owner_reads_in_the_archive_is_his_own_or_that_of_others(world: World) -> None:
    """A client tells the two apart by the addresses of the messages."""
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/phone")
    await alice.send(chat(BOB, "mine"))
    await bob.send(chat(ALICE, "his"))
    await rename(world)
    alice = await world.login("alice.smith@localhost/phone")
    for client, other in ((alice, BOB), (bob, SMITH)):
        client.take()
        field = f"<field var='with'><value>{other}</value></field>"
        form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
        await client.request(f"<iq type='set' id='m'><query xmlns='{ns.MAM2}'>{form}</query></iq>")
        found = [
            message.find("result", ns.MAM2).find("forwarded", ns.FORWARD).find("message", ns.CLIENT)
            for message in client.take("message")
        ]
        addresses = [(Jid(each.get("from")).bare, Jid(each.get("to")).bare) for each in found]
        assert addresses == [(SMITH, BOB), (BOB, SMITH)]


async def test_what_was_said_before_is_read_and_taken_back_by_its_id(world: World) -> None:
    """Clients name a message by the id that its author gave it, and the author by the address of now."""
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/phone")
    await alice.send(chat(BOB, "one"), chat(BOB, "two"))
    await rename(world)
    alice = await world.online("alice.smith@localhost/phone")
    ledger = world.stores.ledger
    marker = f"<displayed xmlns='{ns.MARKERS}' id='two'/>"
    await bob.send(f"<message to='{SMITH}' type='chat' id='m'>{marker}</message>")
    assert [(row.peer, row.unread) for row in (await ledger.inbox(BOB, InboxQuery())).rows] == [(SMITH, 0)]
    retraction = f"<retract xmlns='{ns.RETRACTION1}' id='one'/>"
    await alice.send(f"<message to='{BOB}' type='chat' id='r'>{retraction}</message>")
    page = await ledger.page(BOB, PageQuery())
    assert [entry.retracted is not None for entry in page.entries] == [True, False, False, False]


async def test_contacts_go_on_without_doing_anything(world: World) -> None:
    await befriend(world, "alice@localhost", "bob@localhost")
    alice = await interested(world, "alice@localhost/phone")
    bob = await interested(world, "bob@localhost/phone")
    alice.take()

    await rename(world)

    [gone] = bob.take("presence")
    assert (gone.get("from"), gone.get("type")) == (str(alice.jid), "unavailable")
    assert pushed(bob) == [
        RosterItem(ALICE, subscription=ItemSubscription.REMOVE),
        RosterItem(SMITH, subscription=ItemSubscription.BOTH),
    ]
    alice = await world.login("alice.smith@localhost/phone")
    await alice.send("<presence/>")
    assert [each.get("from") for each in bob.take("presence")] == [str(alice.jid)]
    assert str(bob.jid) in [each.get("from") for each in alice.take("presence")]
    await bob.send(chat(SMITH, "hello"))
    assert bodies(alice.take("message")) == ["hello"]
    await alice.send(chat(BOB, "hi"))
    assert bodies(bob.take("message")) == ["hi"]


async def test_devices_go_on_where_they_were(world: World) -> None:
    """What a device has acknowledged up to the end of its session is not sent to it again."""
    bob = await world.online("bob@localhost/phone")
    phone = await world.login("alice@localhost/phone")
    await phone.manage()
    await phone.send("<presence/>")
    await bob.send(chat(ALICE, "one"), chat(ALICE, "two"))
    assert bodies(phone.take("message")) == ["one", "two"]
    await phone.send(f"<a xmlns='{ns.SM}' h='{phone.counted}'/>")
    await rename(world)
    await bob.send(chat(SMITH, "three"))
    phone = await world.login("alice.smith@localhost/phone")
    await phone.send("<presence/>")
    assert bodies(phone.take("message")) == ["three"]


async def test_sessions_end_and_are_told_the_new_address(world: World) -> None:
    phone, laptop = await world.online("alice@localhost/phone"), await world.online("alice@localhost/laptop")
    await laptop.manage()
    await laptop.lose()
    answer = await rename(world)
    assert answer.sessions_ended == 2
    assert phone.error is not None
    assert phone.error.condition == "not-authorized"
    assert phone.error.text == "the account has another address now: alice.smith@localhost"
    failed = await world.resume(laptop)
    assert isinstance(failed, Element)
    assert failed.name == "failed"


async def test_the_former_name_is_nobodys_and_rests(world: World) -> None:
    await world.register("alice@localhost")
    bob = await world.online("bob@localhost/phone")
    await rename(world)
    await bob.send(chat(ALICE, "late"))
    [error] = bob.take("message")
    assert error.find("error", ns.CLIENT).find("service-unavailable", ns.STANZA_ERRORS) is not None
    assert await archived(world.stores, ALICE) == []
    with pytest.raises(OperationError, match="its name rests until") as resting:
        await call(world, "register", user=ALICE, password="another's")
    assert resting.value.code == "conflict"
    await world.advance(31 * DAY)
    await call(world, "register", user=ALICE, password="another's")
    assert await archived(world.stores, ALICE) == []


async def test_nobody_is_there_while_it_happens(world: World) -> None:
    """Not under the former address, whose archive is about to go, and not yet under the new one."""
    phone = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/phone")
    stores, tried = world.stores, []

    class InTheMiddle:
        def __init__(self, store: Any, *, before: bool) -> None:
            self._store = store
            self._before = before

        async def rename(self, *arguments: Any, **options: Any) -> Any:
            if not self._before:
                done = await self._store.rename(*arguments, **options)
            for name in ("alice", "alice.smith"):
                host = world.server.hosts["localhost"]
                jid = Jid(f"{name}@localhost/new")
                with pytest.raises(StanzaError) as error:
                    await world.server.open_session(host, jid, phone.session.client, phone)
                tried.append(error.value.condition)
            bob.push(chat(ALICE, "now"))
            for _ in range(20):
                await asyncio.sleep(0)
            return await self._store.rename(*arguments, **options) if self._before else done

    inner = stores.renaming
    stores.renaming = InTheMiddle(inner, before=True)
    await rename(world)
    assert bob.take("message")[0].get("type") == "error"
    stores.renaming = InTheMiddle(inner, before=False)
    await rename(world, SMITH, ALICE, reuse_name=True)
    assert bob.take("message")[0].get("type") == "error"
    assert tried == ["not-authorized"] * 4
    assert await archived(stores, ALICE) == await archived(stores, SMITH) == []


async def test_whoever_renames_at_the_same_time_is_told(world: World) -> None:
    await world.register("alice@localhost")
    first, second = await asyncio.gather(
        rename(world), rename(world, to=Jid("other@localhost")), return_exceptions=True
    )
    assert isinstance(second, OperationError)
    assert first.user == SMITH
    assert await world.stores.accounts.list("localhost") == (SMITH,)


@pytest.mark.parametrize("in_process", [False, True], ids=["thread", "process"])
async def test_what_is_under_way_is_before_or_after_and_never_lost(tmp_path, *, in_process: bool) -> None:
    """Each message is in the archive once, or its sender is told that it could not be delivered."""
    url, clock = f"sqlite:///{tmp_path}/tidings.db", VirtualClock()
    stores = await open_stores(url, in_process=in_process)
    world = await World.start(stores=stores, clock=clock)
    await world.register("alice@localhost")
    bob = await world.online("bob@localhost/phone")
    sent = []

    async def send_to(to: Jid, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            sent.append(f"{to.local} {len(sent)}")
            bob.push(chat(to, sent[-1]))
            await asyncio.sleep(0.001)

    for former, to in ((ALICE, SMITH), (SMITH, ALICE), (ALICE, SMITH)):
        over = asyncio.Event()
        senders = [asyncio.create_task(send_to(each, over)) for each in (former, to)]
        await asyncio.sleep(0.05)
        await call(world, "rename", user=former, to=to)
        await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*senders)
    errors: list[str] = []
    kept: list[str] = []
    async with asyncio.timeout(20):
        while len(kept) + len(errors) < len(sent):
            await asyncio.sleep(0.01)
            errors += [each.get("id") or "" for each in bob.take("message") if each.get("type") == "error"]
            kept = await archived(stores, SMITH)
    assert await archived(stores, ALICE) == []
    assert len(set(kept)) == len(kept)
    assert sorted([*kept, *errors]) == sorted(sent)
    assert {each.split()[0] for each in kept} == {"alice", "alice.smith"}
    await world.stop()


async def test_members_of_rooms_stay_members(world: World) -> None:
    boss = await world.login("boss@localhost/phone")
    await enter(boss, "boss")
    admin = f"xmlns='{ns.MUC_ADMIN}'"
    item = "<item affiliation='member' jid='alice@localhost' nick='al'/>"
    await boss.request(f"<iq type='set' id='a' to='{ROOM}'><query {admin}>{item}</query></iq>")
    field = "<field var='muc#roomconfig_membersonly'><value>1</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
    await boss.request(f"<iq type='set' id='c' to='{ROOM}'><query xmlns='{ns.MUC_OWNER}'>{form}</query></iq>")
    alice = await world.login("alice@localhost/phone")
    await enter(alice, "al")
    boss.take()

    answer = await rename(world)
    assert answer.rooms == 1
    left = boss.take("presence")
    assert [(each.get("from"), each.get("type")) for each in left] == [(f"{ROOM}/al", "unavailable")]
    alice = await world.login("alice.smith@localhost/phone")
    got = await enter(alice, "al")
    assert f"{ROOM}/al" in [each.get("from") for each in got]
    await alice.send(f"<message to='{ROOM}' type='groupchat' id='1'><body>hello</body></message>")
    assert bodies(boss.take("message")) == ["hello"]
    listed = await boss.request(
        f"<iq type='get' id='l' to='{ROOM}'><query {admin}><item affiliation='member'/></query></iq>"
    )
    items = listed.find("query", ns.MUC_ADMIN).children
    assert [item.get("jid") for item in items] == ["alice.smith@localhost"]


async def test_who_blocks_the_account_goes_on_to_do_so(world: World) -> None:
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/phone")
    block = "<block xmlns='urn:xmpp:blocking'><item jid='alice@localhost'/></block>"
    await bob.request(f"<iq type='set' id='b'>{block}</iq>")
    await bob.request("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
    bob.take()
    await rename(world)
    told = [iq.children[0] for iq in bob.take("iq")]
    assert [(each.name, each.children[0].get("jid")) for each in told] == [
        ("unblock", "alice@localhost"),
        ("block", "alice.smith@localhost"),
    ]
    alice = await world.online("alice.smith@localhost/phone")
    await alice.send(chat(BOB, "hello"))
    assert bob.take("message") == []


async def test_groups_and_rights_follow(world: World) -> None:
    for jid in (ALICE, BOB):
        await world.register(jid)
    await call(world, "promote", user=ALICE)
    await CATALOGUE.call(world.context, "group", "create", {"domain": "localhost", "group": "work"})
    await CATALOGUE.call(
        world.context, "group", "add", {"domain": "localhost", "group": "work", "users": [ALICE, BOB]}
    )
    bob = await interested(world, "bob@localhost/phone")
    await rename(world)
    items = {item.jid: item.subscription for item in pushed(bob)}
    assert items == {ALICE: ItemSubscription.REMOVE, SMITH: ItemSubscription.BOTH}
    assert world.server.hosts["localhost"].admins == {SMITH}
    assert [each.user for each in (await call(world, "admins", domain="localhost")).items] == [SMITH]


async def test_another_domain_of_the_server_can_be_moved_to(world: World) -> None:
    to = Jid("alice@other.test")
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/phone")
    await bob.send(chat(ALICE, "one"))
    alice.take()
    await rename(world, to=to)
    await bob.send(chat(to, "two"))
    assert await archived(world.stores, to) == ["one", "two"]
    alice = await world.online("alice@other.test/phone")
    await alice.send(chat(BOB, "three"))
    assert bodies(bob.take("message")) == ["three"]


async def test_what_cannot_be_renamed(world: World) -> None:
    for jid in (ALICE, BOB, Jid("gone@localhost")):
        await world.register(jid)
    await call(world, "remove", user="gone@localhost")
    nobody = Jid("nobody@localhost")
    assert await refused(world, user=nobody) == ("not-found", "there is no account nobody@localhost")
    assert await refused(world, to=BOB) == ("conflict", "the account bob@localhost exists already")
    assert await refused(world, to=ALICE) == ("conflict", "alice@localhost is its address already")
    code, text = await refused(world, to=Jid("gone@localhost"))
    assert (code, text.endswith("`reuse_name` takes it anyway")) == ("conflict", True)
    code, text = await refused(world, to=Jid("alice@elsewhere.test"))
    assert (code, text.startswith("elsewhere.test is not a domain")) == ("not-found", True)
    code, _ = await refused(world, to=Jid("alice@conference.localhost"))
    assert code == "not-allowed"
    for wrong in ("localhost", "alice@localhost/phone", "a b@localhost", "@localhost"):
        with pytest.raises(OperationError) as error:
            await call(world, "rename", user=ALICE, to=wrong)
        assert error.value.code == "invalid"
    assert await world.stores.accounts.list("localhost") == (ALICE, BOB)
    await rename(world, to=Jid("gone@localhost"), reuse_name=True)
    assert await world.stores.accounts.list("localhost") == (BOB, Jid("gone@localhost"))


async def test_legal_hold_on_an_earlier_owner_keeps_the_name(world: World) -> None:
    await world.register(SMITH)
    bob = await world.online("bob@localhost/phone")
    await bob.send(chat(SMITH, "held"))
    await world.stores.ledger.hold(SMITH, (1,))
    await call(world, "remove", user=SMITH)
    await world.advance(31 * DAY)
    await world.register(ALICE)
    code, text = await refused(world)
    assert (code, "legal hold" in text) == ("conflict", True)
    assert await archived(world.stores, SMITH) == ["held"]


async def test_an_administrator_by_the_configuration_is_not_renamed() -> None:
    world = await World.start(admins=("alice@localhost",))
    await world.register(ALICE)
    code, text = await refused(world)
    assert (code, "is named as an administrator of localhost" in text) == ("conflict", True)
    await world.stop()


async def test_an_administrator_renames_within_his_domains(world: World) -> None:
    await world.register(ALICE)
    boss = world.context.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost"))
    with pytest.raises(OperationError) as error:
        await CATALOGUE.call(boss, "account", "rename", {"user": ALICE, "to": "alice@other.test"})
    assert error.value.code == "not-allowed"
    await CATALOGUE.call(boss, "account", "rename", {"user": ALICE, "to": SMITH})
    assert await world.stores.accounts.exists(SMITH)


async def test_the_log_says_who_has_got_which_name(world: World) -> None:
    await world.register(ALICE)
    with structlog.testing.capture_logs() as logs:
        await rename(world)
    [line] = [each for each in logs if each["event"] == "account_renamed"]
    assert (line["log_level"], line["account"], line["to"], line["by"]) == (
        "info",
        "alice@localhost",
        "alice.smith@localhost",
        "operator",
    )
    [audited] = [each for each in logs if each.get("operation") == "account rename"]
    assert "alice.smith@localhost" in str(audited)


async def test_without_a_server_the_database_is_changed(context) -> None:  # type: ignore[no-untyped-def]
    await context.stores.accounts.create(ALICE, (), 1.0)
    await CATALOGUE.call(context, "account", "rename", {"user": ALICE, "to": SMITH})
    assert await context.stores.accounts.list("localhost") == (SMITH,)
