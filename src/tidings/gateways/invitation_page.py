"""The page of an invitation: what whoever has a link reads before there is a client (XEP-0379 §3.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Final

from tidings.base.jid import Jid
from tidings.gateways.link_html import page_of
from tidings.kernel.invitations import Invitation, invitation_uri, join_uri

CLIENTS: Final = (
    ("Android", "Conversations", "https://conversations.im/"),
    ("iPhone, iPad and Mac", "Monal", "https://monal-im.org/"),
    ("Linux and Windows", "Gajim", "https://gajim.org/"),
    ("Linux", "Dino", "https://dino.im/"),
)
"""Clients that are named on the page: for what, the name, and where it is to be had."""
ALL_CLIENTS: Final = "https://xmpp.org/software/"


def invitation_page(domain: Jid, invitation: Invitation, token: str) -> str:
    """Write the page of an invitation that can be used."""
    uri = escape(invitation_uri(domain, invitation, token, to_contact=not invitation.name))
    contact, name = escape(invitation.contact), escape(domain.domain)
    title = f"{contact} invites you to chat" if contact else f"You are invited to {name}"
    account = escape(Jid.of(invitation.name, domain.domain).text) if invitation.name else ""
    return page_of(title, f"{_what(invitation, contact, account, name)}{_how(uri)}{_until(invitation)}")


def room_page(room: Jid, invitation: Invitation, token: str) -> str:
    """Write the page of a link into a room."""
    name = escape(room.text)
    what = (
        f"<p>With an account of XMPP, on whichever server, you can join the room <b>{name}</b>, and be a "
        "member of it.</p>"
    )
    uri = escape(join_uri(room, token))
    return page_of(f"You are invited to {name}", f"{what}{_how(uri)}{_until(invitation)}")


def refusal_page() -> str:
    """Write the page that everybody gets whose link lets nobody in, whatever is wrong with it."""
    return page_of(
        "This invitation is not valid",
        "<p>It never was, or is not any more. Ask whoever has invited you for another one.</p>",
    )


def _what(invitation: Invitation, contact: str, account: str, domain: str) -> str:
    if account:
        what = f"You can make the account <b>{account}</b>, with a password that only you know."
    elif invitation.registers:
        what = f"You can make an account on <b>{domain}</b>, with a name and a password of your own."
    else:
        what = "With an account of XMPP, on whichever server, you can become contacts."
    both = f" You and <b>{contact}</b> will then see each other." if contact else ""
    return f"<p>{what}{both}</p>"


def _how(uri: str) -> str:
    clients = "".join(
        f'<li>{escape(system)}: <a href="{escape(url)}" rel="noreferrer noopener">{escape(name)}</a></li>'
        for system, name, url in CLIENTS
    )
    return (
        f'<p><a class="open" href="{uri}">Open the invitation</a></p>'
        "<p>This needs a program that speaks XMPP. If nothing happens, install one, come back to this page, "
        f"and open the invitation then.</p><ul>{clients}</ul>"
        f'<p>There are <a href="{ALL_CLIENTS}" rel="noreferrer noopener">many others</a>. Some of them ask '
        f"for the address of the invitation; it is</p><p><code>{uri}</code></p>"
    )


def _until(invitation: Invitation) -> str:
    until = datetime.fromtimestamp(int(invitation.expires), UTC)
    return (
        f"<p>The invitation is valid until {until:%Y-%m-%d %H:%M} UTC. Whoever has this link can use it: "
        "keep it to yourself. If you do not know who has sent it, you need do nothing.</p>"
    )
