"""Light view: what MUC Light tells of a room and of its changes, as a pure view of what is kept.

An administrator is a member there, and so is who may only read; an attribute says more to those who know it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.room import Membership, RoomState, Subject
from tidings.features.rooms.room_change import Change
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import without_forgeries
from tidings.wire.xmpp.payloads.muc_light import LightField, LightUser, change
from tidings.wire.xmpp.stanza import Stanza

ROOM_NAME: Final = "roomname"
SUBJECT: Final = "subject"
ADMINISTRATOR: Final = "administrator"
READ_ONLY: Final = "read-only"

EMPTY_BODY: Final = b"<body/>"
_NOT_LIGHT: Final = frozenset({f"{ns.MUC_USER} x", f"{ns.OCCUPANT_ID} occupant-id", f"{ns.MUC} x"})
_LIGHT: Final = frozenset(
    {f"{each} x" for each in (ns.MUC_LIGHT_AFFILIATIONS, ns.MUC_LIGHT_CONFIGURATION, ns.MUC_LIGHT_DESTROY)}
)


def is_open(configuration: RoomConfiguration) -> bool:
    """Tell whether MUC Light opens to a room: it shows real addresses, and knows members who come and go."""
    return (
        configuration.is_members_only
        and configuration.is_persistent
        and not configuration.is_anonymous
        and not configuration.password
        and not configuration.is_locked
    )


def is_in(member: Membership | None) -> bool:
    """Tell whether MUC Light has somebody as an occupant."""
    return member is not None and member.affiliation not in {Affiliation.NONE, Affiliation.OUTCAST}


def user_of(jid: Jid, member: Membership | None) -> LightUser:
    """Show what somebody is."""
    if member is None or not is_in(member):
        return LightUser(jid, "none")
    match member.affiliation:
        case Affiliation.OWNER:
            return LightUser(jid, "owner")
        case Affiliation.ADMIN:
            return LightUser(jid, "member", ADMINISTRATOR)
        case _:
            return LightUser(jid, "member", READ_ONLY if member.is_read_only else "")


def users_written(state: RoomState, namespace: str) -> bytes:
    """Write everybody who belongs to a room, where this is the default namespace.

    Of ten thousand members this takes a few milliseconds, and elements would take a hundred.
    """
    plain = {
        Affiliation.OWNER: '<user affiliation="owner">',
        Affiliation.MEMBER: '<user affiliation="member">',
    }
    parts: list[str] = []
    for jid, member in state.members.items():
        opening = None if member.is_read_only else plain.get(member.affiliation)
        if opening is not None:  # no character of a bare address has to be escaped
            parts.append(f"{opening}{jid.text}</user>")
        elif is_in(member):
            parts.append(user_of(jid, member).encode(namespace).to_bytes(namespace).decode())
    return "".join(parts).encode()


def changed_users(before: Mapping[Jid, Membership], after: Mapping[Jid, Membership]) -> list[LightUser]:
    """Show those who are something else now, as far as MUC Light can tell."""
    shown = ((user_of(jid, before.get(jid)), user_of(jid, member)) for jid, member in after.items())
    return [now for was, now in shown if was != now]


def version_of(configuration: RoomConfiguration, version: int) -> str:
    """Give what clients know a state of a room by; that of a room that was made anew is another one."""
    room = hashlib.blake2b(configuration.secret, digest_size=4, person=b"version").hexdigest()
    return f"{room}-{version}"


def subject_text(subject: Subject | None) -> str:
    """Give the subject as a text: the first, where there are several languages."""
    if subject is None or not subject.content:
        return ""
    scope = decode(b"<all>" + subject.content + b"</all>", ns.CLIENT)
    return scope.children[0].text if scope.children else ""


def changed_fields(before: RoomConfiguration | None, told: Change) -> list[LightField]:
    """Give the fields that were set by name, or that are something else now, as MUC Light calls them."""
    if told.fields is not None:
        return [LightField(name, value) for name, value in told.fields.items()]
    found: list[LightField] = []
    configuration, subject = told.configuration, told.subject
    if before is not None and configuration is not None:
        if before.name != configuration.name:
            found.append(LightField(ROOM_NAME, configuration.name))
        found += (
            LightField(name, value)
            for name, value in configuration.fields.items()
            if before.fields.get(name) != value
        )
    if subject is not None:
        found.append(LightField(SUBJECT, subject_text(subject)))
    return found


def removal_of(users: Iterable[LightUser], by: Jid | None) -> Element | None:
    """Tell who was put out by somebody else, since the list tells that of nobody; None where nobody was."""
    gone = [user.jid for user in users if user.affiliation == "none" and by is not None and user.jid != by]
    if not gone or by is None:
        return None
    people = (Element("user", ns.TIDINGS_MUC_LIGHT, None, jid.text) for jid in gone)
    return Element("kicked", ns.TIDINGS_MUC_LIGHT, {"by": by.text}, *people)


def record(state: RoomState, told: Change) -> tuple[Element | bytes, ...]:
    """Give what the archive keeps of a change for readers by MUC Light; nothing where there is none."""
    configuration = told.configuration or state.configuration
    if not is_open(configuration):
        return ()
    version = version_of(configuration, state.version + 1)
    users = changed_users(state.members, told.members)
    if users:
        removal = removal_of(users, told.by)
        list_ = change(ns.MUC_LIGHT_AFFILIATIONS, "", version, (user.encode() for user in users))
        return (list_, EMPTY_BODY) if removal is None else (list_, removal, EMPTY_BODY)
    fields = changed_fields(state.configuration, told)
    if not fields:
        return ()
    set_ = change(ns.MUC_LIGHT_CONFIGURATION, "", version, (field.encode() for field in fields))
    if told.subject is None:
        return (set_, EMPTY_BODY)
    return (set_, told.subject.content, EMPTY_BODY)


def as_light(message: Stanza, room: Jid, sender: Jid | None) -> Stanza:
    """Show what the room keeps, or what was said in it, as MUC Light does: from the room or a real address.

    `room` is its address there. Only what MUC Light knows of a root is left of it.
    """
    message = without_forgeries(message, room)
    index, content = message.index, message.content
    if any(tag in _NOT_LIGHT for tag, _ in index) or is_notice(message):
        is_told = is_notice(message)
        bare = message.replace(
            drop=lambda namespace, name: f"{namespace} {name}" in _NOT_LIGHT or (is_told and name == SUBJECT)
        )
        index, content = bare.index, bare.content
    address = room if sender is None else Jid(f"{room}/{sender}")
    return Stanza("message", message.kind or "groupchat", message.id, None, address, None, index, content)


def is_notice(message: Stanza) -> bool:
    """Tell whether the room itself tells of a change: nobody has said it."""
    from_room = message.sender is not None and not message.sender.resource
    return from_room and any(tag in _LIGHT for tag, _ in message.index)


def subject_content(text: str) -> bytes:
    """Write a subject as rooms keep it."""
    return Element("subject", ns.CLIENT, None, *([text] if text else [])).to_bytes(ns.CLIENT)
