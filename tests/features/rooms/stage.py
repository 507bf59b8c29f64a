"""A world with rooms, and short words for what people do in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest

from tests.harness.world import World, WorldClient
from tidings.app.rooms import ROOMS
from tidings.features.rooms.entrance import EntranceOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ROOM = "tea@conference.localhost"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


async def start(*, features: Mapping[str, msgspec.Struct] | None = None, **options: object) -> World:
    """Start a server with rooms, which are open when they are made; `features` are options of others."""
    muc = msgspec.convert({"locks_new": False, **options}, EntranceOptions)
    return await World.start(("localhost",), services=(ROOMS,), options={"muc": muc, **(features or {})})


async def enter(
    client: WorldClient, nick: str, *, room: str = ROOM, password: str = "", history: str = ""
) -> list[Element]:
    """Enter a room; gives what came of it."""
    inside = f"<password>{password}</password>" if password else ""
    await client.send(f"<presence to='{room}/{nick}'><x xmlns='{ns.MUC}'>{inside}{history}</x></presence>")
    return client.take()


async def occupant(world: World, name: str, nick: str, *, room: str = ROOM) -> WorldClient:
    """Log somebody in who is in the room."""
    client = await world.login(f"{name}@localhost/phone")
    got = await enter(client, nick, room=room)
    assert [each.get("type") for each in got if each.name == "presence" and each.get("type")] == []
    return client


def say(text: str, *, room: str = ROOM, id_: str = "1") -> str:
    return f"<message to='{room}' type='groupchat' id='{id_}'><body>{text}</body></message>"


def shown(presence: Element) -> tuple[str, str, str, str | None, list[str]]:
    """Give of whom a presence is, of what type, the affiliation and role, and the status codes."""
    about = presence.find("x", ns.MUC_USER)
    assert about is not None
    item = about.find("item")
    assert item is not None
    codes = [status.get("code") or "" for status in about.find_all("status")]
    nick = (presence.get("from") or "").partition("/")[2]
    return (
        nick,
        presence.get("type") or "",
        f"{item.get('affiliation')}/{item.get('role')}",
        item.get("jid"),
        codes,
    )


def texts(client: WorldClient) -> list[tuple[str, str | None]]:
    """Give who has said what in the room since this was asked last."""
    return [
        ((message.get("from") or "").partition("/")[2], message.text_of("body"))
        for message in client.take("message")
        if message.find("body") is not None
    ]
