"""The contract of documents; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.samples import ALICE, BOB, LONGEST, LOOK_ALIKES
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountExists
from tidings.ports.documents import (
    LONGEST_KEY,
    LONGEST_NAMESPACE,
    LONGEST_VALUE,
    Document,
    DocumentConflict,
    DocumentRefused,
)
from tidings.ports.stores import Stores

HOST = Jid("example.org")
ROOM = Jid("team@conference.example.org")
RAW = bytes(range(256)) + "ü \U0001f4ec ' \\ %s %(a)s :b".encode()


async def test_a_document_is_kept_under_its_name(stores: Stores) -> None:
    documents = stores.documents
    assert await documents.get(ALICE, "urn:filter", "words") is None
    version = await documents.put(ALICE, "urn:filter", "words", RAW, expected=None)
    assert await documents.get(ALICE, "urn:filter", "words") == Document("words", RAW, version)
    assert await documents.get(ALICE, "urn:filter", "Words") is None
    assert await documents.get(ALICE, "urn:filter ", "words") is None
    assert await documents.get(BOB, "urn:filter", "words") is None
    assert await documents.get(HOST, "urn:filter", "words") is None


async def test_a_change_names_the_version_that_it_replaces(stores: Stores) -> None:
    first = await stores.documents.put(HOST, "urn:count", "total", b"1", expected=None)
    second = await stores.documents.put(HOST, "urn:count", "total", b"2", expected=first)
    assert second != first
    for expected in (None, first, "no version", ""):
        with pytest.raises(DocumentConflict) as caught:
            await stores.documents.put(HOST, "urn:count", "total", b"3", expected=expected)
        assert caught.value.condition == "conflict"
    assert await stores.documents.get(HOST, "urn:count", "total") == Document("total", b"2", second)
    same = await stores.documents.put(HOST, "urn:count", "total", b"2", expected=second)
    assert same not in {first, second}


async def test_what_is_not_there_has_no_version(stores: Stores) -> None:
    with pytest.raises(DocumentConflict):
        await stores.documents.put(ALICE, "urn:count", "total", b"1", expected="version")
    with pytest.raises(DocumentConflict):
        await stores.documents.delete(ALICE, "urn:count", "total", expected="version")
    assert await stores.documents.get(ALICE, "urn:count", "total") is None


async def test_a_document_is_deleted_in_the_version_that_was_read(stores: Stores) -> None:
    first = await stores.documents.put(ALICE, "urn:count", "total", b"1", expected=None)
    other = await stores.documents.put(ALICE, "urn:count", "Total", b"1", expected=None)
    second = await stores.documents.put(ALICE, "urn:count", "total", b"2", expected=first)
    with pytest.raises(DocumentConflict):
        await stores.documents.delete(ALICE, "urn:count", "total", expected=first)
    await stores.documents.delete(ALICE, "urn:count", "total", expected=second)
    assert await stores.documents.get(ALICE, "urn:count", "total") is None
    assert await stores.documents.get(ALICE, "urn:count", "Total") == Document("Total", b"1", other)


async def test_a_document_that_is_made_anew_has_no_old_version(stores: Stores) -> None:
    first = await stores.documents.put(ALICE, "urn:count", "total", b"1", expected=None)
    await stores.documents.delete(ALICE, "urn:count", "total", expected=first)
    await stores.documents.put(ALICE, "urn:count", "total", b"1", expected=None)
    with pytest.raises(DocumentConflict):
        await stores.documents.put(ALICE, "urn:count", "total", b"2", expected=first)


async def test_of_many_who_change_it_at_once_one_succeeds_each_time(stores: Stores) -> None:
    async def add_one() -> None:
        while True:
            found = await stores.documents.get(HOST, "urn:count", "total")
            value = b"%d" % (1 + int(found.value if found else 0))
            expected = found.version if found else None
            try:
                await stores.documents.put(HOST, "urn:count", "total", value, expected=expected)
            except DocumentConflict:
                continue
            return

    await asyncio.gather(*(add_one() for _ in range(8)))
    found = await stores.documents.get(HOST, "urn:count", "total")
    assert found is not None
    assert found.value == b"8"


async def test_a_namespace_is_listed_in_pages(stores: Stores) -> None:
    keys = sorted(["a", "B", "b", "b ", "ß", "ss", "é", "e\u0301", "\u0131", "i", "\uffff", "\U00010000"])
    for key in reversed(keys):
        await stores.documents.put(ALICE, "urn:x", key, key.encode(), expected=None)
    await stores.documents.put(ALICE, "urn:x2", "c", b"", expected=None)
    await stores.documents.put(BOB, "urn:x", "c", b"", expected=None)
    found: list[Document] = []
    while page := await stores.documents.list(ALICE, "urn:x", after=found[-1].key if found else "", limit=5):
        assert len(page) <= 5
        found += page
    assert [each.key for each in found] == keys
    assert [each.value for each in found] == [key.encode() for key in keys]
    await stores.documents.delete(ALICE, "urn:x", found[2].key, expected=found[2].version)
    (after,) = await stores.documents.list(ALICE, "urn:x", after=found[2].key, limit=1)
    assert after == found[3]
    assert await stores.documents.list(ALICE, "urn:y") == ()


async def test_many_are_made_and_read_at_once(stores: Stores) -> None:
    documents = stores.documents
    await documents.make_all(HOST, {})
    made = {("urn:a" if number % 2 else "urn:b", f"key {number}"): bytes([number]) for number in range(250)}
    await documents.make_all(HOST, made)
    odd = [f"key {number}" for number in range(250) if number % 2]
    found = await documents.get_all(HOST, "urn:a", [*odd, "key 2", "nothing"])
    assert {key: document.value for key, document in found.items()} == {
        key: made["urn:a", key] for key in odd
    }
    assert all(key == document.key for key, document in found.items())
    assert await documents.get(HOST, "urn:a", "key 7") == found["key 7"]
    assert len({document.version for document in found.values()}) == len(odd)
    await documents.put(HOST, "urn:a", "key 7", b"changed", expected=found["key 7"].version)
    assert await documents.get_all(HOST, "urn:a", []) == {}
    assert await documents.get_all(ALICE, "urn:a", odd) == {}


async def test_of_many_all_are_made_or_none(stores: Stores) -> None:
    documents = stores.documents
    await documents.put(ALICE, "urn:a", "there", b"old", expected=None)
    with pytest.raises(DocumentConflict):
        await documents.make_all(
            ALICE, {("urn:a", "new"): b"1", ("urn:a", "there"): b"2", ("urn:b", "x"): b"3"}
        )
    with pytest.raises(DocumentRefused):
        await documents.make_all(ALICE, {("urn:a", "new"): b"1", ("urn:b", ""): b"2"})
    assert [document.value for document in await documents.list(ALICE, "urn:a")] == [b"old"]
    assert await documents.list(ALICE, "urn:b") == ()


async def test_look_alikes_are_kept_one_by_one(stores: Stores) -> None:
    texts = [jid.local for jid in LOOK_ALIKES]
    texts += ["nina ", " nina", "Nina", "nina\0", "n\0ina", "%", "_", "\\"]
    for text in texts:
        await stores.documents.put(ALICE, "urn:x", text, text.encode(), expected=None)
        await stores.documents.put(ALICE, text, "x", text.encode(), expected=None)
    for jid in LOOK_ALIKES:
        await stores.documents.put(jid, "urn:x", "x", jid.encode(), expected=None)
    for text in texts:
        for namespace, key in (("urn:x", text), (text, "x")):
            found = await stores.documents.get(ALICE, namespace, key)
            assert found is not None
            assert (found.key, found.value) == (key, text.encode())
    for jid in LOOK_ALIKES:
        (found,) = await stores.documents.list(jid, "urn:x")
        assert found.value == jid.encode()


async def test_a_name_is_not_confused_by_where_its_namespace_ends(stores: Stores) -> None:
    await stores.documents.put(ALICE, "urn:a", "bc", b"1", expected=None)
    await stores.documents.put(ALICE, "urn:ab", "c", b"2", expected=None)
    first = await stores.documents.get(ALICE, "urn:a", "bc")
    second = await stores.documents.get(ALICE, "urn:ab", "c")
    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (b"1", b"2")


async def test_the_longest_of_everything_is_kept(stores: Stores) -> None:
    namespace = "ü" * 127 + "n"
    values = {"k" * 254 + end: end.encode() * LONGEST_VALUE for end in "ab"}
    assert len(namespace.encode()) == LONGEST_NAMESPACE
    for key, value in values.items():
        assert (len(key), len(value)) == (LONGEST_KEY, LONGEST_VALUE)
        await stores.documents.put(LONGEST, namespace, key, value, expected=None)
    first, second = await stores.documents.list(LONGEST, namespace)
    assert {each.key: each.value for each in (first, second)} == values
    version = await stores.documents.put(LONGEST, namespace, first.key, b"", expected=first.version)
    assert await stores.documents.get(LONGEST, namespace, first.key) == Document(first.key, b"", version)
    assert await stores.documents.get(LONGEST, namespace, second.key) == second


@pytest.mark.parametrize(
    ("namespace", "key", "value", "text"),
    [
        ("ü" * 128, "k", b"", "the namespace of a document has 256 octets; 255 are kept"),
        ("urn:x", "k" * 256, b"", "the key of a document has 256 octets; 255 are kept"),
        ("urn:x", "k", b"v" * 65_537, "the value of a document has 65537 octets; 65536 are kept"),
        ("", "k", b"", "the namespace of a document has 0 octets"),
        ("urn:x", "", b"", "the key of a document has 0 octets"),
    ],
)
async def test_what_is_too_long_is_refused(
    stores: Stores, namespace: str, key: str, value: bytes, text: str
) -> None:
    with pytest.raises(DocumentRefused, match=text) as caught:
        await stores.documents.put(ALICE, namespace, key, value, expected=None)
    assert caught.value.condition == "policy-violation"
    assert await stores.documents.clear(ALICE) == 0


async def test_an_entity_is_cleared_in_every_namespace(stores: Stores) -> None:
    for entity in (ROOM, HOST):
        await stores.documents.put(entity, "urn:x", "x", b"1", expected=None)
        await stores.documents.put(entity, "urn:y", "x", b"2", expected=None)
    assert await stores.documents.clear(ROOM) == 2
    assert await stores.documents.clear(ROOM) == 0
    assert await stores.documents.get(ROOM, "urn:x", "x") is None
    assert await stores.documents.get(HOST, "urn:y", "x") is not None


async def test_documents_go_with_their_account_and_with_no_other(stores: Stores) -> None:
    for account in (ALICE, BOB):
        await stores.accounts.create(account, (), 1.0)
    for entity in (ALICE, BOB, HOST, ROOM):
        await stores.documents.put(entity, "urn:x", "x", RAW, expected=None)
    assert await stores.accounts.remove(ALICE)
    assert not await stores.accounts.remove(ROOM)
    assert await stores.documents.get(ALICE, "urn:x", "x") is None
    for entity in (BOB, HOST, ROOM):
        assert await stores.documents.get(entity, "urn:x", "x") is not None


async def test_an_account_begins_without_documents(stores: Stores) -> None:
    await stores.documents.put(ALICE, "urn:x", "x", b"of the one before", expected=None)
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.documents.get(ALICE, "urn:x", "x") is None
    version = await stores.documents.put(ALICE, "urn:x", "x", b"mine", expected=None)
    with pytest.raises(AccountExists):
        await stores.accounts.create(ALICE, (), 3.0)
    assert await stores.documents.get(ALICE, "urn:x", "x") == Document("x", b"mine", version)
