"""The page of an invitation: what it shows, to whom, and what it keeps to itself."""

from collections.abc import AsyncIterator
from html import unescape
from html.parser import HTMLParser

import pytest
from structlog.testing import capture_logs

from tests.gateways.test_http import Served, serving
from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.gateways.invitation_door import InvitationDoor
from tidings.gateways.link_pages import OPENED_PER_HOUR
from tidings.kernel.invitations import Invitations

ALICE = Jid("alice@localhost")
LOCALHOST = Jid("localhost")


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


class Stand:
    """A door on a real port, and the invitations behind it."""

    def __init__(self, world: World, served: Served) -> None:
        self.world = world
        self.served = served
        self.clock: VirtualClock = world.clock
        self.invitations = Invitations(world.stores.documents, world.stores.accounts, world.clock)
        InvitationDoor(served.gateway, world.server.hosts, self.invitations, world.clock.monotonic)

    async def look(self, token: str, domain: str = "localhost") -> tuple[int, str]:
        status, headers, text = await self.served.ask("GET", f"/invite/{domain}/{token}")
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none';")
        return status, text


@pytest.fixture
async def stand(world: World) -> AsyncIterator[Stand]:
    await world.register(ALICE.text)
    async with serving() as served:
        yield Stand(world, served)


async def test_the_page_opens_the_invitation_in_a_client(stand: Stand) -> None:
    _, token = await stand.invitations.create(LOCALHOST, seconds=3_600)
    status, text = await stand.look(token)
    page = Page(text)
    assert status == 200
    assert page.links[0] == f"xmpp:localhost?register;preauth={token}"
    assert "You are invited to localhost" in page.text
    assert "2026-01-01 01:00 UTC" in page.text
    assert "Conversations" in page.text
    assert "https://xmpp.org/software/" in page.links


async def test_the_page_tells_who_invites(stand: Stand) -> None:
    _, token = await stand.invitations.create(LOCALHOST, seconds=3_600, contact=ALICE)
    page = Page((await stand.look(token))[1])
    assert page.links[0] == f"xmpp:alice@localhost?roster;preauth={token};ibr=y"
    assert "alice@localhost invites you to chat" in page.text


async def test_nothing_is_loaded_and_nothing_runs(stand: Stand) -> None:
    _, token = await stand.invitations.create(LOCALHOST, seconds=3_600)
    page = Page((await stand.look(token))[1])
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "form", "object", "base"})


async def test_a_name_is_text_and_no_html(stand: Stand) -> None:
    await stand.world.register("a!b;c*(x)@localhost")
    for name, contact in (("juliet+x;y=1", None), ("", Jid("a!b;c*(x)@localhost"))):
        _, token = await stand.invitations.create(LOCALHOST, seconds=3_600, name=name, contact=contact)
        text = (await stand.look(token))[1]
        page = Page(text)
        assert (name or str(contact)) in unescape(page.text)
        assert page.links[0].count(";") == (2 if contact else 1)


async def test_looking_uses_nothing_up(stand: Stand) -> None:
    invitation, token = await stand.invitations.create(LOCALHOST, seconds=3_600)
    for _ in range(3):
        assert (await stand.look(token))[0] == 200
    await stand.invitations.take(LOCALHOST, invitation)


async def test_a_wrong_link_does_not_tell_whether_it_was_ever_right(stand: Stand) -> None:
    old, old_token = await stand.invitations.create(LOCALHOST, seconds=60)
    used, used_token = await stand.invitations.create(LOCALHOST, seconds=10_000)
    revoked, revoked_token = await stand.invitations.create(LOCALHOST, seconds=10_000)
    await stand.invitations.take(LOCALHOST, used)
    await stand.invitations.revoke(LOCALHOST, revoked.id)
    stand.clock.advance(61)
    with capture_logs() as lines:
        answers = {
            await stand.look(old_token),
            await stand.look(used_token),
            await stand.look(revoked_token),
            await stand.look("a" * 36),
            await stand.look("short"),
            await stand.look(used_token, "nowhere.test"),
            await stand.look(used_token, "other.test"),
            await stand.look(used_token, "alice%40localhost"),
            await stand.look("%C3%28"),
        }
    assert len(answers) == 1
    assert {status for status, _ in answers} == {404}
    assert {"it has run out", "it is used up", "there is no such token"} <= {line["reason"] for line in lines}
    assert all(secret not in str(lines) for secret in (old_token, used_token, revoked_token))
    assert old.id not in str(lines)


async def test_a_link_without_a_token(stand: Stand) -> None:
    for path in ("/invite", "/invite/", "/invite/localhost", "/invite/localhost/"):
        status, _, text = await stand.served.ask("GET", path)
        assert status == 404
        assert "not valid" in text


async def test_links_cannot_be_tried_without_end(stand: Stand) -> None:
    for _ in range(OPENED_PER_HOUR):
        assert (await stand.look("a" * 36))[0] == 404
    _, token = await stand.invitations.create(LOCALHOST, seconds=10_000)
    assert (await stand.look(token))[0] == 429
    stand.clock.advance(3_600)
    assert (await stand.look(token))[0] == 200


async def test_nothing_can_be_sent_there(stand: Stand) -> None:
    assert (await stand.served.ask("POST", "/invite/localhost/x"))[0] == 405
