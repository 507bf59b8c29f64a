"""Words: finds them in the bodies of a message, and blots them out."""

import re

from tidings.api import Element, Stanza

BODY = ("jabber:client", "body")


def pattern_of(words: tuple[str, ...]) -> re.Pattern[str] | None:
    """Make what finds any of the words; None where there are none."""
    if not words:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)


def blotted(message: Stanza, pattern: re.Pattern[str], replacement: str) -> Stanza:
    """Give the message with the replacement for each word; the same object where none was found."""
    found, bodies = 0, []
    for child in message.children:
        if (child.namespace, child.name) == BODY:
            body = child.decode()
            text, times = pattern.subn(lambda _: replacement, body.text)
            found += times
            bodies.append(Element(body.name, body.namespace, body.attributes, text))
    if not found:
        return message
    return message.replace(drop=lambda namespace, name: (namespace, name) == BODY, append=bodies)
