"""Stored copy: what the ledger's answer to a message means to one archive."""

from __future__ import annotations

import msgspec

from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Accepted, Place
from tidings.wire.xmpp.classification import Classification


class StoredCopy(msgspec.Struct, frozen=True, gc=False):
    """What the ledger answered about one archive's copy of a message.

    `place` is None where this archive has no entry; `time` are microseconds. `repeated`: an earlier send of
    the same was accepted and delivered then. `target` is the position that it refers to, 0 for none.
    `returned`: the message brought its conversation back from the box `archive`.
    """

    classification: Classification
    place: Place | None
    time: int
    repeated: bool
    target: int
    returned: bool


def stored_copy(classification: Classification, outcome: Accepted, owner: Jid) -> StoredCopy:
    """Give what the outcome says about the archive of this owner."""
    places, targets = outcome.places, outcome.targets
    for number in range(len(places) - 1, -1, -1):  # the recipient's is the last
        place = places[number]
        if place.archive == owner:
            target = targets[number] if targets else 0
            returned = owner in outcome.returned
            return StoredCopy(classification, place, outcome.time, outcome.repeated, target, returned)
    return StoredCopy(classification, None, outcome.time, outcome.repeated, 0, False)
