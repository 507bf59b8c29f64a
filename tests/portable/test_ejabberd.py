"""What ejabberd has written comes over: its dump, its database, and its portable export.

The files in `ejabberd/` are what ejabberd 23.01 wrote of what `foreign.use` does.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.portable.foreign import ALICE, BOB, come_over
from tidings.portable.account import PortableMembership, Source
from tidings.portable.ejabberd.database import EjabberdDatabase
from tidings.portable.ejabberd.dump import EjabberdDump
from tidings.portable.ejabberd.terms import first_terms, read_term
from tidings.portable.errors import PortableError
from tidings.portable.xep0227.reading import Xep0227

UMLAUT = "\N{LATIN SMALL LETTER U WITH DIAERESIS}"
WRITTEN = Path(__file__).parent / "ejabberd"


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ('{passwd,{<<"a">>,<<"b">>},<<>>}.', ("passwd", (b"a", b"b"), b"")),
        ("[1, -2 ,3.5e3,'An \\'atom',x@y]", [1, -2, 3500.0, "An 'atom", "x@y"]),
        (r'<<"a\"\n\x{41}\101">>', b'a"\nAA'),
        ("<<66,195,\n 188>>", f"B{UMLAUT}".encode()),
        (f'<<"{UMLAUT}"/utf8>>', UMLAUT.encode()),
        ('{a,\n  % a comment }\n  "a text"}', ("a", "a text")),
        ("[]", []),
    ],
)
def test_a_term_is_read(text: str, term: object) -> None:
    assert read_term(text) == term


def test_the_first_terms_are_read_without_the_others() -> None:
    assert first_terms('{a,<<"b">>,[1],{broken', 3) == ["a", b"b", [1]]


@pytest.mark.parametrize(
    "text", ["", "{a", "{a b}", "<<", '<<"a"', "<<300.5>>", "[1,,2]", "{a,", "[" * 10_000]
)
def test_what_is_no_term_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_term(text)


def database(directory: Path, *, has_domains: bool) -> str:
    """Make a database with the rows that ejabberd has written, in either of its schemas."""
    file = directory / "ejabberd.sqlite"
    tables = json.loads((WRITTEN / "database.json").read_text())
    with closing(sqlite3.connect(file)) as made, made:
        for name, written in tables.items():
            rows = [{**row, **({"server_host": "localhost"} if has_domains else {})} for row in written]
            kinds = {key: "timestamp" if key == "created_at" else "" for key in rows[0]}
            made.execute(f"CREATE TABLE {name} ({', '.join(f'{key} {kind}' for key, kind in kinds.items())})")
            marks = ", ".join("?" for _ in kinds)
            made.executemany(f"INSERT INTO {name} VALUES ({marks})", [tuple(row.values()) for row in rows])
    return f"sqlite:///{file}"


SOURCES: dict[str, Callable[[Path], Source]] = {
    "dump": lambda _: EjabberdDump(WRITTEN / "dump.txt"),
    "database": lambda directory: EjabberdDatabase(database(directory, has_domains=False), "localhost"),
    "database of many": lambda directory: EjabberdDatabase(database(directory, has_domains=True)),
    "piefxis": lambda _: Xep0227(WRITTEN / "piefxis.xml"),
}


@pytest.mark.parametrize("kind", SOURCES)
async def test_the_people_of_a_real_server_find_everything(tmp_path: Path, kind: str) -> None:
    """The portable export of ejabberd has no archives, no nodes and no requests that wait for an answer."""
    has_archives = kind != "piefxis"
    world, report = await come_over(
        SOURCES[kind](tmp_path), has_archives=has_archives, has_nodes=has_archives
    )
    assert (report.accounts, report.messages) == (2, 8 if has_archives else 1)
    assert not report.left_out
    if has_archives:
        record = await world.stores.accounts.get(ALICE)
        assert record is not None
        assert record.last_activity is not None
        assert record.last_activity > 1_796_033_000
    await world.stop()


def test_the_database_of_one_domain_must_be_told_which(tmp_path: Path) -> None:
    with pytest.raises(PortableError, match="name it with --domain"):
        list(EjabberdDatabase(database(tmp_path, has_domains=False)).accounts())


def test_another_database_is_none_of_ejabberd(tmp_path: Path) -> None:
    with pytest.raises(PortableError, match="no table `users`"):
        list(EjabberdDatabase(f"sqlite:///{tmp_path}/empty.sqlite").accounts())


def test_what_cannot_be_read_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "dump.txt"
    with pytest.raises(PortableError, match=r"dump\.txt cannot be read"):
        list(EjabberdDump(file).accounts())
    file.write_text('{tables,[]}.\n{passwd,{<<"bob">>,<<"localhost">>},<<"secret">>}.\n{vcard,{<<"bob">>\n')
    with pytest.raises(PortableError, match=r"the vcard at octet 64: ends within a term"):
        list(EjabberdDump(file).accounts())


def test_passwords_in_plain_text_come(tmp_path: Path) -> None:
    file = tmp_path / "dump.txt"
    file.write_text('{passwd,{<<"bob">>,<<"localhost">>},<<"secret">>}.\n')
    [account] = EjabberdDump(file).accounts()
    assert (account.jid, account.password, account.keys) == (BOB, "secret", ())


OPTIONS = '[{label,<<"Sales">>},{description,<<>>},{displayed_groups,[<<"sales">>]}]'


def test_shared_groups_come_from_a_dump(tmp_path: Path) -> None:
    file = tmp_path / "dump.txt"
    file.write_text(
        '{passwd,{<<"bob">>,<<"localhost">>},<<"secret">>}.\n'
        '{sr_user,{<<"bob">>,<<"localhost">>},{<<"sales">>,<<"localhost">>}}.\n'
        '{sr_user,{<<"bob">>,<<"localhost">>},{<<"old">>,<<"localhost">>}}.\n'
        f'{{sr_group,{{<<"sales">>,<<"localhost">>}},\n          {OPTIONS}}}.\n'
        '{sr_group,{<<"sales">>,<<"other.test">>},[{label,<<"Other">>}]}.\n'
        '{sr_group,{<<"old">>,<<"localhost">>},[{name,<<"Long ago">>}]}.\n'
    )
    [account] = EjabberdDump(file).accounts()
    assert account.groups == (PortableMembership("sales", "Sales"), PortableMembership("old", "Long ago"))


@pytest.mark.parametrize("has_domains", [False, True])
async def test_shared_groups_come_from_a_database(tmp_path: Path, *, has_domains: bool) -> None:
    url = database(tmp_path, has_domains=has_domains)
    host = ["localhost"] if has_domains else []
    column = ", server_host" if has_domains else ""
    with closing(sqlite3.connect(tmp_path / "ejabberd.sqlite")) as made, made:
        made.execute(f"CREATE TABLE sr_group (name, opts{column})")
        made.execute(f"CREATE TABLE sr_user (jid, grp{column})")
        for name, options in (("sales", OPTIONS), ("empty", "[]")):
            made.execute(f"INSERT INTO sr_group VALUES (?, ?{', ?' * has_domains})", (name, options, *host))
        made.execute(f"INSERT INTO sr_user VALUES (?, ?{', ?' * has_domains})", (ALICE.text, "sales", *host))
    source = EjabberdDatabase(url, "localhost")
    assert {each.jid: each.groups for each in source.accounts()} == {
        ALICE: (PortableMembership("sales", "Sales"),),
        BOB: (),
    }
    world, _ = await come_over(source, has_archives=True)
    groups = await world.stores.groups.load("localhost")
    assert [(group.name, group.label) for group in groups.groups] == [("sales", "Sales")]
    assert [(each.group, each.jid) for each in groups.memberships] == [("sales", ALICE)]
    await world.stop()
