"""Which contacts the entries of a block list mean (XEP-0191 §3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tidings.base.jid import Jid


def meant(addresses: Iterable[Jid], contacts: Iterable[Jid]) -> Iterator[Jid]:
    """Give the contacts, or the resource of one, that entries of a block list mean (XEP-0191 §3.1)."""
    for address in addresses:
        for contact in contacts:
            if covers(address, contact):
                yield contact
            elif address.resource and address.bare == contact:
                yield address


def covers(blocked: Jid, jid: Jid) -> bool:
    """Tell whether an entry of a block list means this address: a domain means everybody there."""
    if blocked.resource:
        return blocked in (jid, Jid.of("", jid.domain, jid.resource))
    return blocked in (jid.bare, jid.domain)
