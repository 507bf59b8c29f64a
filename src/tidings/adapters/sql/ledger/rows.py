"""Rows that a transaction changes in memory before it writes them: archives, and conversations of inboxes."""

from __future__ import annotations

from typing import Any


class ArchiveRow:
    """The state of an archive, locked."""

    __slots__ = (
        "archive",
        "epoch",
        "first",
        "held",
        "incarnation",
        "is_changed",
        "listed",
        "octets",
        "position",
        "time",
        "version",
    )

    def __init__(
        self,
        archive: int,
        first: int,
        position: int,
        time: int,
        version: int,
        epoch: int,
        incarnation: int,
        held: int,
        listed: int,
        octets: int,
    ) -> None:
        self.archive = archive
        self.first = first
        self.position = position
        self.time = time
        self.version = version
        self.epoch = epoch
        self.incarnation = incarnation
        self.held = held
        self.listed = listed
        self.octets = octets
        self.is_changed = False

    def values(self) -> tuple[Any, ...]:
        """Give it as it is stored."""
        return (
            self.archive,
            self.first,
            self.position,
            self.time,
            self.version,
            self.epoch,
            self.incarnation,
            self.held,
            self.listed,
            self.octets,
        )


class ConversationRow:
    """A row of the inbox; `position`, `time` and `count` are those of the owner's own archive."""

    __slots__ = (
        "box",
        "boxed_count",
        "boxed_time",
        "count",
        "flags",
        "is_changed",
        "is_rearranged",
        "muted_until",
        "pinned",
        "position",
        "read_count",
        "read_position",
        "read_time",
        "source",
        "time",
    )

    def __init__(  # the columns of the row
        self,
        source: int,
        position: int = 0,
        time: int = 0,
        count: int = 0,
        read_position: int = 0,
        read_count: int = 0,
        feed: int = 0,  # noqa: ARG002  # is written anew with every change
        flags: int = 0,
        read_time: int = 0,
        box: bytes | None = None,
        boxed_count: int | None = None,
        boxed_time: int | None = None,
        muted_until: int | None = None,
        pinned: int | None = None,
    ) -> None:
        self.source = source
        self.position = position
        self.time = time
        self.count = count
        self.read_position = read_position
        self.read_count = read_count
        self.flags = flags
        self.read_time = read_time
        self.box = box
        self.boxed_count = boxed_count
        self.boxed_time = boxed_time
        self.muted_until = muted_until
        self.pinned = pinned
        self.is_changed = False
        """Messages or reading changed it."""
        self.is_rearranged = False
        """Its owner changed it."""

    def hot_values(self, owner: int, peer: int, feed: int) -> tuple[Any, ...]:
        """Give what messages and reading change."""
        return (
            owner,
            peer,
            self.source,
            self.position,
            self.time,
            self.count,
            self.read_position,
            self.read_count,
            feed,
            self.flags,
            self.read_time,
        )

    def values(self, owner: int, peer: int, feed: int) -> tuple[Any, ...]:
        """Give the whole row."""
        hot = self.hot_values(owner, peer, feed)
        return (*hot, self.box, self.boxed_count, self.boxed_time, self.muted_until, self.pinned)
