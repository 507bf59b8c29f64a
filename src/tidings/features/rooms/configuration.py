"""Configuration: what an owner has set of a room, and the form that sets it (XEP-0045 §10.1.3, §16.5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tidings.base.errors import StanzaError
from tidings.features.rooms.limit_options import LONGEST_DESCRIPTION, LONGEST_NAME
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option

FORM_TYPE: Final = f"{ns.MUC}#roomconfig"
LONGEST_HISTORY: Final = 100
"""So many messages the history of a room has at most; more is in its archive."""
HISTORY_VISIBILITY: Final = f"{{{ns.TIDINGS_ROOMS}}}history_visibility"
"""A field of our own (XEP-0068 §3.4)."""
MOST_SLOW_MODE_SECONDS: Final = 3_600

Whisperers = Literal["anyone", "participants", "moderators", "none"]
"""Who may send private messages."""


class RoomConfiguration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is set of a room. It is kept as JSON: what is added later has a default."""

    version: int = 1
    """One more after each change."""
    secret: bytes
    """What occupant ids are made with (XEP-0421); nobody is told."""
    created: float
    """In seconds since the epoch."""
    is_locked: bool = False
    """Nobody but who has made it enters before it is configured (§10.1)."""
    name: str = ""
    description: str = ""
    lang: str = ""
    is_public: bool = True
    """Whether it is listed."""
    is_persistent: bool = False
    """Whether it stays when the last occupant has left."""
    is_members_only: bool = False
    is_moderated: bool = False
    """Whether who is no member has to be given a voice."""
    password: str = ""
    """Without it nobody enters; empty where none is needed."""
    whois: Literal["moderators", "anyone"] = "moderators"
    """Who sees the real addresses of occupants."""
    most_occupants: int = 0
    """0 for as many as the server allows."""
    may_change_subject: bool = False
    """Whether participants may, too, and not moderators alone."""
    may_invite: bool = False
    """Whether members may invite into a room that is for members only."""
    whisperers: Whisperers = "anyone"
    shows_members_to: Literal["moderators", "participants", "anyone"] = "participants"
    """Who may ask for the lists of members, admins and owners."""
    history_visibility: Literal["all", "joined"] = "all"
    """Whether members see what was said before they joined; `joined` shows it to the staff alone."""
    history: int = 20
    """How many messages who enters is sent."""
    slow_mode_seconds: int = 0
    """An occupant without a role of moderator waits so long between two messages (XEP-0500)."""
    fields: Mapping[str, str] = {}
    """What is set by MUC Light beyond the name, by the names of that server's schema."""

    @property
    def is_listed(self) -> bool:
        """Whether everybody is told that there is this room."""
        return self.is_public and not self.is_locked

    @property
    def is_anonymous(self) -> bool:
        """Whether only moderators see real addresses."""
        return self.whois == "moderators"


class _Known(NamedTuple):
    """A field of the form: which attribute it is, and how that is written and read."""

    attribute: str
    kind: FieldKind
    label: str
    write: Callable[[Any], tuple[str, ...]]
    read: Callable[[DataForm, str, Any], Any]
    options: tuple[Option, ...] = ()


def _text(attribute: str, label: str, longest: int, kind: FieldKind = FieldKind.TEXT_SINGLE) -> _Known:
    def read(form: DataForm, name: str, before: str) -> str:
        text = form.text(name) if form.get(name) is not None else before
        if len(text.encode()) > longest:
            raise StanzaError("not-acceptable", f"{name} has more than {longest} octets")
        return text

    return _Known(attribute, kind, label, lambda text: tuple(text.split("\n")) if text else (), read)


def _flag(attribute: str, label: str) -> _Known:
    def read(form: DataForm, name: str, before: bool) -> bool:  # a value like the others
        return form.boolean(name, default=before)

    return _Known(attribute, FieldKind.BOOLEAN, label, lambda value: ("1" if value else "0",), read)


def _choice(attribute: str, label: str, *options: tuple[str, str]) -> _Known:
    values = {value for value, _ in options}

    def read(form: DataForm, name: str, before: str) -> str:
        value = next(iter(form.values(name)), before)
        if value not in values:
            raise StanzaError("not-acceptable", f"{name} takes one of: {', '.join(sorted(values))}")
        return value

    offered = tuple(Option(value, text) for value, text in options)
    return _Known(attribute, FieldKind.LIST_SINGLE, label, lambda value: (value,), read, offered)


def _count(attribute: str, label: str, most: int, *, none: str = "0") -> _Known:
    def read(form: DataForm, name: str, before: int) -> int:
        if next(iter(form.values(name)), "") in {none, ""}:
            return 0 if form.get(name) is not None else before
        return form.number(name, default=before, maximum=most)

    return _Known(
        attribute, FieldKind.TEXT_SINGLE, label, lambda value: (str(value) if value else none,), read
    )


