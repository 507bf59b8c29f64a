"""Text search: the words of messages, and the index of the database that finds them.

The index is a follower of the feed (see `indexing`). A word stands in it together with the archive that has
it, so a search reads the words of one archive and costs nothing of what others wrote; words are cut here, so
every database finds the same.

- SQLite: FTS5, without positions of words. PostgreSQL: a tsvector under GIN.
- MariaDB: a plain table of words. Its FULLTEXT would lose hits by settings of the server (shortest and
  longest word, words to leave out), cuts words at combining marks, and keeps erased words until it is
  optimized.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tidings.adapters.sql.ledger.followers import lock_cursor, make_follower, read_cursor
from tidings.adapters.sql.ledger.statements import Sql
from tidings.ports.ledger.feed import Cursor
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns

FOLLOWER: Final = "text_index"
"""The name of the follower that keeps the index; its cursor says how far that is."""

WORD_CHARACTERS: Final = 40
"""Longer words are cut: they are found by their beginning."""

WORDS: Final = 5_000
"""How many different words of a message are indexed."""

ASKED: Final = 32
"""How many words of a query count."""

_POSITION_BITS: Final = 35
"""A document's number is archive and position: 34 billion entries of each of 268 million archives."""

_ASCII: Final = re.compile("[a-z0-9]+")

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Scripts that write words without spaces: each letter counts as a word."""


class Hits(NamedTuple):
    """A statement that gives `position` of what matches, and `id`, by which the index sorts."""

    statement: str
    values: tuple[object, ...]


def create_search(connection: Connection) -> None:
    """Make the index where it is not there yet."""
    statements: list[str] = []
    match connection.dialect.name:
        case "sqlite":
            options = "words, tokenize = 'ascii', detail = 'none', columnsize = 0"
            statements.append(f"CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5 ({options})")
        case "postgresql":
            statements += [
                "CREATE TABLE IF NOT EXISTS search (id BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
                "CREATE INDEX IF NOT EXISTS search_words ON search USING gin (words) WITH (fastupdate = off)",
            ]
        case _:
            statements.append(
                "CREATE TABLE IF NOT EXISTS search (archive BIGINT NOT NULL, word VARBINARY(160) NOT NULL, "
                "position BIGINT NOT NULL, PRIMARY KEY (archive, word, position), "
                "KEY search_position (archive, position)) ENGINE=InnoDB"
            )
    for statement in statements:
        connection.exec_driver_sql(statement)


# -- words


def words_of(text: str) -> list[str]:
    """Cut a text into its words: runs of letters and digits, without difference of case, each once.

    A symbol, such as an emoji, is a word, and so is each letter of a script without spaces.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    found = _ASCII.findall(text) if text.isascii() else _cut(unicodedata.normalize("NFKC", text))
    return list(dict.fromkeys(word[:WORD_CHARACTERS] for word in found))


def _cut(text: str) -> Iterator[str]:
    word = ""
    for character in text:
        kind = _kind(character)
        if kind == "run" or (kind == "mark" and word):
            word += character
            continue
        if word:
            yield word
            word = ""
        if kind == "word":
            yield character
    if word:
        yield word


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category == "So" or (category[0] in "LN" and _UNSPACED.match(character)):
        return "word"
    if category[0] in "LN":
        return "run"
    return "mark" if category[0] == "M" and not _UNSPACED.match(character) else ""


def words_of_stanza(raw: bytes) -> list[str]:
    """Give the words of every <body/> of a message."""
    if b"<body" not in raw:
        return []
    try:
        element = decode(raw, ns.CLIENT)
    except ValueError:
        return []
    return words_of(" ".join(body.text for body in element.find_all("body")))[:WORDS]


# -- the index


