"""Rosters in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidings.adapters.memory.state import Accounts, RosterState, existing
from tidings.base import ids
from tidings.base.jid import Jid
from tidings.ports.roster import (
    UNTOUCHED,
    Roster,
    RosterChange,
    RosterEntry,
    RosterRemoval,
    is_answerable,
    is_visible_change,
    parse_version,
    write_version,
)


class MemoryRoster:
    """The roster port over a dict."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def load(self, account: Jid) -> Roster:
        """Give the whole roster."""
        state = self._accounts.get(account)
        if state is None:
            return Roster(UNTOUCHED)
        return Roster(_version(state.roster), tuple(state.roster.entries.values()))

    async def put(self, account: Jid, entry: RosterEntry) -> str:
        """Add the entry or replace the one of the same contact."""
        return put_entry(existing(self._accounts, account).roster, entry)

    async def put_all(self, rosters: Mapping[Jid, Sequence[RosterEntry]]) -> None:
        """Put the entries of several accounts."""
        for account in rosters:
            existing(self._accounts, account)
        for account, entries in rosters.items():
            for entry in entries:
                await self.put(account, entry)

    async def remove(self, account: Jid, contact: Jid) -> str:
        """Remove the entry if there is one."""
        return remove_entry(existing(self._accounts, account).roster, contact)

    async def changes_since(self, account: Jid, version: str) -> tuple[RosterChange, ...] | None:
        """Give what changed, or None when that cannot be told."""
        state = self._accounts.get(account)
        roster = state.roster if state else RosterState()
        known = parse_version(version)
        if known is None or not is_answerable(known, epoch=roster.epoch, number=roster.number):
            return None
        changed = sorted((change, jid) for jid, change in roster.changes.items() if change > known[1])
        return tuple(
            RosterChange(write_version(roster.epoch, number), _told(roster, jid)) for number, jid in changed
        )


def put_entry(roster: RosterState, entry: RosterEntry) -> str:
    """Add the entry or replace the one of the same contact; give the version after it."""
    before = roster.entries.get(entry.jid)
    roster.entries[entry.jid] = entry
    if is_visible_change(before, entry):
        _count(roster, entry.jid)
    return _version(roster)


def remove_entry(roster: RosterState, contact: Jid) -> str:
    """Remove the entry if there is one; give the version after it."""
    before = roster.entries.pop(contact, None)
    if is_visible_change(before, None):
        _count(roster, contact)
    return _version(roster)


def _version(roster: RosterState) -> str:
    return write_version(roster.epoch, roster.number)


def _count(roster: RosterState, contact: Jid) -> None:
    roster.epoch = roster.epoch or ids.token(6)
    roster.number += 1
    roster.changes[contact] = roster.number


def _told(roster: RosterState, contact: Jid) -> RosterEntry | RosterRemoval:
    entry = roster.entries.get(contact)
    return entry if entry is not None and entry.listed else RosterRemoval(contact)
