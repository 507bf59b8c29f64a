"""Retention operations: what they erase and keep, and how they say no."""

import pytest

from tidings.adapters.sql.ledger import open_memory_ledger
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.ports.ledger.batch import Append, Direction, Entry, LedgerBatch
from tidings.ports.ledger.reading import InboxQuery, PageQuery

ALICE, BOB, CAROL = (Jid(f"{name}@localhost") for name in ("alice", "bob", "carol"))
DORA = Jid("dora@other.test")
SECOND = 1_000_000


class Store:
    """A ledger with a few conversations, on the database alone."""

    def __init__(self, context: Context, ledger) -> None:
        self.context = context
        self.ledger = ledger

    async def say(self, sender: Jid, to: Jid, *texts: str) -> None:
        for text in texts:
            entries = (
                Entry(archive=sender, peer=to, direction=Direction.SENT, countable=True),
                Entry(archive=to, peer=sender, countable=True),
            )
            body = f"<message type='chat'><body>{text}</body></message>".encode()
            await self.ledger.commit(LedgerBatch(appends=(Append(body=body, entries=entries),)))
            self.context.clock.advance(1)

    async def texts(self, archive: Jid) -> list[str]:
        page = await self.ledger.page(archive, PageQuery())
        return [each.body.partition(b"<body>")[2].partition(b"</body>")[0].decode() for each in page.entries]

    async def inbox(self, owner: Jid) -> set[str]:
        page = await self.ledger.inbox(owner, InboxQuery(all_boxes=True))
        return {str(row.peer) for row in page.rows}

    async def id_at(self, archive: Jid, position: int) -> str:
        return f"{(await self.ledger.head(archive)).epoch_at(position)}-{position}"

    async def call(self, name: str, **arguments):
        return await CATALOGUE.call(self.context, "retention", name, arguments)

    async def refused(self, name: str, **arguments):
        with pytest.raises(OperationError) as caught:
            await self.call(name, **arguments)
        return caught.value.code, caught.value.text


@pytest.fixture
async def store(context):
    """Alice and Bob have said 1 to 4, Carol and Bob 5 and 6."""
    ledger = await open_memory_ledger(now=lambda: round(context.clock.now() * SECOND))
    context.stores.ledger = ledger
    filled = Store(context, ledger)
    await filled.say(ALICE, BOB, "1", "2")
    await filled.say(BOB, ALICE, "3")
    await filled.say(ALICE, BOB, "4")
    await filled.say(CAROL, BOB, "5", "6")
    yield filled
    await ledger.close()


async def test_one_message_is_erased_from_one_archive(store):
    id_ = await store.id_at(BOB, 2)
    assert (await store.call("erase-message", user="bob@localhost", id=id_)).erased == 1
    assert await store.texts(BOB) == ["1", "3", "4", "5", "6"]
    assert await store.texts(ALICE) == ["1", "2", "3", "4"]
    assert (await store.ledger.head(BOB)).position == 6
    assert (await store.call("erase-message", user="bob@localhost", id=id_)).erased == 0


async def test_one_message_is_erased_everywhere(store):
    id_ = await store.id_at(BOB, 2)
    assert (await store.call("erase-message", user="bob@localhost", id=id_, everywhere=True)).erased == 2
    assert await store.texts(BOB) == ["1", "3", "4", "5", "6"]
    assert await store.texts(ALICE) == ["1", "3", "4"]


async def test_a_message_that_is_not_there_cannot_be_erased(store):
    epoch = (await store.id_at(BOB, 1)).partition("-")[0]
    for id_ in (f"{epoch}-7", "otherepoch-1"):
        told = await store.refused("erase-message", user="bob@localhost", id=id_)
        assert told[0] == "not-found", told
    assert await store.refused("erase-message", user="bob@localhost", id="7") == (
        "invalid",
        "'7' is no archive id; one looks like 0k3f9-17",
    )
    assert (await store.refused("hold", user="bob@localhost", id=f"{epoch}-7"))[0] == "not-found"


async def test_a_conversation_is_erased_on_one_side(store):
    told = await store.call("erase-conversation", user="bob@localhost", peer="alice@localhost/phone")
    assert (told.erased, told.held) == (4, 0)
    assert await store.texts(BOB) == ["5", "6"]
    assert await store.texts(ALICE) == ["1", "2", "3", "4"]
    told = await store.call("erase-conversation", user="bob@localhost", peer="stranger@elsewhere.test")
    assert (told.erased, told.held) == (0, 0)
    assert (await store.refused("erase-conversation", user="bob@localhost", peer="a b@c"))[0] == "invalid"