def hits(sql: Sql, archive: int, asked: Sequence[str], low: int, high: int) -> Hits:
    """Ask for the messages of an archive between two positions that have all these words or longer ones."""
    words = words_of(" ".join(asked))[:ASKED]
    if not words:
        return Hits("SELECT 0 AS id, 0 AS position WHERE 1 = 0", ())
    first = archive << _POSITION_BITS
    if sql.is_sqlite:
        query = " AND ".join(f'"{_token(archive, word)}"*' for word in words)
        statement = (
            f"SELECT rowid AS id, rowid - {first} AS position FROM search "  # noqa: S608  # a number
            "WHERE search MATCH ? AND rowid BETWEEN ? AND ?"
        )
        return Hits(statement, (query, first + low, first + high))
    if sql.is_postgresql:
        query = " & ".join(f"'{_token(archive, word)}':*" for word in words)
        # Materialized: else the planner may walk the whole archive in the order of its positions.
        statement = (
            "WITH found AS MATERIALIZED (SELECT id FROM search WHERE words @@ ?::tsquery) "  # noqa: S608
            f"SELECT id, id - {first} AS position FROM found WHERE id BETWEEN ? AND ?"
        )
        return Hits(statement, (query, first + low, first + high))
    having = (
        "SELECT position FROM search WHERE archive = ? AND word BETWEEN ? AND ? AND position BETWEEN ? AND ?"
    )
    values = [
        value
        for word in map(str.encode, words)
        for value in (archive, word, word + b"\xff", low, high)  # no word has an octet 255
    ]
    inner = " INTERSECT ".join([having] * len(words))
    statement = f"SELECT DISTINCT position AS id, position FROM ({inner}) f"  # noqa: S608  # ours
    return Hits(statement, tuple(values))


def remember(sql: Sql, documents: Iterable[tuple[int, int, list[str]]]) -> None:
    """Put (archive, position, words) into the index."""
    ordered = sorted(documents)  # FTS5 writes a segment for each step back
    if sql.is_sqlite:
        rows = [(_id(archive, position), _tokens(archive, words)) for archive, position, words in ordered]
        sql.run_many("INSERT OR REPLACE INTO search (rowid, words) VALUES (?, ?)", rows)
    elif sql.is_postgresql:
        statement = (
            "INSERT INTO search (id, words) SELECT id, array_to_tsvector(string_to_array(words, ' ')) "
            "FROM unnest(?::bigint[], ?::text[]) AS d (id, words) ON CONFLICT (id) DO NOTHING"
        )
        ids = [_id(archive, position) for archive, position, _ in ordered]
        texts = [_tokens(archive, words) for archive, _, words in ordered]
        sql.run(statement, ids, texts)
    else:
        pairs = [(archive, word.encode(), position) for archive, position, words in ordered for word in words]
        sql.run_many("INSERT IGNORE INTO search (archive, word, position) VALUES (?, ?, ?)", pairs)


def forget(sql: Sql, archive: int, low: int, high: int) -> None:
    """Take the entries of an archive between two positions out of the index."""
    if sql.is_sqlite or sql.is_postgresql:
        key = "rowid" if sql.is_sqlite else "id"
        statement = f"DELETE FROM search WHERE {key} BETWEEN ? AND ?"  # noqa: S608  # ours
        sql.run(statement, _id(archive, low), _id(archive, high))
    else:
        statement = "DELETE FROM search WHERE archive = ? AND position BETWEEN ? AND ?"
        sql.run(statement, archive, low, high)


def cursor(sql: Sql) -> Cursor:
    """Tell how far the index is."""
    return read_cursor(sql, FOLLOWER) or Cursor("")


def lock(sql: Sql) -> Cursor:
    """Lock the index against its other writers, and tell how far it is."""
    found = lock_cursor(sql, FOLLOWER)
    if found is None:
        make_follower(sql, FOLLOWER, 0)
        found = lock_cursor(sql, FOLLOWER)
    return found or Cursor("")


def _id(archive: int, position: int) -> int:
    return archive << _POSITION_BITS | position


def _token(archive: int, word: str) -> str:
    return f"{archive}x{word}"  # the first letter ends the number


def _tokens(archive: int, words: list[str]) -> str:
    return " ".join(_token(archive, word) for word in words)
