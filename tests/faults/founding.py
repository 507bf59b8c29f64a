"""Makes the rooms before anybody writes: one by MUC, with its members, the others by MUC Light."""

from __future__ import annotations

import asyncio

from lxml import etree

from tests.faults.rooms import LANE, MUC, OWNER, ROOMS, TEA, YARD, Door, address_of
from tests.faults.stream import CLIENT, Stream, StreamBrokenError, own_bare

_PATIENCE = 20.0
_FORM = f"{MUC}#roomconfig"
_OPEN_TO_BOTH = {
    "FORM_TYPE": _FORM,
    "muc#roomconfig_membersonly": "1",
    "muc#roomconfig_persistentroom": "1",
    "muc#roomconfig_whois": "anyone",
}
"""MUC Light opens to such rooms: the audit reads them there, since that shows changes of members, too."""


async def found_rooms(port: int) -> None:
    """Let the owner make every room with everybody in it."""
    async with asyncio.timeout(_PATIENCE):
        stream = await Stream.log_in(port, OWNER)
        await stream.bind("founder")
        await _found_by_muc(stream)
        for room in (LANE, YARD):
            users = "".join(
                f"<user affiliation='member'>{own_bare(name)}</user>" for name in ROOMS[room] if name != OWNER
            )
            await _ask(
                stream,
                address_of(room, Door.LIGHT),
                f"<query xmlns='urn:xmpp:muclight:0#create'><occupants>{users}</occupants></query>",
            )
        await stream.close()


async def _found_by_muc(stream: Stream) -> None:
    stream.send(f"<presence to='{TEA}/{OWNER}'><x xmlns='{MUC}'/></presence>")
    # Members first: who becomes one of a room that is for members alone is sent an invitation.
    items = "".join(
        f"<item jid='{own_bare(name)}' affiliation='member'/>" for name in ROOMS[TEA] if name != OWNER
    )
    await _ask(stream, TEA, f"<query xmlns='{MUC}#admin'>{items}</query>")
    values = "".join(
        f"<field var='{name}'><value>{value}</value></field>" for name, value in _OPEN_TO_BOTH.items()
    )
    form = f"<x xmlns='jabber:x:data' type='submit'>{values}</x>"
    await _ask(stream, TEA, f"<query xmlns='{MUC}#owner'>{form}</query>")


async def _ask(stream: Stream, to: str, payload: str) -> None:
    stream.send(f"<iq type='set' id='found' to='{to}'>{payload}</iq>")
    while True:
        element = await stream.receive()
        if element.tag == f"{{{CLIENT}}}iq" and element.get("id") == "found":
            break
    if element.get("type") != "result":
        raise StreamBrokenError(etree.tostring(element, encoding="unicode"))