async def test_a_whole_archive_is_erased(store):
    told = await store.call("erase-archive", user="bob@localhost")
    assert (told.erased, told.held) == (6, 0)
    assert await store.texts(BOB) == []
    assert (await store.ledger.head(BOB)).position == 6
    assert await store.texts(CAROL) == ["5", "6"]
    await store.say(CAROL, BOB, "7")
    assert await store.texts(BOB) == ["7"]


async def test_with_an_archive_its_conversations_leave_the_inbox(store):
    assert await store.inbox(BOB) == {"alice@localhost", "carol@localhost"}
    await store.call("erase-archive", user="bob@localhost")
    assert await store.inbox(BOB) == set()
    assert await store.inbox(CAROL) == {"bob@localhost"}
    await store.say(CAROL, BOB, "7")
    assert await store.inbox(BOB) == {"carol@localhost"}


async def test_a_conversation_with_a_held_message_stays_in_the_inbox(store):
    await store.call("hold", user="bob@localhost", id=await store.id_at(BOB, 5))
    await store.call("erase-archive", user="bob@localhost")
    assert await store.inbox(BOB) == {"carol@localhost"}


async def test_a_held_message_survives_everything(store):
    id_ = await store.id_at(BOB, 2)
    assert (await store.call("hold", user="bob@localhost", id=id_)).id == id_
    for everywhere in (False, True):
        await store.ledger.hold(ALICE, (2,))
        told = await store.refused("erase-message", user="bob@localhost", id=id_, everywhere=everywhere)
        assert told == ("conflict", f"{id_} is under legal hold; release it first")
    told = await store.call("erase-conversation", user="bob@localhost", peer="alice@localhost")
    assert (told.erased, told.held) == (3, 1)
    told = await store.call("erase-archive", user="bob@localhost")
    assert told.held == 1
    assert await store.texts(BOB) == ["2"]
    await store.call("release", user="bob@localhost", id=id_)
    assert (await store.call("erase-archive", user="bob@localhost")).held == 0
    assert await store.texts(BOB) == []


async def test_a_held_archive_survives_everything(store):
    assert (await store.call("hold", user="bob@localhost")).id is None
    await store.say(ALICE, BOB, "7")
    assert (await store.call("erase-archive", user="bob@localhost")).held == 7
    assert (await store.call("trim", user="bob@localhost", keep_messages=1)).trimmed == 0
    id_ = await store.id_at(BOB, 7)
    assert (await store.refused("erase-message", user="bob@localhost", id=id_))[0] == "conflict"
    await store.call("release", user="bob@localhost")
    assert (await store.call("erase-archive", user="bob@localhost")).erased == 7


async def test_what_has_been_erased_cannot_be_held(store):
    id_ = await store.id_at(BOB, 2)
    await store.call("erase-message", user="bob@localhost", id=id_)
    assert await store.refused("hold", user="bob@localhost", id=id_) == (
        "not-found",
        f"{id_} has been erased",
    )


async def test_trimming_by_number_and_by_age(store):
    told = await store.call("trim", user="bob@localhost", keep_messages=4)
    assert (told.archives, told.trimmed) == (1, 2)
    assert await store.texts(BOB) == ["3", "4", "5", "6"]
    store.context.clock.advance(86_400 - 3)
    told = await store.call("trim", domain="localhost", keep_days=1)
    assert told.archives == 3
    assert await store.texts(BOB) == ["4", "5", "6"]
    assert await store.texts(ALICE) == ["4"]


async def test_trimming_goes_through_one_domain_or_all(store):
    await store.say(DORA, ALICE, "7", "8")
    assert (await store.call("trim", domain="other.test", keep_messages=1)).archives == 1
    assert await store.texts(DORA) == ["8"]
    assert len(await store.texts(BOB)) == 6
    assert (await store.call("trim", keep_messages=1)).archives == 4
    assert await store.texts(BOB) == ["6"]


