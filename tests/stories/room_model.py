"""What rooms have to say: who is what in them, what their archives hold, and what is unread.

Nothing here is taken from the product. People are bare addresses, devices full ones, positions count from 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Said:
    """A place in a room's archive; nobody has said what tells of members."""

    sender: str = ""
    id: str = ""
    is_marker: bool = False

    @property
    def is_news(self) -> bool:
        """Whether it is something to be read."""
        return bool(self.sender) and not self.is_marker


@dataclass
class Room:
    """A room, whichever door it has."""

    address: str
    is_light: bool
    affiliations: dict[str, str] = field(default_factory=dict)
    read_only: set[str] = field(default_factory=set)
    joined: dict[str, int] = field(default_factory=dict)
    """Those in whose inboxes the room is, and the position at which they came into it."""
    read: dict[str, int] = field(default_factory=dict)
    entries: list[Said] = field(default_factory=list)
    inside: dict[str, str] = field(default_factory=dict)
    """The devices that are occupants by MUC, with the people who they are of."""
    silent: set[str] = field(default_factory=set)
    """Occupants without a voice."""
    staff: set[str] = field(default_factory=set)
    """Occupants who are moderators."""

    @property
    def head(self) -> int:
        return len(self.entries)

    def affiliation(self, person: str) -> str:
        return self.affiliations.get(person, "none")

    def may_speak(self, device: str, person: str) -> bool:
        if self.is_light:
            return person in self.joined and person not in self.read_only
        return device in self.inside and person not in self.silent

    def may_read(self, person: str) -> bool:
        return person in self.joined if self.is_light else self.affiliation(person) != "outcast"

    def unread(self, person: str) -> int | None:
        """Give how many messages somebody has not read; None for who does not have the room in the inbox."""
        if person not in self.joined:
            return None
        return sum(said.is_news for said in self.entries[self.read[person] :])

    # --- what happens

    def say(self, person: str, id_: str) -> int:
        self.entries.append(Said(person, id_))
        if person in self.joined:
            self.read[person] = self.head
        return self.head

    def mark(self, person: str, id_: str, position: int) -> int:
        self.entries.append(Said(person, id_, is_marker=True))
        if person in self.joined:
            self.read[person] = max(self.read[person], position)
        return self.head

    def last_marker(self, person: str) -> int:
        """Give where the last marker of somebody is; 0 where there is none."""
        found = (at for at, said in enumerate(self.entries, 1) if said.is_marker and said.sender == person)
        return max(found, default=0)

    def tell(self) -> None:
        """A change of members takes a position."""
        self.entries.append(Said())

    def join(self, person: str) -> None:
        self.tell()
        self.joined[person] = self.read[person] = self.head

    def enter(self, device: str, person: str) -> bool:
        """Somebody enters by MUC with a device; tells whether he may."""
        if self.affiliation(person) == "outcast":
            return False
        if person not in self.inside.values():
            self.silent.discard(person)
        self.inside[device] = person
        if self.affiliation(person) != "none" and person not in self.joined:
            self.join(person)
        return True

    def leave(self, device: str) -> None:
        person = self.inside.pop(device, "")
        if person not in self.inside.values():
            self.silent.discard(person)

    def put_out(self, person: str) -> None:
        for device in [device for device, owner in self.inside.items() if owner == person]:
            self.leave(device)

    def affiliate(self, person: str, affiliation: str) -> None:
        """Somebody becomes something else by MUC."""
        before = self.affiliation(person)
        if before == affiliation:
            return
        self.tell()
        self.affiliations.pop(person, None)
        if affiliation != "none":
            self.affiliations[person] = affiliation
        if affiliation in {"none", "outcast"}:
            self.joined.pop(person, None)
            self.read.pop(person, None)
        if affiliation == "outcast":
            self.put_out(person)
        elif affiliation == "member" and before == "none":
            self.silent.discard(person)  # who rises has a voice

    def change(self, person: str, affiliation: str, *, is_read_only: bool = False) -> bool:
        """Somebody becomes something else by MUC Light; tells whether that changes anything."""
        if affiliation == "none":
            if person not in self.joined:
                return False
            self.tell()
            del self.joined[person], self.read[person], self.affiliations[person]
            self.read_only.discard(person)
            return True
        if person in self.joined and is_read_only == (person in self.read_only):
            return False
        if person in self.joined:
            self.tell()
        else:
            self.join(person)
        self.affiliations[person] = affiliation
        (self.read_only.add if is_read_only else self.read_only.discard)(person)
        return True
