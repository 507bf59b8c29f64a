"""Stanza errors as RFC 6120 §8.3 lists them: what is sent, and the condition and type of the answer."""

from __future__ import annotations

import pytest

from tests.harness.world import World
from tidings.base.errors import STANZA_ERROR_KINDS
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ALICE, BOB = "alice@localhost/phone", "bob@localhost/desk"
PING = f"<ping xmlns='{ns.PING}'/>"
BODY = "<body>hi</body>"
DISCO = "http://jabber.org/protocol/disco#info"
FORM = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
    "<field var='odd'><value>1</value></field></x>"
)


def iq(content: str, to: str = "", kind: str = "get") -> str:
    address = f" to='{to}'" if to else ""
    return f"<iq type='{kind}' id='1'{address}>{content}</iq>"


def roster(item: str) -> str:
    return iq(f"<query xmlns='jabber:iq:roster'>{item}</query>", kind="set")


TABLE = [
    # in the section's order: what is sent, the condition, the type
    (iq(""), "bad-request", "modify"),  # §8.3.3.1
    (iq(PING + PING), "bad-request", "modify"),
    (iq(PING, kind="what"), "bad-request", "modify"),
    (f"<iq id='1'>{PING}</iq>", "bad-request", "modify"),
    ("<presence type='what' id='1'/>", "bad-request", "modify"),
    (roster(""), "bad-request", "modify"),
    (iq(f"<query xmlns='urn:xmpp:mam:2'>{FORM}</query>", kind="set"), "feature-not-implemented", "cancel"),
    (iq("<query xmlns='jabber:iq:roster'/>", "bob@localhost"), "forbidden", "auth"),  # §8.3.3.4
    (iq("<vCard xmlns='vcard-temp'/>", "bob@localhost", "set"), "forbidden", "auth"),
    (iq(f"<query xmlns='{DISCO}' node='none'/>", "localhost"), "item-not-found", "cancel"),  # §8.3.3.7
    (roster("<item jid='a@b.example' subscription='remove'/>"), "item-not-found", "cancel"),
    (f"<message to='@' id='1'>{BODY}</message>", "jid-malformed", "modify"),  # §8.3.3.8
    (iq(PING, "a@b@c"), "jid-malformed", "modify"),
    (roster("<item jid='@'/>"), "jid-malformed", "modify"),
    (iq("<query xmlns='jabber:iq:private'/>"), "not-acceptable", "modify"),  # §8.3.3.9
    (roster(f"<item jid='a@b.example' name='{'n' * 5000}'/>"), "not-acceptable", "modify"),
    ("<presence type='subscribe' to='alice@localhost' id='1'/>", "not-allowed", "cancel"),  # §8.3.3.10
    (iq(f"<bind xmlns='{ns.BIND}'/>", kind="set"), "not-allowed", "cancel"),  # §7.1: a second resource
    (
        iq(f"<vCard xmlns='vcard-temp'><X>{'x' * 200_000}</X></vCard>", kind="set"),
        "policy-violation",
        "modify",
    ),
    (f"<message to='bob@nowhere.example' id='1'>{BODY}</message>", "remote-server-not-found", "cancel"),
    (iq(PING, "nowhere.example"), "remote-server-not-found", "cancel"),  # §8.3.3.16
    ("<presence to='bob@nowhere.example' id='1'/>", "remote-server-not-found", "cancel"),
    (iq("<x xmlns='urn:example'/>", "localhost"), "service-unavailable", "cancel"),  # §8.3.3.19, §8.4
    (iq("<x xmlns='urn:example'/>"), "service-unavailable", "cancel"),
    (iq(PING, "ghost@localhost"), "service-unavailable", "cancel"),
    (iq(PING, "bob@localhost/gone"), "service-unavailable", "cancel"),
    (f"<message to='ghost@localhost' id='1'>{BODY}</message>", "service-unavailable", "cancel"),
]


def answers(received: list[Element]) -> list[Element]:
    """Give what answers the stanza that was sent."""
    return [element for element in received if element.get("id") == "1"]