async def test_trimming_keeps_the_newest_octets(store):
    octets = (await store.ledger.head(BOB)).octets
    assert (await store.call("trim", user="bob@localhost", keep_octets=octets)).trimmed == 0
    assert (await store.call("trim", user="bob@localhost", keep_octets=octets - 1)).trimmed == 1
    assert await store.texts(BOB) == ["2", "3", "4", "5", "6"]
    trimmed = await store.call("trim", keep_octets=octets // 2)
    assert (trimmed.archives, trimmed.trimmed) == (3, 3)
    assert await store.texts(BOB) == ["4", "5", "6"]
    assert await store.texts(ALICE) == ["2", "3", "4"]


async def test_trimming_says_what_it_needs(store):
    assert await store.refused("trim", user="bob@localhost") == (
        "invalid",
        "say what to keep: give one or more of `keep_days`, `keep_messages`, `keep_octets`",
    )
    assert (await store.refused("trim", domain="elsewhere.test", keep_days=1))[0] == "not-found"
    assert (await store.refused("trim", user="bob@localhost", keep_days=-1))[0] == "invalid"


async def test_each_domain_has_its_own_administrators(store):
    store.context = store.context.acting_for(Caller.administrator(Jid("dora@other.test"), "other.test"))
    for name, arguments in (
        ("erase-archive", {"user": "bob@localhost"}),
        ("erase-conversation", {"user": "bob@localhost", "peer": "alice@localhost"}),
        ("erase-message", {"user": "bob@localhost", "id": "x-1"}),
        ("hold", {"user": "bob@localhost"}),
        ("release", {"user": "bob@localhost"}),
        ("trim", {"user": "bob@localhost", "keep_days": 1}),
        ("trim", {"domain": "localhost", "keep_days": 1}),
    ):
        assert (await store.refused(name, **arguments))[0] == "not-allowed", name
    assert (await store.call("trim", keep_messages=1)).archives == 0
    assert len(await store.texts(BOB)) == 6


async def test_a_message_is_erased_everywhere_by_who_administers_both_domains(store):
    await store.say(DORA, ALICE, "7")
    id_ = await store.id_at(DORA, 1)
    dora = Caller.administrator(Jid("dora@other.test"), "other.test")
    store.context = store.context.acting_for(dora)
    told = await store.refused("erase-message", user="dora@other.test", id=id_, everywhere=True)
    assert told == ("not-allowed", "dora@other.test may not administer localhost")
    assert await store.texts(ALICE) == ["1", "2", "3", "4", "7"]
    assert (await store.call("erase-message", user="dora@other.test", id=id_)).erased == 1


async def test_a_server_without_archives_says_so(context):
    context.stores.ledger = None
    with pytest.raises(OperationError) as caught:
        await CATALOGUE.call(context, "retention", "erase-archive", {"user": "bob@localhost"})
    assert (caught.value.code, caught.value.text) == ("unavailable", "this server keeps no archives")


async def test_an_account_made_on_the_database_alone_begins_with_nothing(store):
    for name, arguments in (
        ("register", {"user": "bob@localhost", "password": "x"}),
        ("remove", {"user": "bob@localhost"}),
    ):
        await CATALOGUE.call(store.context, "account", name, arguments)
        if name == "register":
            assert await store.texts(BOB) == []
            await store.say(ALICE, BOB, "7")
    assert await store.texts(BOB) == ["7"]  # until the server runs, or somebody takes the address
    await CATALOGUE.call(store.context, "account", "register", {"user": "bob@localhost", "password": "x"})
    assert await store.texts(BOB) == []
    assert len(await store.texts(ALICE)) == 5


async def test_an_address_with_held_messages_cannot_be_registered(store, world, live):
    id_ = await store.id_at(BOB, 2)
    await store.call("hold", user="bob@localhost", id=id_)
    await world.register("alice@localhost")
    alice = await world.login("alice@localhost/a")
    await world.register("bob@localhost")
    await alice.send("<message to='bob@localhost' type='chat'><body>2</body></message>")
    await world.stores.ledger.hold(BOB, (1,))
    await CATALOGUE.call(live, "account", "remove", {"user": "bob@localhost"})
    for context in (store.context, live):
        with pytest.raises(OperationError) as caught:
            await CATALOGUE.call(
                context, "account", "register", {"user": "bob@localhost", "password": "secret"}
            )
        assert (caught.value.code, caught.value.text) == (
            "conflict",
            "messages of an earlier owner of bob@localhost are under legal hold; release them first",
        )
        assert not await context.stores.accounts.exists(BOB)
    assert await store.texts(BOB) == ["2"]


async def test_on_the_running_server_what_is_erased_is_gone_from_the_archive(world, live):
    alice, _ = await world.online("alice@localhost/a"), await world.register("bob@localhost")
    for number in range(3):
        await alice.send(f"<message to='bob@localhost' type='chat'><body>text {number}</body></message>")
    last = (await world.stores.ledger.ends(BOB))[1].id
    told = await CATALOGUE.call(
        live, "retention", "erase-message", {"user": "bob@localhost", "id": str(last), "everywhere": True}
    )
    assert told.erased == 2
    for archive in (ALICE, BOB):
        assert len((await world.stores.ledger.page(archive, PageQuery())).entries) == 2
