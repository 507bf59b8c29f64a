"""Mentions on the wire: the elements of XEP-0372 and XEP-0513, and whatever a peer may send instead."""

from __future__ import annotations

import pytest

from tests.wire.xmpp.payloads.messages import received
from tidings.base.jid import Jid
from tidings.wire.xmpp.payloads.mentions import MOST, Mention, mentions_of

ROMEO = Jid("romeo@montague.example")
REFERENCE = "<reference xmlns='urn:xmpp:reference:0' begin='0' end='5' {}/>"
MENTION = "<mention xmlns='urn:xmpp:mentions:0' {}/>"


@pytest.mark.parametrize(
    ("element", "found"),
    [
        (REFERENCE.format("type='mention' uri='xmpp:romeo@montague.example'"), Mention(ROMEO)),
        (REFERENCE.format("type='mention' uri='xmpp:romeo@montague.example?message'"), Mention(ROMEO)),
        (REFERENCE.format("type='mention' uri='xmpp:r%6fmeo@montague.example'"), Mention(ROMEO)),
        (
            REFERENCE.format("type='mention' uri='xmpp:tea@muc.example/Two%20Words'"),
            Mention(Jid("tea@muc.example/Two Words")),
        ),
        (REFERENCE.format("type='data' uri='xmpp:romeo@montague.example'"), None),
        (REFERENCE.format("type='mention' uri='mailto:romeo@montague.example'"), None),
        (REFERENCE.format("type='mention' uri='xmpp:'"), None),
        (REFERENCE.format("type='mention' uri='xmpp:a@b@c'"), None),
        (REFERENCE.format("type='mention'"), None),
        (MENTION.format("occupantid='abc'"), Mention(occupant_id="abc")),
        (MENTION.format("jid='romeo@montague.example'"), Mention(ROMEO)),
        (MENTION.format("jid='@'"), None),
        (MENTION.format("mentions='urn:xmpp:mentions:0#channel'"), Mention(is_everybody=True)),
        (MENTION.format("mentions='urn:xmpp:mentions:0#channel' uri='xmpp:other@muc.example'"), None),
        (MENTION.format("mentions='urn:xmpp:mentions:0#server' uri='xmpp:montague.example'"), None),
        (MENTION.format(""), None),
        ("<reference xmlns='urn:example:other' type='mention' uri='xmpp:romeo@montague.example'/>", None),
    ],
)
def test_whom_an_element_mentions(element: str, found: Mention | None) -> None:
    message = received(f"<message><body>hello</body>{element}</message>")
    assert mentions_of(message) == ([] if found is None else [found])


def test_so_many_mentions_count() -> None:
    elements = "".join(MENTION.format(f"occupantid='{number}'") for number in range(MOST + 50))
    assert len(mentions_of(received(f"<message>{elements}</message>"))) == MOST
