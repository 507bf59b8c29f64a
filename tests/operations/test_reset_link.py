"""The operation that makes reset links: who gets one, for how long, and what must be known before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from tidings.base.jid import Jid
from tidings.kernel.reset_links import ResetLinks
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError

ALICE = Jid("alice@localhost")
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def reachable(context):
    """Give a context whose doors over HTTP have an address, with an account."""
    await context.accounts.create(ALICE, "old")
    return replace(context, public_url=lambda: "https://chat.example.org/", reset_link_hours=lambda: 12)


async def call(context, **arguments):
    return await CATALOGUE.call(context, "account", "reset-link", {"user": ALICE.text, **arguments})


async def refused(context, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, **arguments)
    return caught.value.code


def account_of(context, url):
    """Give the account that a link opens."""
    domain, token = url.removeprefix("https://chat.example.org/reset/").split("/")
    links = ResetLinks(context.stores.documents, context.stores.accounts, context.clock)
    return links.find(Jid(domain), token)


async def test_a_link_opens_the_account_for_as_long_as_it_says(reachable):
    made = await call(reachable)
    assert made.user == ALICE
    assert made.expires == START + timedelta(hours=12)
    assert await account_of(reachable, made.url) == ALICE
    assert (await call(reachable, hours=1)).expires == START + timedelta(hours=1)


async def test_the_password_stays_until_it_is_used(reachable):
    await call(reachable)
    assert await reachable.accounts.has_password(ALICE, "old")


@pytest.mark.parametrize("url", ["", "http://chat.example.org"])
async def test_it_needs_an_address_over_https(reachable, url):
    assert await refused(replace(reachable, public_url=lambda: url)) == "conflict"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"user": "nobody@localhost"}, "not-found"),
        ({"user": "nobody@anon.test"}, "not-found"),
        ({"user": "alice@elsewhere.test"}, "not-found"),
        ({"user": "localhost"}, "invalid"),
        ({"hours": 0}, "invalid"),
    ],
)
async def test_what_cannot_be(reachable, arguments, code):
    assert await refused(reachable, **arguments) == code


async def test_it_is_for_administrators_of_the_domain(reachable):
    await call(reachable.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost")))
    other = Caller.administrator(Jid("boss@other.test"), "other.test")
    assert await refused(reachable.acting_for(other)) == "not-allowed"
    assert await refused(reachable.acting_for(Caller.user(ALICE))) == "not-allowed"


async def test_the_audit_log_has_who_asked_and_no_token(world, live):
    await world.register(ALICE.text)
    reachable = replace(live, public_url=lambda: "https://chat.example.org")
    with capture_logs() as lines:
        made = await call(reachable, hours=2)
    [line] = lines
    assert (line["event"], line["operation"], line["by"]) == ("operation", "account reset-link", "operator")
    assert (line["subjects"], line["arguments"]) == ([ALICE.text], {"hours": 2})
    assert made.url.rpartition("/")[2] not in str(line)
