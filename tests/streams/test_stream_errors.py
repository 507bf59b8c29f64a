"""Stream errors as RFC 6120 §4.9 lists them: what a client does, and the condition that it is told."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from tests.gateways import test_http_doors as http
from tests.streams.stand import AUTH, HEADER, Raw, Stand, conditions, plain, standing, until
from tidings.wire.xmpp import ns

ALICE = "alice@localhost/phone"
MESSAGE = "<message to='bob@localhost'><body>hi</body></message>"
ENABLE = f"<enable xmlns='{ns.SM}'/>"
PEER_ERROR = f"<stream:error><policy-violation xmlns='{ns.STREAM_ERRORS}'/></stream:error>"


def header(to: str = "localhost", content: str = ns.CLIENT, streams: str = ns.STREAMS, more: str = "") -> str:
    """Write an opening tag; `more` are attributes, the version among them."""
    more = more or "version='1.0'"
    return f"<stream:stream xmlns='{content}' xmlns:stream='{streams}' to='{to}' {more}>"


async def connected(stand: Stand) -> Raw:
    return await stand.connect()


async def opened(stand: Stand) -> Raw:
    client = await connected(stand)
    await client.say(HEADER, until="</stream:features>")
    return client


async def logged_in(stand: Stand) -> Raw:
    await stand.register("alice@localhost")
    client = await opened(stand)
    await client.say(AUTH.format(plain("alice")), until="<success")
    await client.hear("/>")
    await client.say(HEADER, until="</stream:features>")
    return client


async def bound(stand: Stand) -> Raw:
    return await stand.log_in(ALICE)


async def managed(stand: Stand) -> Raw:
    client = await bound(stand)
    await client.say(ENABLE, until="<enabled")
    await client.hear("/>")
    return client


TABLE = [
    # in the section's order: where the client stands, what it sends, what it is told
    (managed, f"<a xmlns='{ns.SM}' h='many'/>", "bad-format"),  # §4.9.3.1
    (connected, header(to="elsewhere.example"), "host-unknown"),  # §4.9.3.6
    (connected, header(to="alice@localhost"), "host-unknown"),
    (connected, header(to=""), "improper-addressing"),  # §4.9.3.7
    (connected, header(to="not..a.domain"), "improper-addressing"),
    (connected, header(more="from='a@elsewhere.example' version='1.0'"), "invalid-from"),  # §4.9.3.9
    (logged_in, MESSAGE.replace("<message", "<message from='bob@localhost'"), "not-authorized"),
    (bound, MESSAGE.replace("<message", "<message from='bob@localhost'"), "invalid-from"),
    (connected, header(streams="urn:wrong"), "invalid-namespace"),  # §4.9.3.10
    (connected, header(content="urn:wrong"), "invalid-namespace"),
    (opened, MESSAGE, "not-authorized"),  # §4.9.3.12
    (opened, "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized"),
    (logged_in, "<presence/>", "not-authorized"),
    (connected, "hello", "not-well-formed"),  # §4.9.3.13
    (opened, "<auth></iq>", "not-well-formed"),
    (bound, "<message><body>no end</message>", "not-well-formed"),
    (bound, "<message><unknown:x/></message>", "not-well-formed"),  # XML-NAMES, too
    (opened, HEADER, "policy-violation"),  # §4.9.3.14
    (opened, f"<message>{'x' * 20_000}</message>", "policy-violation"),
    (opened, f"<response xmlns='{ns.SASL}'/>", "policy-violation"),
    (logged_in, AUTH.format(plain("alice")), "policy-violation"),
    (managed, ENABLE, "policy-violation"),
    (connected, "<!DOCTYPE x>" + HEADER, "restricted-xml"),  # §4.9.3.18
    (opened, "<!-- hello -->", "restricted-xml"),
    (bound, "<message><?hello?></message>", "restricted-xml"),
    (bound, "<message>&hello;</message>", "restricted-xml"),
    (managed, f"<a xmlns='{ns.SM}' h='7'/>", "undefined-condition"),  # §4.9.3.21, with XEP-0198 §6
    (connected, "<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER, "unsupported-encoding"),  # §4.9.3.22
    (bound, "<letter/>", "unsupported-stanza-type"),  # §4.9.3.24
    (bound, "<message xmlns='jabber:server'/>", "unsupported-stanza-type"),
    (opened, "<letter xmlns='urn:example'/>", "unsupported-stanza-type"),
    (connected, header(more="version='0.9'"), "unsupported-version"),  # §4.9.3.25
    (connected, header(more="id='x'"), "unsupported-version"),  # §4.7.5: no version is 0.9
]


@pytest.mark.parametrize(
    ("place", "text", "condition"), TABLE, ids=lambda value: getattr(value, "__name__", repr(value)[:40])
)
async def test_what_a_client_does_and_the_condition_that_it_is_told(place, text, condition) -> None:
    async with standing() as stand:
        client = await place(stand)
        client.push(text)
        heard = await client.rest()
        assert conditions(heard) == [condition]
        assert_written_as_the_document_says(heard, is_opened=place is not connected)
        await until(lambda: not stand.server.session_count)


def assert_written_as_the_document_says(heard: str, *, is_opened: bool) -> None:
    """Check §4.9.1.1 to §4.9.2: opening, error, closing; condition, text, what is ours."""
    if not is_opened:
        opening = re.match(r"<\?xml version=\"1.0\"\?><stream:stream [^>]*>", heard)
        assert opening, heard
        assert 'from="localhost"' in opening[0]  # a domain of ours, whatever `to` said (§4.9.1.3)
        assert ' id="' in opening[0]
    written = heard[heard.index("<stream:error>") :]
    raw, ending = written[: written.index("</stream:stream>")], "</stream:stream>"
    assert written == raw + ending
    error = etree.fromstring(raw.replace("<stream:error>", f"<stream:error xmlns:stream='{ns.STREAMS}'>"))
    condition, *others = error
    assert etree.QName(condition).namespace == ns.STREAM_ERRORS
    if others and others[0].tag == f"{{{ns.STREAM_ERRORS}}}text":
        text = others.pop(0)
        assert text.get("{http://www.w3.org/XML/1998/namespace}lang")
    assert len(others) <= 1  # §4.9.4
    assert all(etree.QName(other).namespace not in {ns.STREAM_ERRORS, ns.CLIENT} for other in others)
    if etree.QName(condition).localname == "undefined-condition":
        assert others  # §4.9.3.21: never alone


FRAMES = [
    # what fits into a frame of its own: whether there is a session, what is sent, what is told
    (False, http.message("bob@localhost", "hi"), "not-authorized"),
    (False, f"<response xmlns='{ns.SASL}'/>", "policy-violation"),
    (False, "<letter xmlns='urn:example'/>", "unsupported-stanza-type"),
    (True, http.message("bob@localhost", "hi").replace(" to=", " from='bob@localhost' to="), "invalid-from"),
    (True, http.auth("alice"), "unsupported-stanza-type"),
    (True, f"<letter xmlns='{ns.CLIENT}'/>", "unsupported-stanza-type"),
]


@pytest.mark.parametrize(("has_session", "text", "condition"), FRAMES)
async def test_a_websocket_tells_it_in_a_frame_and_bosh_in_its_last_answer(
    has_session: bool, text: str, condition: str
) -> None:
    async with http.standing() as stand:
        socket, page = await stand.websocket(), stand.bosh_client()
        await (socket.login("alice", "desk") if has_session else socket.open())
        await socket.send(text)
        assert await socket.ended() == (condition, 1000)
        await (page.login("alice", "page") if has_session else page.open())
        answer = await page.send(text)
        assert (answer.get("type"), answer.get("condition")) == ("terminate", "remote-stream-error")
        [error] = answer.children
        assert (error.namespace, error.name) == (ns.STREAMS, "error")
        assert (error.children[0].namespace, error.children[0].name) == (ns.STREAM_ERRORS, condition)


async def test_what_follows_an_error_is_not_looked_at() -> None:  # §4.9.1.1: nobody recovers from one
    async with standing() as stand:
        bob = await stand.log_in("bob@localhost/desk")
        alice = await bound(stand)
        chat = "<message to='bob@localhost/desk' type='chat' id='{}'><body>hi</body></message>"
        alice.push(chat.format("before") + "<letter/>" + chat.format("after"))
        assert conditions(await alice.rest()) == ["unsupported-stanza-type"]
        bob.push("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>")
        heard = await bob.hear('id="last"')
        assert 'id="before"' in heard
        assert 'id="after"' not in heard


@pytest.mark.parametrize("place", [opened, logged_in, bound])
@pytest.mark.parametrize("ending", ["</stream:stream>", ""])
async def test_the_clients_error_ends_the_stream_and_is_not_answered_with_another(place, ending) -> None:
    async with standing() as stand:
        client = await place(stand)
        client.push(PEER_ERROR + MESSAGE * (not ending) + ending)
        heard = await client.rest()
        assert conditions(heard) == []
        assert heard.endswith("</stream:stream>")
        await until(lambda: not stand.server.session_count)


async def test_nothing_of_a_session_waits_after_the_clients_error() -> None:
    async with standing() as stand:
        client = await bound(stand)
        await client.say(ENABLE.replace("/>", " resume='true'/>"), until="<enabled")
        client.push(PEER_ERROR + MESSAGE)
        await client.rest()
        await until(lambda: not stand.server.session_count)


async def test_a_websocket_and_bosh_end_without_an_error_of_ours_too() -> None:
    error = f"<error xmlns='{ns.STREAMS}'><policy-violation xmlns='{ns.STREAM_ERRORS}'/></error>"
    async with http.standing() as stand:
        socket = await stand.websocket()
        await socket.login("alice", "desk")
        await socket.send(error)
        assert await socket.ended() == ("", 1000)
        page = stand.bosh_client()
        await page.login("alice", "page")
        assert (await page.send(error)).attributes == {"type": "terminate"}
        await stand.until(lambda: not stand.server.session_count)


async def test_a_stream_is_taken_by_another_that_has_its_resource() -> None:  # §4.9.3.3
    async with standing() as stand:
        first = await bound(stand)
        await stand.log_in(ALICE)
        assert conditions(await first.rest()) == ["conflict"]
