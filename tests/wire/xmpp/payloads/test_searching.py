"""User search and extended addresses on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import forms, texts, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import decode
from tidings.wire.xmpp.payloads.addresses import Addresses
from tidings.wire.xmpp.payloads.user_search import FIELDS, FoundPerson, UserSearch

ADDRESSES = (
    "<addresses xmlns='http://jabber.org/protocol/address'>"
    "<address type='to' jid='hildjj@jabber.org/Work' desc='Joe'><x xmlns='urn:x'/>text</address>"
    "<address type='bcc' jid='jer@jabber.org' delivered='true'/><address type='noreply'/></addresses>"
)


@given(st.dictionaries(st.sampled_from(FIELDS), texts), words.map(str.strip), st.none() | forms)
def test_a_search_round_trips(fields, instructions, form) -> None:
    value = UserSearch(fields, instructions, form)
    assert UserSearch.decode(through_bytes(value.encode())) == value


def test_who_is_found_has_all_fields() -> None:  # XEP-0055, example 4
    found = FoundPerson(Jid("juliet@capulet.com"), {"first": "Juliet", "nick": "JuliC", "orgname": "Capulet"})
    text = (
        "<query xmlns='jabber:iq:search'><item jid='juliet@capulet.com'><first>Juliet</first><last/>"
        "<nick>JuliC</nick><email/></item></query>"
    )
    assert UserSearch(found=(found,)).encode() == decode(text.encode(), "")


def test_addresses_are_read_with_what_else_stands_in_them() -> None:
    first, second, third = Addresses.decode(decode(ADDRESSES.encode(), "")).addresses
    assert (first.kind, first.jid, first.is_delivered) == ("to", Jid("hildjj@jabber.org/Work"), False)
    assert (second.kind, second.jid, second.is_delivered) == ("bcc", Jid("jer@jabber.org"), True)
    assert (third.kind, third.jid) == ("noreply", None)
    delivered = first.delivered()
    assert delivered.get("delivered") == "true"
    assert delivered.get("desc") == "Joe"
    assert delivered.content == first.element.content
    assert first.element.get("delivered") is None


@pytest.mark.parametrize(
    ("address", "condition"),
    [("<address jid='a@b'/>", "bad-request"), ("<address type='to' jid='@@'/>", "jid-malformed")],
)
def test_what_is_no_address_is_refused(address: str, condition: str) -> None:
    text = f"<addresses xmlns='http://jabber.org/protocol/address'>{address}</addresses>"
    with pytest.raises(StanzaError) as caught:
        Addresses.decode(decode(text.encode(), ""))
    assert caught.value.condition == condition
