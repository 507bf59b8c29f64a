"""A JID is its canonical text: prepared once by RFC 7622, then compared and hashed as a plain string.

The one place of `base` that asks libraries: PRECIS and IDNA tables for names beyond ASCII, loaded when the
first such name appears.
"""

from __future__ import annotations

import html
import ipaddress
import re
from functools import lru_cache
from sys import getsizeof
from typing import Self

PART_OCTETS = 1023
"""The longest that a localpart, a domainpart or a resourcepart may be (RFC 7622 §3.1)."""

_UNPREPARED_CHARACTERS = 4 * PART_OCTETS  # preparation shortens by composing, and costs time for each one

CACHE_OCTETS = 24 << 20
"""What all remembered addresses may take together, whoever sends them and however long they are."""

_CACHED_CHARACTERS = 256  # longer texts are prepared each time: hardly anybody has one

_ASCII_LOCAL = re.compile(r"[!#-%(-.0-9;=?A-Z\[-~]+")  # RFC 7622 §3.3.1: printable, without " & ' / : < > @
_ASCII_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_XML_SPECIAL = re.compile("[&<>\"']")
_DOTS = (".", "\u3002", "\uff0e", "\uff61")  # RFC 3490 §3.1: all of them separate labels
_ASCII_RESOURCE = re.compile(r"[ -~]+")


class JidError(ValueError):
    """The text is no JID; the message says which part is wrong and why."""


class Jid(str):
    """An address `local@domain/resource`; equal addresses are equal strings.

    `Jid(text)` prepares the text (RFC 7622) and raises `JidError` when it cannot be an address. `local` and
    `resource` are empty where the address has none.
    """

    __slots__ = ("_bare", "domain", "local", "resource", "text", "xml")

    local: str
    domain: str
    resource: str
    text: str
    """The address as a plain string, which costs less to write."""
    xml: bytes
    """The address as it stands in an XML attribute, encoded: each copy of a stanza has it."""
    _bare: Jid | None

    def __new__(cls, text: str) -> Self:
        """Prepare the text, or take it from the cache."""
        if type(text) is cls:
            return text
        found = _find(text)
        if found is None:
            found = _remembered(text)
        return found  # type: ignore[return-value]  # Jid has no subclasses

    @classmethod
    def of(cls, local: str, domain: str, resource: str = "") -> Jid:
        """Build an address from its parts, each of which is prepared."""
        return _build(_prepare_local(local), _prepare_domain(domain), _prepare_resource(resource))

    @property
    def bare(self) -> Jid:
        """The address without its resource."""
        return self if self._bare is None else self._bare

    @property
    def is_bare(self) -> bool:
        """Tell whether the address has no resource."""
        return self._bare is None

    @property
    def host(self) -> Jid:
        """The address of the domain alone."""
        return Jid(self.domain)

    def with_resource(self, resource: str) -> Jid:
        """Give the same account with this resource, which is prepared."""
        return _build(self.local, self.domain, _prepare_resource(resource))

    def __repr__(self) -> str:
        return f"Jid({str.__repr__(self)})"

    def __reduce__(self) -> tuple[type[Jid], tuple[str]]:
        return Jid, (str(self),)


def _build(local: str, domain: str, resource: str) -> Jid:
    text = f"{local}@{domain}" if local else domain
    bare = None
    if resource:
        bare = _build(local, domain, "")
        text = f"{text}/{resource}"
    jid = str.__new__(Jid, text)
    jid.text = text
    # Only a resource can have such characters, and few do: html.escape is loaded with them.
    jid.xml = (text if _XML_SPECIAL.search(resource) is None else html.escape(text)).encode()
    jid.local, jid.domain, jid.resource, jid._bare = local, domain, resource, bare  # noqa: SLF001  # its maker
    return jid


def _parse(text: str) -> Jid:
    # RFC 7622 §3.1: the resource begins at the first slash, the localpart ends at the first at-sign before
    # it.
    address, slash, resource = text.partition("/")
    local, at, domain = address.rpartition("@") if address.count("@") <= 1 else address.partition("@")
    if at and not local:
        raise JidError("the part before @ is empty")
    if slash and not resource:
        raise JidError("the resource after / is empty")
    return _build(_prepare_local(local), _prepare_domain(domain), _prepare_resource(resource))


