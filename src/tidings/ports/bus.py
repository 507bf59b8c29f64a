"""The bus port: what the nodes of a server tell each other.

Three ways, each for what it is good for:

- `hand_over` is for what goes to the sessions of another node. It never waits: what is handed over in one
  turn of the event loop goes to a node in one frame, and each frame has one answer. What is not answered in
  time, or is too much to wait, comes back to `Receiver.undelivered` of the node that handed it over.
- `call` asks another node and waits for its answer.
- `publish` tells all other nodes that what they keep in memory of the stores is out of date.

The bus promises little: a frame may be lost, come late, come twice or overtake another. Correctness hangs on
the archives: whoever gets a `Delivery` knows by its position whether it is the next one. Items are plain
values that msgspec can encode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from tidings.base.errors import BackendError

WAITING_ITEMS: Final = 10_000
"""So many items may wait to be sent to one node or to be answered by it."""

ANSWERED_WITHIN: Final = 1.0
"""Seconds after which a frame or a call without an answer is taken for lost."""


class Delivery(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A message that has been accepted for an account, or that its owner has sent from another node.

    The node that gets it tells its features what they are told of every message, with its own sessions.
    """

    account: str
    """The bare JID of the archive's owner."""
    body: bytes
    """The stanza as it was accepted."""
    position: int = 0
    """Where the archive of the account has it; 0 where it has not, and then only who is there gets it."""
    epoch: str = ""
    time: int = 0
    """When it was accepted, in microseconds."""
    is_sent: bool = False
    """The owner of the account has sent it; it was not sent to the account."""


class Missed(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """What was handed over may not have come: the archive of the account has entries up to this position."""

    account: str
    position: int


class ToResource(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An iq or a presence for one session of the node, by its full JID."""

    stanza: bytes


class ToDevices(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A stanza for those sessions of an account that belong to an audience."""

    account: str
    audience: str
    """The name of a `kernel.audience.Audience`."""
    stanza: bytes
    """Without `to` it is addressed to each session."""


class ShowPresence(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The sessions of the node are to show themselves to somebody who has asked, or may see them now."""

    account: str
    asker: str
    resource: str = ""
    """Only the session of this resource; empty for all."""
    is_allowed: bool = True
    """The asker may see the account; otherwise only sessions that have shown themselves answer."""


class EndSessions(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The sessions of an account on the node are to end, or one of them."""

    account: str
    condition: str
    """The condition of the stream error that their clients are told."""
    text: str = ""
    resource: str = ""
    """Only the session of this resource; empty for all."""
    id: str = ""
    """Only if that is this claim; empty for whoever holds it."""
    device: str = ""
    """Only if it is of this device; empty for any."""
    by: str = ""
    """Who has asked for it, for the log."""


class ForOwner(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A stanza for an entity that lives on the node, from somebody who is connected to another one."""

    stanza: bytes
    pass_id: int
    """By which `Handled` answers it."""
    via: str = ""
    """By which way a message has come to the server, in the words of `messages/origin.py`."""
    stream: bytes | None = None
    """The key of the stream that a message has come on, where that can be resumed."""
    number: int = 0
    """The number of the message on it."""


class WorkForOwner(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """What is to be done with an entity that lives on the node, for which another one was asked."""

    entity: str
    name: str
    """By which the server knows the work (`kernel/owner_works.py`)."""
    asked: bytes
    """What it needs to know."""
    takes: bool = True
    """The entity is to live on the node from now on where it lives on none."""
    pass_id: int = 0
    """By which `Handled` answers it."""


class Handled(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The owner has dealt with what was passed on to it; of a message it says what became of it."""

    pass_id: int
    condition: str = ""
    """Why it was refused; empty where it was not."""
    text: str = ""
    kind: str = ""
    payload: bytes = b""
    """What explains a refusal, or the answer to a `WorkForOwner`."""
    archive: str = ""
    """Where and when the archive of the sender has it, if it keeps it."""
    epoch: str = ""
    position: int = 0
    time: int = 0
    is_repeated: bool = False
    is_dropped: bool = False


class GuestIn(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A session of the node is in an entity that lives on the sender, from now on, or not any more."""

    entity: str
    session: str
    """Its full JID."""
    known_as: str = ""
    """The address that it has there; empty where it is there no more."""


class ToGuests(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A stanza for sessions of the node that are in an entity which lives on the sender."""

    entity: str
    stanza: bytes
    sessions: tuple[str, ...] = ()
    """Their full JIDs; empty for all that are in it."""


class ToMembers(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A stanza for the accounts of the node that know an entity without being in it."""

    entity: str
    stanza: bytes
    only: str = ""
    """One account alone, whether it knows the entity still or not."""
    skip: tuple[str, ...] = ()


class MemberIs(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An account of the node knows an entity from now on without being in it, or does not any more."""

    entity: str
    account: str
    is_member: bool


Ordered = ForOwner | WorkForOwner | Handled | GuestIn | ToGuests | ToMembers | MemberIs
"""What has to come once and in its order: see `kernel/lanes.py`."""


class InTurn(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """An item with its place in the order of what one node sends to another."""

    lane: int
    """Counts how often the order was broken: what an earlier one has is void."""
    number: int
    """1, 2, 3, …"""
    item: Ordered
    tries: int = 1
    """How often it was sent."""


Item = Delivery | Missed | ToResource | ToDevices | ShowPresence | EndSessions | InTurn
"""What can be handed over."""


class Changed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the stores say of an entity has changed: whoever keeps it in memory reads it anew."""

    entity: str
    """A bare JID; a domain for what is stored of that (`DOMAIN`, `GROUPS`)."""
    slot: str
    """The name of the slot that holds it; empty for all that guards read, and whether the entity exists."""


GROUPS: Final = "groups"
"""The slot of a domain whose shared groups have changed, or who is in them."""

DOMAIN: Final = "domain"
"""The slot of a domain that was added, closed or opened again, or is to go."""


class NoAnswer(BackendError):  # noqa: N818  # what has happened
    """A node has not answered in time, or is not there."""


class Receiver(Protocol):
    """A node, as the bus knows it; its methods raise nothing and wait for nothing."""

    def take(self, sender: str, items: Sequence[Item]) -> None:
        """Take the items of one frame, in the order in which they were handed over."""
        ...

    def undelivered(self, node: str, items: Sequence[Item]) -> None:
        """Take back what this node has handed over to another that has not said that it has it."""
        ...

    def answer(self, question: Item, done: Callable[[], object]) -> None:
        """Do what another node asks for, and call this when it is done."""
        ...

    def changed(self, change: Changed) -> None:
        """Take note of what another node has published."""
        ...


class Bus(Protocol):
    """One node's end of the bus."""

    def attach(self, receiver: Receiver) -> None:
        """Give what comes to this receiver from now on."""
        ...

    def hand_over(self, node: str, item: Item) -> None:
        """Send an item to another node, soon; never waits."""
        ...

    async def call(self, node: str, question: Item) -> None:
        """Have another node do something, and return when it is done. Raises `NoAnswer`."""
        ...

    def publish(self, change: Changed) -> None:
        """Tell all other nodes, soon; never waits, and is lost for who is not there."""
        ...

    @property
    def waiting(self) -> int:
        """How many items wait to be sent or answered, over all nodes."""
        ...
