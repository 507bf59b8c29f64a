"""Arrival: what an archive tells with each message: its id there and the server's time.

A message that is delivered at once carries XEP-0359's stanza-id and a time of our own
(docs/specs/time.md); one that was stored carries XEP-0203's delay instead of the latter. The bytes of the
message itself are copied, never parsed.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.date_time import format_date_time
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.payloads.stanza_ids import without_claims
from tidings.wire.xmpp.stanza import Child, Stanza

_STANZA_ID: Final = f"{ns.STANZA_ID} stanza-id"
_TIME: Final = f"{ns.TIDINGS_TIME} time"
_DELAY: Final = f"{ns.DELAY} delay"
_OPENING: Final = b"<message"
_CLOSING: Final = b"</message>"
_MESSAGE: Final = f'<message xmlns="{ns.CLIENT}"'.encode()
_FORWARDED: Final = f'<forwarded xmlns="{ns.FORWARD}"><delay xmlns="{ns.DELAY}" stamp="'.encode()
_DELAY_FROM: Final = f'<delay xmlns="{ns.DELAY}" from="'.encode()
_STANZA_ID_BY: Final = f'<stanza-id xmlns="{ns.STANZA_ID}" by="'.encode()
_DELAYS: Final = frozenset({(ns.DELAY, "delay"), (ns.LEGACY_DELAY, "x")})
_TIMES: Final = _DELAYS | {(ns.TIDINGS_TIME, "time")}
_OURS: Final = frozenset({_STANZA_ID, _TIME, _DELAY, f"{ns.LEGACY_DELAY} x"})

stamp_of = lru_cache(maxsize=256)(format_date_time)
"""Write a time in microseconds since 1970; messages of one commit share it."""


def stamped(
    stanza: Stanza,
    by: Jid,
    id: str,  # noqa: A002  # the attribute's own name
    time: int,
    *,
    is_live: bool,
    is_room: bool = False,
) -> Stanza:
    """Give the message as the archive of `by` delivers it: with its id there and the time of its acceptance.

    `by` is a bare JID, `time` are microseconds since 1970. The message must have no stanza-id of `by` yet.
    A stored message has its time in the name of the domain, as clients expect (XEP-0160 §2, example 3); in
    the history of a room, in the room's (XEP-0045 §7.2.13).
    """
    first = _stanza_id(by, id)
    tag, second = (_TIME, _live_time(time)) if is_live else (_DELAY, _delay(by if is_room else by.host, time))
    return stanza.extended(((_STANZA_ID, 0), (tag, len(first))), first + second)


def live_bytes(body: bytes, by: Jid, id: str, time: int) -> bytes:  # noqa: A002  # the attribute's own name
    """Give what `stamped` would write of a live message that is written already."""
    return extended(body, _stanza_id(by, id) + _live_time(time))


def has_claims(stanza: Stanza) -> bool:
    """Tell whether a stanza has anything that `without_forgeries` would have to look at."""
    for tag, _ in stanza.index:  # noqa: SIM110  # a generator costs more, on every message's way
        if tag in _OURS:
            return True
    return False


def without_forgeries(stanza: Stanza, *ours: Jid) -> Stanza:
    """Give the stanza without what only our server may say of it, whoever wrote that.

    `ours` are the bare JIDs of accounts and rooms here. What falls are stanza-ids in their name, delays in
    theirs or their domain's (XEP-0203 §7), however they are spelled, and every time of our own kind.
    """
    if not has_claims(stanza):
        return stanza
    stanza = without_claims(stanza, *ours)
    authors = {*ours, *(jid.host for jid in ours)}
    forged = [child for child in stanza.children if _is_time_of_ours(child, authors)]
    if not forged:
        return stanza
    kept = [
        child.raw
        for child in stanza.children
        if (child.namespace, child.name) in _TIMES and child not in forged
    ]
    return stanza.replace(drop=lambda *tag: tag in _TIMES, append=kept)


def with_archive_id(body: bytes, by: Jid, id: str) -> bytes:  # noqa: A002  # the attribute's own name
    """Give a stored message, as bytes, with its id in the archive of `by`."""
    return extended(body, _stanza_id(by, id))


def forwarded(body: bytes, by: Jid, id: str, time: int, *, sender: bytes = b"") -> bytes:  # noqa: A002  # the attribute's own name
    """Give `<forwarded/>` around a stored message, with its id in the archive of `by` and its time.

    It is what `Forwarded` writes of `with_archive_id`, for any default namespace, in one piece: pages consist
    of these. `sender` is the delay's `from`, as it is written.
    """
    return b'%b%b"%b/>%b%b</forwarded>' % (
        _FORWARDED,
        format_date_time(time).encode(),
        b' from="%b"' % sender if sender else b"",
        _MESSAGE,
        with_archive_id(body, by, id)[len(_OPENING) :],
    )


def kept(body: bytes) -> Stanza:
    """Read a stored message; what was stored was a stanza."""
    return stanza_of(decode(body, ns.CLIENT))


def time_of(stanza: Stanza) -> str | None:
    """Give the server's time that a live message carries, as it is written; None where there is none."""
    element: Element | None = stanza.decode(ns.TIDINGS_TIME, "time")
    return None if element is None else element.get("stamp")


def _is_time_of_ours(child: Child, authors: Collection[Jid]) -> bool:
    if (child.namespace, child.name) not in _DELAYS:
        return (child.namespace, child.name) == (ns.TIDINGS_TIME, "time")
    try:
        return Jid(decode(child.raw, ns.CLIENT).get("from") or "") in authors
    except JidError:  # it is in nobody's name
        return False


def extended(body: bytes, addition: bytes) -> bytes:
    """Give a stored message, as bytes, with something more at its end, which is written for its namespace."""
    opened = body.removesuffix(_CLOSING)
    if len(opened) == len(body):  # it has no content at all
        opened = body[:-2] + b">"
    return b"".join((opened, addition, _CLOSING))


@lru_cache(maxsize=16)
def _live_time(time: int) -> bytes:
    return f'<time xmlns="{ns.TIDINGS_TIME}" stamp="{stamp_of(time)}"/>'.encode()


def _delay(author: Jid, time: int) -> bytes:
    return b'%b%b" stamp="%b"/>' % (_DELAY_FROM, author.xml, stamp_of(time).encode())


def _stanza_id(by: Jid, id_: str) -> bytes:
    # Ids are of this project's making, or a room's; the usual ones need no escaping.
    shown = id_ if id_.replace("-", "").isalnum() else escape_attribute(id_)
    return b'%b%b" id="%b"/>' % (_STANZA_ID_BY, by.xml, shown.encode())
