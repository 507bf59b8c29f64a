"""The pages of a reset link: the form that asks for another password, and what is said afterwards."""

from __future__ import annotations

from html import escape
from typing import Final

from tidings.base.jid import Jid
from tidings.gateways.link_html import page_of

PASSWORD: Final = "password"  # noqa: S105  # the name of a field
AGAIN: Final = "again"
"""The fields of the form."""


def form_page(account: Jid, problem: str = "") -> str:
    """Write the page that asks for the password twice; `problem` is what was wrong with what was sent.

    The form is sent to the address that it has come from, since that has the token. The name of the account
    is there for programs that keep passwords.
    """
    name = escape(account.text)
    wrong = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    return page_of(
        "Choose another password",
        f"<p>The account <b>{name}</b> gets the password that you type here. Whoever is connected to it "
        f"has to log in anew.</p>{wrong}"
        '<form method="post" accept-charset="utf-8">'
        f'<input type="text" name="username" value="{name}" autocomplete="username" readonly '
        'aria-label="Account">'
        f"<p>{_field(PASSWORD, 'New password')}</p><p>{_field(AGAIN, 'New password, again')}</p>"
        '<p><button type="submit">Use this password</button></p></form>'
        "<p>This link can be used once: keep it to yourself. If you have asked nobody for it, close "
        "this page and tell whoever runs the server.</p>",
    )


def done_page(account: Jid) -> str:
    """Write the page that says that the password is changed."""
    return page_of(
        "The password is changed",
        f"<p>Log in to <b>{escape(account.text)}</b> with it, in every client that you use. "
        "You can close this page.</p>",
    )


def refusal_page() -> str:
    """Write the page that everybody gets whose link opens nothing, whatever is wrong with it."""
    return page_of(
        "This link is not valid",
        "<p>It never was, or is not any more. Ask whoever has given it to you for another one.</p>",
    )


def _field(name: str, label: str) -> str:
    return (
        f'<label for="{name}">{label}</label><input type="password" id="{name}" name="{name}" '
        'autocomplete="new-password" required>'
    )
