"""BOSH (XEP-0124, XEP-0206) as a client meets it, with real sockets and a clock that the test moves."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.gateways.test_http_doors import AFTER, BEFORE, auth, bind, message, standing
from tidings.streams.listener import ConnectionOptions
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.bosh import BoshOptions

PRESENCE = "<presence xmlns='jabber:client'/>"


async def test_a_session_is_made_used_and_ended():
    async with standing() as stand:
        client = stand.bosh_client()
        opened = await client.open()
        assert opened.get("requests") == "2"
        assert opened.get("{urn:xmpp:xbosh}restartlogic") == "true"
        assert opened.find("features", ns.STREAMS) is not None
        assert client.response.headers["Content-Type"] == "text/xml; charset=utf-8"
        assert client.response.headers["Access-Control-Allow-Origin"] == "*"
        assert "sandbox" in client.response.headers["Content-Security-Policy"]

        other = stand.bosh_client()
        await other.login("alice", "page")
        await other.send(message("alice@localhost/page", "to myself"))
        ended = await other.send("<presence xmlns='jabber:client' type='unavailable'/>", type="terminate")
        assert ended.attributes == {"type": "terminate"}
        await stand.until(lambda: not stand.server.session_count)
        assert len(stand.bosh) == 1


async def test_every_sid_is_long_and_another():
    async with standing() as stand:
        sids = set()
        for _ in range(50):
            client = stand.bosh_client()
            await client.open()
            sids.add(client.sid)
        assert len(sids) == 50
        assert min(map(len, sids)) >= 32


async def test_a_request_is_held_until_there_is_news_or_the_wait_is_over():
    async with standing() as stand:
        client = stand.bosh_client(wait="20")
        await client.login("alice", "page")
        waiting = client.start()
        await stand.until(lambda: stand.bosh.waiting == 1)
        stand.clock.advance(19)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        stand.clock.advance(1.5)
        assert (await waiting).children == []


async def test_a_session_outlives_its_requests_and_sockets_until_it_is_silent_too_long():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        waiting = client.start()
        await stand.until(lambda: stand.bosh.waiting == 1)
        waiting.cancel()
        await stand.until(lambda: stand.bosh.waiting == 0)
        stand.clock.advance(29)
        assert stand.server.session_count == 1
        answer = await client.send(message("alice@localhost/page", "still me"))
        assert answer.text_of("message", ns.CLIENT) is not None or answer.children == []
        stand.clock.advance(31)
        await stand.until(lambda: not stand.server.session_count and not len(stand.bosh))
        late = await client.send()
        assert (late.get("type"), late.get("condition")) == ("terminate", "item-not-found")


async def test_what_was_said_to_a_broken_connection_is_said_again():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        rid = next(client.rids)
        waiting = client.start(rid=rid)
        await stand.until(lambda: stand.bosh.waiting == 1)
        waiting.cancel()
        await stand.until(lambda: stand.bosh.waiting == 0)
        other = await stand.websocket()
        await other.login("bob")
        await other.send(message("alice@localhost/page", "are you there?"))
        again = await client.send(rid=rid)
        assert again.children[0].text_of("body") == "are you there?"
        once_more = await client.send(rid=rid)
        assert once_more == again


async def test_requests_in_the_wrong_order_are_put_right():
    async with standing() as stand:
        client = stand.bosh_client(hold="2")
        await client.login("alice", "page")
        other = await stand.websocket()
        await other.login("bob", "ws")
        first, second = next(client.rids), next(client.rids)
        later = client.start(message("bob@localhost/ws", "two"), rid=second)
        await stand.until(lambda: stand.bosh.waiting == 1)
        sooner = client.start(message("bob@localhost/ws", "one"), rid=first)
        assert [(await other.receive()).text_of("body") for _ in range(2)] == ["one", "two"]
        await other.send(message("alice@localhost/page", "hello"))
        assert (await sooner).children[0].text_of("body") == "hello"
        later.cancel()


async def test_pre_bind_in_a_pipeline():
    """Log-in, restart and binding are sent without waiting for the answers."""
    async with standing() as stand:
        client = stand.bosh_client()
        await client.open()
        first = client.start(auth("alice"))
        second = client.start(xmpp__restart="true")
        answers = [await first, await second]
        names = [child.name for answer in answers for child in answer.children]
        assert names == ["success", "features"]


async def test_a_polling_client_gets_the_answer_to_what_it_sends():
    async with standing() as stand:
        client = stand.bosh_client(hold="0")
        opened = await client.open()
        assert (opened.get("requests"), opened.get("hold")) == ("1", "0")
        assert opened.find("features", ns.STREAMS) is not None
        answer = await client.send(auth("alice"))
        assert answer.find("success", ns.SASL) is not None
        answer = await client.send(xmpp__restart="true")
        assert answer.find("features", ns.STREAMS) is not None
        answer = await client.send(bind("page"))
        assert answer.children[0].get("type") == "result"
        answer = await client.send(message("alice@localhost/page", "to myself"))
        assert answer.children[0].text_of("body") == "to myself"
        nothing = client.start("<iq xmlns='jabber:client' type='result' id='x' to='localhost'/>")
        await stand.until(lambda: stand.bosh.waiting == 1)
        stand.clock.advance(0.1)
        assert (await nothing).children == []


async def test_the_content_type_is_the_clients_choice_but_no_header_of_its_own():
    async with standing() as stand:
        client = stand.bosh_client(content="text/html; charset=utf-8")
        await client.open()
        assert client.response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert client.response.headers["X-Content-Type-Options"] == "nosniff"
        bad = stand.bosh_client(content="text/html&#13;&#10;Set-Cookie: a=b")
        assert (await bad.open()).get("condition") == "bad-request"
        assert "Set-Cookie" not in bad.response.headers


async def test_a_request_without_cors_preflight_works_with_any_content_type():
    async with standing() as stand:
        client = stand.bosh_client()
        headers = {"Content-Type": "text/plain", "Origin": "https://page.example"}
        answer = await client.post(client.wrap(sid=None, **client.attributes), headers=headers)
        assert answer.get("sid")


async def test_pages_of_foreign_origins_are_refused():
    async with standing(origins=("https://chat.example.org",)) as stand:
        client = stand.bosh_client()
        url = stand.url("/http-bind")
        headers = {"Origin": "https://evil.example"}
        async with stand.http.post(url, data=client.wrap(), headers=headers) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("to", "condition"),
    [("nowhere.test", "host-unknown"), ("@", "host-unknown"), ("", "improper-addressing")],
)
async def test_an_unknown_domain_is_refused(to, condition):
    async with standing() as stand:
        answer = await stand.bosh_client(to=to).open()
        assert (answer.get("type"), answer.get("condition")) == ("terminate", condition)
        assert not stand.server.connections


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "hello",
        "<body/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='1'/>" * 2,
        "<!DOCTYPE body><body xmlns='http://jabber.org/protocol/httpbind' rid='1' to='localhost'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='-1' to='localhost'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='99999999999999999999' to='localhost'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' to='localhost'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' to='localhost' ver='1.11'><!-- --></body>",
        b"\xff\xfe<\0b\0",
    ],
)
async def test_rubbish_is_refused_and_leaves_nothing(raw):
    async with standing() as stand:
        client = stand.bosh_client()
        answer = await client.post(raw)
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "bad-request")
        assert not stand.server.connections
        assert not len(stand.bosh)


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        (PRESENCE + "<message xmlns='jabber:client'><!-- c --></message>", "bad-request"),
        ("<message xmlns='jabber:client'>&e;</message>", "bad-request"),
        ("<presence xmlns='jabber:client'></presence></body><body>", "bad-request"),
        ("<message xmlns='jabber:client'>" + "<a>" * 80 + "</a>" * 80 + "</message>", "policy-violation"),
        ("<message xmlns='jabber:client'", "bad-request"),
    ],
)
async def test_rubbish_in_a_session_ends_it_as_its_client_is_told(content, condition):  # §17.2
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        waiting = client.start()
        await stand.until(lambda: stand.bosh.waiting == 1)
        answer = await client.send(content)
        assert (answer.get("type"), answer.get("condition")) == ("terminate", condition)
        assert (await waiting).get("type") == "terminate"
        await stand.until(lambda: not stand.server.session_count)
        assert not len(stand.bosh)
        answer = await client.send()
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "item-not-found")


async def test_a_request_that_is_too_large_is_refused_and_the_session_goes_on():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        rid = next(client.rids)
        raw = client.wrap(message("bob@localhost", "x" * AFTER.stanza_bytes), rid=rid)
        async with stand.http.post(stand.url("/http-bind"), data=raw) as response:
            assert response.status == 413
        answer = await client.send(message("alice@localhost/page", "fine"), rid=rid)
        assert answer.children[0].text_of("body") == "fine"


async def test_rubbish_that_names_no_session_ends_none():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        answer = await stand.bosh_client().post("<body sid='0123456789'><unfinished")
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "bad-request")
        answer = await client.send(message("alice@localhost/page", "fine"))
        assert answer.children[0].text_of("body") == "fine"


async def test_the_limit_grows_with_log_in():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.open()
        large = f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>{'A' * BEFORE.stanza_bytes}</auth>"
        assert (await client.send(large)).get("condition") == "policy-violation"
        other = stand.bosh_client()
        await other.login("alice", "page")
        answer = await other.send(message("alice@localhost/page", "x" * BEFORE.stanza_bytes))
        assert answer.children[0].name == "message"


async def test_a_stanza_that_nobody_knows_ends_the_stream_with_its_error():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice")
        answer = await client.send("<nonsense xmlns='urn:x'/>")
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "remote-stream-error")
        assert answer.children[0].children[0].name == "unsupported-stanza-type"
        assert not len(stand.bosh)


@pytest.mark.parametrize("sid", ["guess", "", "A" * 32, "A" * 5000, "../../etc/passwd", "%00", "None"])
async def test_a_guessed_sid_finds_nothing_and_disturbs_nothing(sid):
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        right, client.sid = client.sid, sid
        rid = next(client.rids)
        answer = await client.send(PRESENCE, rid=rid)
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "item-not-found")
        client.sid = right
        answer = await client.send(message("alice@localhost/page", "fine"), rid=rid)
        assert answer.children[0].text_of("body") == "fine"


@pytest.mark.parametrize("rid", [1, 999, 1_000_000, 2**53 - 1])
async def test_a_rid_that_jumps_ends_the_session(rid):
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice")
        waiting = client.start()
        await stand.until(lambda: stand.bosh.waiting == 1)
        answer = await client.send(rid=rid)
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "item-not-found")
        assert (await waiting).get("type") == "terminate"
        await stand.until(lambda: not stand.server.session_count)


async def test_replays_have_a_limit_and_are_never_taken_twice():
    async with standing(bosh=BoshOptions(repeats=5)) as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        other = await stand.websocket()
        await other.login("bob", "ws")
        rid = next(client.rids)
        held = [client.start(message("bob@localhost/ws", "once"), rid=rid)]
        for number in range(1, 6):
            await stand.until(lambda: stand.bosh.waiting == 1)
            held.append(client.start(message("bob@localhost/ws", "once"), rid=rid))
            assert (await held[number - 1]).get("type") == "error"
        assert (await client.send(rid=rid)).get("condition") == "policy-violation"
        assert (await other.receive()).text_of("body") == "once"
        await other.send(message("bob@localhost/ws", "nothing came between"))
        assert (await other.receive()).text_of("body") == "nothing came between"
        held[-1].cancel()


async def test_a_flood_of_requests_ends_the_session_not_the_server():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice")
        flood = [client.start() for _ in range(40)]
        answers = await asyncio.gather(*flood)
        assert all(answer.get("type") == "terminate" for answer in answers)
        await stand.until(lambda: not stand.server.session_count and not len(stand.bosh))
        assert (await stand.bosh_client().open()).get("sid")


async def test_sessions_that_never_log_in_go_away():
    async with standing() as stand:
        for _ in range(20):
            await stand.bosh_client().open()
        assert len(stand.server.connections) == 20
        with capture_logs() as told:
            stand.clock.advance(31)
            await stand.until(lambda: not stand.server.connections)
            stand.clock.advance(61)
            await stand.until(lambda: not len(stand.bosh))
        events = [each["event"] for each in told if each["log_level"] != "debug"]
        assert len(events) == len(set(events))  # strangers fill no log


async def test_a_secure_session_is_not_served_to_plain_requests():
    async with standing(trusted_proxies=("127.0.0.0/8",)) as stand:
        client = stand.bosh_client()
        secure = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        opened = await client.post(client.wrap(sid=None, **client.attributes), headers=secure)
        client.sid = opened.get("sid") or ""
        rid = next(client.rids)
        plain = await client.send(PRESENCE, rid=rid)
        assert plain.get("condition") == "item-not-found"
        answer = await client.post(client.wrap(auth("alice"), rid=rid), headers=secure)
        assert answer.find("success", ns.SASL) is not None


async def test_a_session_without_version_is_refused_with_http_errors():
    async with standing() as stand:
        url = stand.url("/http-bind")
        raw = f"<body xmlns='{ns.BOSH}' rid='1' to='localhost' wait='x'/>"
        async with stand.http.post(url, data=raw) as response:
            assert response.status == 400


async def test_a_client_that_takes_nothing_is_cut_off():
    async with standing(limits=ConnectionOptions(outbound_bytes=100_000)) as stand:
        slow = stand.bosh_client()
        await slow.login("slow", "page")
        fast = await stand.websocket()
        await fast.login("fast")
        for _ in range(10):
            await fast.send(message("slow@localhost/page", "x" * 20_000))
        await stand.until(lambda: stand.server.session_count == 1)


async def test_http_1_0_is_spoken():
    async with standing() as stand:
        client = stand.bosh_client()
        raw = client.wrap(sid=None, **client.attributes).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        writer.write(b"POST /http-bind HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.0 200 ")
        assert b"Transfer-Encoding" not in answer
        assert b"<stream:features" in answer
        writer.close()


async def test_the_answers_are_never_stored_by_caches():
    async with standing() as stand:
        client = stand.bosh_client()
        await client.open()
        assert client.response.headers["Cache-Control"] == "no-store"
        assert isinstance(client.response, aiohttp.ClientResponse)


async def test_a_server_that_cannot_follow_lets_the_client_wait():
    """Without answers a client may send no more than the window holds: that is how BOSH slows down."""
    async with standing() as stand:
        client = stand.bosh_client()
        await client.login("alice", "page")
        (session,) = stand.server.sessions()
        assert session.link is not None
        session.link.pause()
        first = client.start(message("alice@localhost/page", "one"))
        await stand.until(lambda: stand.bosh.waiting == 1)
        second = client.start(message("alice@localhost/page", "two"))
        await stand.until(lambda: stand.bosh.waiting == 2)
        await asyncio.sleep(0.01)
        assert not first.done()
        assert not second.done()
        session.link.resume()
        assert [message.text_of("body") for message in (await first).children] == ["one", "two"]
        second.cancel()
