"""The contract of the files port; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tests.contracts.samples import ALICE, BOB, LONGEST
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.files import (
    FOR_EVER,
    FileRecord,
    FileState,
    Mention,
    Quota,
    QuotaExceeded,
    Usage,
)
from tidings.ports.stores import Stores

DOMAIN = Jid("example.org")
ROOM = Jid("tea@conference.example.org")
NO_LIMIT = Quota()
DIGEST = bytes(range(32))


def a_file(id_: str = "file-one", owner: Jid = ALICE, size: int = 100, **more: object) -> FileRecord:
    return FileRecord(
        id=id_,
        owner=owner,
        name="très ' \\ %s \U0001f4ec.png",
        size=size,
        content_type="image/png",
        created=1.5,
        expires=300.25,
        **more,  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
async def _people(stores: Stores) -> None:
    for account in (ALICE, BOB):
        await stores.accounts.create(account, (), 1.0)


async def announce(stores: Stores, *records: FileRecord) -> None:
    for record in records:
        await stores.files.announce(record, own=NO_LIMIT, domain=NO_LIMIT)


async def upload(stores: Stores, *records: FileRecord, expires: float = 1e9) -> None:
    await announce(stores, *records)
    for record in records:
        assert await stores.files.complete(record.id, sha256=DIGEST, expires=expires)


async def test_a_file_is_announced_and_completed(stores: Stores) -> None:
    record = a_file(size=10_000_000_000)
    assert await stores.files.get(record.id) is None
    await announce(stores, record)
    assert await stores.files.get(record.id) == record
    assert await stores.files.postpone(record.id, 400.0)
    assert await stores.files.complete(record.id, sha256=DIGEST, expires=FOR_EVER)
    whole = replace(record, state=FileState.COMPLETE, sha256=DIGEST, expires=FOR_EVER)
    assert await stores.files.get(record.id) == whole
    assert await stores.files.get(record.id.upper()) is None
    assert not await stores.files.complete(record.id, sha256=bytes(32), expires=1.0)
    assert not await stores.files.postpone(record.id, 1.0)
    assert not await stores.files.complete("nothing1", sha256=bytes(32), expires=1.0)
    assert await stores.files.get(record.id) == whole


async def test_nobody_has_files_who_has_no_account(stores: Stores) -> None:
    with pytest.raises(NoSuchAccount):
        await announce(stores, a_file(owner=Jid("nobody@example.org")))
    assert await stores.files.usage(DOMAIN) == Usage()
    await announce(stores, a_file(owner=DOMAIN))
    assert await stores.files.usage(DOMAIN) == Usage(1, 100)


async def test_what_is_announced_counts(stores: Stores) -> None:
    await announce(stores, a_file("file-one", size=100), a_file("file-two", size=20))
    await upload(stores, a_file("file-bob", BOB, size=3))
    assert await stores.files.usage(ALICE) == Usage(2, 120)
    assert await stores.files.usage(BOB) == Usage(1, 3)
    assert await stores.files.usage(DOMAIN) == Usage(3, 123)
    assert await stores.files.usage(Jid("other.test")) == Usage()


@pytest.mark.parametrize(
    ("own", "domain", "holder"),
    [
        (Quota(files=2), NO_LIMIT, ALICE),
        (Quota(octets=299), NO_LIMIT, ALICE),
        (Quota(files=3, octets=300), Quota(files=2), DOMAIN),
        (NO_LIMIT, Quota(octets=299), DOMAIN),
    ],
)
async def test_a_quota_is_kept(stores: Stores, own: Quota, domain: Quota, holder: Jid) -> None:
    await stores.files.announce(a_file("file-one"), own=own, domain=domain)
    await stores.files.announce(replace(a_file("file-two"), expires=200.0), own=own, domain=domain)
    with pytest.raises(QuotaExceeded) as caught:
        await stores.files.announce(a_file("file-three"), own=own, domain=domain)
    assert (caught.value.holder, caught.value.until) == (holder, 200.0)
    assert await stores.files.get("file-three") is None
    assert await stores.files.usage(ALICE) == Usage(2, 200)
    await stores.files.discard(["file-two"])
    await stores.files.announce(a_file("file-three"), own=own, domain=domain)


async def test_a_quota_is_kept_by_many_at_once(stores: Stores) -> None:
    async def announced(number: int) -> bool:
        try:
            await stores.files.announce(
                a_file(f"file-{number:04}"), own=Quota(files=5), domain=Quota(octets=1_000)
            )
        except QuotaExceeded:
            return False
        return True

    done = await asyncio.gather(*map(announced, range(12)))
    assert sum(done) == 5
    assert await stores.files.usage(ALICE) == Usage(5, 500)


async def test_what_is_discarded_is_found_by_nobody_and_waits(stores: Stores) -> None:
    await upload(stores, a_file("file-one"), a_file("file-two"))
    assert await stores.files.due(299.0) == ()
    assert await stores.files.discard(["file-one", "file-one", "nothing1"]) == 1
    assert await stores.files.discard(["file-one"]) == 0
    assert await stores.files.get("file-one") is None
    assert [each.id for each in await stores.files.list(ALICE)] == ["file-two"]
    assert await stores.files.usage(ALICE) == Usage(1, 100)
    (due,) = await stores.files.due(0.0)
    assert (due.id, due.state) == ("file-one", FileState.GONE)
    await stores.files.forget(["file-one"])
    assert await stores.files.due(0.0) == ()
    assert await stores.files.usage(DOMAIN) == Usage(1, 100)


async def test_what_has_expired_is_due_and_counts_until_it_is_forgotten(stores: Stores) -> None:
    await upload(stores, a_file("file-one"), expires=50.0)
    await announce(stores, a_file("file-two"), replace(a_file("file-new"), expires=100.0))
    assert [each.id for each in await stores.files.due(49.9)] == []
    assert [each.id for each in await stores.files.due(300.25)] == ["file-one", "file-new", "file-two"]
    assert [each.id for each in await stores.files.due(300.25, limit=1)] == ["file-one"]
    assert await stores.files.usage(ALICE) == Usage(3, 300)
    await stores.files.forget(["file-one", "file-two"])
    assert await stores.files.usage(ALICE) == Usage(1, 100)
    assert await stores.files.get("file-one") is None


async def test_files_are_listed_in_pages(stores: Stores) -> None:
    ids = sorted(["file-one", "File-one", "file_one", "-file-one", "_file-one", "00000000"])
    await announce(stores, *(a_file(id_) for id_ in ids), a_file("file-bob", BOB))
    found: list[str] = []
    while page := await stores.files.list(ALICE, after=found[-1] if found else "", limit=4):
        found += [each.id for each in page]
    assert found == ids
    assert await stores.files.list(DOMAIN) == ()


async def test_files_go_with_their_account(stores: Stores) -> None:
    await upload(stores, a_file("file-one"), a_file("file-bob", BOB))
    await stores.files.mention([Mention("file-bob", BOB, ALICE, 1), Mention("file-bob", BOB, BOB, 1)])
    await stores.accounts.remove(ALICE)
    assert await stores.files.get("file-one") is None
    assert [each.id for each in await stores.files.due(0.0)] == ["file-one"]
    assert await stores.files.usage(DOMAIN) == Usage(1, 100)
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.files.list(ALICE) == ()
    assert await stores.files.usage(ALICE) == Usage()
    bobs = await stores.files.get("file-bob")
    assert bobs is not None
    assert bobs.references == 1


async def test_a_domain_gives_up_its_own_files(stores: Stores) -> None:
    await upload(stores, a_file("file-one", DOMAIN), a_file("file-two"))
    assert await stores.files.discard_all(DOMAIN) == 1
    assert await stores.files.usage(DOMAIN) == Usage(1, 100)
    assert await stores.files.get("file-two") is not None


async def test_files_move_with_their_account(stores: Stores) -> None:
    to = Jid("alice@other.test")
    await upload(stores, a_file("file-one"), a_file("file-bob", BOB))
    await stores.files.mention([Mention("file-one", ALICE, ALICE, 7), Mention("file-one", ALICE, BOB, 9)])
    await stores.renaming.rename(ALICE, to, local=("example.org", "other.test"))
    (found,) = await stores.files.list(to)
    assert (found.id, found.owner, found.references) == ("file-one", to, 2)
    assert await stores.files.usage(to) == Usage(1, 100)
    assert await stores.files.usage(ALICE) == Usage()
    assert await stores.files.usage(DOMAIN) == Usage(1, 100)
    assert await stores.files.usage(to.host) == Usage(1, 100)
    assert await stores.files.withdraw([(to, 7), (BOB, 9)]) == 1


async def test_a_file_goes_with_the_last_entry_that_names_it(stores: Stores) -> None:
    await upload(stores, a_file("file-one"), a_file("file-two"))
    sent = [Mention("file-one", ALICE, ALICE, 4), Mention("file-one", ALICE, BOB, 5)]
    await stores.files.mention(sent)
    await stores.files.mention([*sent, Mention("nothing1", ALICE, ALICE, 4)])
    found = await stores.files.get("file-one")
    assert found is not None
    assert found.references == 2
    assert await stores.files.withdraw([]) == 0
    assert await stores.files.withdraw([(ALICE, 4), (ALICE, 5), (ROOM, 5)]) == 0
    assert await stores.files.get("file-one") is not None
    assert await stores.files.withdraw([(BOB, 5)]) == 1
    assert await stores.files.get("file-one") is None
    assert await stores.files.get("file-two") is not None
    assert await stores.files.withdraw([(BOB, 5)]) == 0


async def test_an_entry_may_name_several_files(stores: Stores) -> None:
    await upload(stores, a_file("file-one"), a_file("file-two"), a_file("file-bob", BOB))
    await stores.files.mention([Mention(each, ALICE, ROOM, 1) for each in ("file-one", "file-two")])
    await stores.files.mention([Mention("file-two", ALICE, ROOM, 2)])
    assert await stores.files.withdraw([(ROOM, 1)]) == 1
    assert await stores.files.get("file-two") is not None
    assert await stores.files.usage(ALICE) == Usage(1, 100)


async def test_very_many_entries_are_noted_and_withdrawn_at_once(stores: Stores) -> None:
    await upload(stores, a_file("file-one"))
    archives = [Jid(f"room{number}@conference.example.org") for number in range(1_500)]
    strangers = [Mention(f"nothing{number:05}", BOB, BOB, number) for number in range(1, 3_000)]
    await stores.files.mention([*strangers, *(Mention("file-one", ALICE, each, 1) for each in archives)])
    found = await stores.files.get("file-one")
    assert found is not None
    assert found.references == 1_500
    assert await stores.files.withdraw([(each, 1) for each in archives]) == 1


async def test_nobody_deletes_anothers_file_by_sending_its_address(stores: Stores) -> None:
    await upload(stores, a_file("file-one"))
    await stores.files.mention([Mention("file-one", BOB, BOB, 1)])
    assert await stores.files.withdraw([(BOB, 1)]) == 0
    assert await stores.files.get("file-one") is not None
    # Once its owner has sent it, what others have sent counts as well.
    await stores.files.mention([Mention("file-one", BOB, BOB, 2), Mention("file-one", ALICE, ALICE, 1)])
    assert await stores.files.withdraw([(ALICE, 1)]) == 0
    assert await stores.files.withdraw([(BOB, 2)]) == 1


async def test_the_longest_of_everything_is_kept(stores: Stores) -> None:
    await stores.accounts.create(LONGEST, (), 1.0)
    record = replace(a_file("f" * 64, LONGEST), name="ü" * 127, content_type="x" * 255)
    await upload(stores, record)
    (found,) = await stores.files.list(LONGEST)
    assert (found.name, found.content_type, found.owner) == (record.name, record.content_type, LONGEST)
    await stores.files.mention([Mention(record.id, LONGEST, LONGEST, 1)])
    assert await stores.files.withdraw([(LONGEST, 1)]) == 1
