"""What a message cannot be stored with: it is refused before anything is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from tidings.base.jid import PART_OCTETS
from tidings.ports.ledger.batch import (
    AFFILIATION_OCTETS,
    BODY_OCTETS,
    NICK_OCTETS,
    PROPERTY_NAME_OCTETS,
    PROPERTY_OCTETS,
    Append,
    Refused,
)


def refusal_of(append: Append) -> Refused | None:
    """Tell why a message cannot be stored at all; None where nothing speaks against it."""
    if len(append.body) > BODY_OCTETS:
        return Refused(f"the message has {len(append.body)} octets, more than {BODY_OCTETS}")
    if not append.entries and not append.outbox and not append.reads:
        return Refused("the message belongs to no archive")
    if append.members or append.properties:
        for what, octets, most in _lengths(append):
            if octets > most:
                return Refused(f"the {what} has {octets} octets, more than {most}")
    return next(filter(None, map(refusal_of, append.also)), None) if append.also else None


def _lengths(append: Append) -> Iterator[tuple[str, int, int]]:
    """Give what of members and properties has a length, that, and how long it may be."""
    for change in append.members:
        yield "affiliation", len(change.affiliation.encode()), AFFILIATION_OCTETS
        yield "domain of a member", len((change.domain or "").encode()), PART_OCTETS
        yield "nickname", len((change.nick or "").encode()), NICK_OCTETS
    for kept in append.properties:
        yield "name of a property", len(kept.name.encode()), PROPERTY_NAME_OCTETS
        yield f"property {kept.name}", len(kept.value), PROPERTY_OCTETS
