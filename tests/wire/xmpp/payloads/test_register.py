"""In-band registration on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import forms, texts, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.register import FIELDS, Register

EXAMPLES = {
    "example 1": ("<query xmlns='jabber:iq:register'/>", Register()),
    "example 2": (
        (
            "<query xmlns='jabber:iq:register'><instructions>Choose!</instructions>"
            "<username/><password/><email/></query>"
        ),
        Register({"username": "", "password": "", "email": ""}, "Choose!"),
    ),
    "example 4": (
        "<query xmlns='jabber:iq:register'><username>bill</username><password>Calliope</password></query>",
        Register({"username": "bill", "password": "Calliope"}),
    ),
    "example 12": ("<query xmlns='jabber:iq:register'><remove/></query>", Register(is_removal=True)),
    "example 27": (
        (
            "<query xmlns='jabber:iq:register'><instructions>Elsewhere</instructions><x xmlns='jabber:x:oob'>"
            "<url>http://www.shakespeare.lit/contests.php</url></x></query>"
        ),
        Register(instructions="Elsewhere", url="http://www.shakespeare.lit/contests.php"),
    ),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_document(text: str, value: Register) -> None:
    assert Register.decode(decode(text.encode(), "")) == value
    assert value.encode() == decode(text.encode(), "")


@given(
    st.dictionaries(st.sampled_from(FIELDS), texts),
    words.map(str.strip),
    st.booleans(),
    st.none() | forms,
    texts,
)
def test_round_trips(fields, instructions, is_registered, form, url) -> None:
    value = Register(fields, instructions, is_registered, form=form, url=url)
    assert Register.decode(through_bytes(value.encode())) == value


def test_the_form_takes_precedence() -> None:  # §6
    form = DataForm(FormKind.SUBMIT, (Field("username", ("juliet",)),))
    both = Register({"username": "romeo", "password": "x"}, form=form)
    assert (both.get("username"), both.get("password")) == ("juliet", "")


def test_a_removal_says_nothing_else() -> None:  # §3.2
    query = Element(
        "query", ns.REGISTER, None, Element("remove", ns.REGISTER), Element("username", ns.REGISTER)
    )
    with pytest.raises(StanzaError) as error:
        Register.decode(query)
    assert error.value.condition == "bad-request"
