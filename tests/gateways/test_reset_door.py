"""The page of a reset link: who gets another password by it, how often, and what nobody is told."""

import asyncio
from collections.abc import AsyncIterator
from html import unescape
from html.parser import HTMLParser

import pytest
from structlog.testing import capture_logs

from tests.gateways.test_http import Served, serving
from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.gateways.link_pages import OPENED_PER_HOUR
from tidings.gateways.reset_door import ResetDoor
from tidings.kernel.reset_links import ResetLinks, reset_path

ALICE = Jid("alice@localhost")
HOUR = 3_600.0
PASSWORD = "correct horse"


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.form: dict[str, str | None] | None = None
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        if tag == "form":
            self.form = given
        elif tag == "input":
            self.fields[given["name"] or ""] = given

    def handle_data(self, data: str) -> None:
        self.text += data


class Stand:
    """A door on a real port, and a server with an account behind it."""

    def __init__(self, world: World, served: Served) -> None:
        self.world = world
        self.served = served
        self.clock: VirtualClock = world.clock
        self.accounts = world.context.accounts
        self.links = ResetLinks(world.stores.documents, world.stores.accounts, world.clock)
        ResetDoor(served.gateway, world.server.hosts, self.links, self.accounts, world.clock.monotonic)

    async def link(self, account: Jid = ALICE, *, seconds: float = HOUR) -> str:
        """Make a link and give the path of its page."""
        token, _ = await self.links.create(account, seconds=seconds)
        return reset_path(account, token)

    async def look(self, path: str, **details: object) -> tuple[int, str]:
        return await self._ask("GET", path, **details)

    async def send(
        self, path: str, password: str = PASSWORD, again: str | None = None, **details: object
    ) -> tuple[int, str]:
        form = {
            "username": "mallory@localhost",
            "password": password,
            "again": password if again is None else again,
        }
        return await self._ask("POST", path, **{"data": form, **details})

    async def _ask(self, method: str, path: str, **details: object) -> tuple[int, str]:
        status, headers, text = await self.served.ask(method, path, **details)
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert "form-action 'self'" in headers["Content-Security-Policy"]
        return status, text

    async def has_password(self, password: str, account: Jid = ALICE) -> bool:
        return await self.accounts.has_password(account, password)


@pytest.fixture
async def stand(world: World) -> AsyncIterator[Stand]:
    async with serving() as served:
        stand = Stand(world, served)
        await stand.accounts.create(ALICE, "old")
        yield stand


async def test_a_password_is_chosen_by_a_link(stand: Stand) -> None:
    path = await stand.link()
    status, text = await stand.look(path)
    page = Page(text)
    assert status == 200
    assert page.form is not None
    assert page.form["method"] == "post"
    assert "action" not in page.form
    assert page.fields["username"]["value"] == ALICE.text
    assert page.fields["password"]["type"] == page.fields["again"]["type"] == "password"
    status, text = await stand.send(path)
    assert (status, "The password is changed" in text) == (200, True)
    assert await stand.has_password(PASSWORD)
    assert not await stand.has_password("old")


async def test_sessions_and_tokens_end_as_with_any_new_password(stand: Stand) -> None:
    phone = await stand.world.login("alice@localhost/phone")
    other = await stand.world.login("bob@localhost/phone")
    await stand.send(await stand.link())
    assert phone.error is not None
    assert phone.error.text == "the password has been changed"
    assert not other.closed


async def test_the_log_tells_who_got_a_password_from_where_and_no_secret(stand: Stand) -> None:
    path = await stand.link()
    with capture_logs() as lines:
        await stand.look(path)
        await stand.send(path)
    [line] = [line for line in lines if line["event"] == "password_changed"]
    assert (line["account"], line["address"], line["log_level"]) == (ALICE.text, "127.0.0.1", "info")
    assert path.rpartition("/")[2] not in str(lines)
    assert PASSWORD not in str(lines)