FIELDS: Final[dict[str, _Known]] = {
    "muc#roomconfig_roomname": _text("name", "Name of the room", LONGEST_NAME),
    "muc#roomconfig_roomdesc": _text("description", "What it is about", LONGEST_DESCRIPTION),
    "muc#roomconfig_lang": _text("lang", "Language that is spoken", 35),
    "muc#roomconfig_publicroom": _flag("is_public", "List the room"),
    "muc#roomconfig_persistentroom": _flag("is_persistent", "Keep the room when the last occupant leaves"),
    "muc#roomconfig_membersonly": _flag("is_members_only", "Let members enter only"),
    "muc#roomconfig_moderatedroom": _flag(
        "is_moderated", "Let others speak only when they are given a voice"
    ),
    "muc#roomconfig_roomsecret": _text("password", "Password", 255, FieldKind.TEXT_PRIVATE),
    "muc#roomconfig_whois": _choice(
        "whois", "Who sees real addresses", ("moderators", "Moderators"), ("anyone", "Everybody")
    ),
    "muc#roomconfig_maxusers": _count("most_occupants", "Occupants at most", 100_000, none="none"),
    "muc#roomconfig_changesubject": _flag("may_change_subject", "Let participants change the subject"),
    "muc#roomconfig_allowinvites": _flag("may_invite", "Let members invite others"),
    "muc#roomconfig_allowpm": _choice(
        "whisperers",
        "Who may send private messages",
        ("anyone", "Everybody"),
        ("participants", "Who has a voice"),
        ("moderators", "Moderators"),
        ("none", "Nobody"),
    ),
    "muc#roomconfig_getmemberlist": _choice(
        "shows_members_to",
        "Who may see the lists of members",
        ("moderators", "Moderators"),
        ("participants", "Who has a voice"),
        ("anyone", "Everybody"),
    ),
    HISTORY_VISIBILITY: _choice(
        "history_visibility",
        "What members see of the time before they joined",
        ("all", "Everything"),
        ("joined", "Nothing"),
    ),
    "muc#maxhistoryfetch": _count("history", "Messages that are sent to who enters", LONGEST_HISTORY),
    "muc#roomconfig_slow_mode_duration": _count(
        "slow_mode_seconds", "Seconds between two messages of somebody", MOST_SLOW_MODE_SECONDS
    ),
}
"""By the names of the registry (§16.5.3, XEP-0500)."""

_PROTECTED: Final = "muc#roomconfig_passwordprotectedroom"


def form_of(configuration: RoomConfiguration, staff: Iterable[Field]) -> DataForm:
    """Give the form that an owner fills in (§10.2), with what is set now, and who the staff is."""
    fields = [Field("FORM_TYPE", (FORM_TYPE,), FieldKind.HIDDEN)]
    for name, known in FIELDS.items():
        if known.attribute == "password":
            is_protected = ("1" if configuration.password else "0",)
            fields.append(Field(_PROTECTED, is_protected, FieldKind.BOOLEAN, "Ask for a password"))
        value = getattr(configuration, known.attribute)
        fields.append(Field(name, known.write(value), known.kind, known.label, options=known.options))
    return DataForm(FormKind.FORM, (*fields, *staff), "How the room is configured")


def configured(configuration: RoomConfiguration, form: DataForm) -> RoomConfiguration:
    """Give what a submitted form makes of a configuration; what it does not name stays (§10.2).

    Raises `StanzaError` `not-acceptable` for a value that cannot be, `bad-request` for one that is none.
    """
    changed: dict[str, object] = {}
    for name, known in FIELDS.items():
        before = getattr(configuration, known.attribute)
        after = known.read(form, name, before)
        if after != before:
            changed[known.attribute] = after
    is_protected = form.boolean(_PROTECTED, default=bool(changed.get("password", configuration.password)))
    if not is_protected:
        changed["password"] = ""
    elif not changed.get("password", configuration.password):
        raise StanzaError("not-acceptable", "a room that asks for a password needs one")
    if not configuration.is_locked and all(
        getattr(configuration, name) == value for name, value in changed.items()
    ):
        return configuration
    return msgspec.structs.replace(
        configuration, **changed, is_locked=False, version=configuration.version + 1
    )


def status_codes(before: RoomConfiguration, after: RoomConfiguration) -> tuple[int, ...]:
    """Give the status codes that tell occupants of a change (§10.2.1)."""
    codes = [104]
    if before.whois != after.whois:
        codes = [172 if after.whois == "anyone" else 173]
        if any(
            getattr(before, name) != getattr(after, name)
            for name in RoomConfiguration.__struct_fields__
            if name not in {"whois", "version", "is_locked"}
        ):
            codes.append(104)
    return tuple(codes)
