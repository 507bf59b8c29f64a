"""History: messages that another server has accepted become entries of one archive here.

Each archive is filled by itself: a message between two accounts that come together is kept twice, since the
other server may have kept it for one of them only.
"""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.messages.entries import KINDS, keys_of, targets
from tidings.ports.ledger.batch import BODY_OCTETS, Append, Direction, Entry, EntryKind
from tidings.wire.xmpp.classification import Storage, classify
from tidings.wire.xmpp.payloads.arrival import without_forgeries
from tidings.wire.xmpp.stanza import Stanza


def past_append(
    owner: Jid,
    message: Stanza,
    time: int,
    *,
    is_sent: bool,
    is_undelivered: bool = False,
    is_for_devices: bool = False,
) -> Append | None:
    """Give what the ledger is asked to write for a message of an archive; None where it is not to be kept.

    Both addresses are in the message. `time` are microseconds since 1970. What is for devices alone, as the
    message says or `is_for_devices`, is kept while no device has had it.
    """
    classification = classify(message)
    sender, recipient = message.sender, message.to
    if classification.storage is Storage.NONE or sender is None or recipient is None:
        return None
    is_offline_only = is_for_devices or classification.storage is Storage.UNTIL_DELIVERED
    body = without_forgeries(message, owner).to_bytes()
    if (is_offline_only and not is_undelivered) or len(body) > BODY_OCTETS:
        return None
    peers = sender.bare, recipient.bare
    peer = peers[1] if is_sent else peers[0]
    reference = classification.reference
    return Append(
        body=body,
        entries=(
            Entry(
                archive=owner.text,
                peer=peer.text,
                direction=Direction.SENT if is_sent and owner != peer else Direction.RECEIVED,
                countable=classification.is_counted and not is_offline_only,
                offline_only=is_offline_only,
                reader=owner.text if owner == peer else None,
            ),
        ),
        kind=EntryKind.MESSAGE if reference is None else KINDS[reference.kind],
        keys=keys_of(message, peers)[0],
        refers_to=() if reference is None else targets(reference, peers),
        sender=sender.text,
        time=time,
    )
