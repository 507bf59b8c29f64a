"""Addresses: the tables of RFC 7622, look-alikes, lengths, and one canonical text for each."""

from __future__ import annotations

import pickle
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidings.base import jid as jid_module
from tidings.base.jid import PART_OCTETS, Jid, JidError
from tidings.wire.xml.writer import check_characters

VALID = [
    # RFC 7622 §3.5, table 1
    ("juliet@example.com", "juliet", "example.com", ""),
    ("juliet@example.com/foo", "juliet", "example.com", "foo"),
    ("juliet@example.com/foo bar", "juliet", "example.com", "foo bar"),
    ("juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"),
    ("foo\\20bar@example.com", "foo\\20bar", "example.com", ""),
    ("fussball@example.com", "fussball", "example.com", ""),
    ("fu\u00dfball@example.com", "fu\u00dfball", "example.com", ""),
    ("\u03c0@example.com", "\u03c0", "example.com", ""),
    ("\u03a3@example.com/foo", "\u03c3", "example.com", "foo"),
    ("\u03c3@example.com/foo", "\u03c3", "example.com", "foo"),
    ("\u03c2@example.com/foo", "\u03c2", "example.com", "foo"),
    ("king@example.com/\u265a", "king", "example.com", "\u265a"),
    ("example.com", "", "example.com", ""),
    ("example.com/foobar", "", "example.com", "foobar"),
    ("a.example.com/b@example.net", "", "a.example.com", "b@example.net"),
    # The table's number 18 calls a leading space invalid, but OpaqueString (RFC 8265 §4.2) allows it.
    ("juliet@example.com/ foo", "juliet", "example.com", " foo"),
    # case, width, composition, spaces beyond ASCII
    ("JULIET@EXAMPLE.COM/Balcony", "juliet", "example.com", "Balcony"),
    ("\uff4a\uff55@example.com", "ju", "example.com", ""),
    ("e\u0301@example.com/e\u0301", "\u00e9", "example.com", "\u00e9"),
    ("a@example.com/x\u00a0y\u3000z", "a", "example.com", "x y z"),
    # domains
    ("example.com.", "", "example.com", ""),
    ("a@example.com./x", "a", "example.com", "x"),
    ("a@example\u3002com\u3002", "a", "example.com", ""),
    ("a@b\u00fccher.example", "a", "b\u00fccher.example", ""),
    ("a@BU\u0308CHER.example", "a", "b\u00fccher.example", ""),
    ("a@xn--bcher-kva.example", "a", "b\u00fccher.example", ""),
    ("a@XN--BCHER-KVA.example", "a", "b\u00fccher.example", ""),
    ("a@fa\u00df.example", "a", "fa\u00df.example", ""),
    ("a@\u0392\u038c\u039b\u039f\u03a3.example", "a", "\u03b2\u03cc\u03bb\u03bf\u03c3.example", ""),
    ("a@\u05d0\u05d1.example", "a", "\u05d0\u05d1.example", ""),
    ("localhost", "", "localhost", ""),
    ("a@127.0.0.1", "a", "127.0.0.1", ""),
    ("a@[::1]/x", "a", "[::1]", "x"),
    ("a@[2001:DB8:0:0::1]", "a", "[2001:db8::1]", ""),
    ("a@[::ffff:1.2.3.4]", "a", "[::ffff:102:304]", ""),
    ("\u05d0\u05d1@example.com/\u05d0\u05d1 a", "\u05d0\u05d1", "example.com", "\u05d0\u05d1 a"),
]

INVALID = [
    # RFC 7622 §3.5, table 2
    '"juliet"@example.com',
    "foo bar@example.com",
    "@example.com/",
    "henry\u2163@example.com",
    "\u265a@example.com",
    "juliet@",
    "/foobar",
    # parts that are empty
    "",
    "@",
    "a@",
    "@b",
    "a@/x",
    "a@b/",
    ".",
    "a@.",
    # characters
    "a&b@example.com",
    "a'b@example.com",
    "a:b@example.com",
    "a<b@example.com",
    "a>b@example.com",
    "a\uff1cb@example.com",
    "a\0b@example.com",
    "a@example.com/\0",
    "a@example.com/\n",
    "a@example.com/\x7f",
    "a@example.com/\ufffe",
    "a\ud800@example.com",
    "a@\ud800.example",
    "a@example.com/\udfff",
    # zero width, direction
    "a\u200bb@example.com",
    "a\u200db@example.com",
    "a\ufeffb@example.com",
    "a@example.com/a\u200bb",
    "a@example.com/\u202e",
    "\u202ea@example.com",
    "a@\u202eexample.com",
    "a\u05d0@example.com",
    "a@a\u05d0.example",
    # domains
    "a@b@c",
    "a@example..com",
    "a@.example.com",
    "a@example.com..",
    "a@example.com.\u3002",
    "a@-example.com",
    "a@example-.com",
    "a@exa_mple.com",
    "a@exa mple.com",
    "a@example.com\n",
    "a@" + "x" * 64 + ".com",
    "a@xn--.example",
    "a@xn--a.example",
    "a@xn--zzzzzz99999.example",
    "a@\u2100.example",
    "a@\uff0f.example",
    "a@\uff20.example",
    # IPv6
    "a@[::1",
    "a@[::1x",
    "a@[]",
    "a@[1.2.3.4]",
    "a@[::1]x",
    "a@[::1]:5222",
    "a@[fe80::1%eth0]",
    "a@[fe80::1%<x>]",
    "a@[::1].",
][:-1]

