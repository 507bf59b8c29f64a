"""The nodes port: collections of items that an entity has, and who may read and write them (XEP-0060).

A node belongs to an entity: an account, which is named by its bare JID, or a host of nodes, which is named by
its domain. It has items in the order in which they were published, a configuration, affiliations of bare JIDs
and subscriptions. The store knows none of the rules of XEP-0060: whoever changes a node passes a `check`,
which is given the node and the standing of who asks as they are in the transaction of the change, and raises
what the store then raises. So nothing is changed under a rule that held a moment ago.

Every method may raise `BackendError`. The name of a node and the id of an item have 1 to 1,024 octets of
UTF-8, a payload at most 16 MiB; how much there may be is in `NodeLimits`. Times are seconds since 1970.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded


class AccessModel(enum.StrEnum):
    """Who may subscribe to a node and read its items (§4.5)."""

    OPEN = "open"
    PRESENCE = "presence"
    ROSTER = "roster"
    AUTHORIZE = "authorize"
    WHITELIST = "whitelist"


class PublishModel(enum.StrEnum):
    """Who may publish items beside owners and publishers."""

    PUBLISHERS = "publishers"
    SUBSCRIBERS = "subscribers"
    OPEN = "open"


class SendLast(enum.StrEnum):
    """When somebody is sent the last item of a node that he has not just been told of."""

    NEVER = "never"
    ON_SUB = "on_sub"
    ON_SUB_AND_PRESENCE = "on_sub_and_presence"


class Affiliation(enum.StrEnum):
    """What a bare JID may do with a node (§4.1); none is not kept."""

    OWNER = "owner"
    PUBLISHER = "publisher"
    PUBLISH_ONLY = "publish-only"
    MEMBER = "member"
    NONE = "none"
    OUTCAST = "outcast"


class SubscriptionState(enum.StrEnum):
    """How a subscription stands (§4.2); none is not kept."""

    PENDING = "pending"
    SUBSCRIBED = "subscribed"


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a node behaves; the fields of §16.4.4 under their names there, where those are no riddles.

    It is kept as it is: a field that is added later has its default in what was kept before.
    """

    title: str = ""
    payload_type: str = ""
    """The namespace of the payloads."""
    access_model: AccessModel = AccessModel.OPEN
    roster_groups: tuple[str, ...] = ()
    """Whose members may read where `access_model` is roster."""
    publish_model: PublishModel = PublishModel.PUBLISHERS
    max_items: int | None = None
    """Items that stay; the oldest leaves. None: as many as the service lets any node have."""
    item_expire: int | None = None
    """Seconds after which an item is gone; None: it stays."""
    persist_items: bool = True
    """Whether items are kept at all."""
    deliver_notifications: bool = True
    deliver_payloads: bool = True
    notify_config: bool = False
    notify_delete: bool = False
    notify_retract: bool = False
    send_last: SendLast = SendLast.ON_SUB_AND_PRESENCE
    notification_type: str = "headline"
    """The type of the messages that tell of items: normal or headline."""


class NodeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one owner may have."""

    nodes: int
    items: int
    """Of one node."""
    octets: int
    """Of all items of the owner: payloads, ids and publishers."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node, without what is in it."""

    owner: Jid
    name: str
    config: NodeConfig
    created: float


class NodeItem(msgspec.Struct, frozen=True):
    """One item as it is kept."""

    id: str
    publisher: Jid
    """The bare JID of who has published it."""
    published: float
    payload: bytes = b""
    """One element that names its own namespace; empty for an item without payload."""

    @property
    def octets(self) -> int:
        """What it counts for in the owner's share."""
        return len(self.id.encode()) + len(self.publisher.text.encode()) + len(self.payload)


class OwnedItem(msgspec.Struct, frozen=True):
    """The last item of a node, with the node and what who asks may do there."""

    node: Node
    item: NodeItem
    affiliation: Affiliation = Affiliation.NONE


class SubscriptionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber wants (§16.4.2); kept as it is, as `NodeConfig` is."""

    deliver: bool = True
    """Whether news are sent at all."""
    expire: float | None = None
    """When the subscription ends by itself; None: it does not."""


DEFAULT_OPTIONS: Final = SubscriptionOptions()


class Subscription(msgspec.Struct, frozen=True):
    """That somebody wants to be told what happens at a node."""

    jid: Jid
    """Where to; a bare or a full JID."""
    state: SubscriptionState
    id: str
    since: float
    options: SubscriptionOptions = DEFAULT_OPTIONS


class EndedSubscription(msgspec.Struct, frozen=True):
    """A subscription that has ended by itself, and to which node it was."""

    node: Node
    subscription: Subscription


class Standing(msgspec.Struct, frozen=True):
    """How somebody stands to a node: the affiliation of the bare JID, and its subscriptions."""

    affiliation: Affiliation = Affiliation.NONE
    subscriptions: tuple[Subscription, ...] = ()

    @property
    def is_subscribed(self) -> bool:
        """Tell whether a subscription of it holds."""
        return any(each.state is SubscriptionState.SUBSCRIBED for each in self.subscriptions)


class Published(msgspec.Struct, frozen=True):
    """What a publication has done."""

    node: Node
    is_new: bool
    """Whether the node was made for it."""
    left: tuple[str, ...] = ()
    """The ids of items that have left for it, the oldest first."""


class ItemQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which items of a node are wanted: those of some ids, or a page of all.

    A page has at most `limit` items, in the order of publication: the first ones after the item `after`, the
    last ones before the item `before`, or, with neither, the newest ones; `from_start` asks for the oldest.
    `above` leaves out what was published at that time or earlier, since it has expired.
    """

    ids: tuple[str, ...] = ()
    after: str | None = None
    before: str | None = None
    from_start: bool = False
    limit: int = 100
    octets: int = 1 << 20
    """So many octets of payloads at most, but one item in any case; of ids, as many as are asked for."""
    above: float | None = None


