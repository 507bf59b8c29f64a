"""What has happened to an account, as other doors ask for it."""

from datetime import UTC, datetime

import pytest

from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError

START = datetime(2026, 1, 1, tzinfo=UTC)
ROMEO, JULIET = "romeo@localhost", "juliet@localhost"


async def sync(context, since=None, limit=100, user=ROMEO):
    return await CATALOGUE.call(context, "archive", "sync", {"user": user, "since": since, "limit": limit})


async def refused(context, **arguments):
    with pytest.raises(OperationError) as caught:
        await CATALOGUE.call(context, "archive", "sync", arguments)
    return caught.value.code


async def everything(context):
    """Ask until nothing is left; give the last page."""
    page = await sync(context)
    while not page.complete:
        page = await sync(context, page.cursor)
    return page


@pytest.fixture
async def juliet(world):
    await world.register(ROMEO)
    return await world.login(f"{JULIET}/balcony")


def chat(text, to=ROMEO):
    return f"<message to='{to}' type='chat' id='{text}'><body>{text}</body></message>"


async def test_the_list_comes_first(live, juliet):
    await juliet.send(chat("one"), chat("two"))
    page = await sync(live)
    [row] = page.conversations
    assert (row.conversation, row.archive, row.unread, row.box) == (JULIET, ROMEO, 2, "inbox")
    assert (row.time, row.read, row.muted_until) == (START, None, None)
    assert "<body>two</body>" in row.message
    assert (page.entries, page.erased, page.complete, page.reset) == ((), (), False, False)
    page = await sync(live, page.cursor)
    assert (page.entries, page.conversations, page.complete) == ((), (), True)


async def test_then_what_has_happened_since(world, live, juliet):
    await juliet.send(chat("one"))
    page = await everything(live)
    reaction = "<reactions xmlns='urn:xmpp:reactions:0' id='two'><reaction>x</reaction></reactions>"
    await juliet.send(chat("two"), f"<message to='{ROMEO}' type='chat'>{reaction}</message>")
    await world.stores.ledger.erase(Jid(ROMEO), (1,))
    page = await sync(live, page.cursor)
    two, reacted = page.entries
    assert (two.conversation, two.kind, two.sent, two.target) == (JULIET, "message", False, None)
    assert two.time == START
    assert f'id="{two.id}"' in two.message
    assert reacted.kind == "reactions"
    [erased] = page.erased
    assert erased.first == erased.last == two.id.replace("-2", "-1")
    [row] = page.conversations
    assert (row.unread, row.last, row.message) == (1, two.id, None)


async def test_a_conversation_that_is_gone(world, live, juliet):
    await juliet.send(chat("one"))
    page = await everything(live)
    await world.stores.ledger.erase_conversation(Jid(ROMEO), Jid(JULIET))
    [row] = (await sync(live, page.cursor)).conversations
    assert (row.conversation, row.gone) == (JULIET, True)


async def test_a_page_at_a_time(live, juliet):
    page = await everything(live)
    for text in "abc":
        await juliet.send(chat(text))
    page = await sync(live, page.cursor, limit=2)
    assert (len(page.entries), page.complete) == (2, False)
    page = await sync(live, page.cursor, limit=2)
    assert (len(page.entries), page.complete) == (1, True)


async def test_a_cursor_that_is_worth_nothing(live, juliet):
    await juliet.send(chat("one"))
    assert (await sync(live, "nonsense")).reset


async def test_what_cannot_be_asked(live, juliet, context):
    assert await refused(live, user="nobody@localhost") == "not-found"
    assert await refused(live, user="romeo@elsewhere.test") == "not-found"
    assert await refused(live, user=ROMEO, limit=0) == "invalid"
    assert await refused(live, user=ROMEO, since="x" * 9_000) == "invalid"
    assert await refused(context, user=ROMEO) == "not-found"


async def test_how_much_an_archive_has(world, live, juliet):
    async def size(user):
        found = await CATALOGUE.call(live, "archive", "size", {"user": user})
        return found.entries, found.octets

    assert await size(ROMEO) == (0, 0)
    await juliet.send(chat("one"), chat("two"))
    entries, octets = await size(ROMEO)
    assert entries == 2
    assert (entries, octets) == await size(JULIET)
    assert 2 * len(chat("one")) < octets < 3 * len(chat("one"))
    await world.stores.ledger.erase(Jid(ROMEO), (1,))
    assert await size(ROMEO) == (2, octets // 2)  # two messages of one length
    for user, code in (("nobody@localhost", "not-found"), ("romeo@elsewhere.test", "not-found")):
        with pytest.raises(OperationError) as caught:
            await size(user)
        assert caught.value.code == code
