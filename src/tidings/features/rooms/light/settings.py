"""Settings: the configuration of a room as MUC Light has it, as a pure view of what is kept.

`roomname` and `subject` are the room's own name and subject; other fields are kept beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.light.options import InternalKey, LightOptions
from tidings.features.rooms.light_view import ROOM_NAME, SUBJECT, subject_content, subject_text
from tidings.features.rooms.room import Membership, RoomState, Subject
from tidings.wire.xmpp.payloads.muc_light import LightField


def fields_of(state: RoomState, options: LightOptions) -> list[LightField]:
    """Give every field of a room with its value, in the order of the schema."""
    return [LightField(name, _value(state, name, default)) for name, default in options.defaults().items()]


def name_of(state: RoomState, options: LightOptions) -> str:
    """Give what a room is called."""
    return state.configuration.name or options.defaults().get(ROOM_NAME, "")


def with_fields(configuration: RoomConfiguration, values: Mapping[str, str]) -> RoomConfiguration:
    """Give a configuration in which these fields have these values; itself where they have them already."""
    name = values.get(ROOM_NAME, configuration.name)
    others = {field: value for field, value in values.items() if field not in {ROOM_NAME, SUBJECT}}
    fields = {**configuration.fields, **others}
    if name == configuration.name and fields == configuration.fields:
        return configuration
    version = configuration.version + 1
    return msgspec.structs.replace(configuration, name=name, fields=fields, version=version)


def new_subject(state: RoomState, values: Mapping[str, str], nick: str, time: int) -> Subject | None:
    """Give the subject that fields make; None where they leave it. `time` are microseconds since 1970."""
    text = values.get(SUBJECT)
    if text is None or text == subject_text(state.subject):
        return None
    return Subject(content=subject_content(text), nick=nick, time=time)


def may_configure(
    state: RoomState, member: Membership, values: Mapping[str, str], options: LightOptions
) -> bool:
    """Tell whether a member may set these fields: the subject alone every one may who may speak."""
    if member.affiliation is Affiliation.OWNER:
        return True
    if member.is_read_only:
        return False
    return set(values) == {SUBJECT} or is_allowed(state, "all_can_configure", options)


def is_allowed(state: RoomState, key: InternalKey, options: LightOptions) -> bool:
    """Tell whether a room lets every member do something, by a field of its own or by the option."""
    for each in options.fields:
        if each.internal_key == key:
            return state.configuration.fields.get(each.field, each.default) == "true"
    return options.all_can_configure if key == "all_can_configure" else options.all_can_invite


def _value(state: RoomState, name: str, default: str) -> str:
    if name == ROOM_NAME:
        return state.configuration.name
    if name == SUBJECT:
        return subject_text(state.subject)
    return state.configuration.fields.get(name, default)
