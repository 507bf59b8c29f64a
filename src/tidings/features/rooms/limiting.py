"""Limiting: holds rooms, and what people do in them, within the limits that the options give.

Who does too much is refused, with the time after which there is room again, and nobody else is: each person
has an allowance of his own in each room. Of what a room as a whole takes, half is kept for those who have
said little, or who belong to it and enter, so that no crowd can shut them out. What was done is known to this
process alone. To enter anew or with another device shortens no wait.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol, cast

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded
from tidings.base.token_bucket import Rate, TokenBucket, TokenBuckets
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.limit_options import OCTETS_OF_ONE, RoomLimitsOptions, per_minute
from tidings.features.rooms.nicknames import check_nick
from tidings.features.rooms.room import Membership, Room, RoomState
from tidings.features.rooms.room_change import Change
from tidings.features.rooms.rooms_of_account import rooms_of
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.entity import EntityKind
from tidings.kernel.host import Host
from tidings.kernel.slots import Slot
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.retry_after import RetryAfter
from tidings.wire.xmpp.stanza import Stanza

_HOUR: Final = 3_600
_MOSTLY_SILENT: Final = 0.9
"""So much of his allowance has who has said little of late."""


class _Done:
    """What was done in one room of late."""

    __slots__ = ("joins", "presences", "renames", "said", "said_by_all")

    def __init__(self, options: RoomLimitsOptions, now: float) -> None:
        self.said: TokenBuckets[Jid] = TokenBuckets()
        self.said_by_all = TokenBucket(options.said_in_room, now)
        self.presences: TokenBuckets[Jid] = TokenBuckets()
        self.renames: TokenBuckets[Jid] = TokenBuckets()
        self.joins = TokenBucket(per_minute(options.room_joins_per_minute), now)


_DONE: Final[Slot[_Done | None]] = Slot("rooms.done", default=None)


class Limits:
    """The limits of the rooms of one host; what is beyond them is refused by raising `StanzaError`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.current: Current[RoomLimitsOptions] = Current(RoomLimitsOptions())
        self._entered: TokenBuckets[Jid] = TokenBuckets()
        self._made: TokenBuckets[Jid] = TokenBuckets()
        self._invited: TokenBuckets[Jid] = TokenBuckets()
        self._making: Counter[Jid] = Counter()
        self._rated = self.current.now
        self._said, self._said_in_room = self._rated.said, self._rated.said_in_room

    @property
    def options(self) -> RoomLimitsOptions:
        """What is configured now."""
        return self.current.now

    # --- how fast

    def count_message(self, room: Room, person: Jid, message: Stanza, *, is_for_all: bool) -> None:
        """Note that somebody speaks to everybody in a room, or to one there."""
        options, now = self.current.now, self._clock.monotonic()
        if options is not self._rated:  # every message asks for these rates
            self._rated, self._said, self._said_in_room = options, options.said, options.said_in_room
        done, rate = room[_DONE] or self._done(room, options, now), self._said
        count, is_silent = 1 + len(message.content) // OCTETS_OF_ONE, True
        if rate.per_second:
            own = done.said.of(person, rate, now)
            wait = own.take(rate, now, min(count, rate.at_once))
            if wait:
                raise _too_fast(f"you may send {options.messages_per_second} messages a second here", wait)
            is_silent = own.left + count >= _MOSTLY_SILENT * rate.at_once
        all_ = self._said_in_room
        if is_for_all and all_.per_second:
            spare = 0 if is_silent else all_.at_once / 2
            wait = done.said_by_all.take(all_, now, min(count, all_.at_once - spare), spare=spare)
            if wait:
                raise _too_fast(
                    f"the room takes {options.room_messages_per_second} messages a second in all", wait
                )

    def count_entering(self, room: Room, person: Jid) -> None:
        """Note that somebody enters a room."""
        options, now = self.current.now, self._clock.monotonic()
        wait = self._entered.take(person, per_minute(options.joins_per_minute), now)
        if wait:
            raise _too_fast(f"you may enter {options.joins_per_minute} rooms a minute", wait)
        all_ = per_minute(options.room_joins_per_minute)
        if all_.per_second:
            spare = 0 if room.state.affiliation_of(person).rank > Affiliation.NONE.rank else all_.at_once / 2
            wait = self._done(room, options, now).joins.take(all_, now, spare=spare)
            if wait:
                raise _too_fast(
                    f"the room is entered {options.room_joins_per_minute} times a minute at most", wait
                )

    def count_presence(self, room: Room, person: Jid) -> None:
        """Note that somebody asks to enter a room, or says something else of himself there."""
        options, now = self.current.now, self._clock.monotonic()
        rate = per_minute(options.presences_per_minute)
        wait = self._done(room, options, now).presences.take(person, rate, now)
        if wait:
            raise _too_fast(
                f"you may enter or change your presence here {options.presences_per_minute} times a minute",
                wait,
            )

    def count_renaming(self, room: Room, person: Jid) -> None:
        """Note that somebody takes another name in a room."""
        options, now = self.current.now, self._clock.monotonic()
        rate = per_minute(options.nick_changes_per_minute)
        wait = self._done(room, options, now).renames.take(person, rate, now)
        if wait:
            raise _too_fast(
                f"you may change your name {options.nick_changes_per_minute} times a minute here", wait
            )

    def count_invitations(self, person: Jid, count: int) -> None:
        """Note that somebody invites so many with one message."""
        options, now = self.current.now, self._clock.monotonic()
        if count > options.max_invitations:
            raise StanzaError(
                "not-acceptable", f"one message invites {options.max_invitations} people at most"
            )
        wait = self._invited.take(person, per_minute(options.invitations_per_minute), now, count)
        if wait:
            raise _too_fast(f"you may invite {options.invitations_per_minute} people a minute", wait)

    @asynccontextmanager
    async def making(self, person: Jid, domain: str, ledger: Ledger) -> AsyncIterator[None]:
        """Let somebody make a room meanwhile who has few enough. Raises `BackendError`, too."""
        options, now = self.current.now, self._clock.monotonic()
        self._making[person] += 1
        try:
            owned = await _owned(person, domain, ledger) + self._making[person]
            if owned > options.max_rooms_owned:
                raise ShareExceeded("you", owned, options.max_rooms_owned, "rooms")
            rate = Rate(options.rooms_per_hour / _HOUR, options.rooms_per_hour)
            wait = self._made.take(person, rate, now)
            if wait:
                raise _too_fast(f"you may make {options.rooms_per_hour} rooms an hour", wait)
            yield
        finally:
            self._making[person] -= 1
            if not self._making[person]:
                del self._making[person]

    def _done(self, room: Room, options: RoomLimitsOptions, now: float) -> _Done:
        done = room[_DONE]
        if done is None:
            done = room[_DONE] = _Done(options, now)
        return done

    # --- how large

    def check_nick(self, nick: str) -> str:
        """Give a nickname that is one, and no longer than it may be."""
        return check_nick(nick, self.current.now.max_nick)

    def check_presence(self, presence: Stanza) -> None:
        """Make sure that a presence is small enough to be shown to everybody."""
        _check("your presence", len(presence.content), self.current.now.max_presence)

    def is_shown(self, presence: Stanza) -> bool:
        """Tell whether a presence is small enough to be shown to everybody."""
        return len(presence.content) <= self.current.now.max_presence

    def check_reasons(self, reasons: Iterable[str]) -> None:
        """Make sure that reasons are short enough."""
        for reason in reasons:
            _check("the reason", len(reason.encode()), self.current.now.max_reason)

    def check_count(self, changed: int) -> None:
        """Make sure that one request does not change too many people."""
        most = self.current.now.max_changes
        if changed > most:
            raise StanzaError(
                "not-acceptable",
                f"the request names {changed} people; {most} are allowed: send several requests",
            )

    def check_change(self, state: RoomState, change: Change) -> None:
        """Make sure that nothing gets larger by a change than it may be; what is too large may shrink."""
        options = self.current.now
        if change.members:
            self._check_members(state, change)
        before, after = state.configuration, change.configuration
        if after is not None:
            _check_text("the name of the room", before.name, after.name, options.max_room_name)
            _check_text("the description", before.description, after.description, options.max_room_desc)
        if change.subject is not None:
            was = 0 if state.subject is None else len(state.subject.content)
            self.check_subject(len(change.subject.content), was)

    def check_subject(self, octets: int, before: int = 0) -> None:
        """Make sure that a subject is short enough, or shorter than the one before."""
        if octets > before:
            _check("the subject", octets, self.current.now.max_subject)

    def _check_members(self, state: RoomState, change: Change) -> None:
        options, members = self.current.now, state.members
        for jid, member in change.members.items():
            if member.nick and (jid not in members or members[jid].nick != member.nick):
                self.check_nick(member.nick)
        for is_outcast, size, most, unit in (
            (False, len(members) - state.outcasts, options.max_members, "members"),
            (True, state.outcasts, options.max_outcasts, "outcasts"),
        ):
            grown = sum(
                _is_one(after, is_outcast=is_outcast) - _is_one(members.get(jid), is_outcast=is_outcast)
                for jid, after in change.members.items()
            )
            if grown > 0 and size + grown > most:
                raise ShareExceeded("the room", size + grown, most, unit)


