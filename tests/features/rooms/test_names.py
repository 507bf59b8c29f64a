"""Names in texts: what a name is, where it counts, and what looking for it costs."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.jid import Jid
from tidings.features.rooms.names import Names, words_of

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")


def found(known: Names, text: str) -> set[Jid]:
    folded = text.casefold()
    return known.within(folded, words_of(folded))


def names(**called: Jid) -> Names:
    known = Names()
    for name, jid in called.items():
        known.add(name, jid)
    return known


@pytest.mark.parametrize(
    ("name", "text", "is_found"),
    [
        ("Bob", "Bob: are you there?", True),
        ("Bob", "hello bob", True),
        ("Bob", "@BOB!", True),
        ("Bob", "bobsleigh", False),
        ("Bob", "kebob", False),
        ("Bob", "", False),
        ("Bob the Builder", "ask bob the builder, please", True),
        ("Bob the Builder", "ask bob the builders", False),
        ("Bob the Builder", "ask bob", False),
        ("[bob]", "so [bob] says", True),
        ("[bob]", "so bob says", False),
        ("Zoë", "merci, ZOË", True),
        ("Straße", "in der STRASSE", True),
        ("李", "李 and you", True),
        ("🦊", "look 🦊 there", True),
        ("bob.", "it is bob.", True),
        ("bob.", "it is bob.org", True),
    ],
)
def test_a_name_counts_where_it_stands_as_words_of_its_own(name: str, text: str, is_found: bool) -> None:
    known = Names()
    known.add(name, BOB)
    assert (found(known, text) == {BOB}) is is_found


def test_a_name_of_several_people_means_all_of_them_until_one_has_another() -> None:
    known = names(Bob=BOB, bob=ALICE)
    assert found(known, "bob?") == {ALICE, BOB}
    known.discard("bob", ALICE)
    assert found(known, "bob?") == {BOB}
    known.discard("bob", ALICE)
    known.discard("Bob", BOB)
    assert found(known, "bob?") == set()


@given(
    st.lists(st.text(string.ascii_letters + " .-🦊", min_size=1, max_size=12).filter(str.strip), max_size=20),
    st.data(),
)
def test_who_was_added_is_found_by_his_name_alone_and_who_was_discarded_is_not(
    called: list[str], data: st.DataObject
) -> None:
    known = Names()
    people = {name: Jid(f"p{number}@localhost") for number, name in enumerate(dict.fromkeys(called))}
    for name, jid in people.items():
        known.add(name, jid)
    gone = data.draw(st.sets(st.sampled_from(sorted(people)))) if people else set()
    for name in gone:
        known.discard(name, people[name])
    for name, jid in people.items():
        assert (jid in found(known, name)) is (name not in gone)
