"""The roster: the contacts of an account with their names, groups and subscriptions (RFC 6121 §2).

Limits of what a client may store: a name of 1,023 octets, 100 groups of 1,023 octets each (§2.3.3).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import escape_attribute, escape_text
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.strict import octets

NAME_OCTETS: Final = 1_023
GROUP_OCTETS: Final = 1_023
GROUPS: Final = 100

_FRAME: Final = len('<item jid="" name="" subscription="both" ask="subscribe" approved="true"></item>')
_GROUP_FRAME: Final = len("<group></group>")


class ItemSubscription(StrEnum):
    """Who sees whose presence: the attribute `subscription` of an item (§2.1.2.5)."""

    NONE = "none"
    TO = "to"
    FROM = "from"
    BOTH = "both"
    REMOVE = "remove"


_SUBSCRIPTIONS: Final[Mapping[str, ItemSubscription]] = {kind.value: kind for kind in ItemSubscription}


class RosterItem(msgspec.Struct, frozen=True):
    """One contact (§2.1.2); `ask` is our request that waits, `approved` an answer given beforehand."""

    jid: Jid
    name: str = ""
    subscription: ItemSubscription = ItemSubscription.NONE
    ask: bool = False
    approved: bool = False
    groups: tuple[str, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Read `<item/>`; raise `bad-request` without a jid, `jid-malformed` if that is no address.

        A resource is dropped, since contacts are accounts. A subscription that the document does not know
        counts as none: only "remove" may come from a client, all else is to be ignored (§2.1.2.5).
        """
        address = element.get("jid")
        if not address:
            raise StanzaError("bad-request", "a roster item needs a jid")
        try:
            jid = Jid(address).bare
        except JidError as error:
            raise StanzaError("jid-malformed", str(error)) from error
        return cls(
            jid,
            element.get("name") or "",
            _SUBSCRIPTIONS.get(element.get("subscription") or "", ItemSubscription.NONE),
            element.get("ask") == "subscribe",
            element.get("approved") in ("true", "1"),
            tuple(group.text for group in element.find_all("group")),
        )

    def encode(self) -> Element:
        """Write `<item/>` without the attributes that would say nothing."""
        attributes = {"jid": str(self.jid)}
        if self.name:
            attributes["name"] = self.name
        attributes["subscription"] = self.subscription.value
        if self.ask:
            attributes["ask"] = "subscribe"
        if self.approved:
            attributes["approved"] = "true"
        groups = (Element("group", ns.ROSTER, None, group) for group in self.groups)
        return Element("item", ns.ROSTER, attributes, *groups)

    def to_text(self) -> str:
        """Write the same as it stands in `<query/>`, at a tenth of the cost: rosters are long."""
        name = f' name="{escape_attribute(self.name)}"' if self.name else ""
        ask = ' ask="subscribe"' if self.ask else ""
        approved = ' approved="true"' if self.approved else ""
        opening = (
            f'<item jid="{escape_attribute(self.jid)}"{name} subscription="{self.subscription.value}"'
            f"{ask}{approved}"
        )
        if not self.groups:
            return f"{opening}/>"
        groups = "".join([f"<group>{escape_text(group)}</group>" for group in self.groups])
        return f"{opening}>{groups}</item>"


class RosterQuery(msgspec.Struct, frozen=True):
    """A request for the roster, the roster itself, a change of one item, or a push of one (§2.1.1).

    `version` is what the client has in its cache; "" says that it can keep versions but has none, and None
    that it cannot (§2.6.1).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.ROSTER, "query")

    version: str | None = None
    items: tuple[RosterItem, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Read `<query/>`; raise `bad-request` or `jid-malformed` for an item that is none."""
        return cls(element.get("ver"), tuple(RosterItem.decode(item) for item in element.find_all("item")))

    def encode(self) -> Element:
        """Write `<query/>`."""
        attributes = {} if self.version is None else {"ver": self.version}
        return Element("query", ns.ROSTER, attributes, *(item.encode() for item in self.items))

    def change(self) -> RosterItem:
        """Give the one item of a roster set, or raise the error that the request deserves (§2.3.3)."""
        if len(self.items) != 1:
            raise StanzaError("bad-request", "a roster set needs exactly one item")
        (item,) = self.items
        check_limits(item)
        return item


def check_limits(item: RosterItem) -> None:
    """Raise `not-acceptable` for a name or group too long, `bad-request` for a repeated group (§2.3.3)."""
    if octets(item.name) > NAME_OCTETS:
        raise StanzaError("not-acceptable", f"the name is longer than {NAME_OCTETS} octets")
    if len(item.groups) > GROUPS:
        raise StanzaError("not-acceptable", f"a contact can be in {GROUPS} groups at most")
    if "" in item.groups:
        raise StanzaError("not-acceptable", "a group needs a name")
    if any(octets(group) > GROUP_OCTETS for group in item.groups):
        raise StanzaError("not-acceptable", f"a group name is longer than {GROUP_OCTETS} octets")
    if len(set(item.groups)) != len(item.groups):
        raise StanzaError("bad-request", "a group is named twice")


def item_octets(jid: Jid, name: str, groups: Iterable[str]) -> int:
    """Give how long `<item/>` may be, whatever the subscription is and becomes."""
    size = _FRAME + len(jid.xml) + octets(escape_attribute(name))
    return size + sum(_GROUP_FRAME + octets(escape_text(group)) for group in groups)


def query_opening(version: str) -> str:
    """Write how a roster begins; its items follow, and `QUERY_END`."""
    return f'<query xmlns="{ns.ROSTER}" ver="{escape_attribute(version)}">'


QUERY_END: Final = "</query>"
