"""Data forms: what is written, what is read back, and what a submission may hold."""

import pytest
from hypothesis import given

from tests.wire.xmpp.payloads.strategies import forms, through_bytes
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import (
    DataForm,
    Field,
    FieldKind,
    FormKind,
    Option,
    Validation,
    check_submission,
)

CONTEST = """<x xmlns='jabber:x:data' type='form'><title>Contest Registration</title>
<instructions>Please provide the following information to sign up for our special contests!</instructions>
<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>
<field type='text-single' label='Given Name' var='first'><required/></field>
<field type='list-single' label='Gender' var='x-gender'>
<option label='Male'><value>M</value></option><option label='Female'><value>F</value></option></field></x>"""


@given(forms)
def test_round_trips(form: DataForm) -> None:
    assert DataForm.decode(through_bytes(form.encode())) == form


def test_a_form_of_the_documents() -> None:  # XEP-0077 example 8
    assert DataForm.decode(decode(CONTEST.encode(), "")) == DataForm.of(
        FormKind.FORM,
        "jabber:iq:register",
        Field("first", (), FieldKind.TEXT_SINGLE, "Given Name", is_required=True),
        Field(
            "x-gender",
            (),
            FieldKind.LIST_SINGLE,
            "Gender",
            options=(Option("M", "Male"), Option("F", "Female")),
        ),
        title="Contest Registration",
        instructions="Please provide the following information to sign up for our special contests!",
    )


VALIDATIONS = [  # XEP-0122 examples 1 to 6
    ("<validate xmlns='{ns}' datatype='xs:dateTime'/>", Validation("xs:dateTime")),
    ("<validate xmlns='{ns}' datatype='xs:string'><open/></validate>", Validation("xs:string", "open")),
    (
        (
            "<validate xmlns='{ns}' datatype='xs:dateTime'>"
            "<range min='2003-10-05T00:00:00-07:00' max='9'/></validate>"
        ),
        Validation("xs:dateTime", "range", "2003-10-05T00:00:00-07:00", "9"),
    ),
    (
        "<validate xmlns='{ns}' datatype='xs:string'><regex>([0-9]{{3}})</regex></validate>",
        Validation("xs:string", "regex", pattern="([0-9]{3})"),
    ),
    (
        "<validate xmlns='{ns}'><basic/><list-range min='1' max='3'/></validate>",
        Validation("xs:string", "basic", fewest=1, most=3),
    ),
]


@pytest.mark.parametrize(("text", "validation"), VALIDATIONS)
def test_validation(text: str, validation: Validation) -> None:
    element = decode(text.format(ns=ns.DATA_FORMS_VALIDATE).encode(), "")
    form = Element(
        "x", ns.DATA_FORMS, {"type": "form"}, Element("field", ns.DATA_FORMS, {"var": "a"}, element)
    )
    assert DataForm.decode(form).fields[0].validation == validation


@pytest.mark.parametrize(
    "element",
    [
        Element("x", ns.DATA_FORMS, {"type": "error"}),
        Element("x", ns.DATA_FORMS, {"type": "submit"}, Element("field", ns.DATA_FORMS)),
    ],
)
def test_nonsense(element: Element) -> None:
    with pytest.raises(StanzaError) as error:
        DataForm.decode(element)
    assert error.value.condition == "bad-request"


def test_an_unknown_kind_of_field_is_a_line_of_text() -> None:  # §3.3
    element = Element(
        "x", ns.DATA_FORMS, None, Element("field", ns.DATA_FORMS, {"var": "a", "type": "colour"})
    )
    assert DataForm.decode(element).fields == (Field("a", (), FieldKind.TEXT_SINGLE),)


def test_a_form_type_counts_when_hidden_or_submitted() -> None:  # XEP-0068 §3.2
    stray = (Field("FORM_TYPE", ("a",)),)
    assert DataForm.of(FormKind.RESULT, "a").form_type == "a"
    assert DataForm(FormKind.SUBMIT, stray).form_type == "a"
    assert DataForm(FormKind.RESULT, stray).form_type == ""


def submitted(**values: str | tuple[str, ...]) -> DataForm:
    as_tuples = {name: (value,) if isinstance(value, str) else value for name, value in values.items()}
    return DataForm(FormKind.SUBMIT, tuple(Field(name, value) for name, value in as_tuples.items()))


def test_typed_reading() -> None:
    form = submitted(
        yes="1", no="false", n="42", who=("A@b.example", "a@b.example", ""), text=("a", "b"), blank=""
    )
    assert form.boolean("yes")
    assert not form.boolean("no", default=True)
    assert form.boolean("blank", default=True)
    assert form.boolean("missing", default=True)
    assert form.number("n", default=0) == 42
    assert form.number("missing", default=7) == 7
    assert form.jids("who") == (Jid("a@b.example"),)
    assert form.text("text") == "a\nb"
    assert form.values("missing") == ()


@pytest.mark.parametrize("value", ["yes", "TRUE", "2", "-1"])
def test_what_is_neither_true_nor_false(value: str) -> None:
    with pytest.raises(StanzaError, match="true or false"):
        submitted(a=value).boolean("a")


@pytest.mark.parametrize("value", ["-1", "1e3", "99999999999999999999999999", "٣", "11"])
def test_numbers_outside_their_limits(value: str) -> None:
    with pytest.raises(StanzaError, match="from 1 to 10"):
        submitted(a=value).number("a", default=1, minimum=1, maximum=10)


def test_addresses_that_are_none() -> None:
    with pytest.raises(StanzaError) as error:
        submitted(a="@").jids("a")
    assert error.value.condition == "jid-malformed"


FORM = DataForm.of(
    FormKind.FORM,
    "urn:example",
    Field("name", (), FieldKind.TEXT_SINGLE, is_required=True),
    Field("lines", (), FieldKind.TEXT_MULTI),
    Field("colour", (), FieldKind.LIST_SINGLE, options=(Option("red"), Option("blue"))),
    Field("size", (), FieldKind.LIST_SINGLE, options=(Option("1"),), validation=Validation(method="open")),
)


@pytest.mark.parametrize(
    "submission",
    [
        submitted(name="a"),
        submitted(name="a", lines=("a", "b"), colour="red", size="99", unknown="x"),
        submitted(name="a", colour=""),
    ],
)
def test_submissions_that_fit(submission: DataForm) -> None:
    check_submission(FORM, submission)


@pytest.mark.parametrize(
    ("submission", "condition"),
    [
        (submitted(), "not-acceptable"),
        (submitted(name=""), "not-acceptable"),
        (submitted(name=("a", "b")), "bad-request"),
        (submitted(name="a", colour="green"), "bad-request"),
    ],
)
def test_submissions_that_do_not(submission: DataForm, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        check_submission(FORM, submission)
    assert error.value.condition == condition