async def test_opening_a_link_uses_nothing_up(stand: Stand) -> None:
    path = await stand.link()
    for _ in range(3):
        assert (await stand.look(path))[0] == 200
        assert (await stand.served.ask("HEAD", path))[0] == 200
    assert (await stand.send(path))[0] == 200


async def test_it_is_used_once_also_by_two_at_once(stand: Stand) -> None:
    path = await stand.link()
    passwords = [f"password {number}" for number in range(4)]
    answers = await asyncio.gather(*(stand.send(path, password) for password in passwords))
    assert sorted(status for status, _ in answers) == [200, 404, 404, 404]
    for (status, _), password in zip(answers, passwords, strict=True):
        assert await stand.has_password(password) == (status == 200)
    assert (await stand.send(path, "another"))[0] == 404
    assert not await stand.has_password("another")


@pytest.mark.parametrize(
    ("password", "again", "told"),
    [
        (PASSWORD, "correct house", "The two passwords are not the same."),
        ("", "", "the password is empty"),
        ("x" * 1_024, None, "the password is longer than 1023 octets"),
        ("bell\a", None, "a character that cannot be typed"),
    ],
)
async def test_what_can_be_no_password_is_told_and_tried_again(
    stand: Stand, password: str, again: str | None, told: str
) -> None:
    path = await stand.link()
    status, text = await stand.send(path, password, again)
    page = Page(text)
    assert (status, page.form is not None) == (422, True)
    assert told in unescape(page.text)
    assert "correct" not in text  # what was typed is not shown
    assert await stand.has_password("old")
    assert (await stand.send(path))[0] == 200


async def test_passwords_are_prepared_as_everywhere(stand: Stand) -> None:
    assert (await stand.send(await stand.link(), "ﬁ⁴Ünï+%&="))[0] == 200
    assert await stand.has_password("fi4Ünï+%&=")
    longest = "ä" * 511
    assert (await stand.send(await stand.link(), longest))[0] == 200
    assert await stand.has_password(longest)


async def test_a_wrong_link_does_not_tell_whether_it_was_ever_right(stand: Stand) -> None:
    ran_out = await stand.link(seconds=60)
    stand.clock.advance(61)
    used = await stand.link()
    await stand.send(used)
    overtaken = await stand.link()
    await stand.accounts.set_password(ALICE, "changed otherwise")
    replaced = await stand.link()
    right = await stand.link()
    token = right.rpartition("/")[2]
    wrong = [
        *(ran_out, used, overtaken, replaced),
        f"/reset/localhost/{token[:-1]}{'a' if token[-1] != 'a' else 'b'}",
        f"/reset/localhost/{token[-26:]}",
        f"/reset/localhost/{token.upper()}",
        f"/reset/localhost/{token}a",
        f"/reset/other.test/{token}",
        f"/reset/nowhere.test/{token}",
        f"/reset/alice%40localhost/{token}",
        "/reset/localhost/" + "a" * 40,
        "/reset/localhost/%C3%28",
        "/reset/localhost/",
        "/reset/localhost",
        "/reset",
    ]
    with capture_logs() as lines:
        answers = {await ask(path) for path in wrong for ask in (stand.look, stand.send)}
    assert len(answers) == 1
    [(status, text)] = answers
    assert status == 404
    assert ALICE.text not in text
    assert all(path.rpartition("/")[2] not in str(lines) for path in wrong[:5])
    assert await stand.has_password("changed otherwise")
    assert (await stand.look(right))[0] == 200


async def test_what_is_wrong_is_in_the_log(stand: Stand) -> None:
    with capture_logs() as lines:
        path = await stand.link(seconds=60)
        await stand.send(await stand.link())
        await stand.look(path)
        path = await stand.link(seconds=60)
        stand.clock.advance(60)
        await stand.look(path)
        path = await stand.link()
        await stand.accounts.set_password(ALICE, "changed otherwise")
        await stand.send(path)
    refused = [line for line in lines if line["event"] == "reset_link_refused"]
    assert [line["reason"] for line in refused] == [
        "there is no such token",
        "it has run out",
        "the password has been changed since",
    ]
    assert {line["address"] for line in refused} == {"127.0.0.1"}


