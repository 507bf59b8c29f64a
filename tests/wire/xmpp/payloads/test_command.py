"""Ad-hoc commands on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import forms, texts, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Action, Actions, Command, CommandStatus, Note, NoteKind

EXAMPLES = {
    "example 6": ("<command xmlns='{ns}' node='list' action='execute'/>", Command("list")),
    "example 9": (
        (
            "<command xmlns='{ns}' sessionid='config:1' node='config' status='executing'>"
            "<actions execute='complete'><prev/><complete/></actions></command>"
        ),
        Command(
            "config",
            "config:1",
            status=CommandStatus.EXECUTING,
            actions=Actions((Action.PREV, Action.COMPLETE), Action.COMPLETE),
        ),
    ),
    "example 11": (
        (
            "<command xmlns='{ns}' sessionid='config:1' node='config' status='completed'>"
            "<note type='info'>Service 'httpd' has been configured.</note></command>"
        ),
        Command(
            "config",
            "config:1",
            status=CommandStatus.COMPLETED,
            notes=(Note("Service 'httpd' has been configured."),),
        ),
    ),
    "example 14": (
        "<command xmlns='{ns}' sessionid='config:1' node='config' action='cancel'/>",
        Command("config", "config:1", Action.CANCEL),
    ),
    "a requester's status is ignored": ("<command xmlns='{ns}' node='list' status='done'/>", Command("list")),
    "an unknown note is information": (
        "<command xmlns='{ns}' node='list'><note type='shout'>a</note></command>",
        Command("list", notes=(Note("a"),)),
    ),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples(text: str, value: Command) -> None:
    assert Command.decode(decode(text.format(ns=ns.COMMANDS).encode(), "")) == value


notes = st.lists(st.builds(Note, texts, st.sampled_from(NoteKind)), max_size=2).map(tuple)
requests = st.builds(
    Command,
    words,
    texts,
    st.sampled_from(Action),
    notes=notes,
    form=st.none() | forms,
    lang=st.sampled_from(["", "en"]),
)
allowed = st.sampled_from([(), (Action.NEXT,), (Action.PREV, Action.NEXT, Action.COMPLETE)])
answers = st.builds(
    Command,
    words,
    texts,
    status=st.sampled_from(CommandStatus),
    actions=st.none() | st.builds(Actions, allowed, st.sampled_from(Action)),
    notes=notes,
    form=st.none() | forms,
)


@given(requests | answers)
def test_round_trips(value: Command) -> None:
    assert Command.decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"node": ""},
        {"node": "list", "action": "explode"},
        {"node": "x" * 1024},
        {"node": "list", "sessionid": "x" * 1024},
    ],
)
def test_nonsense(attributes: dict[str, str]) -> None:
    with pytest.raises(StanzaError) as error:
        Command.decode(Element("command", ns.COMMANDS, attributes))
    assert error.value.condition == "bad-request"
    assert decode(error.value.payload, "").name == "malformed-action"  # §4.4
