"""Text search: words and their beginnings, in any case and script; nothing of others or of what is gone."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.ledger_stories import (
    ALICE,
    BOB,
    CAROL,
    SECOND,
    START,
    Clock,
    accept,
    at,
    chat,
    clock,
    ledger,
    ledger_url,
    ledger_urls,
    pointing,
    positions,
    texts,
)
from tidings.adapters.sql import open_database
from tidings.adapters.sql.ledger import SqlLedger
from tidings.adapters.sql.ledger.search import WORDS, words_of, words_of_stanza
from tidings.ports.ledger.batch import Append, Entry, EntryKind
from tidings.ports.ledger.reading import PageQuery

__all__ = ["clock", "ledger", "ledger_url", "ledger_urls"]


# -- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, hello WORLD!", ["hello", "world"]),
        ("don't re-use user_name 3.14", ["don", "t", "re", "use", "user", "name", "3", "14"]),
        ("Straße STRASSE İstanbul", ["strasse", "i̇stanbul"]),
        ("ﬁne \uff21\uff22\uff23 cafe\u0301 café", ["fine", "abc", "café"]),
        ("Привет, мир", ["привет", "мир"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("今日は", ["今", "日", "は"]),
        ("well done 👍🏽👍", ["well", "done", "👍"]),
        ("a" * 99, ["a" * 40]),
        ("… — !?", []),
    ],
)
def test_words_of_texts(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'<message xmlns="jabber:client"><subject>no</subject><body>a &amp; b</body></message>', ["a", "b"]),
        (
            b'<message xmlns="jabber:client"><body xml:lang="de">eins</body><body>one</body></message>',
            ["eins", "one"],
        ),
        (b'<message xmlns="jabber:client"><body xmlns="urn:x">no</body></message>', []),
        (b'<message xmlns="jabber:client"><x xmlns="urn:x"><body>no</body></x></message>', []),
        (b"<body", []),
        (b"\xff<body>", []),
    ],
)
def test_words_are_those_of_the_bodies(raw: bytes, words: list[str]) -> None:
    assert words_of_stanza(raw) == words


# -- finding


async def test_words_and_beginnings_of_words_are_found(ledger: SqlLedger) -> None:
    await accept(
        ledger,
        *(
            chat(ALICE, BOB, text)
            for text in (
                "The quick brown fox",
                "to be or not to be",  # words that some indexes leave out
                "Straße nach Köln",
                "x y z 1",
                "今日は世界",
                "नमस्ते दुनिया",
                "foxtrot 'quoted\" (text) -minus* &amp; :colon",
                "\N{THUMBS UP SIGN} fine",
                "0x_under_score",
            )
        ),
    )
    for words, found in (
        (("fox",), [1, 7]),
        (("FOX", "Qui"), [1]),
        (("fox", "brown"), [1]),
        (("be",), [2]),
        (("not", "to", "or"), [2]),
        (("the",), [1]),
        (("STRASSE",), [3]),
        (("köl",), [3]),
        (("kol",), []),
        (("y",), [4]),
        (("1",), [4]),
        (("世界",), [5]),
        (("नमस्",), [6]),
        (("\N{THUMBS UP SIGN}",), [8]),
        (("minus*",), [7]),
        (('"quoted"', "OR"), []),
        (("fox OR be",), []),
        (("%",), []),
        (("under_sc",), [9]),
        (("ox",), []),
        (("",), []),
    ):
        assert await positions(ledger, BOB, words=words) == found, words
        assert await positions(ledger, ALICE, words=words) == found, words


async def test_a_search_is_a_page_like_others(ledger: SqlLedger, clock: Clock) -> None:
    for number in range(1, 21):
        clock.now = START + number * SECOND
        sender = ALICE if number % 2 else CAROL
        await accept(ledger, chat(sender, BOB, f"number {number} {'odd' if number % 2 else 'even'}"))

    async def page(**query: object) -> tuple[list[int], int | None, int | None, bool]:
        found = await ledger.page(BOB, PageQuery(**query))
        return [entry.id.position for entry in found.entries], found.total, found.index, found.is_complete

    assert await page(words=("odd",), limit=3) == ([1, 3, 5], 10, 0, False)
    assert await page(words=("odd",), limit=3, newest=True) == ([15, 17, 19], 10, 7, False)
    assert await page(words=("num",), peer=CAROL, limit=2) == ([2, 4], 10, 0, False)
    at15 = await at(ledger, BOB, 15)
    assert await page(words=("odd",), limit=2, after=at15) == ([17, 19], 10, 8, True)
    assert await page(words=("odd",), limit=2, before=at15, newest=True) == ([11, 13], 10, 5, False)
    assert await page(words=("odd",), start=START + 16 * SECOND) == ([17, 19], 2, 0, True)
    assert await page(words=("1",), end=START + 12 * SECOND, flipped=True) == ([12, 11, 10, 1], 4, 0, True)
    assert await page(words=("odd",), peer=CAROL) == ([], 0, 0, True)


async def test_nobody_finds_what_others_wrote(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, f"secret{number}") for number in range(30)))
    await accept(ledger, chat(ALICE, CAROL, "secret plan"))
    assert await texts(ledger, CAROL, words=("secret",)) == ["secret plan"]
    assert await texts(ledger, BOB, words=("plan",)) == []


async def test_what_is_offline_only_or_no_text_of_a_person_is_not_found(ledger: SqlLedger) -> None:
    await accept(
        ledger,
        chat(ALICE, BOB, "word one", name=1),
        chat(ALICE, BOB, "word offline", offline_only=True, countable=False),
        Append(
            body=b'<message xmlns="jabber:client"><word/></message>',
            entries=(Entry(archive=BOB, peer=ALICE),),
        ),
        pointing(ALICE, BOB, EntryKind.REACTIONS, 1, "word reaction"),
        pointing(ALICE, BOB, EntryKind.CORRECTION, 1, "word corrected"),
    )
    assert await texts(ledger, BOB, words=("word",)) == ["word one", "word corrected"]


async def test_what_is_gone_is_not_found(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, f"word {number}", name=number) for number in range(1, 8)))
    assert len(await texts(ledger, BOB, words=("word",))) == 7
    await accept(ledger, pointing(ALICE, BOB, EntryKind.RETRACTION, 7, "word retracted"))
    await ledger.erase(BOB, (6,))
    await ledger.trim(BOB, keep=6)
    assert await texts(ledger, BOB, words=("word",)) == [f"word {number}" for number in (3, 4, 5)]
    assert await texts(ledger, ALICE, words=("word",)) == [f"word {number}" for number in (1, 2, 3, 4, 5, 6)]
    await accept(ledger, chat(ALICE, BOB, "word 8", name=8), pointing(ALICE, BOB, EntryKind.RETRACTION, 8))
    await ledger.erase(BOB, (9,))  # before the index has it
    while await ledger.forget_account(ALICE):
        pass
    assert await texts(ledger, ALICE, words=("word",)) == []
    assert await texts(ledger, BOB, words=("word",)) == [f"word {number}" for number in (3, 4, 5)]
    assert await indexed(ledger) == 3


async def indexed(ledger: SqlLedger) -> int:
    """Count the documents in the index."""
    counted = "DISTINCT archive, position" if ledger._database.dialect in {"mysql", "mariadb"} else "*"
    return await ledger._database.read(
        lambda connection: connection.exec_driver_sql(f"SELECT COUNT({counted}) FROM search").scalar()
    )


async def test_the_index_follows_in_steps(ledger: SqlLedger) -> None:
    await accept(ledger, *(chat(ALICE, BOB, f"word {number}") for number in range(10)))
    assert [await ledger.index_step(4) for _ in range(4)] == [4, 4, 2, 0]
    await accept(ledger, chat(ALICE, BOB, "word"))
    assert len(await texts(ledger, BOB, words=("word",))) == 11
    assert await ledger.index_step(4) == 0


async def test_long_messages_are_indexed_a_few_at_a_time(ledger: SqlLedger) -> None:
    text = " ".join(f"w{number}" for number in range(100_000))
    await accept(ledger, *(chat(ALICE, BOB, text) for _ in range(4)))
    assert 0 < await ledger.index_step(4) < 4
    assert len(await texts(ledger, BOB, words=(f"w{WORDS - 1}",))) == 4


async def test_two_that_index_at_once_do_it_once(ledger_url: str, ledger: SqlLedger) -> None:
    if ledger_url == "sqlite://":
        pytest.skip("one connection is the whole database")
    other = SqlLedger(await open_database(ledger_url, lock_seconds=20))

    async def talk() -> None:
        for number in range(60):
            await accept(ledger, chat(ALICE, BOB, f"word {number}"))
            if number % 3 == 0:
                await other.erase(BOB, (number,))

    async def index(by: SqlLedger) -> int:
        return sum([await by.index_step(5) for _ in range(40)])

    _, *counts = await asyncio.gather(talk(), index(ledger), index(other))
    found = await positions(ledger, BOB, words=("word",), limit=99)
    assert found == await positions(ledger, BOB, limit=99)
    assert sum(counts) <= 60
    assert await indexed(ledger) == len(found) + 60
    await other.close()