async def test_links_cannot_be_tried_without_end(stand: Stand) -> None:
    path = await stand.link(seconds=10 * HOUR)
    for number in range(OPENED_PER_HOUR):
        ask = stand.look if number % 2 else stand.send
        assert (await ask("/reset/localhost/" + "a" * 40))[0] == 404
    assert (await stand.send(path))[0] == 429
    assert await stand.has_password("old")
    stand.clock.advance(HOUR)
    assert (await stand.send(path))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "null"}, 403),
        ({"Origin": "null"}, 200),
        ({"Origin": "https://chat.example.org"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://{own}"}, 200),
    ],
)
async def test_forms_of_other_pages_are_refused(world: World, headers: dict[str, str], status: int) -> None:
    async with serving(public_url="https://chat.example.org") as served:
        stand = Stand(world, served)
        await stand.accounts.create(ALICE, "old")
        own = f"127.0.0.1:{served.port}"
        path = await stand.link()
        sent = {name: value.format(own=own) for name, value in headers.items()}
        assert (await stand.send(path, headers=sent))[0] == status
        assert await stand.has_password("old") == (status == 403)
        if status == 403:  # and it uses nothing up
            assert (await stand.send(path))[0] == 200


@pytest.mark.parametrize("secure", [True, False])
async def test_a_password_needs_an_encrypted_connection(world: World, secure: bool) -> None:
    async with serving(trusted_proxies=("127.0.0.1",)) as served:
        stand = Stand(world, served)
        await stand.accounts.create(ALICE, "old")
        path = await stand.link()
        headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https" if secure else "http"}
        expected = 200 if secure else 403
        assert (await stand.look(path, headers=headers))[0] == expected
        assert (await stand.send(path, headers=headers))[0] == expected
        assert await stand.has_password(PASSWORD) == secure


@pytest.mark.parametrize(
    ("details", "status"),
    [
        ({"json": {"password": "x", "again": "x"}}, 415),
        ({"data": {"password": "x"}}, 400),
        ({"data": {"password": "x" * 20_000, "again": "x" * 20_000}}, 413),
        ({"data": b"password=%ff&again=%ff"}, 400),
        ({"data": b"password=x&again=x" + b"&a=b" * 20}, 400),
    ],
)
async def test_what_is_no_form_is_refused(stand: Stand, details: dict[str, object], status: int) -> None:
    path = await stand.link()
    if isinstance(details.get("data"), bytes):
        details = {**details, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    assert (await stand.send(path, **{"data": None, **details}))[0] == status
    assert (await stand.send(path))[0] == 200


async def test_nothing_is_loaded_and_nothing_runs(stand: Stand) -> None:
    path = await stand.link()
    for text in (
        (await stand.look(path))[1],
        (await stand.send(path, "", ""))[1],
        (await stand.send(path))[1],
    ):
        assert Page(text).tags.isdisjoint({"script", "img", "link", "iframe", "object", "base", "a"})


async def test_a_name_is_text_and_no_html(stand: Stand) -> None:
    odd = Jid("a!b;c*(x)=\u00fc#%\u65e5@localhost")
    await stand.accounts.create(odd, "old")
    path = await stand.link(odd)
    assert Page((await stand.look(path))[1]).fields["username"]["value"] == odd.text
    assert (await stand.send(path))[0] == 200
    assert await stand.has_password(PASSWORD, odd)


async def test_an_account_with_the_longest_name_has_links(stand: Stand) -> None:
    longest = Jid("a" * 1_023 + "@localhost")
    await stand.accounts.create(longest, "old")
    assert (await stand.send(await stand.link(longest)))[0] == 200
    assert await stand.has_password(PASSWORD, longest)
