"""Options of limits in rooms: how large things get there, and how fast things happen."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.shares import share
from tidings.base.token_bucket import Rate
from tidings.features.rooms.nicknames import LONGEST_OCTETS

LONGEST_NAME: Final = 1_024
LONGEST_DESCRIPTION: Final = 16_384
LONGEST_SUBJECT: Final = 32_768
"""In octets; more of either is never kept, whatever the options say."""

OCTETS_OF_ONE: Final = 32_768
"""A message counts once more for each so many octets."""

_REFUSED: Final = "not-acceptable"


def _rate(description: str) -> Meta:
    return Meta(description=f"{description} 0 is no limit.", ge=0)


class RoomLimitsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one room may have, and what one person may do in rooms. A person is a bare JID."""

    max_rooms_owned: Annotated[
        int,
        share(
            "Rooms of this domain that one account owns and has entered; who has so many makes no more. "
            "Admins of the domain may."
        ),
    ] = 100
    rooms_per_hour: Annotated[int, _rate("Rooms that one account may make in an hour.")] = 100
    max_members: Annotated[int, share("Owners, admins and members of one room.")] = 10_000
    max_outcasts: Annotated[int, share("People who are banned from one room.")] = 10_000
    max_changes: Annotated[
        int, Meta(description="People whom one request may make something else in a room.", ge=1)
    ] = 500
    max_listed: Annotated[
        int,
        Meta(
            description="People in one answer about who is what in a room. A longer list is asked for in "
            "pages (XEP-0059).",
            ge=1,
            le=20_000,
        ),
    ] = 10_000
    max_nick: Annotated[int, Meta(description="Octets of a nickname.", ge=1, le=LONGEST_OCTETS)] = 128
    max_subject: Annotated[
        int,
        Meta(
            description="Octets of a subject with its elements, in all languages.", ge=1, le=LONGEST_SUBJECT
        ),
    ] = 4_096
    max_room_name: Annotated[
        int, Meta(description="Octets of the name of a room.", ge=1, le=LONGEST_NAME)
    ] = 255
    max_room_desc: Annotated[
        int, Meta(description="Octets of the description of a room.", ge=1, le=LONGEST_DESCRIPTION)
    ] = 4_096
    max_reason: Annotated[
        int,
        Meta(description="Octets of the reason for a kick, a ban, an invitation or the like.", ge=1),
    ] = 1_024
    max_presence: Annotated[
        int,
        share("Octets of the presence that an occupant shows to all, who are sent all of it.", _REFUSED),
    ] = 8_192
    max_invitations: Annotated[
        int, Meta(description="People whom one message may invite into a room.", ge=1)
    ] = 20
    messages_per_second: Annotated[
        int,
        _rate(
            "Messages of any kind that one person may send to one room, or to people in it, in a second, all "
            "devices together. One of more than 32 KiB counts as several."
        ),
    ] = 10
    room_messages_per_second: Annotated[
        int,
        _rate(
            "Messages that one room takes in a second. Half of it is for those who have said little of late, "
            "so that they can speak however much others do."
        ),
    ] = 100
    burst_seconds: Annotated[
        int,
        Meta(
            description="What may be said in so many seconds may also be said at once, after such a silence.",
            ge=1,
        ),
    ] = 10
    joins_per_minute: Annotated[
        int, _rate("How often one person may enter rooms in a minute, all rooms and devices together.")
    ] = 600
    room_joins_per_minute: Annotated[
        int,
        _rate("How often one room is entered in a minute. Half of it is for its members alone."),
    ] = 10_000
    presences_per_minute: Annotated[
        int,
        _rate("How often one person may enter one room, or change his presence there, in a minute."),
    ] = 60
    nick_changes_per_minute: Annotated[
        int, _rate("How often one person may take another name in one room in a minute.")
    ] = 10
    invitations_per_minute: Annotated[
        int, _rate("People whom one person may invite into rooms in a minute.")
    ] = 60

    @property
    def said(self) -> Rate:
        """Of messages of one person in one room."""
        return Rate(self.messages_per_second, self.messages_per_second * self.burst_seconds)

    @property
    def said_in_room(self) -> Rate:
        """Of messages of all in one room."""
        return Rate(self.room_messages_per_second, self.room_messages_per_second * self.burst_seconds)


def per_minute(count: int) -> Rate:
    """Give the rate of what may happen so often in a minute, also at once."""
    return Rate(count / 60, count)
