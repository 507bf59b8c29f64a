"""What a client knows: its ways, its session, the names of epochs, and what it was told by sync."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.harness.world import WorldClient
from tests.stories.model import Archive, Message
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.sync import SyncConversation, SyncEntry, SyncErased


@dataclass(frozen=True)
class Submission:
    """What kind of client it is."""

    account: str
    name: str
    counts: bool = False
    """It acknowledges (XEP-0198)."""
    resumes: bool = False
    pulls: str = ""
    """`archive` or `sync`; empty for one that is sent what it missed."""
    user_agent: str | None = None


@dataclass
class Session:
    """What a client knows of one session."""

    client: WorldClient
    order: list[int] = field(default_factory=list)
    """The positions of messages, as they came."""
    early: set[int] = field(default_factory=set)
    """Those that came while it was not available, ahead of others."""
    copies: set[int] = field(default_factory=set)
    outbox: list[Message | None] = field(default_factory=list)
    """What it has sent and nobody has acknowledged; None for what is no message."""
    said: int = 0
    """How many stanzas it has sent since it counts."""
    arrived: int = 0
    """How many of those the server has got."""
    counted: int | None = None
    """How many stanzas it had got when the connection was lost."""
    is_forgotten: bool = False
    """The server that had it is gone."""


def iq(payload: Element, kind: str = "set") -> str:
    return f"<iq type='{kind}' id='q'>{payload.to_bytes(ns.CLIENT).decode()}</iq>"


def check_result(archive: Archive, position: int, result: ArchiveResult) -> None:
    """Check that an archive tells the message that stands there, or what stands in its place."""
    item = archive.items[position - 1]
    stanza = result.forwarded.stanza()
    assert stanza is not None
    assert stanza.id == item.message.id
    body = stanza.decode(ns.CLIENT, "body")
    assert (None if body is None else body.text) == archive.text(item), item
    assert stanza.sender is not None
    assert stanza.to is not None
    assert (str(stanza.sender.bare), str(stanza.to)) == (item.message.sender, item.message.to)


@dataclass
class Eras:
    """What the epochs of each archive are called, by the incarnation in which they began."""

    names: dict[tuple[str, int], str] = field(default_factory=dict)

    def position(self, archive: Archive, id_: str) -> int:
        """Read an id, and check that it names an entry with the epoch in which that was written."""
        epoch, _, number = id_.rpartition("-")
        position = int(number)
        assert 1 <= position <= len(archive.items), f"{archive.owner} has no {id_}"
        era = archive.items[position - 1].era
        assert self.names.setdefault((archive.owner, era), epoch) == epoch
        assert len({name for (owner, _), name in self.names.items() if owner == archive.owner}) == len(
            [1 for owner, _ in self.names if owner == archive.owner]
        )
        return position


@dataclass
class Replica:
    """What a device that syncs knows."""

    since: int = 0
    entries: dict[int, str | None] = field(default_factory=dict)
    conversations: dict[str, tuple[int, str, int, int]] = field(default_factory=dict)
    """Unread, box, and the positions of the last message and of the last that was read."""

    def apply(self, item: SyncEntry | SyncErased | SyncConversation, archive: Archive, eras: Eras) -> None:
        if isinstance(item, SyncEntry):
            stanza = None if item.forwarded is None else item.forwarded.stanza()
            body = None if stanza is None else stanza.decode(ns.CLIENT, "body")
            position = eras.position(archive, item.id)
            assert archive.items[position - 1].peer == item.peer
            self.entries[position] = None if stanza is None else (body.text if body is not None else "")
        elif isinstance(item, SyncErased):
            first, last = (int(id_.rpartition("-")[2]) for id_ in (item.first, item.last))
            for position in range(first, last + 1):
                if position in self.entries:
                    self.entries[position] = None
        elif item.is_gone:
            self.conversations.pop(str(item.peer), None)
        else:
            places = (0 if id_ is None else int(id_.rpartition("-")[2]) for id_ in (item.last, item.read))
            last, read = places
            self.conversations[str(item.peer)] = item.unread, item.box, last, read

    def check(self, archive: Archive) -> None:
        """Compare it with all that has happened since it was begun."""
        items = {item.position: item for item in archive.kept if item.position > self.since}
        told = {position: text for position, text in self.entries.items() if position >= archive.first}
        for position, item in items.items():
            if item.is_shown and archive.is_taken_back(item):  # perhaps since it was told
                assert told[position] in {"", item.message.text}
                told[position] = item.message.text
        assert told == {
            position: (item.message.text or "") if item.is_shown else None for position, item in items.items()
        }
        expected = {
            peer: (archive.unread(peer), row.box, row.last, row.read) for peer, row in archive.inbox.items()
        }
        assert self.conversations == expected
