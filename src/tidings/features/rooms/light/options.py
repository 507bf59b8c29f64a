"""Options of MUC Light, under the names that MongooseIM has for them, and the fields that rooms have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.features.rooms.light_view import ROOM_NAME, SUBJECT
from tidings.wire.xmpp.payloads.muc_light import LightField

LONGEST_FIELD_OCTETS: Final = 4_096
LONGEST_NAME_OCTETS: Final = 255
NOT_FIELDS: Final = frozenset({"version", "prev-version"})

InternalKey = Literal["", "all_can_configure", "all_can_invite"]


class FieldOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A field that rooms have, with its default, which says of what type it is."""

    field: Annotated[str, Meta(description="Name of the field, and of its element.", min_length=1)]
    string_value: Annotated[str | None, Meta(description="Default of a text.")] = None
    integer_value: Annotated[int | None, Meta(description="Default of a whole number.")] = None
    float_value: Annotated[float | None, Meta(description="Default of a number.")] = None
    boolean_value: Annotated[bool | None, Meta(description="Default of a yes or no.")] = None
    internal_key: Annotated[
        InternalKey, Meta(description="The option that the value takes the place of in a room.")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse a field of no type or of several."""
        if sum(value is not None for value in self._defaults) != 1:
            raise ValueError(f"the field {self.field} needs one default: a string_value, an integer_value …")
        if self.field in NOT_FIELDS:
            raise ValueError(f"{self.field} is what a version is called, and no name of a field")
        if self.internal_key and self.boolean_value is None:
            raise ValueError(f"the field {self.field} stands for {self.internal_key}, which is yes or no")

    @property
    def _defaults(self) -> tuple[str | float | bool | None, ...]:
        return self.string_value, self.integer_value, self.float_value, self.boolean_value

    @property
    def default(self) -> str:
        """The default as it is written."""
        [value] = (value for value in self._defaults if value is not None)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def check(self, value: str) -> str:
        """Give a value that is of the type, or raise `bad-request` with the text that MongooseIM has."""
        longest = LONGEST_NAME_OCTETS if self.field == ROOM_NAME else LONGEST_FIELD_OCTETS
        if len(value.encode()) > longest:
            raise StanzaError("bad-request", f"{self.field}:too_long, {longest} octets are kept")
        try:
            if self.integer_value is not None:
                int(value)
            elif self.float_value is not None:
                float(value)
        except ValueError:
            raise StanzaError("bad-request", f"{self.field}:type_error") from None
        if self.boolean_value is not None and value not in {"true", "false"}:
            raise StanzaError("bad-request", f"{self.field}:type_error")
        return value


USUAL_FIELDS: Final = (
    FieldOptions(field=ROOM_NAME, string_value="Untitled"),
    FieldOptions(field=SUBJECT, string_value=""),
)


class LightOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what in rooms by MUC Light, and how large they get."""

    equal_occupants: Annotated[
        bool, Meta(description="Whether new rooms have no owner, and everybody is a member.")
    ] = False
    rooms_per_user: Annotated[
        int,
        Meta(
            description="Rooms that somebody may be in. Who is in so many makes no more, and is not added to "
            "others. 0: any number.",
            ge=0,
        ),
    ] = 0
    blocking: Annotated[
        bool,
        Meta(description="Whether people may say who adds them to rooms, and to which rooms nobody does."),
    ] = True
    all_can_configure: Annotated[
        bool, Meta(description="Whether every member may configure a room; else its owner does.")
    ] = False
    all_can_invite: Annotated[
        bool, Meta(description="Whether every member may add others to a room; else its owner does.")
    ] = False
    max_occupants: Annotated[int, Meta(description="Members of one room. 0: any number.", ge=0)] = 10_000
    max_changes: Annotated[
        int,
        Meta(
            description="People whom one change of a list may name. Each member that stays is told of all "
            "of them.",
            ge=1,
        ),
    ] = 500
    max_blocked: Annotated[int, Meta(description="Rooms and people that somebody may block.", ge=1)] = 1_000
    offline_markers: Annotated[
        int,
        Meta(
            description="Markers of rooms (XEP-0333) that a device is sent when it comes again, at most: of "
            "those that came while it was away the last of each sender and kind in each room, the newest of "
            "all rooms. 0: none.",
            ge=0,
            le=1_000,
        ),
    ] = 100
    rooms_per_page: Annotated[
        int, Meta(description="Rooms in one answer about one's own rooms.", ge=1, le=1_000)
    ] = 10
    rooms_in_rosters: Annotated[
        bool, Meta(description="Whether the roster of an account has an item for each of its rooms.")
    ] = False
    allow_multiple_owners: Annotated[
        bool,
        Meta(description="Whether a room may have several owners; else a new one takes the old one's place."),
    ] = False
    promote_on_last_owner_leave: Annotated[
        bool,
        Meta(description="Whether a member becomes owner when the last owner leaves; else he may not leave."),
    ] = True
    config_schema: Annotated[
        tuple[FieldOptions, ...],
        Meta(
            description="The fields of a room's configuration; without any, `roomname`, which is `Untitled` "
            "at first, and `subject`. These two are the name and the subject in Multi-User Chat, too."
        ),
    ] = ()

    @property
    def fields(self) -> tuple[FieldOptions, ...]:
        """The fields that rooms have."""
        return self.config_schema or USUAL_FIELDS

    def checked(self, fields: Iterable[LightField]) -> dict[str, str]:
        """Give what fields say, by name; raises `bad-request` for what is no field, or no value of it."""
        schema = {each.field: each for each in self.fields}
        found: dict[str, str] = {}
        for name, value in fields:
            if name in NOT_FIELDS or name in found:
                raise StanzaError("bad-request", f"{name} cannot be set so")
            if name not in schema:
                raise StanzaError("bad-request", f"{name}:not_found")
            found[name] = schema[name].check(value)
        return found

    def defaults(self) -> dict[str, str]:
        """Give what a room has where nobody has said otherwise."""
        return {each.field: each.default for each in self.fields}
