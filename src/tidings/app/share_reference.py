"""Writes the page of the shares: everything that an account may have the server keep, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import inspect

from tidings.adapters.sql.ledger.devices import DEVICES
from tidings.app import schema
from tidings.app.known_features import KnownFeatures, known_features
from tidings.app.reference_text import cell
from tidings.base.limits import XmlLimits
from tidings.base.shares import OLDEST_LEAVES, SHARE
from tidings.features.carbons import REMEMBERED
from tidings.features.last_activity import LONGEST_STATUS
from tidings.messages.entries import RETRACTION_OCTETS
from tidings.ports.accounts import TOKEN_DEVICES
from tidings.ports.documents import LONGEST_VALUE
from tidings.ports.groups import HISTORY as GROUP_HISTORY
from tidings.ports.groups import MOST_MEMBERS
from tidings.ports.roster import HISTORY
from tidings.wire.xmpp.payloads.archive_preferences import LISTED

FIXED: Final[tuple[tuple[str, int, str], ...]] = (
    (
        "Octets beyond the share of an archive, for retractions alone",
        RETRACTION_OCTETS,
        "`resource-constraint`",
    ),
    ("Devices whose place in the archive is known", DEVICES, OLDEST_LEAVES),
    ("Devices that hold tokens for a log-in without password", TOKEN_DEVICES, "the first to run out leaves"),
    ("Contacts that left a roster and are still told of", HISTORY, OLDEST_LEAVES),
    (
        "Members of a shared group",
        MOST_MEMBERS,
        "`policy-violation`; new accounts are not in one for everybody",
    ),
    ("Changes of the shared groups of a domain that are still told of", GROUP_HISTORY, OLDEST_LEAVES),
    ("Addresses in each list of the archive preferences", LISTED, "`bad-request`"),
    ("Characters of the last good-bye", LONGEST_STATUS, "the rest is cut off"),
    ("Copied messages whose errors are copied, too (in memory)", REMEMBERED, OLDEST_LEAVES),
    ("Octets of one document of an extension", LONGEST_VALUE, "`policy-violation`"),
)
"""Bounds that are no options: what is bounded, how much, and what happens beyond it."""


class Share(msgspec.Struct, frozen=True):
    """One option that bounds what an account may keep."""

    section: str
    option: str
    description: str
    default: object
    beyond: str


def shares(known: KnownFeatures) -> Iterator[Share]:
    """Give every share that features declare, in the order of the sections."""
    sections = schema.build(known).entries["features"]
    assert isinstance(sections, schema.Table)
    for section, struct in sorted(known.options.items()):
        described, table = inspect.type_info(struct), sections.entries[section]
        assert isinstance(described, inspect.StructType)
        assert isinstance(table, schema.Table)
        beyond = {each.name: _beyond(each.type) for each in described.fields}
        for leaf in table.leaves():
            if beyond[leaf.name]:
                yield Share(section, leaf.name, leaf.description, leaf.default, beyond[leaf.name])


def page() -> Iterator[str]:
    """Write the page."""
    yield "# Shares"
    yield ""
    yield "What one account, and strangers through it, may have the server keep. Everything that is kept"
    yield "for somebody has a bound here; [why and how](../explanation/shares.md). What is beyond a share is"
    yield "refused before anything is written, and the error says what is too large, how large it would be"
    yield "and what is allowed. Nobody else is disturbed. Each share is an option of the feature that keeps"
    yield 'it, for all domains in `[features.NAME]` or for one in `[host."example.org".features.NAME]`. One'
    yield "that is made smaller takes nothing away, unless the oldest leaves: what there is stays, and may"
    yield "become smaller, but not grow."
    yield ""
    yield "| section | option | what it bounds | default | beyond it |"
    yield "|---|---|---|---|---|"
    for share in shares(known_features()):
        beyond = f"`{share.beyond}`" if " " not in share.beyond else share.beyond
        yield (
            f"| `[features.{share.section}]` | `{share.option}` | {cell(share.description)} "
            f"| `{schema.show(share.default)}` | {beyond} |"
        )
    yield ""
    yield "Fixed, since nobody needs another:"
    yield ""
    yield "| what is bounded | most | beyond it |"
    yield "|---|---|---|"
    for what, most, beyond in FIXED:
        yield f"| {what} | `{most}` | {beyond} |"
    yield ""
    yield "One request of a client is never larger than `stanza_bytes` in `[limits]`"
    yield f"(`{XmlLimits().stanza_bytes}`), so it cannot write more at once."
    yield ""
    yield "**The archive** is what an account is for, so its share is not bounded unless you say so. For how"
    yield "long, how many messages and how many octets are kept is said in `[features.retention]`. With the"
    yield "messages go the conversations of the inbox and the text search."


def _beyond(kind: inspect.Type) -> str:
    """Give what happens beyond a share; nothing for an option that is none."""
    while isinstance(kind, inspect.Metadata):
        if kind.extra and SHARE in kind.extra:
            return str(kind.extra[SHARE])
        kind = kind.type
    return ""