class _Remembered:
    """The addresses that were used last, in two generations, so that a hit is one look-up in a dict.

    What is used stands in `recent`. When that has half of the octets, it becomes `earlier`, and what stood
    there and was not used meanwhile is forgotten.
    """

    def __init__(self) -> None:
        self.recent: dict[str, Jid] = {}
        self.earlier: dict[str, Jid] = {}
        self.octets = 0
        """What `recent` takes; where threads write at once, nearly so."""

    def add(self, text: str, jid: Jid) -> None:
        """Remember what a text means."""
        octets = _octets_of(text, jid)
        if self.octets + octets > CACHE_OCTETS // 2:
            self.earlier.clear()
            self.earlier.update(self.recent)
            self.recent.clear()  # the same dict: `_find` is bound to it
            self.octets = 0
        self.octets += octets
        self.recent[text] = jid


_cache = _Remembered()
_find = _cache.recent.get


def _remembered(text: str) -> Jid:
    if len(text) > _CACHED_CHARACTERS:
        return _parse(text)
    jid = _cache.earlier.get(text)
    if jid is None:
        jid = _parse(text)
    _cache.add(text, jid)
    return jid


def _octets_of(text: str, jid: Jid) -> int:
    """Give what an address takes in memory with its parts and its bare address, rather more than less."""
    return 400 + 2 * getsizeof(text) + 4 * getsizeof(jid.text) + 2 * getsizeof(jid.xml)


def _prepare_local(local: str) -> str:
    if not local:
        return ""
    if _ASCII_LOCAL.fullmatch(local):
        prepared = local.lower()
    elif local.isascii():
        raise JidError(f"{local!r} has a character that the part before @ may not have")
    else:
        prepared = _enforce("UsernameCaseMapped", local)
        if any(character in "\"&'/:<>@" for character in prepared):
            raise JidError(f"{local!r} has a character that the part before @ may not have")
    return _check_length(prepared, "the part before @")


def _prepare_domain(domain: str) -> str:
    name = domain[:-1] if domain.endswith(_DOTS) else domain  # RFC 7622 §3.2
    if not name:
        raise JidError("the domain is empty")
    _check_length(name, "the domain")
    if name.isascii():
        name = name.lower()
    if name.startswith("["):
        return _prepare_address(name)
    if not _ASCII_DOMAIN.fullmatch(name) or "xn--" in name:
        name = _prepare_international(name)
    return _check_length(name, "the domain")


def _prepare_address(name: str) -> str:
    try:
        if not name.endswith("]") or "%" in name:  # a zone (RFC 4007) means something on one machine only
            raise ValueError
        return f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]"
    except ValueError:
        raise JidError(f"{name!r} is not an IPv6 address") from None


def _prepare_international(name: str) -> str:
    import idna  # noqa: PLC0415  # large tables, needed by few

    try:
        prepared = idna.decode(idna.encode(name, uts46=True))
        if prepared.endswith("."):  # a second one
            raise UnicodeError
        return prepared
    except (idna.IDNAError, UnicodeError):
        raise JidError(f"{name!r} is not a domain name") from None


def _prepare_resource(resource: str) -> str:
    if not resource:
        return ""
    prepared = resource if _ASCII_RESOURCE.fullmatch(resource) else _enforce("OpaqueString", resource)
    return _check_length(prepared, "the resource")


@lru_cache(maxsize=2)
def _profile(name: str) -> object:
    from precis_i18n import get_profile  # noqa: PLC0415  # large tables, needed by few

    return get_profile(name)


def _enforce(profile: str, text: str) -> str:
    if len(text) > _UNPREPARED_CHARACTERS:
        raise JidError(f"a part of the address is longer than {PART_OCTETS} octets")
    try:
        return str(_profile(profile).enforce(text))  # type: ignore[attr-defined]  # the library is untyped
    except UnicodeError:
        raise JidError(f"{text!r} has a character that an address may not have") from None


def _check_length(part: str, where: str) -> str:
    if len(part) > PART_OCTETS or len(part.encode(errors="surrogatepass")) > PART_OCTETS:
        raise JidError(f"{where} is longer than {PART_OCTETS} octets")
    return part