@pytest.mark.parametrize(("text", "condition", "kind"), TABLE, ids=lambda value: value[:70])
async def test_what_is_sent_and_the_condition_that_answers_it(
    world: World, text: str, condition: str, kind: str
) -> None:
    alice = await world.login(ALICE)
    await alice.send(text)
    [answer] = answers(alice.take())
    asked = text[1:].partition(" ")[0]
    assert (answer.name, answer.get("type"), answer.get("to")) == (asked, "error", ALICE)  # §8.3.1
    [error] = [child for child in answer.children if child.name == "error"]
    first, *others = error.children  # §8.3.2: the condition, then a text
    assert (first.namespace, first.name, error.get("type")) == (ns.STANZA_ERRORS, condition, kind)
    assert STANZA_ERROR_KINDS[condition] == kind
    assert [other.name for other in others] in ([], ["text"])
    assert all(other.get("xml:lang") for other in others)
    assert alice.error is None  # a stanza error ends nothing
    assert (await alice.request("<iq type='get' id='2' to='localhost'>" + PING + "</iq>")).get(
        "type"
    ) == "result"


async def test_the_answer_comes_from_whom_the_stanza_was_for(world: World) -> None:  # §8.3.1
    alice = await world.login(ALICE)
    for to in ("bob@nowhere.example", "ghost@localhost", "bob@localhost/gone", "localhost"):
        await alice.send(iq("<x xmlns='urn:example'/>", to))
        [answer] = answers(alice.take())
        assert answer.get("from") == to


async def test_an_iq_without_an_id_is_answered_without_one(world: World) -> None:  # §8.1.3
    alice = await world.login(ALICE)
    await alice.send(f"<iq type='get'>{PING}</iq>")
    [answer] = alice.take("iq")
    assert (answer.get("type"), answer.get("id")) == ("error", None)


@pytest.mark.parametrize(
    "to", ["@", "bob@nowhere.example", "ghost@localhost", "bob@localhost/gone", "localhost"]
)
@pytest.mark.parametrize(
    "opening", ["message type='error'", "presence type='error'", "iq type='error'", "iq type='result'"]
)
async def test_an_error_is_never_answered_with_another(world: World, opening: str, to: str) -> None:  # §8.3.1
    alice = await world.login(ALICE)
    await alice.send(f"<{opening} id='1' to='{to}'/>")
    error = "<error type='cancel'/><x xmlns='urn:example'/>"
    await alice.send(f"<{opening} id='1' to='{to}'>{error}</{opening.split()[0]}>")
    assert answers(alice.take()) == []
    assert alice.error is None


async def test_an_error_reaches_whom_it_is_for_as_it_was_written(world: World) -> None:  # §8.3.2, §8.3.4
    alice, bob = await world.login(ALICE), await world.login(BOB)
    error = (
        f"<error type='wait' by='bob@localhost'><gone xmlns='{ns.STANZA_ERRORS}'>xmpp:new@localhost</gone>"
        f"<text xmlns='{ns.STANZA_ERRORS}' xml:lang='de'>weg</text><x xmlns='urn:example'/></error>"
    )
    await alice.send(iq(PING, BOB))
    [asked] = bob.take("iq")
    await bob.send(f"<iq type='error' to='{ALICE}' id='{asked.get('id')}'>{PING}{error}</iq>")
    [answer] = answers(alice.take())
    copied, told = answer.children  # the original may stand beside the error
    assert copied.name == "ping"
    assert (told.get("type"), told.get("by")) == ("wait", "bob@localhost")
    assert [(child.name, child.text) for child in told.children] == [
        ("gone", "xmpp:new@localhost"),
        ("text", "weg"),
        ("x", ""),
    ]


def test_the_types_are_those_that_the_document_associates() -> None:  # §8.3.3
    by_kind = {
        kind: sorted(c for c, k in STANZA_ERROR_KINDS.items() if k == kind)
        for kind in STANZA_ERROR_KINDS.values()
    }
    assert by_kind == {
        "auth": ["forbidden", "not-authorized", "registration-required", "subscription-required"],
        "cancel": [
            "conflict",
            "feature-not-implemented",
            "gone",
            "internal-server-error",
            "item-not-found",
            "not-allowed",
            "remote-server-not-found",
            "service-unavailable",
            "undefined-condition",
        ],
        "modify": ["bad-request", "jid-malformed", "not-acceptable", "policy-violation", "redirect"],
        "wait": [
            "recipient-unavailable",
            "remote-server-timeout",
            "resource-constraint",
            "unexpected-request",
        ],
    }