LOOK_ALIKES = [
    ("paypal@example.com", "p\u0430ypal@example.com"),
    ("nina@example.com", "n\u00edna@example.com"),
    ("fussball@example.com", "fu\u00dfball@example.com"),
    ("\u03c3@example.com", "\u03c2@example.com"),
    ("a@example.com/x", "a@example.com/X"),
    ("a@example.com/x", "a@example.com/x "),
    ("a@example.com/\u00e9", "a@example.com/e"),
]


@pytest.mark.parametrize(("text", "local", "domain", "resource"), VALID)
def test_valid_addresses_and_their_parts(text, local, domain, resource):
    jid = Jid(text)
    assert (jid.local, jid.domain, jid.resource) == (local, domain, resource)
    assert jid == Jid(str(jid)) == Jid.of(local, domain, resource)
    assert jid.bare == Jid.of(local, domain)
    assert jid.is_bare == (resource == "")
    assert jid.host == domain
    assert jid.bare.with_resource(resource) == jid
    assert {jid: 1}[str(jid)] == 1
    assert pickle.loads(pickle.dumps(jid)).resource == resource


@pytest.mark.parametrize("text", INVALID)
def test_invalid_addresses(text):
    with pytest.raises(JidError):
        Jid(text)


@pytest.mark.parametrize(("one", "other"), LOOK_ALIKES)
def test_look_alikes_are_different(one, other):
    assert Jid(one) != Jid(other)


@pytest.mark.parametrize("length", [PART_OCTETS, PART_OCTETS + 1])
def test_parts_have_1023_octets(length):
    labels = (("x" * 63 + ".") * 16)[:length]
    texts = [
        "x" * length + "@example.com",
        "a@example.com/" + "x" * length,
        "a@example.com/" + "\u00e9" * (length // 2) + "x" * (length % 2),
        "\u00e9" * (length // 2) + "x" * (length % 2) + "@example.com",
        labels[:-1] + "x",
    ]
    for text in texts:
        if length > PART_OCTETS:
            with pytest.raises(JidError, match="1023"):
                Jid(text)
        else:
            assert Jid(str(Jid(text))) == text


def test_a_part_that_composition_shortens_may_be_long():
    assert len(Jid("x.example/" + "e\u0301" * 500).resource) == 500


def test_enormous_parts_are_refused_before_they_are_prepared(monkeypatch):
    monkeypatch.setattr(jid_module, "_profile", None)  # whoever asks for it now fails otherwise
    for text in ("\u00e9" * 100_000 + "@x", "x/" + "\u00e9" * 100_000, "\u00e9" * 100_000):
        with pytest.raises(JidError):
            Jid(text)


LONG_ADDRESSES = {
    "many specials": lambda number: f"a{number}@example.com/".ljust(256, "&"),
    "four octets a character": lambda number: f"a{number}@example.com/\U0001f4ec".ljust(256, "x"),
    "both": lambda number: f"a{number}@example.com/\U0001f4ec".ljust(256, "&"),
    "long names": lambda number: f"{'a' * 120}{number}@{'b' * 60}.example.com",
    "short": lambda number: f"a{number}@example.com/desk",
    "beyond what is remembered": lambda number: f"a{number}@example.com/".ljust(1_000, "x"),
}


@pytest.mark.parametrize("kind", LONG_ADDRESSES)
def test_strangers_addresses_do_not_fill_the_memory(kind: str, monkeypatch):
    assert jid_module.CACHE_OCTETS <= 32 << 20
    monkeypatch.setattr(jid_module, "CACHE_OCTETS", 1 << 20)
    forget_addresses()
    address = LONG_ADDRESSES[kind]
    Jid(address(0))  # loads what only such names need
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1_500):
            Jid(address(number))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        forget_addresses()
    assert after - before <= jid_module.CACHE_OCTETS


def test_an_address_in_use_is_prepared_once_among_many_others():
    forget_addresses()
    known = Jid("Alice@example.org/phone")
    for number in range(60_000):
        Jid(f"a{number}@example.com/desk")
        assert Jid("Alice@example.org/phone") is known
    forget_addresses()


def forget_addresses() -> None:
    """Leave no trace in later tests of those that were made up here."""
    jid_module._cache.recent.clear()
    jid_module._cache.earlier.clear()
    jid_module._cache.octets = 0


def test_a_jid_is_its_own_preparation():
    jid = Jid("a@b/c")
    assert Jid(jid) is jid


_parts = st.text(
    st.sampled_from(
        "aZ9.-_ @/[]:%<>&'\"\\\u00df\u0130\u03a3\u05d0\u0627\u200d\u3002\uff21\u0301\u1100\u1161\ufb01"
    )
    | st.characters(),
    max_size=8,
)


@given(st.builds("{}@{}/{}".format, _parts, _parts, _parts) | _parts | st.builds("{}.org".format, _parts))
@settings(deadline=None, max_examples=400)
@example("a@\u0130.example")
@example("\u0130@b")
@example("\u1e9e@\u1e9e")
def test_preparation_is_idempotent_and_xml_can_carry_it(text: str):
    try:
        jid = Jid(text)
    except JidError:
        return
    again = jid_module._parse(str(jid))
    assert again == jid
    assert (again.local, again.domain, again.resource) == (jid.local, jid.domain, jid.resource)
    assert check_characters(jid) == jid
    assert "/" not in jid.local + jid.domain
    assert "@" not in jid.local + jid.domain


@given(_parts, _parts, _parts)
@settings(deadline=None)
def test_built_from_parts_is_what_its_text_says(local: str, domain: str, resource: str):
    try:
        jid = Jid.of(local, domain, resource)
    except JidError:
        return
    again = jid_module._parse(str(jid))
    assert (again.local, again.domain, again.resource) == (jid.local, jid.domain, jid.resource)
