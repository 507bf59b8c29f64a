"""What archives, inboxes and read pointers have to say: lists and dictionaries, one thing after another.

Nothing here is taken from the product. Accounts are bare addresses, positions count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

CONTENTS = {
    "chat": "<body>{id}</body>",
    "burn": "<body>{id}</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
    "secret": "<body>{id}</body><no-store xmlns='urn:xmpp:hints'/>",
    "typing": "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    "correction": "<body>{id}</body><replace xmlns='urn:xmpp:message-correct:0' id='{target}'/>",
    "retraction": "<retract xmlns='urn:xmpp:message-retract:1' id='{target}'/>",
    "reactions": "<reactions xmlns='urn:xmpp:reactions:0' id='{target}'><reaction>!</reaction></reactions>",
    "displayed": "<displayed xmlns='urn:xmpp:chat-markers:0' id='{target}'/>",
}
EPHEMERAL = {"secret", "typing"}


@dataclass(frozen=True)
class Message:
    """Something that an account has said; its text is its id."""

    id: str
    sender: str
    to: str
    """May name a resource."""
    kind: str = "chat"
    target: str = ""
    """The id of the message that it is about."""
    has_origin: bool = False

    @property
    def recipient(self) -> str:
        return self.to.partition("/")[0]

    @property
    def text(self) -> str | None:
        return self.id if "<body>" in CONTENTS[self.kind] else None

    def xml(self) -> str:
        origin = f"<origin-id xmlns='urn:xmpp:sid:0' id='{self.id}'/>" if self.has_origin else ""
        content = CONTENTS[self.kind].format(id=self.id, target=self.target)
        return f"<message to='{self.to}' type='chat' id='{self.id}'>{content}{origin}</message>"


@dataclass
class Item:
    """A place in an archive."""

    message: Message
    position: int
    era: int
    peer: str
    is_sent: bool
    resource: str
    target: int
    is_erased: bool = False
    is_withdrawn: bool = False
    """Its author has taken it back, so that it is not unread."""

    @property
    def is_shown(self) -> bool:
        return not self.is_erased and self.message.kind != "burn"

    @property
    def is_news(self) -> bool:
        """Whether it is something to be read."""
        return self.message.kind == "chat" and not self.is_sent


@dataclass
class Conversation:
    """A row of an inbox."""

    last: int = 0
    read: int = 0
    is_marked: bool = False
    is_gone: bool = False
    box: str = "inbox"


@dataclass
class Archive:
    """What an account has."""

    owner: str
    first: int = 1
    items: list[Item] = field(default_factory=list)
    conversations: dict[str, Conversation] = field(default_factory=dict)

    def at(self, position: int) -> Item | None:
        return self.items[position - 1] if self.first <= position <= len(self.items) else None

    @property
    def kept(self) -> list[Item]:
        return self.items[self.first - 1 :]

    @property
    def shown(self) -> list[Item]:
        return [item for item in self.kept if item.is_shown]

    def text(self, item: Item) -> str | None:
        """What is shown of an entry."""
        return None if self.is_taken_back(item) else item.message.text

    def is_taken_back(self, item: Item) -> bool:
        """Tell whether an entry was taken back, or what it corrects."""
        corrected = item.target if item.message.kind == "correction" else 0
        return self.is_retracted(item.position) or self.is_retracted(corrected)

    def is_retracted(self, position: int) -> bool:
        """Tell whether there is a retraction of it; one that is erased holds, too."""
        return position > 0 and any(
            item.message.kind == "retraction" and item.target == position for item in self.kept
        )

    def last_text(self, peer: str) -> str | None:
        item = self.at(self.conversations[peer].last)
        if item is None or item.is_erased or self.is_retracted(item.position):
            return None
        return item.message.text

    # --- what is unread

    def unread(self, peer: str) -> int:
        conversation = self.conversations[peer]
        counted = sum(
            item.is_news
            and item.peer == peer
            and item.position > conversation.read
            and not (item.is_erased or item.is_withdrawn)
            for item in self.kept
        )
        return max(counted, conversation.is_marked)

    @property
    def inbox(self) -> dict[str, Conversation]:
        return {peer: row for peer, row in self.conversations.items() if not row.is_gone}

    def read(self, peer: str, position: int) -> None:
        """The owner has read up to an entry; that is never taken back."""
        conversation = self.conversations.get(peer)
        if conversation is not None and position:
            conversation.read = max(conversation.read, position)
            conversation.is_marked = False

    def read_all(self, peer: str) -> None:
        row = self.conversations[peer]
        row.read = max(row.read, row.last)
        row.is_marked = False

    # --- what comes in

    def add(self, message: Message, era: int, resource: str) -> Item:
        is_sent = message.sender == self.owner != message.recipient
        peer = message.recipient if is_sent else message.sender
        target = self.target_of(message)
        item = Item(message, len(self.items) + 1, era, peer, is_sent, "" if is_sent else resource, target)
        self.items.append(item)
        if message.kind == "chat":
            row = self.conversations.setdefault(peer, Conversation())
            row.last = item.position
            row.is_gone = False
            if row.box == "archive":
                row.box = "inbox"
            if message.sender == self.owner:
                self.read(peer, item.position)
        about = self.at(target)
        if about is not None and message.kind == "retraction":
            about.is_withdrawn = True
        if is_sent and message.kind == "displayed":
            self.read(peer, target)
        return item

    def target_of(self, message: Message) -> int:
        """Where the message stands that another one is about; only its author may change one."""
        own, others = (message.sender, message.recipient), (message.recipient, message.sender)
        ways = {"displayed": {others}, "reactions": {own, others}}.get(message.kind, {own})
        found = [
            item.position
            for item in self.kept
            if message.target and item.message.id == message.target
            if (item.message.sender, item.message.recipient) in ways
        ]
        position = found[-1] if found else 0
        item = self.at(position)
        if item is None or message.kind != "correction" or item.is_erased:
            return position
        is_chain = item.message.kind == "correction" and item.target >= self.first
        return item.target if is_chain else position

    # --- what goes

    def erase(self, items: list[Item]) -> None:
        positions = {item.position for item in items}
        for item in self.kept:
            is_correction = item.message.kind == "correction" and item.target in positions
            if item.position in positions or is_correction:
                item.is_erased = True

    def erase_conversation(self, peer: str) -> None:
        self.erase([item for item in self.kept if item.peer == peer])
        if peer in self.conversations:
            row = self.conversations[peer]
            row.is_gone, row.is_marked, row.box = True, False, "inbox"

    def trim(self, keep: int) -> None:
        last = len(self.items) - keep
        for item in self.items[self.first - 1 : max(last, 0)]:
            row = self.conversations.get(item.peer)
            if row is not None:
                row.read = max(row.read, item.position)
        self.first = max(self.first, last + 1)


class Model:
    """All accounts."""

    def __init__(self, accounts: list[str]) -> None:
        self.archives = {account: Archive(account) for account in accounts}
        self.era = 0
        self.said: list[Message] = []
        """What has been accepted and can be spoken of, in order."""
        self._numbers = count(1)

    def new_id(self) -> str:
        """Make one that is long enough to be taken for unique for as long as the ledger remembers."""
        return f"m{next(self._numbers)}-of-all-there-are"

    def places(self, message: Message) -> list[tuple[Archive, Item]]:
        """Where a message stands, erased or not."""
        return [
            (archive, item)
            for archive in self.archives.values()
            for item in archive.kept
            if item.message.id == message.id
        ]

    def accept(self, message: Message, resource: str = "") -> bool:
        """Store a message in both archives; tell whether it is new. `resource` is whom it is for alone."""
        if message.has_origin and self.places(message):
            return False
        assert not self.places(message), f"{message.id} was stored, and its sender was not told so"
        owners = {message.sender, message.recipient} - ({message.sender} if message.kind == "burn" else set())
        if message.kind == "burn" and message.sender == message.recipient:
            owners = {message.sender}
        for owner in sorted(owners):
            self.archives[owner].add(message, self.era, resource)
        self.said.append(message)
        return True

    def is_stored(self, message: Message) -> bool:
        """Tell whether a message that was acknowledged is where it belongs, once in each archive."""
        owners = {message.recipient} if message.kind == "burn" else {message.sender, message.recipient}
        return all(
            sum(item.message.id == message.id for item in self.archives[owner].items) >= 1 for owner in owners
        )