class ItemPage(msgspec.Struct, frozen=True):
    """Items in the order of publication, and where they stand among all that have not expired."""

    items: tuple[NodeItem, ...]
    index: int = 0
    """How many were published before the first; of no meaning where ids were asked for."""
    count: int = 0


Check = Callable[[Node, Standing], None]
"""Raises `StanzaError` where a change may not be made; called in its transaction, perhaps more than once."""


class NodeExists(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """There is a node of this name: `conflict`."""

    def __init__(self, name: str) -> None:
        super().__init__("conflict", f"there is a node {name!r}")


class NoSuchNode(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """There is no node of this name: `item-not-found`."""

    def __init__(self, name: str) -> None:
        super().__init__("item-not-found", f"there is no node {name!r}")


class NoSuchItem(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """The node has no item of this id: `item-not-found`."""

    def __init__(self, item: str) -> None:
        super().__init__("item-not-found", f"there is no item {item!r}")


class NoOwnerLeft(StanzaError):  # noqa: N818  # a decision, said in its word
    """A node of a host would have no owner any more."""

    def __init__(self, name: str) -> None:
        super().__init__("not-acceptable", f"the node {name!r} would have no owner any more")


class NodeStore(Protocol):
    """Keeps nodes of accounts and of hosts.

    The nodes of an account go with it, in the same transaction, and so does what it has at others' nodes; a
    new account begins without any. Those of a host go by `clear`. The store does not know which hosts there
    are: whoever makes a node asks that before.
    """

    # --- nodes

    async def get(self, owner: Jid, name: str) -> Node | None:
        """Give the node; None where there is none."""
        ...

    async def list(self, owner: Jid, *, after: str = "", limit: int = 1_000) -> tuple[Node, ...]:
        """Give nodes of an owner in the order of their names' octets, beginning after a name."""
        ...

    async def create(
        self, owner: Jid, name: str, config: NodeConfig, now: float, *, by: Jid, limits: NodeLimits
    ) -> Node:
        """Make a node, durable on return; `by` is an owner of it, where it is not the entity itself.

        Raises `NodeExists`, and `ShareExceeded` for one too many.
        """
        ...

    async def configure(
        self, owner: Jid, name: str, config: Callable[[NodeConfig], NodeConfig], *, by: Jid, check: Check
    ) -> tuple[Node, tuple[str, ...]]:
        """Give a node what `config` makes of its configuration; tell the node, and which items have left.

        `config` is called in the transaction, so that of two who change different fields neither is lost.
        Raises `NoSuchNode` and what `check` and `config` raise.
        """
        ...

    async def delete(self, owner: Jid, name: str, *, by: Jid, check: Check) -> Node:
        """Delete a node with all that belongs to it, and give what it was.

        Raises `NoSuchNode` and what `check` raises.
        """
        ...

    async def clear(self, owner: Jid) -> int:
        """Delete all nodes of an owner; tell how many there were."""
        ...

    # --- items

    async def publish(
        self,
        owner: Jid,
        name: str,
        item: NodeItem,
        *,
        make: NodeConfig | None,
        check: Check,
        limits: NodeLimits,
    ) -> Published:
        """Keep an item in place of the one with its id, as the newest; durable on return.

        A node that is not there is made as `make` says, with the publisher as an owner. `check` is asked with
        the standing of the item's publisher, to a new node as well. Of too many items the oldest leave, and
        never the new one. Where the node keeps no items, nothing is kept. Raises `NoSuchNode` where `make` is
        None, `ShareExceeded` for too many nodes or octets, and what `check` raises; then nothing is changed.
        """
        ...

    async def items(self, owner: Jid, name: str, query: ItemQuery) -> ItemPage:
        """Give items; of ids that there are not, none. Nothing where there is no node.

        Raises `NoSuchItem` where the page begins at an item that is gone.
        """
        ...

    async def last_items(
        self, owners: Collection[Jid], names: Collection[str], *, by: Jid
    ) -> tuple[OwnedItem, ...]:
        """Give the newest item of each node with one of these names that some hundred owners have.

        `by` is the bare JID of who asks; the store does not look whether he may read them.
        """
        ...

    async def retract(self, owner: Jid, name: str, item: str, *, by: Jid, check: Check) -> tuple[Node, bool]:
        """Delete an item; give its node, and whether there was one.

        Raises `NoSuchNode` and what `check` raises.
        """
        ...

    async def purge(self, owner: Jid, name: str, *, by: Jid, check: Check) -> Node:
        """Delete all items of a node, and give the node; raises `NoSuchNode` and what `check` raises."""
        ...

    # --- people

    async def standing(self, owner: Jid, name: str, by: Jid) -> tuple[Node, Standing] | None:
        """Give a node and how somebody stands to it; None where there is no node."""
        ...

    async def affiliations(self, owner: Jid, name: str) -> dict[Jid, Affiliation]:
        """Give the affiliations of a node by bare JID."""
        ...

    async def affiliations_of(self, owner: Jid, jid: Jid) -> dict[str, Affiliation]:
        """Give the affiliations of a bare JID with the nodes of an owner, by name."""
        ...

    async def affiliate(
        self,
        owner: Jid,
        name: str,
        affiliations: Mapping[Jid, Affiliation],
        *,
        by: Jid,
        check: Check,
        most: int,
    ) -> Node:
        """Give bare JIDs these affiliations, `NONE` for no more any.

        Raises `NoSuchNode`, what `check` raises, `NoOwnerLeft` where a node of a host would have none, and
        `ShareExceeded` where the node would have more than `most`.
        """
        ...

    async def subscriptions(self, owner: Jid, name: str) -> tuple[Subscription, ...]:
        """Give the subscriptions of a node, the oldest first."""
        ...

    async def subscriptions_of(self, owner: Jid, jid: Jid) -> dict[str, tuple[Subscription, ...]]:
        """Give the subscriptions of a bare JID and of its resources to the nodes of an owner, by name."""
        ...

    async def subscribe(
        self,
        owner: Jid,
        name: str,
        subscription: Subscription,
        *,
        by: Jid,
        check: Check,
        most: int,
        keeps_options: bool = True,
    ) -> Subscription:
        """Keep a subscription in place of the one of its JID, whose id stays; give what is kept.

        The options of that one stay, too, where `keeps_options`.

        Raises `NoSuchNode`, what `check` raises, and `ShareExceeded` where the node would have more than
        `most`.
        """
        ...

    async def unsubscribe(
        self, owner: Jid, name: str, jid: Jid, *, by: Jid, check: Check
    ) -> Subscription | None:
        """Delete the subscription of exactly this JID, and give what it was.

        Raises `NoSuchNode` and what `check` raises.
        """
        ...

    async def unsubscribe_refused(
        self, owner: Jid, name: str, jids: Collection[Jid], *, may_stay: Callable[[Node, Jid, Standing], bool]
    ) -> tuple[Subscription, ...]:
        """Delete the subscriptions of those of some hundred JIDs that may not stay; give what they were.

        `may_stay` is asked in the transaction with the standing of each. Nothing where there is no node.
        """
        ...

    # --- what goes by itself

    async def delete_expired(self, now: float, *, after: str = "", limit: int) -> tuple[int, str]:
        """Delete the expired items of so many nodes of all owners, beginning behind a place.

        Gives how many items have gone, and the place for the next call; "" where there are no more nodes.
        """
        ...

    async def end_subscriptions(self, now: float, *, limit: int) -> tuple[EndedSubscription, ...]:
        """Delete so many subscriptions whose time is over, of all owners, and give what they were."""
        ...


def has_owner(owner: Jid, affiliations: Collection[Affiliation]) -> bool:
    """Tell whether a node has an owner: an account owns its nodes, those of a host need somebody."""
    return bool(owner.local) or Affiliation.OWNER in affiliations


def page_of(kept: Sequence[tuple[str, int]], query: ItemQuery) -> list[str]:
    """Give the ids of a page out of ids and octets of what it may have, in the order of publication."""
    is_forward = query.after is not None or query.from_start
    taken: list[str] = []
    used = 0
    for each, size in kept if is_forward else reversed(kept):
        used += size
        if len(taken) == query.limit or (taken and used > query.octets):
            break
        taken.append(each)
    return taken if is_forward else taken[::-1]


def room_for_items(config: NodeConfig, limits: NodeLimits) -> int:
    """Give how many items of a node stay."""
    if not config.persist_items:
        return 0
    return limits.items if config.max_items is None else min(config.max_items, limits.items)


def check_octets(used: int, freed: int, item: NodeItem, limits: NodeLimits) -> None:
    """Raise `ShareExceeded` where an item has no room; what is not larger than what leaves for it has."""
    after = used - freed + item.octets
    if after > limits.octets and item.octets > freed:
        raise ShareExceeded("the nodes", after, limits.octets)


def check_nodes(number: int, limits: NodeLimits) -> None:
    """Raise `ShareExceeded` where one more node than there are would be too many."""
    if number >= limits.nodes:
        raise ShareExceeded("the owner", number + 1, limits.nodes, "nodes")
