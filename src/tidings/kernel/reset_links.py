"""Reset links: who has one gives an account another password, once, without knowing the old one.

A link is a document of its account: there is one at most, it goes with the account, and it is in every
backup. Its token has the name of the account in it, so that it is found without an index.

Invariants:
- of a token only a digest is kept, of all of it;
- a link is used up before the password is changed, and given back when that fails: of two who have it, one
  changes the password;
- a link ends when the keys of the account are not those any more that it was made beside. Keys of another
  mechanism for the same password may come; whoever changes the password need not know of the link.
"""

from __future__ import annotations

import hashlib
from base64 import b32decode, b32encode
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

import msgspec

from tidings.base.clock import TimeSource
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.kernel.link_tokens import (
    SECRET_LENGTH,
    LinkRefused,
    digest_of,
    is_of_alphabet,
    is_secret_of,
    random_text,
    unless_changed,
)
from tidings.ports.accounts import AccountRecord, AccountStore, NoSuchAccount, ScramKeys
from tidings.ports.documents import DocumentConflict, DocumentStore

PATH: Final = "/reset"
"""Below it are the pages of links, as the doors over HTTP have them."""
DEFAULT_HOURS: Final = 24
"""So long a link holds where nothing else is said."""

_LINKS: Final = "tidings:reset-link"
_KEY: Final = "link"
_TRIES: Final = 10


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a link."""

    digest: bytes
    """SHA-256 of the token."""
    expires: float
    """In seconds since the epoch."""
    keys: tuple[bytes, ...]
    """Digests of the keys that the account had when it was made."""


class ResetLinks:
    """Makes links, and finds the account that a token opens."""

    def __init__(self, documents: DocumentStore, accounts: AccountStore, clock: TimeSource) -> None:
        self._documents = documents
        self._accounts = accounts
        self._clock = clock

    async def create(self, jid: Jid, *, seconds: float) -> tuple[str, float]:
        """Make a link in place of the one that the account has; give its token, and when it ends.

        Nobody can find out the token afterwards. Raises `NoSuchAccount`.
        """
        record = await self._accounts.get(jid)
        if record is None:
            raise NoSuchAccount(jid)
        token = _in_token(jid) + random_text(SECRET_LENGTH)
        expires = self._clock.now() + seconds
        link = _Link(digest=digest_of(token), expires=expires, keys=_digests_of(record.keys))
        value = msgspec.json.encode(link)
        for _ in range(_TRIES):
            before = await self._documents.get(jid, _LINKS, _KEY)
            expected = None if before is None else before.version
            if await unless_changed(self._documents.put(jid, _LINKS, _KEY, value, expected=expected)):
                return token, expires
        raise StanzaError("resource-constraint", "too many make a link for this account at this moment")

    async def find(self, domain: Jid, token: str) -> Jid:
        """Give the account whose password a token lets one choose; raises `LinkRefused`."""
        jid, _, _ = await self._find(domain, token)
        return jid

    async def use(self, domain: Jid, token: str, change: Callable[[Jid], Awaitable[object]]) -> Jid:
        """Use a link up for `change`, which gives the account another password; give the account.

        It is given back where `change` raises. Raises `LinkRefused`.
        """
        jid, link, version = await self._find(domain, token)
        try:
            await self._documents.delete(jid, _LINKS, _KEY, expected=version)
        except DocumentConflict:
            raise LinkRefused("somebody else has used it at the same time") from None
        is_changed = False
        try:
            await change(jid)
            is_changed = True
        finally:
            if not is_changed:
                value = msgspec.json.encode(link)
                await unless_changed(self._documents.put(jid, _LINKS, _KEY, value, expected=None))
        return jid

    async def _find(self, domain: Jid, token: str) -> tuple[Jid, _Link, str]:
        """Give the account of a token, its link, and the version of that; raises `LinkRefused`."""
        jid = _account_in(token, domain)
        document = await self._documents.get(jid or domain, _LINKS, _KEY)
        link = None if document is None else msgspec.json.decode(document.value, type=_Link)
        is_right = is_secret_of(token, None if link is None else link.digest)
        if jid is None or document is None or link is None or not is_right:
            raise LinkRefused("there is no such token")
        if link.expires <= self._clock.now():
            raise LinkRefused("it has run out")
        if not _is_beside(link, await self._accounts.get(jid)):
            raise LinkRefused("the password has been changed since")
        return jid, link, document.version


def reset_path(domain: Jid, token: str) -> str:
    """Give the path of the page of a link, below the public address of the doors over HTTP."""
    return f"{PATH}/{quote(domain.domain)}/{token}"


def _is_beside(link: _Link, record: AccountRecord | None) -> bool:
    """Tell whether an account has the password still that it had when the link was made."""
    if record is None:
        return False
    now = _digests_of(record.keys)
    return set(link.keys) <= set(now) if link.keys else not now


def _digests_of(keys: tuple[ScramKeys, ...]) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(each.salt + each.stored_key).digest() for each in keys)


def _in_token(jid: Jid) -> str:
    return b32encode(jid.local.encode()).decode().rstrip("=").lower()


def _account_in(token: str, domain: Jid) -> Jid | None:
    """Give the account that a token names; None for what is no token."""
    name = token[:-SECRET_LENGTH]
    if not name or not is_of_alphabet(token):
        return None
    try:
        local = b32decode(name.upper() + "=" * (-len(name) % 8)).decode()
        return Jid.of(local, domain.domain) if local else None
    except (ValueError, JidError):
        return None
