"""Operations on invitations: what is made, listed and revoked, also without a running server."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller
from tidings.operations.errors import OperationError

START = datetime(2026, 1, 1, tzinfo=UTC)


async def call(context, verb, **arguments):
    return await CATALOGUE.call(context, "invitation", verb, {"domain": "localhost", **arguments})


async def refused(context, verb, **arguments):
    with pytest.raises(OperationError) as caught:
        await call(context, verb, **arguments)
    return caught.value.code, caught.value.text


async def listed(context, **arguments):
    return (await call(context, "list", **arguments)).items


async def test_an_invitation_is_made_listed_and_revoked(context):
    created = await call(context, "create", name="Juliet", hours=24)
    assert created.expires == START + timedelta(days=1)
    assert created.landing_url == ""
    [shown] = await listed(context)
    assert (shown.id, shown.name, shown.contact, shown.by) == (created.id, "juliet", "", "operator")
    assert (shown.register, shown.uses, shown.used, shown.expires) == (True, 1, 0, created.expires)
    assert await listed(context, domain="other.test") == ()
    await call(context, "revoke", id=created.id)
    assert await listed(context) == ()
    assert (await refused(context, "revoke", id=created.id))[0] == "not-found"


async def test_the_link_is_below_the_public_address(context):
    context = replace(context, public_url=lambda: "https://chat.example.org/")
    created = await call(context, "create")
    token = created.uri.partition("preauth=")[2]
    assert created.landing_url == f"https://chat.example.org/invite/localhost/{token}"


async def test_no_two_tokens_are_alike(context):
    made = [await call(context, "create") for _ in range(50)]
    assert len({each.uri for each in made}) == 50
    assert all(len(each.uri.partition("preauth=")[2]) == 36 for each in made)


async def test_a_list_has_pages(context):
    made = {(await call(context, "create")).id for _ in range(5)}
    first = await call(context, "list", limit=3)
    rest = await call(context, "list", limit=3, after=first.next)
    assert (len(first.items), len(rest.items), rest.next) == (3, 2, None)
    assert {each.id for each in (*first.items, *rest.items)} == made


async def test_the_invitations_of_every_domain_are_listed_by_domain(context):
    made = [
        (domain, (await call(context, "create", domain=domain)).id)
        for domain in ("other.test", "localhost")
        for _ in range(3)
    ]
    shown = [(each.domain.domain, each.id) for each in await listed(context, domain=None)]
    assert shown == sorted(made)
    boss = context.acting_for(Caller.administrator(Jid("boss@other.test"), "other.test"))
    assert [each.id for each in await listed(boss, domain=None)] == [id_ for _, id_ in shown[3:]]


@pytest.mark.parametrize("limit", range(1, 8))
async def test_pages_go_on_from_one_domain_to_the_next(context, limit):
    made = {
        (await call(context, "create", domain=domain)).id
        for domain in ("localhost", "localhost", "other.test", "other.test", "other.test")
    }
    found, after = [], None
    while True:
        page = await call(context, "list", domain=None, limit=limit, after=after)
        assert len(page.items) <= limit
        found += [each.id for each in page.items]
        if page.next is None:
            break
        after = page.next
    assert (len(found), set(found)) == (5, made)


async def test_a_page_begins_behind_an_invitation(context):
    assert (await refused(context, "list", after="nothing"))[0] == "invalid"


async def test_a_name_is_promised_once(context):
    created = await call(context, "create", name="juliet")
    assert (await refused(context, "create", name="JULIET"))[0] == "conflict"
    await call(context, "revoke", id=created.id)
    again = await call(context, "create", name="juliet", hours=1)
    context.clock.advance(3_600)
    await call(context, "create", name="juliet")
    assert again.id not in {each.id for each in await listed(context)}


async def test_a_name_that_is_taken(context):
    await context.accounts.create(Jid("juliet@localhost"), "secret")
    assert (await refused(context, "create", name="juliet"))[0] == "conflict"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"register": False}, "invalid"),
        ({"user": "alice@other.test"}, "invalid"),
        ({"user": "nobody@localhost"}, "not-found"),
        ({"name": "a b"}, "invalid"),
        ({"name": ""}, "invalid"),
        ({"name": "juliet", "uses": 2}, "invalid"),
        ({"hours": 0}, "invalid"),
        ({"uses": 0}, "invalid"),
        ({"domain": None}, "invalid"),
        ({"domain": "elsewhere.test"}, "not-found"),
        ({"domain": "anon.test"}, "not-allowed"),
    ],
)
async def test_what_cannot_be(context, arguments, code):
    assert (await refused(context, "create", **arguments))[0] == code
    assert await listed(context) == ()


async def test_what_is_over_goes_when_others_are_made(context):
    for _ in range(15):
        await call(context, "create", hours=1)
    context.clock.advance(26 * 3_600)
    for _ in range(30):
        await call(context, "create")
    left = await context.stores.documents.list(Jid("localhost"), "tidings:invitations")
    assert len(left) < 45


async def test_the_domain_is_that_of_who_invites(context):
    await context.accounts.create(Jid("alice@other.test"), "secret")
    created = await call(context, "create", domain=None, user="alice@other.test")
    [shown] = await listed(context, domain="other.test")
    assert (shown.id, shown.contact) == (created.id, "alice@other.test")


async def test_an_administrator_invites_to_the_own_domain_alone(context):
    boss = context.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost"))
    await call(boss, "create")
    assert (await refused(boss, "create", domain="other.test"))[0] == "not-allowed"
    user = context.acting_for(Caller.user(Jid("alice@localhost")))
    assert (await refused(user, "create"))[0] == "not-allowed"
