"""Files by operation: slots, lists, how much there is, and what is in the export of personal data."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World
from tidings.app.uploads import UPLOADS
from tidings.base.jid import Jid
from tidings.features.upload.options import UploadOptions
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError

ALICE, BOB = "alice@localhost", "bob@localhost"
FILE = {"filename": "très cool.png", "size": 900, "content_type": "image/png"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    options = {"upload": UploadOptions(max_file_bytes=1_000, account_files=2)}
    world = await World.start(services=[UPLOADS], options=options)
    for account in (ALICE, BOB):
        await world.register(account)
    yield world
    await world.stop()


async def call(context: Context, name: str, **arguments: object):
    return await CATALOGUE.call(context, "http-upload", name, arguments)


async def refused(context: Context, name: str, **arguments: object) -> tuple[str, str, str]:
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code, caught.value.text, caught.value.reason


async def test_a_domain_has_slots_of_its_own(world: World) -> None:
    urls = await call(world.context, "get-url", domain="localhost", timeout=600, **FILE)
    assert urls.get_url.endswith("/tr%C3%A8s%20cool.png")
    assert urls.put_url.startswith(f"{urls.get_url}?slot=")
    assert urls.header == ()
    (file,) = await world.stores.files.list(Jid("localhost"))
    assert file.expires == world.clock.now() + 600
    usage = await call(world.context, "domain-usage", domain="localhost")
    assert (usage.files, usage.octets) == (1, 900)
    assert (await call(world.context, "usage", user=ALICE)).files == 0


async def test_an_account_has_slots_within_its_limits(world: World) -> None:
    for _ in range(2):
        await call(world.context, "get-own-url", user=ALICE, **FILE)
    told = await refused(world.context, "get-own-url", user=ALICE, **FILE)
    assert told == ("conflict", "You have as many files as there may be, or as large ones", "")
    usage = await call(world.context, "usage", user=ALICE)
    assert (usage.files, usage.octets) == (2, 1_800)


async def test_what_is_no_file_is_refused(world: World) -> None:
    large = FILE | {"size": 10_000_000_000}
    text = "File too large. The maximum file size is 1000 bytes"
    told = await refused(world.context, "get-url", domain="localhost", **large)
    assert told == ("invalid", text, "file_too_large_error")
    for wrong in ({"content_type": "x"}, {"filename": ""}, {"filename": "ü" * 200}, {"size": 0}):
        assert (await refused(world.context, "get-url", domain="localhost", **FILE | wrong))[0] == "invalid"
    assert (await refused(world.context, "get-url", domain="nowhere.test", **FILE))[0] == "not-found"
    nobody = "nobody@localhost"
    assert (await refused(world.context, "get-own-url", user=nobody, **FILE))[0] == "not-found"
    assert (await refused(world.context, "usage", user=nobody))[0] == "not-found"
    nul = await refused(world.context, "get-url", domain="localhost", **FILE | {"filename": "a\0b"})
    assert nul[:2] == ("invalid", "`filename`: XML cannot carry the character U+0000")
    path = await call(world.context, "get-url", domain="localhost", **FILE | {"filename": "/../b"})
    assert path.get_url.endswith("/_.._b")


async def test_files_are_listed_and_removed(world: World) -> None:
    for _ in range(2):
        await call(world.context, "get-own-url", user=ALICE, **FILE)
    first = await call(world.context, "list", user=ALICE, limit=1)
    second = await call(world.context, "list", user=ALICE, limit=1, after=first.next)
    assert (len(first.items), len(second.items), second.next) == (1, 1, None)
    (file,) = first.items
    assert (file.name, file.size, file.content_type) == ("très cool.png", 900, "image/png")
    assert (file.complete, file.sha256, file.references) == (False, None, 0)
    assert (await refused(world.context, "remove", user=BOB, id=file.id))[0] == "not-found"
    await call(world.context, "remove", user=ALICE, id=file.id)
    assert (await refused(world.context, "remove", user=ALICE, id=file.id))[0] == "not-found"
    assert (await call(world.context, "usage", user=ALICE)).files == 1


async def test_people_see_and_remove_their_own_alone(world: World) -> None:
    bob = world.context.acting_for(Caller.user(Jid(BOB)))
    await call(bob, "get-own-url", user=BOB, **FILE)
    assert len((await call(bob, "list", user=BOB)).items) == 1
    for name, arguments in (
        ("list", {"user": ALICE}),
        ("usage", {"user": ALICE}),
        ("get-own-url", {"user": ALICE, **FILE}),
        ("get-url", {"domain": "localhost", **FILE}),
        ("domain-usage", {"domain": "localhost"}),
    ):
        assert (await refused(bob, name, **arguments))[0] == "not-allowed"


async def test_personal_data_lists_the_files(world: World) -> None:
    await call(world.context, "get-own-url", user=ALICE, **FILE)
    await call(world.context, "get-own-url", user=ALICE, **FILE | {"filename": "still to come"})
    found = {each.name: each for each in await world.stores.files.list(Jid(ALICE))}
    whole = found["très cool.png"]
    await world.stores.files.complete(whole.id, sha256=bytes(range(32)), expires=2e9)
    pieces = CATALOGUE.stream(world.context, "account", "export-personal-data", {"user": ALICE})
    document = "".join([piece.text async for piece in pieces])
    assert f'id="{whole.id}"' in document
    assert 'name="très cool.png"' in document
    assert f'sha-256="{bytes(range(32)).hex()}"' in document
    assert "still to come" not in document
