"""Mentioning: which members a message of a room concerns above all, so that their inboxes count it.

A member is mentioned by a reference (XEP-0372, XEP-0513) to his address, to his occupant's or by his occupant
id, and by his name in the text: one that is reserved for him, the one that he has in the room now, or the one
that he had last, as far as the room remembers it. Everybody is mentioned by a reference to the room, and by
`@all`, `@everyone`, `@channel`, `@here` or `@room`. Pure, and cheap: it is asked of every message.
"""

from __future__ import annotations

import html
import re
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.names import SEARCHED, words_of
from tidings.features.rooms.room import Occupant, Room
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.mentions import TAGS, Mention, mentions_of
from tidings.wire.xmpp.stanza import Stanza

_BODY: Final = f"{ns.CLIENT} body"
_PLAIN: Final = re.compile(rb"<body(?:\s[^<>]*)?>([^<]*)</body>")
_EVERYBODY: Final = re.compile(r"(?<!\w)@(?:all|everyone|channel|here|room)(?!\w)")


def mentioned(room: Room, author: Occupant, message: Stanza) -> tuple[tuple[str, ...], bool]:
    """Give the bare JIDs of the members that a message mentions, and whether it mentions everybody."""
    folded = _text_of(message).casefold()
    is_everybody = "@" in folded and _EVERYBODY.search(folded) is not None
    words = words_of(folded)
    found = room.occupants.names.within(folded, words)
    found |= room.state.names.within(folded, words)
    if any(tag in TAGS for tag, _ in message.index):
        for mention in mentions_of(message):
            if mention.is_everybody or mention.address == room.jid:
                is_everybody = True
            else:
                jid = _person(room, mention)
                if jid is not None:
                    found.add(jid)
    if not found:
        return (), is_everybody
    found.discard(author.jid)  # who speaks has read
    members = room.state.members
    return tuple(
        sorted(jid.text for jid in found if (known := members.get(jid)) is not None and known.has_joined)
    ), is_everybody


def _person(room: Room, mention: Mention) -> Jid | None:
    address = mention.address
    if address is None:
        known = (each.jid for each in room.occupants if each.id == mention.occupant_id)
        return next(known, None)
    if address.bare != room.jid:
        return address.bare
    return room.occupants.last_called(address.resource) or room.state.holder_of(address.resource)


def _text_of(message: Stanza) -> str:
    """Read the text of a message; one in several languages in each."""
    texts = []
    for tag, offset in message.index:
        if tag == _BODY:
            plain = _PLAIN.match(message.content, offset)
            if plain is None:
                element = message.decode(ns.CLIENT, "body")
                texts.append("" if element is None else element.text)
            else:
                text = plain[1].decode()
                texts.append(html.unescape(text) if "&" in text else text)
    return (texts[0] if len(texts) == 1 else "\n".join(texts))[:SEARCHED]
