"""A world with rooms that have both doors, and short words for what people do by MUC Light."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.harness.world import World, WorldClient
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.features.rooms.entrance import EntranceOptions
from tidings.features.rooms.held_back import RoomReceiptsOptions
from tidings.features.rooms.light.options import LightOptions
from tidings.features.rooms.limit_options import RoomLimitsOptions
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns

ROOM = "ward7@muclight.localhost"
BY_MUC = "ward7@conference.localhost"
NS = ns.MUC_LIGHT


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


async def start(
    *,
    receipts: RoomReceiptsOptions | None = None,
    room_limits: RoomLimitsOptions | None = None,
    **options: object,
) -> World:
    """Start a server whose rooms have both doors; `options` are those of MUC Light."""
    return await World.start(
        ("localhost", "other.test"),
        services=(ROOMS, MUC_LIGHT),
        options={
            "muc": msgspec.convert({"locks_new": False}, EntranceOptions),
            "muc_light": msgspec.convert(options, LightOptions),
            "muc_receipts": receipts or RoomReceiptsOptions(),
            "room_limits": room_limits or RoomLimitsOptions(),
        },
    )


async def people(world: World, *names: str) -> list[WorldClient]:
    """Log people in, each with one phone."""
    return [await world.online(f"{name}@localhost/phone") for name in names]


def query(kind: str, part: str, inside: str = "", *, to: str = ROOM, id_: str = "q1") -> str:
    return f"<iq type='{kind}' id='{id_}' to='{to}'><query xmlns='{NS}#{part}'>{inside}</query></iq>"


def user(name: str, affiliation: str = "member", role: str = "") -> str:
    address = name if "@" in name else f"{name}@localhost"
    shown = f" role='{role}'" if role else ""
    return f"<user affiliation='{affiliation}'{shown}>{address}</user>"


async def create(
    client: WorldClient, *users: str, fields: str = "", to: str = ROOM, id_: str = "c1"
) -> Element:
    """Make a room with these members; gives the answer."""
    inside = f"<configuration>{fields}</configuration><occupants>{''.join(users)}</occupants>"
    return await client.request(query("set", "create", inside, to=to, id_=id_))


async def change(client: WorldClient, *users: str, to: str = ROOM, id_: str = "a1") -> Element:
    return await client.request(query("set", "affiliations", "".join(users), to=to, id_=id_))


async def configure(client: WorldClient, fields: str, *, id_: str = "k1") -> Element:
    return await client.request(query("set", "configuration", fields, id_=id_))


def say(text: str, *, id_: str = "m1", to: str = ROOM) -> str:
    return f"<message to='{to}' type='groupchat' id='{id_}'><body>{text}</body></message>"


def error_of(answer: Element) -> tuple[str, str]:
    """Give the condition of an error and its text; two empty texts for a result."""
    error = answer.find("error")
    if error is None:
        return "", ""
    told = [each for each in answer.children if each != Element("x", ns.MUC)]
    assert told == [error], "an error carries nothing of the request, but that it was to enter"
    return error.children[0].name, error.text_of("text", ns.STANZA_ERRORS) or ""


def written(client: WorldClient, name: str = "message") -> list[str]:
    """Give what somebody got, as XML without the server's time."""
    return [_plain(element) for element in client.take(name)]


def _plain(element: Element) -> str:
    element.content = [
        item
        for item in element.content
        if not (isinstance(item, Element) and item.namespace == ns.TIDINGS_TIME)
    ]
    return element.to_bytes(ns.CLIENT).decode()


def same(xml: str) -> str:
    """Write XML of a test as `written` does."""
    return decode(xml.encode(), ns.CLIENT).to_bytes(ns.CLIENT).decode()


async def info(client: WorldClient, *, to: str = ROOM) -> tuple[str, dict[str, str], dict[str, str]]:
    """Ask for everything about a room: its version, its fields, and who is what in it."""
    answer = await client.request(query("get", "info", to=to))
    found = answer.children[0]
    fields = {child.name: child.text for child in found.find("configuration").children}  # type: ignore[union-attr]
    users = {
        child.text.removesuffix("@localhost"): "/".join(filter(None, child.attributes.values()))
        for child in found.find("occupants").children  # type: ignore[union-attr]
    }
    return found.text_of("version") or "", fields, users


def texts(client: WorldClient) -> list[tuple[str, str | None]]:
    """Give who has said what since this was asked last."""
    return [
        ((message.get("from") or ""), message.text_of("body"))
        for message in client.take("message")
        if message.text_of("body")
    ]
