"""Search of rooms: people find public rooms by words, by how many are there, or all of them.

Implements XEP-0433 0.1.0 for the rooms of this service; the marks § point at its sections. Words are found
anywhere in a name, a description or the local part of an address, in any case, and all of them must be. The
rooms are read anew every ten seconds at most; how many people are in one is what is known here, now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.attempts import Attempts
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.public_rooms import public_rooms
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_change import RoomChanged, RoomDestroyed
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.ports.ledger import Ledger
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.channel_search import (
    BY_ADDRESS,
    BY_USERS,
    FORM_TYPE,
    MUC,
    Channel,
    ChannelSearch,
    found,
    refused,
)
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest

SHORTEST_WORD: Final = 2
LONGEST_QUERY: Final = 256
"""Octets of all words together."""
READ_ANEW_SECONDS: Final = 10.0
_MINUTE: Final = 60.0
_DIGITS: Final = 9
_SEARCHED: Final = {"sinname": "Search in name", "sindescription": "Search in description"}
_IN_ADDRESS: Final = ("sinaddr", "sinaddress")
"""The document has both: this in its form, that in its table."""

Place = tuple[int, str]
"""By which rooms are sorted."""


class RoomSearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How often people search, and how much they are answered with."""

    per_minute: Annotated[
        int,
        Meta(description="Searches of one account a minute; more have to wait. 0: any number.", ge=0),
    ] = 60
    page_size: Annotated[
        int, Meta(description="Rooms that one answer has at most; the rest are asked for.", ge=1, le=500)
    ] = 100


class RoomSearch(Feature):
    """Finds public rooms."""

    spec = Spec.xep(433, version="0.1.0", advertises=(ChannelSearch.TAG[0],))  # §4.1
    requires = (Entrance,)
    Options = RoomSearchOptions

    def __init__(self, host: Host, ledger: Ledger, clock: Clock, options: Current[RoomSearchOptions]) -> None:
        self._host = host
        self._ledger = ledger
        self._clock = clock
        self._options = options
        self._searches = Attempts(0, _MINUTE)
        self._rooms: tuple[Channel, ...] = ()
        self._read_at = -READ_ANEW_SECONDS
        self._changes = 0

    @listens(RoomChanged)
    def on_changed(self, event: RoomChanged) -> None:
        """Read the rooms anew before the next search, where one is configured in another way."""
        if event.change.configuration is not None:
            self._forget()

    @listens(RoomDestroyed)
    def on_destroyed(self, event: RoomDestroyed) -> None:  # noqa: ARG002  # whichever it is
        """Find it no more."""
        self._forget()

    def _forget(self) -> None:
        self._read_at = -READ_ANEW_SECONDS
        self._changes += 1

    @handles(ChannelSearch, kind="get", at=Addressee.SERVER)  # §4.2
    async def search(self, request: Iq[ChannelSearch]) -> Element:
        """Answer with the form, or with a page of what was found."""
        asked = request.payload
        if asked.form is None:
            return ChannelSearch(_FORM).encode()
        self._searches.limit = self._options.now.per_minute
        if not self._searches.allow(request.sender.bare.text, self._clock.monotonic()):
            raise refused(
                "resource-constraint",
                "rate-limit",
                f"search {self._searches.limit} times a minute at most",
                kind="wait",
                retry_after=int(_MINUTE),
            )
        place, is_wanted = _order(asked.form), _condition(asked.form)
        rooms = [msgspec.structs.replace(each, users=self._users(each)) for each in await self._listed()]
        matching = sorted(filter(is_wanted, rooms), key=place)
        return _page(matching, place, asked.page, self._options.now.page_size)

    async def _listed(self) -> tuple[Channel, ...]:
        now = self._clock.monotonic()
        if now - self._read_at >= READ_ANEW_SECONDS:
            changes = self._changes
            listed = [
                Channel(
                    address=jid,
                    name=configuration.name or jid.local,
                    description=configuration.description,
                    language=configuration.lang,
                    is_open=not (configuration.is_members_only or configuration.password),
                    is_anonymous=configuration.is_anonymous,
                )
                async for jid, configuration in public_rooms(self._ledger, self._host.domain)
            ]
            self._rooms = tuple(listed)
            if changes == self._changes:
                self._read_at = now
        return self._rooms

    def _users(self, channel: Channel) -> int:
        room = self._host.directory.get(channel.address)
        return len(room.occupants) if isinstance(room, Room) else 0


