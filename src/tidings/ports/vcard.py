"""The vCard port: what an account tells of itself (XEP-0054), and who is found by it.

Every method may raise `BackendError`. Accounts are named by bare JIDs.

A vCard is found by the beginnings of the words of some fields, whatever their case and accents. That is no
more than the vCard says: with it the words are put, and with it they go. One whose CLASS is PRIVATE or
CONFIDENTIAL (XEP-0054 §3) is found by nothing.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp.payloads.vcard import VCard

MOST_WORDS: Final = 16
"""Words of a field by which a vCard is found; those behind are passed over."""
LONGEST_WORD: Final = 60
"""Letters of a word that count."""
LONGEST_SHOWN: Final = 255
"""Letters of a field that somebody is shown who has found it."""

MOST_CONSIDERED: Final = 10_000
"""So many people who have a word are looked at for the others."""

_WORD: Final = re.compile(r"[^\W_]+")


class SearchField(enum.StrEnum):
    """A field by which vCards are found, by the name that search forms have for it."""

    FULL_NAME = "fn"
    FIRST = "first"
    LAST = "last"
    NICK = "nick"
    EMAIL = "email"
    ORGANIZATION = "orgname"
    UNIT = "orgunit"


_PATHS: Final[Mapping[SearchField, tuple[str, ...]]] = {
    SearchField.FULL_NAME: ("FN",),
    SearchField.FIRST: ("N", "GIVEN"),
    SearchField.LAST: ("N", "FAMILY"),
    SearchField.NICK: ("NICKNAME",),
    SearchField.EMAIL: ("EMAIL", "USERID"),
    SearchField.ORGANIZATION: ("ORG", "ORGNAME"),
    SearchField.UNIT: ("ORG", "ORGUNIT"),
}


class WantedWord(msgspec.Struct, frozen=True):
    """What a word of a field is to begin with, in the form that `words_of` gives."""

    field: SearchField
    start: str


class FoundVCard(msgspec.Struct, frozen=True):
    """An account whose vCard has been found, and what that says in the fields of a search."""

    account: Jid
    values: Mapping[SearchField, str]


class VCardStore(Protocol):
    """Keeps one raw vCard per account."""

    async def get(self, account: Jid) -> bytes | None:
        """Give the vCard element as it was put, or None when there is none."""
        ...

    async def put_all(self, vcards: Mapping[Jid, bytes]) -> None:
        """Keep the vCards of several accounts, as `put` does, in one transaction."""
        ...

    async def put(self, account: Jid, raw: bytes) -> None:
        """Keep this raw vCard element in place of the one before; at most 16 MiB. Raises `NoSuchAccount`."""
        ...

    async def search(
        self, domain: str, wanted: tuple[WantedWord, ...], *, limit: int
    ) -> tuple[FoundVCard, ...]:
        """Find accounts of a domain whose vCard has all of these words; at least one is wanted.

        Accounts that are to be removed are not found. Of more than `limit` it is any of them. Where more than
        `MOST_CONSIDERED` have even the rarest of the words, some may be missed, so that no search takes long.
        """
        ...


def search_fields(raw: bytes) -> dict[SearchField, str]:
    """Give what a vCard says in the fields by which it is found: nothing where it is private, or none."""
    try:
        content = decode(raw, "")
    except ValueError:
        return {}
    if VCard(content).is_private:
        return {}
    said = {field: " ".join(_texts(content, path)).strip()[:LONGEST_SHOWN] for field, path in _PATHS.items()}
    return {field: text for field, text in said.items() if text}


def words_of(field: SearchField, text: str) -> tuple[str, ...]:
    """Give the words by which a field is found that says this, each once: without case and accents.

    An e-mail address is one word.
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in parts if not unicodedata.combining(letter))
    words = plain.split() if field is SearchField.EMAIL else _WORD.findall(plain)
    return tuple(dict.fromkeys(word[:LONGEST_WORD] for word in words))[:MOST_WORDS]


def _texts(element: Element, path: tuple[str, ...]) -> Iterator[str]:
    name, *rest = path
    for child in element.find_all(name):
        if rest:
            yield from _texts(child, tuple(rest))
        else:
            yield child.text
