"""Operations on a running server: sessions, stanzas, status."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.streams.test_connection import Bench, door, end
from tidings.adapters.memory import MemoryStores
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError

UNAVAILABLE = (
    "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
)


async def call(context, category, name, **arguments):
    return await CATALOGUE.call(context, category, name, arguments)


async def refused(context, category, name, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, category, name, **arguments)
    return caught.value.code, caught.value.text


async def test_sessions_are_listed_and_counted(world, live):
    await world.online("alice@localhost/phone", "<presence><priority>3</priority></presence>")
    world.clock.advance(60)
    await world.login("bob@localhost/desk")
    await world.online("carol@other.test/x")
    found = (await call(live, "session", "list", domain="localhost")).items
    assert [(one.session, one.priority, one.since) for one in found] == [
        ("alice@localhost/phone", 3, datetime(2026, 1, 1, tzinfo=UTC)),
        ("bob@localhost/desk", None, datetime(2026, 1, 1, 0, 1, tzinfo=UTC)),
    ]
    assert (found[0].transport, found[0].secure, found[0].address) == ("tcp", True, "127.0.0.1")
    assert (await call(live, "session", "count")).count == 3
    assert (await call(live, "session", "count", user="alice@localhost")).count == 1
    assert (await call(live, "session", "count", user="nobody@localhost")).count == 0
    assert len((await call(live, "session", "list", limit=1)).items) == 1


async def test_the_list_tells_which_sessions_wait_for_their_clients_and_since_when(world, live):
    caps = (
        "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://example.org/app\x9b' ver='x'/>"
    )
    alice = await world.online("alice@localhost/phone", f"<presence>{caps}</presence>")
    await world.login("bob@localhost/desk")
    await alice.manage()
    await world.advance(60)
    await alice.lose()
    lost = world.clock.now()
    await world.advance(30)
    phone, desk = (await call(live, "session", "list")).items
    assert (phone.state, phone.waits_since.timestamp(), phone.idle_seconds) == ("waiting", lost, 30)
    assert (phone.client, phone.stanzas_received) == ("https://example.org/app�", 1)
    assert phone.stanzas_sent == alice.session.flow.sent > 0
    assert (desk.state, desk.waits_since, desk.client) == ("connected", None, "")
    await world.resume(alice)
    phone = next(one for one in (await call(live, "session", "list")).items if "alice" in one.session.text)
    assert (phone.state, phone.waits_since) == ("connected", None)


async def test_the_list_tells_for_how_long_nothing_has_come_from_a_client(world, live):
    bench = Bench(await door(world, idle_seconds=0))
    await bench.log_in()

    async def idle():
        [session] = (await call(live, "session", "list")).items
        return session.idle_seconds

    await world.advance(2)
    assert await idle() == 0
    for _ in range(60):
        await world.advance(1)
    assert 50 <= await idle() <= 62
    bench.connection.heard()  # white space says only that it is there
    assert await idle() >= 50
    bench.push("<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert await idle() == 0
    end(bench)


async def test_clients_are_asked_once_which_software_they_are(world, live):
    told = "<query xmlns='jabber:iq:version'><name>Gajim</name><version>1.8\x9b</version></query>"
    answers = {
        "alice@localhost/phone": f"type='result'>{told}",
        "bob@localhost/desk": f"type='error'>{UNAVAILABLE}",
        "carol@other.test/web": "",
    }
    clients = {jid: await world.login(jid) for jid in answers}
    detached = await world.login("dora@localhost/lost")
    await detached.manage()
    await detached.lose()

    async def shown():
        return {one.session.text: one.client for one in (await call(live, "session", "list")).items}

    assert set((await shown()).values()) == {""}
    assert not any(client.take("iq") for client in clients.values())  # nobody is asked unasked
    listing = asyncio.create_task(call(live, "session", "list", versions=True))
    await world.settle()
    for jid, client in clients.items():
        [asked] = client.take("iq")
        assert (asked.get("type"), asked.children[0].namespace) == ("get", "jabber:iq:version")
        assert asked.get("from") == jid.partition("@")[2].partition("/")[0]
        await client.send(f"<iq type='result' id='another' to='{asked.get('from')}'>{told}</iq>")
        if answers[jid]:
            await client.send(f"<iq id='{asked.get('id')}' to='{asked.get('from')}' {answers[jid]}</iq>")
    await clients["carol@other.test/web"].leave()  # she is waited for no longer
    names = {one.session.text: one.client for one in (await listing).items}
    assert names["alice@localhost/phone"] == "Gajim 1.8�"
    assert names["bob@localhost/desk"] == names["dora@localhost/lost"] == ""
    assert (await shown())["alice@localhost/phone"] == "Gajim 1.8�"
    await call(live, "session", "list", versions=True)
    assert not any(client.take("iq") for client in clients.values())


async def test_one_session_or_all_of_an_account_are_ended(world, live):
    phone, desk = await world.online("alice@localhost/phone"), await world.online("alice@localhost/desk")
    assert (
        await call(live, "session", "kick", user="alice@localhost/phone", reason="tidy up")
    ).sessions_ended == 1
    assert (phone.error.condition, phone.error.text) == ("policy-violation", "tidy up")
    assert not desk.closed
    assert (await call(live, "session", "kick", user="alice@localhost")).sessions_ended >= 1
    assert desk.closed
    assert await refused(live, "session", "kick", user="bob@localhost") == (
        "not-found",
        "bob@localhost is not connected",
    )


async def test_a_message_is_sent_for_the_server_or_an_account(world, live):
    bob = await world.online("bob@localhost/phone")
    await call(live, "stanza", "send-message", to="bob@localhost", body="Hello <b>", subject="News")
    [message] = bob.take("message")
    assert (message.get("from"), message.get("type")) == ("localhost", "chat")
    assert (message.text_of("body"), message.text_of("subject")) == ("Hello <b>", "News")
    sent = await call(
        live, "stanza", "send-message", to="bob@localhost", body="x", sender="alice@localhost", kind="normal"
    )
    [message] = bob.take("message")
    assert (message.get("from"), message.get("id")) == ("alice@localhost", sent.id)


async def test_a_message_to_nobody_or_from_elsewhere_is_refused(world, live):
    told = await refused(live, "stanza", "send-message", to="nobody@localhost", body="x")
    assert told == ("not-found", "there is no account nobody@localhost")
    told = await refused(
        live, "stanza", "send-message", to="nobody@localhost", body="x", sender="a@elsewhere.test"
    )
    assert told[0] == "not-found"


async def test_a_message_that_nobody_takes_is_refused_by_a_server_that_is_well(world, live):
    await world.register("bob@localhost")
    told = await refused(live, "stanza", "send-stanza", stanza="<message to='bob@localhost'/>")
    assert told == ("not-found", "the message was refused, since nobody takes or keeps it there")


@pytest.mark.parametrize("name", ["message", "presence", "iq"])
async def test_what_goes_to_a_domain_that_nobody_serves_is_refused_and_not_said_to_be_sent(world, live, name):
    told = await refused(live, "stanza", "send-message", to="bob@locahost", body="x")
    assert told == ("not-found", "locahost is not served here")
    content = "<body>x</body>" if name == "message" else "<ping xmlns='urn:xmpp:ping'/>"
    kind = " type='get' id='1'" if name == "iq" else ""
    text = f"<{name} to='bob@locahost'{kind}>{content}</{name}>"
    code, reason = await refused(live, "stanza", "send-stanza", stanza=text)
    assert code == "not-found"
    assert "locahost is not served here" in reason


async def test_a_stanza_is_sent_as_it_is_given(world, live):
    bob = await world.online("bob@localhost/phone")
    for text in (
        "<message to='bob@localhost' id='1'><x xmlns='urn:x'><y/></x></message>",
        "<message xmlns='jabber:client' to='bob@localhost' id='1'><x xmlns='urn:x'><y/></x></message>",
    ):
        assert (await call(live, "stanza", "send-stanza", stanza=text)).id == "1"
        [message] = bob.take("message")
        assert message.find("x", "urn:x").find("y") is not None
        assert message.get("from") == "localhost"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "<message to='bob@localhost'>",
        "<message/>",
        "<message to='bob@localhost' from='eve@elsewhere.test'/>",
        "<message to='@'/>",
        "<message to='bob@localhost' type='odd'/>",
        "<query xmlns='jabber:iq:roster'/>",
        "<message xmlns='urn:x' to='bob@localhost'/>",
        "<!DOCTYPE x><message to='bob@localhost'/>",
        "<iq type='get' id='1' to='bob@localhost/phone'/>",
        "<iq type='set' id='1' to='bob@localhost/phone'><a xmlns='a'/><b xmlns='b'/></iq>",
        "<iq type='get' id='1' to='localhost'/>",
        "<presence type='odd' to='bob@localhost'/>",
        "<message to='bob@localhost'><body>a\x0bb</body></message>",
    ],
)
async def test_what_is_no_stanza_of_ours_is_refused(world, live, text):
    bob = await world.online("bob@localhost/phone")
    code, _ = await refused(live, "stanza", "send-stanza", stanza=text)
    assert code in {"invalid", "not-found"}
    assert bob.take() == []


async def test_the_status_of_a_running_server(world, live):
    await world.online("alice@localhost/phone")
    world.clock.advance(90)
    status = await call(live, "server", "status")
    assert (status.running, status.sessions, status.accounts, status.uptime_seconds) == (True, 1, 1, 90)
    assert status.started == datetime(2026, 1, 1, tzinfo=UTC)
    assert status.healthy


class SilentStores(MemoryStores):
    """Stores whose database does not answer."""

    async def ping(self):
        raise BackendError("no connection to db.internal")


async def test_a_server_whose_database_does_not_answer_is_not_healthy(world, live):
    status = await call(replace(live, stores=SilentStores()), "server", "status")
    assert (status.running, status.healthy, status.database_ok) == (True, False, False)
    assert status.database_trouble == "no connection to db.internal"


async def test_the_status_without_a_server(context):
    status = await call(context, "server", "status")
    assert (status.running, status.database_ok, status.uptime_seconds) == (False, True, None)
    assert not status.healthy


async def test_everybody_who_is_connected_is_told_and_nobody_else(world, live):
    here = [await world.online(f"{name}@localhost/x") for name in ("alice", "bob")]
    silent = await world.login("carol@localhost/x")  # connected, and not available
    elsewhere = await world.online("dora@other.test/x")
    await world.register("eve@localhost")
    told = await call(live, "stanza", "announce", domain="localhost", body="Down <soon>")
    assert told.sessions == 3
    for client in (*here, silent):
        [message] = client.take("message")
        assert (message.get("from"), message.get("type")) == ("localhost", "headline")
        assert message.text_of("body") == "Down <soon>"
    assert not elsewhere.take("message")
    assert not (await world.online("eve@localhost/x")).take("message")


async def test_an_administrator_tells_his_own_domain_alone(world, live):
    alice, dora = await world.online("alice@localhost/x"), await world.online("dora@other.test/x")
    mine = live.acting_for(Caller.administrator(Jid("dora@other.test"), "other.test"))
    assert (await call(mine, "stanza", "announce", body="here")).sessions == 1
    assert len(dora.take("message")) == 1
    assert await refused(mine, "stanza", "announce", domain="localhost", body="there")
    assert not alice.take("message")