def _condition(form: DataForm) -> Callable[[Channel], bool]:
    """Give what is looked for (§4.2.2); raises `StanzaError` for what nothing can be found by."""
    words, takes_all = form.text("q").casefold().split(), form.boolean("all")
    if form.get("q") is not None and form.text("q").strip() and takes_all:
        text = "all rooms, or those with these words"
        raise refused("bad-request", "conflicting-fields", text, fields=("all", "q"))
    if not takes_all and form.get("q") is None:
        text = "say which words to look for, or ask for all"
        raise refused("bad-request", "no-search-conditions", text, kind="cancel")
    if not takes_all and (not words or min(map(len, words)) < SHORTEST_WORD):
        text = f"each word must have at least {SHORTEST_WORD} characters"
        raise refused("bad-request", "invalid-search-terms", text)
    if len(form.text("q").encode()) > LONGEST_QUERY:
        text = f"all words together have {LONGEST_QUERY} octets at most"
        raise refused("bad-request", "invalid-search-terms", text)
    in_name, in_description = (form.boolean(name, default=True) for name in _SEARCHED)
    in_address = all(form.boolean(name, default=True) for name in _IN_ADDRESS)
    if not takes_all and not (in_name or in_description or in_address):
        text = "say where to look: in name, description or address"
        raise refused("bad-request", "no-search-conditions", text, kind="cancel")
    fewest = form.number("min_users", default=0)
    is_for_muc = not form.values("types") or MUC in form.values("types")

    def is_wanted(channel: Channel) -> bool:
        if channel.users < fewest or not is_for_muc:
            return False
        texts = (
            channel.name if in_name else "",
            channel.description if in_description else "",
            channel.address.local if in_address else "",
        )
        text = "\n".join(texts).casefold()
        return takes_all or all(word in text for word in words)

    return is_wanted


def _order(form: DataForm) -> Callable[[Channel], Place]:
    key = next(iter(form.values("key")), "") or BY_USERS
    if key == BY_ADDRESS:
        return lambda channel: (0, channel.address.text)
    if key == BY_USERS:
        return lambda channel: (-channel.users, channel.address.text)
    raise refused("feature-not-implemented", "invalid-sort-key", "sort by users or by address")


def _page(
    channels: list[Channel], place: Callable[[Channel], Place], asked: PageRequest, most: int
) -> Element:
    """Give the page that is asked for, between the places that its ids name."""
    left = channels
    if asked.after:
        after = _place(asked.after)
        left = [each for each in left if place(each) > after]
    if asked.before:
        before = _place(asked.before)
        left = [each for each in left if place(each) < before]
    size = asked.size(default=most, limit=most)
    shown = (left[-size:] if size else []) if asked.is_backward else left[:size]
    if not shown:
        return found((), Page(count=len(channels)))
    first, last = _id(place(shown[0])), _id(place(shown[-1]))
    return found(shown, Page(first, last, channels.index(shown[0]), len(channels)))


def _id(place: Place) -> str:
    return f"{-place[0]} {place[1]}"


def _place(text: str) -> Place:
    """Read an id of a page; one that is none of ours is before everything."""
    users, _, address = text.partition(" ")
    is_number = users.isascii() and users.isdigit() and len(users) <= _DIGITS
    return (-int(users), address) if is_number else (-(10**_DIGITS), "")


_FORM: Final = DataForm.of(
    FormKind.FORM,
    FORM_TYPE,
    Field("q", kind=FieldKind.TEXT_SINGLE, label="Search for"),
    Field("all", ("false",), FieldKind.BOOLEAN, "Return all rooms"),
    *(Field(name, ("true",), FieldKind.BOOLEAN, label) for name, label in _SEARCHED.items()),
    Field(_IN_ADDRESS[0], ("true",), FieldKind.BOOLEAN, "Search in address"),
    Field("min_users", ("0",), FieldKind.TEXT_SINGLE, "Minimum number of users"),
    Field(
        "types", (MUC,), FieldKind.LIST_MULTI, "Kinds of rooms", options=(Option(MUC, "Multi-user chats"),)
    ),
    Field(
        "key",
        (BY_USERS,),
        FieldKind.LIST_SINGLE,
        "Sort results by",
        options=(Option(BY_USERS, "Number of users"), Option(BY_ADDRESS, "Address")),
    ),
    title="Search for rooms",
)
