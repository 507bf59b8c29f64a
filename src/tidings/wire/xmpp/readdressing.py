"""Readdressing: a written stanza with another account in its `from` or `to`, and nothing else touched.

For stanzas that the server has kept, whose account has got another address since.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from tidings.base.jid import Jid

_ROOT: Final = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=/>]+=(?:"[^"]*"|'[^']*'))*""")
_ADDRESS: Final = re.compile(rb"""(\s(?:from|to)=)(["'])([^"'/]*)""")


_WRITTEN: Final = re.compile(rb'<message from="([^"/]*)[^"]*" to="([^"/]*)')
"""How messages that are kept begin."""


def readdressed(raw: bytes, *, sender: Jid | None = None, to: Jid | None = None) -> bytes:
    """Give a stanza that is from this account, or for it; resources stay, and so does an address left out."""
    if sender is not None and to is not None:
        written = _WRITTEN.match(raw)
        if written is not None and written.groups() == (sender.bare.xml, to.bare.xml):
            return raw  # nearly always
    root = _ROOT.match(raw)
    if root is None:
        return raw
    opening = _ADDRESS.sub(_replacing(sender, to), root[0])
    return raw if opening == root[0] else opening + raw[root.end() :]


def _replacing(sender: Jid | None, to: Jid | None) -> Callable[[re.Match[bytes]], bytes]:
    def replace(found: re.Match[bytes]) -> bytes:
        account = sender if found[1].endswith(b"from=") else to
        return found[0] if account is None else b"%b%b%b" % (found[1], found[2], account.bare.xml)

    return replace
