"""Announcing: what everybody who is connected is told, such as that the server will restart."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.session import Session
from tidings.messages.origin import Via
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.values import Domain
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza

_AT_ONCE: Final = 100
"""So many sessions are written to before others have their turn."""


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell, and whom."""

    body: Annotated[str, Meta(min_length=1, description="The text.")]
    domain: Annotated[
        Domain | None, Meta(description="Domain whose sessions are told; without it, those of all of them.")
    ] = None
    subject: Annotated[str, Meta(description="A subject line.")] = "Announcement"


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were told."""

    sessions: int


@operation(
    "stanza",
    "announce",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    changes=True,
    needs_server=True,
)
async def announce(context: Context, request: Announcement) -> Announced:
    """Tell everybody who is connected something, in the name of the domain.

    It is a headline, which nobody keeps: who is not there does not get it.
    """
    told = 0
    for session in list(context.sessions(context.domains_for(request.domain))):
        if not session.ended:
            await _tell(context, session, request)
            told += 1
            if told % _AT_ONCE == 0:
                await asyncio.sleep(0)
    return Announced(sessions=told)


async def _tell(context: Context, session: Session, request: Announcement) -> None:
    assert context.live is not None  # declared with needs_server
    sender = Jid(session.jid.domain)
    content = [Element("body", ns.CLIENT, {}, request.body)]
    if request.subject:
        content.insert(0, Element("subject", ns.CLIENT, {}, request.subject))
    stanza = Stanza.build(
        "message", kind="headline", to=session.jid, sender=sender, id=token(), content=content
    )
    router = context.live.router
    await router.send(router.origin_of(sender, Via.OPERATION), (stanza,))


OPERATIONS = (announce,)