async def _owned(person: Jid, domain: str, ledger: Ledger) -> int:
    """Count the rooms that somebody owns and has entered: what others make him owner of does not count."""
    count = 0
    async for each in rooms_of(ledger, person):
        is_owner = each.affiliation == Affiliation.OWNER.value
        count += is_owner and each.joined is not None and each.room.domain == domain
    return count


def _is_one(member: Membership | None, *, is_outcast: bool) -> bool:
    if member is None or member.affiliation is Affiliation.NONE:
        return False
    return (member.affiliation is Affiliation.OUTCAST) is is_outcast


def _check(what: str, octets: int, most: int) -> None:
    if octets > most:
        raise ShareExceeded(what, octets, most, condition="not-acceptable")


def _check_text(what: str, before: str, after: str, most: int) -> None:
    octets = len(after.encode())
    if octets > len(before.encode()):
        _check(what, octets, most)


def _too_fast(limit: str, wait: float) -> StanzaError:
    """Say which limit it is, and when there is room again (docs/specs/retry.md)."""
    seconds = max(1, math.ceil(wait))
    return StanzaError(
        "resource-constraint",
        f"{limit}: wait {seconds} {'second' if seconds == 1 else 'seconds'}",
        payload=RetryAfter(seconds).encode().to_bytes(ns.CLIENT),
    )


class _HasLimits(EntityKind, Protocol):
    limits: Limits


def limits_of(host: Host) -> Limits:
    """Give the limits of a host whose entities are rooms."""
    return cast("_HasLimits", host.kind).limits
