"""What strangers have sent is read to its end, however large it is, over a real socket.

Nobody is ended for what he was sent, or for what he asks for: answers end early by octets, or wait for who
reads.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable

import pytest

from tests.streams.stand import Raw, Stand, standing, until
from tidings.base.limits import XmlLimits
from tidings.kernel.clock import SystemClock
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xml.parser import StreamParser

BOB = "bob@localhost"
SENDERS = 60
TEXT = "x" * 250_000
PAGE_OCTETS = 1_048_576
PATIENCE = 60.0

MAM = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>{}</set></query>"
INBOX = "<inbox xmlns='erlang-solutions.com:xmpp:inbox:0'/>"
INBOX1 = "<inbox xmlns='urn:xmpp:inbox:1'/>"
SYNC = "<sync xmlns='urn:tidings:sync:0'{}/>"
_SENDER = re.compile(rb'from="sender(\d+)@localhost')
_CURSOR = re.compile(rb'cursor="([^"]*)"')


class Reading:
    """A client that reads all it is sent, counts it and acknowledges where it is asked."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._parser = StreamParser(XmlLimits(stanza_bytes=1 << 20))
        self._parser.feed(
            b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        )
        self._number = 0
        self.is_counting = False
        self.counted = 0
        self.got: list[bytes] = []
        """The messages, as they came."""
        self._answers: dict[str, bytes] = {}

    @classmethod
    async def login(cls, stand: Stand, resource: str, *, is_managed: bool) -> Reading:
        client = cls(await stand.log_in(f"{BOB}/{resource}"))
        if is_managed:
            client._raw.push("<enable xmlns='urn:xmpp:sm:3'/>")
            await client.until(lambda: client.is_counting)
        return client

    def say(self, text: str) -> None:
        self._raw.push(text)

    async def ask(self, payload: str, *, kind: str = "set") -> tuple[list[bytes], bytes]:
        """Send a request; give the messages that came with the answer, and the answer."""
        self._number += 1
        id_ = f"q{self._number}"
        self.got = []
        self.say(f"<iq type='{kind}' id='{id_}'>{payload}</iq>")
        await self.until(lambda: id_ in self._answers)
        return self.got, self._answers.pop(id_)

    async def until(self, condition: Callable[[], object]) -> None:
        """Read on until something holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self.read()

    async def read(self) -> None:
        data = await self._raw.reader.read(65_536)
        assert data, "the stream has ended"
        for event in self._parser.feed(data):
            assert isinstance(event, Fragment)
            self._take(event)

    def _take(self, fragment: Fragment) -> None:
        raw = b'from="%b" ' % fragment.attributes.get("from", "").encode() + fragment.content
        match fragment.name:
            case "enabled":
                self.is_counting = True
                return
            case "r":
                self.say(f"<a xmlns='urn:xmpp:sm:3' h='{self.counted}'/>")
                return
            case "message":
                self.got.append(raw)
            case "iq" if fragment.attributes["type"] in {"result", "error"}:
                assert fragment.attributes["type"] == "result", raw
                self._answers[fragment.attributes["id"]] = raw
            case "iq":  # a ping
                self.say(f"<iq type='result' id='{fragment.attributes['id']}' to='localhost'/>")
        self.counted += 1

    async def close(self) -> None:
        self.say("</stream:stream>")
        while await self._raw.reader.read(65_536):
            pass


async def everybody_sends(stand: Stand) -> None:
    """Have each sender send one large message to bob, one after another."""
    for number in range(SENDERS):
        sender = await stand.world.login(f"sender{number}@localhost/x")
        sender.push(f"<message to='{BOB}' type='chat' id='m{number}'><body>{TEXT}</body></message>")
        await until(lambda inbound=sender.session.inbound: inbound.idle)
        await sender.leave()


def senders(messages: list[bytes]) -> list[int]:
    """Tell whose messages these are, in their order."""
    found = [_SENDER.search(message) for message in messages]
    return [int(match[1]) for match in found if match is not None]


async def in_pages(
    ask: Callable[[str], Awaitable[tuple[list[bytes], bytes]]], first: str, going_on: str, cursor: bytes
):
    """Ask for page after page until one is complete; gives what came in each."""
    pages: list[list[bytes]] = []
    query = first
    while True:
        messages, answer = await ask(query)
        pages.append(messages)
        if b'complete="true"' in answer:
            return pages
        found = re.search(cursor, answer)
        assert found is not None, answer
        query = going_on.format(found[1].decode())


def joined(pages: Iterable[list[bytes]]) -> list[bytes]:
    return [message for page in pages for message in page]


def assert_pages_are_small(pages: list[list[bytes]]) -> None:
    assert len(pages) > 1
    for page in pages:
        assert page or page is pages[-1]
        assert sum(map(len, page)) < PAGE_OCTETS + 10_000


EVERYBODY = [*range(SENDERS)]


@pytest.mark.parametrize("is_managed", [False, True])
async def test_archive_inbox_and_sync_are_read_to_the_end(is_managed: bool) -> None:
    async with standing(clock=SystemClock()) as stand:
        bob = await Reading.login(stand, "before", is_managed=False)
        _, answer = await bob.ask(SYNC.format(""), kind="get")
        [since] = _CURSOR.findall(answer)
        await bob.close()
        await everybody_sends(stand)
        bob = await Reading.login(stand, "phone", is_managed=is_managed)

        async def ask_archive(page: str) -> tuple[list[bytes], bytes]:
            return await bob.ask(MAM.format(page))

        async def ask_sync(attributes: str) -> tuple[list[bytes], bytes]:
            return await bob.ask(SYNC.format(attributes), kind="get")

        pages = await in_pages(ask_archive, "", "<after>{}</after>", rb"<last>([^<]*)</last>")
        assert_pages_are_small(pages)
        assert senders(joined(pages)) == EVERYBODY
        pages = await in_pages(
            ask_archive, "<before/>", "<before>{}</before>", rb"<first[^>]*>([^<]*)</first>"
        )
        assert_pages_are_small(pages)
        assert senders(joined(reversed(pages))) == EVERYBODY
        messages, _ = await bob.ask(INBOX)
        assert senders(messages) == EVERYBODY[::-1]
        messages, _ = await bob.ask(INBOX1, kind="get")
        assert len(messages) == SENDERS
        pages = await in_pages(ask_sync, f" since='{since.decode()}'", " since='{}'", rb'cursor="([^"]*)"')
        assert_pages_are_small(pages)
        entries = [message for message in joined(pages) if b"<entry " in message]
        assert senders(entries) == EVERYBODY
        pages = await in_pages(ask_sync, "", " since='{}'", rb'cursor="([^"]*)"')
        assert_pages_are_small(pages)
        assert senders([each for each in joined(pages) if b"<conversation " in each]) == EVERYBODY[::-1]


@pytest.mark.parametrize("is_managed", [False, True])
async def test_what_came_while_nobody_was_there_is_replayed_to_the_end(is_managed: bool) -> None:
    async with standing(clock=SystemClock()) as stand:
        await stand.register(BOB)
        await everybody_sends(stand)
        bob = await Reading.login(stand, "phone", is_managed=is_managed)
        bob.say("<presence/>")
        await bob.until(lambda: len(bob.got) >= SENDERS)
        assert senders(bob.got) == EVERYBODY


@pytest.mark.parametrize("is_managed", [False, True])
async def test_who_reads_slowly_gets_everything_that_is_sent_live(is_managed: bool) -> None:
    async with standing(clock=SystemClock()) as stand:
        bob = await Reading.login(stand, "phone", is_managed=is_managed)
        bob.say("<presence/>")
        await bob.until(lambda: bob.counted)
        await everybody_sends(stand)  # of which bob reads nothing for now
        assert stand.server.session_count == 1
        await bob.until(lambda: len(bob.got) >= SENDERS)
        assert senders(bob.got) == EVERYBODY
        bob.got = []
        again = await stand.world.login("sender0@localhost/x")
        again.push(f"<message to='{BOB}' type='chat'><body>live again</body></message>")
        await bob.until(lambda: bob.got)
        assert b"live again" in bob.got[0]
        await again.leave()


async def test_a_request_waits_until_the_answers_before_it_are_read() -> None:
    async with standing(clock=SystemClock()) as stand:
        await stand.register(BOB)
        await everybody_sends(stand)
        bob = await Reading.login(stand, "phone", is_managed=True)
        for number in range(20):  # 20 MB of answers, asked for at once
            bob.say(f"<iq type='set' id='p{number}'>{MAM.format('')}</iq>")
        messages, _ = await bob.ask("<ping xmlns='urn:xmpp:ping'/>", kind="get")
        await bob.until(lambda: len(bob._answers) == 20)
        assert len(messages) == 20 * 4
